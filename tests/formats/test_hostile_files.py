"""Each hostile checkpoint is refused with its reason and a sentence, over a few kilobytes read."""

import time
from pathlib import Path

import pytest
from safetensors import SafetensorError, deserialize

from scanners.errors import FormatError, Reason
from scanners.formats.manifest import read_manifest
from scanners.sources.folder import FolderSource
from scanners.sources.huggingface import HuggingFaceSource
from tests.formats.hostile import HOSTILE, REASONS
from tests.hub_simulator import running_hub

# The format's library reads these all the same; we refuse them because two readers could differ.
STRICTER_BY_DESIGN = {
    "a_header_that_begins_with_spaces",
    "a_name_of_a_megabyte",
    "a_tensor_named_twice",
    "a_tensor_that_is_a_list",
    "a_checkpoint_without_a_tensor",
    "too_many_dimensions",
}


def refusal_of(folder: Path) -> tuple[FormatError, FolderSource]:
    source = FolderSource(folder)
    revision = source.resolve(folder.name)
    with pytest.raises(FormatError) as caught:
        read_manifest(source, revision, source.files(revision))
    return caught.value, source


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_with_its_reason(name: str, tmp_path: Path) -> None:
    HOSTILE[name](tmp_path)
    started = time.monotonic()
    error, source = refusal_of(tmp_path)
    assert error.reason is REASONS[name]
    assert 20 < len(error.detail) < 400
    assert time.monotonic() - started < 10
    assert source.usage.bytes_read < 10_000_000


@pytest.mark.parametrize(
    "name", [n for n, reason in REASONS.items() if reason in (Reason.MALFORMED_HEADER, Reason.TRUNCATED)]
)
def test_the_formats_own_library_refuses_it_too_unless_we_are_stricter_by_design(name: str, tmp_path: Path) -> None:
    HOSTILE[name](tmp_path)
    content = (tmp_path / "model.safetensors").read_bytes()
    if name in STRICTER_BY_DESIGN:
        deserialize(content)
    else:
        with pytest.raises(SafetensorError):
            deserialize(content)


def test_a_pointer_in_place_of_weights_says_so(tmp_path: Path) -> None:
    HOSTILE["a_pointer_in_place_of_weights"](tmp_path)
    assert "Git LFS pointer" in refusal_of(tmp_path)[0].detail


def test_a_hub_full_of_them_is_refused_just_so(tmp_path: Path) -> None:
    names = ["overlapping_tensors", "an_index_that_climbs_out", "a_header_of_exabytes", "nothing_but_gguf"]
    for name in names:
        (tmp_path / "owner" / name).mkdir(parents=True)
        HOSTILE[name](tmp_path / "owner" / name)
    with running_hub(tmp_path) as hub:
        source = HuggingFaceSource(hub.url)
        for name in names:
            revision = source.resolve(f"owner/{name}")
            with pytest.raises(FormatError) as caught:
                read_manifest(source, revision, source.files(revision))
            assert caught.value.reason is REASONS[name]
