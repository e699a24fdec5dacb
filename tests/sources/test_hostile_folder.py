"""What may lie in a folder beside files: none of it is followed, none of it makes a scan wait."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from scanners.errors import Reason, SourceError
from scanners.records import ByteRange
from scanners.sources.folder import FolderSource
from tests.sources.trees import WEIGHTS, write_tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


def a_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_link_that_leaves(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def a_link_to_its_folder(path: Path) -> None:
    path.symlink_to(".")


TRAPS = [
    (a_pipe, Reason.UNSUPPORTED_FORMAT),
    (a_socket, Reason.UNSUPPORTED_FORMAT),
    (a_link_to_a_device, Reason.NOT_FOUND),
    (a_link_that_leaves, Reason.NOT_FOUND),
    (a_link_to_nothing, Reason.NOT_FOUND),
    (a_link_to_itself, Reason.NOT_FOUND),
    (a_link_to_its_folder, Reason.UNSUPPORTED_FORMAT),
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("trap", "reason"), TRAPS, ids=[trap.__name__ for trap, _ in TRAPS])
def test_it_is_listed_as_a_repository_but_refused_with_a_reason(
    root: Path, trap: Callable[[Path], None], reason: Reason
) -> None:
    trap(root / "owner/model-2/extra.safetensors")
    source = FolderSource(root)
    revisions = {revision.repo: revision for revision in source.revisions()}
    assert len(revisions) == 3
    for ask in (
        lambda: source.files(revisions["owner/model-2"]),
        lambda: source.read(revisions["owner/model-2"], ByteRange("extra.safetensors", 0, 1)),
    ):
        with pytest.raises(SourceError) as caught:
            ask()
        assert caught.value.reason is reason
    assert source.files(revisions["owner/model-1"])


def test_a_link_inside_the_root_is_followed(root: Path) -> None:
    (root / "owner/model-2/again.safetensors").symlink_to("../model-1/model.safetensors")
    source = FolderSource(root)
    revision = source.resolve("owner/model-2")
    assert source.read(revision, ByteRange("again.safetensors", 1, 9)) == WEIGHTS[1:9]
    assert "again.safetensors" in [file.path for file in source.files(revision)]


def test_a_file_that_became_a_pipe_is_never_waited_for(root: Path) -> None:
    source = FolderSource(root)
    revision = source.resolve("owner/model-1")
    source.read(revision, ByteRange("model.safetensors", 0, 1))
    (root / "owner/model-1/model.safetensors").unlink()
    os.mkfifo(root / "owner/model-1/model.safetensors")
    with pytest.raises(SourceError) as caught:
        source.read(revision, ByteRange("model.safetensors", 0, 1))
    assert caught.value.reason is Reason.REVISION_MOVED


@pytest.mark.parametrize("looked_before", [True, False])
def test_a_file_that_changed_is_another_revision(root: Path, looked_before: bool) -> None:
    source = FolderSource(root)
    revision = source.resolve("owner/model-1")
    if looked_before:
        source.files(revision)
    (root / "owner/model-1/model.safetensors").write_bytes(b"other")
    with pytest.raises(SourceError) as caught:
        source.read(revision, ByteRange("model.safetensors", 0, 1))
    assert caught.value.reason is Reason.REVISION_MOVED
    assert source.resolve("owner/model-1").commit != revision.commit


def test_a_folder_holding_weights_is_one_repository_with_all_below(root: Path) -> None:
    (revision,) = FolderSource(root / "owner/model-1").revisions()
    assert revision.repo == "model-1"
    assert "deep/er/notes one.txt" in [f.path for f in FolderSource(root / "owner/model-1").files(revision)]


def test_a_stray_file_in_the_root_makes_no_repository_of_it(root: Path) -> None:
    (root / "README.md").write_text("models")
    assert len(list(FolderSource(root).revisions())) == 3


def test_a_copy_with_the_same_small_files_has_the_same_commit(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "copy")
    one, two = (FolderSource(place).resolve("owner/model-1").commit for place in (root, tmp_path / "copy"))
    assert one == two


def test_a_root_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        list(FolderSource(tmp_path / "missing").revisions())
    assert caught.value.reason is Reason.NOT_FOUND


def test_names_that_are_no_text_do_not_stop_a_listing(root: Path) -> None:
    with open(os.fsencode(root / "owner/model-1") + b"/\xff.txt", "wb") as stream:
        stream.write(b"x")
    assert len(list(FolderSource(root).revisions())) == 3
