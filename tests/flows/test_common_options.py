"""--home and --verbose mean the same wherever they stand."""

import pytest

from flows.cli import _common_first


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["scan", "x", "--home", "h", "--json"], ["--home", "h", "scan", "x", "--json"]),
        (["scan", "--home=h", "x"], ["--home=h", "scan", "x"]),
        (["--home", "h", "findings"], ["--home", "h", "findings"]),
        (["findings", "--verbose"], ["--verbose", "findings"]),
        (["findings", "--home"], ["--home", "findings"]),
    ],
)
def test_common_options_may_stand_anywhere(given: list[str], read: list[str]) -> None:
    assert _common_first(given) == read
