"""A SOURCE argument names one place, or is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.places import HUB, Place, parse
from scanners.errors import UsageError


def test_a_repository_on_the_hub() -> None:
    assert parse("hf://owner/name") == Place(HUB, "owner/name", None)
    assert parse("hf://owner/name@v1.0") == Place(HUB, "owner/name", "v1.0")
    assert parse("hf://gpt2") == Place(HUB, "gpt2", None)


def test_a_folder_is_the_same_bare_and_as_a_url(tmp_path: Path) -> None:
    folder = tmp_path / "with space & ünïcode"
    folder.mkdir()
    assert parse(str(folder)) == parse(folder.as_uri())
    assert parse(str(folder)).folder == folder


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        parse(str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    "text", ["hf://", "hf:///", "hf://a/b/c", "hf://a b/c", "hf://a/b@", "hf://a/b@@c", "http://host/a/b", ""]
)
def test_what_names_nothing_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


@given(st.text())
def test_no_text_is_more_than_a_usage_error(text: str) -> None:
    try:
        parse(f"hf://{text}")
    except UsageError:
        return
