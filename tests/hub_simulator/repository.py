"""Folders as repositories: files with the ids git and LFS give them, commits derived from the content."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

LFS_BYTES = 10 * 1024 * 1024
# What the hub's own .gitattributes sends to LFS whatever its size.
_LFS = "safetensors bin pt pth ckpt pkl gguf onnx h5 msgpack npz npy nemo model zip tar"
LFS_SUFFIXES = frozenset(f".{name}" for name in _LFS.split(" "))
HIDDEN = frozenset({".hub.json", ".hub", ".git"})


@dataclass(frozen=True)
class HubFile:
    """One file of one commit; ``blob_id`` as git names it, ``sha256`` for files kept in LFS."""

    path: str
    location: Path
    size: int
    blob_id: str
    sha256: str | None

    @property
    def etag(self) -> str:
        return self.sha256 or self.blob_id

    @property
    def pointer_size(self) -> int:
        return len(lfs_pointer(self.sha256 or "", self.size))


@dataclass(frozen=True)
class Commit:
    """A whole tree under a name that only its content and its ancestors determine."""

    id: str
    parent: str | None
    files: Mapping[str, HubFile]


@dataclass
class Repository:
    """One repository: its branches, each a chain of commits with the newest first, and what its card says."""

    id: str
    last_modified: datetime
    branches: Mapping[str, tuple[Commit, ...]]
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def head(self) -> Commit:
        return self.branches["main"][0]

    @property
    def gated(self) -> str | bool:
        gated = self.card.get("gated", False)
        return "auto" if gated is True else gated

    def commit(self, revision: str) -> Commit | None:
        if revision in self.branches:
            return self.branches[revision][0]
        return next((c for chain in self.branches.values() for c in chain if c.id == revision), None)

    def history(self, revision: str) -> list[Commit]:
        for chain in self.branches.values():
            ids = [commit.id for commit in chain]
            if revision in ids:
                return list(chain[ids.index(revision) :])
        return list(self.branches.get(revision, ()))


def lfs_pointer(sha256: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def git_blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@lru_cache(maxsize=100_000)
def _ids(location: Path, size: int, _changed: int) -> tuple[str, str | None]:
    """(blob id, sha256 or None), computed once per state of the file on disk."""
    if size <= LFS_BYTES and location.suffix.lower() not in LFS_SUFFIXES:
        return git_blob_id(location.read_bytes()), None
    with location.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return git_blob_id(lfs_pointer(sha256, size)), sha256


def _files(folder: Path) -> Iterator[HubFile]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in HIDDEN)
        for name in sorted(names):
            location = Path(parent, name)
            if name in HIDDEN or not location.is_file():
                continue
            state = location.stat()
            ids = _ids(location, state.st_size, state.st_mtime_ns)
            yield HubFile(location.relative_to(folder).as_posix(), location, state.st_size, *ids)


def _commit(folder: Path, parent: Commit | None) -> Commit:
    files = {file.path: file for file in _files(folder)}
    digest = hashlib.sha1((parent.id if parent else "").encode())
    for path in sorted(files):
        digest.update(f"\0{path}\0{files[path].etag}".encode())
    return Commit(digest.hexdigest(), parent.id if parent else None, files)


def _chain(folders: list[Path]) -> tuple[Commit, ...]:
    chain: list[Commit] = []
    for folder in folders:
        chain.insert(0, _commit(folder, chain[0] if chain else None))
    return tuple(chain)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _last_modified(card: Mapping[str, Any], head: Commit) -> datetime:
    if "last_modified" in card:
        return datetime.fromisoformat(card["last_modified"].replace("Z", "+00:00")).astimezone(UTC)
    newest = max((file.location.stat().st_mtime for file in head.files.values()), default=0.0)
    return datetime.fromtimestamp(newest, UTC)


def load_repository(folder: Path, repo_id: str) -> Repository:
    """Read one folder as it is now. Raises: OSError where it cannot be read."""
    card_file = folder / ".hub.json"
    card = json.loads(card_file.read_text()) if card_file.is_file() else {}
    branches = {"main": _chain([*_subfolders(folder / ".hub" / "history"), folder])}
    for branch in _subfolders(folder / ".hub" / "branches"):
        branches[branch.name] = _chain([branch])
    return Repository(repo_id, _last_modified(card, branches["main"][0]), branches, card)


def load_repositories(root: Path) -> list[Repository]:
    """All repositories under ``root``, last modified first."""
    folders = [name for owner in _subfolders(root) for name in _subfolders(owner)]
    found = [load_repository(folder, f"{folder.parent.name}/{folder.name}") for folder in folders]
    return sorted(found, key=lambda repository: (repository.last_modified, repository.id), reverse=True)
