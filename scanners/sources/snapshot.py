"""The state of a folder: its files, what of it must not be followed, and a digest that names it."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from io import BufferedReader
from pathlib import Path

from scanners.errors import Reason, SourceError

SMALL_BYTES = 1024 * 1024
NOT_CONTENT = frozenset({".git", ".cache"})  # what clients keep beside a working copy
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a link to a folder",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder tree: a file, or something refused, with the reason and a sentence."""

    path: str
    size_bytes: int = 0
    modified_ns: int = 0
    refused: tuple[Reason, str] | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One repository's folder at one moment; ``commit`` is 40 hex digits over ``entries``."""

    repo: str
    entries: tuple[Entry, ...]  # sorted by path
    commit: str
    last_modified: datetime

    def find(self, path: str) -> Entry:
        """Raises: SourceError where there is no such file, or it is refused."""
        entry = next((entry for entry in self.entries if entry.path == path), None)
        if entry is None:
            raise SourceError(Reason.NOT_FOUND, f"{self.repo} holds no {path}")
        if entry.refused is not None:
            raise SourceError(*entry.refused)
        return entry


def take_snapshot(folder: Path, repo: str, root: Path) -> Snapshot:
    """Nothing is opened but regular files under a mebibyte."""
    entries = tuple(sorted(_entries(folder, root), key=lambda entry: entry.path))
    digest = hashlib.sha1(usedforsecurity=False)
    for entry in entries:
        line = f"{entry.path}\0{entry.size_bytes}\0{_content_id(folder, entry)}\n"
        digest.update(line.encode(errors="surrogateescape"))
    newest = max((entry.modified_ns for entry in entries), default=0)
    return Snapshot(repo, entries, digest.hexdigest(), datetime.fromtimestamp(newest / 1e9, UTC))


def _content_id(folder: Path, entry: Entry) -> str:
    if entry.refused is not None:
        return entry.refused[1]
    if entry.size_bytes >= SMALL_BYTES:
        return f"{entry.modified_ns}+{entry.size_bytes}"
    try:
        return file_sha256(folder / entry.path, entry)
    except SourceError as error:
        return error.detail


def _entries(folder: Path, root: Path) -> Iterator[Entry]:
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = [name for name in folders if name not in NOT_CONTENT]
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (_entry(Path(parent, name), folder, root) for name in (*names, *links))
    for error in unreadable:
        name = Path(error.filename).relative_to(folder).as_posix()
        yield Entry(name, refused=(Reason.GATED, f"{name} cannot be listed: {error.strerror}"))


def _entry(path: Path, folder: Path, root: Path) -> Entry:
    name = path.relative_to(folder).as_posix()
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return Entry(name, refused=(Reason.NOT_FOUND, f"{name} is a link that leaves the folder"))
        state = path.stat()
    except (OSError, RuntimeError) as error:
        return Entry(name, refused=(Reason.NOT_FOUND, f"{name} leads nowhere: {error}"))
    if not stat.S_ISREG(state.st_mode):
        kind = _KINDS.get(stat.S_IFMT(state.st_mode), "no file")
        return Entry(name, refused=(Reason.UNSUPPORTED_FORMAT, f"{name} is {kind}"))
    return Entry(name, state.st_size, state.st_mtime_ns)


@contextmanager
def opened(path: Path, entry: Entry) -> Iterator[BufferedReader]:
    """The file of ``entry`` for reading, if it still is the one that was listed.

    Opening never waits (a pipe put in the file's place) and follows no link put there since.
    Raises: SourceError.
    """
    try:
        descriptor = os.open(path.resolve(), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, RuntimeError) as error:
        reason = Reason.GATED if isinstance(error, PermissionError) else Reason.NOT_FOUND
        raise SourceError(reason, f"{entry.path} cannot be opened: {error}") from error
    with os.fdopen(descriptor, "rb") as stream:
        state = os.fstat(descriptor)
        unchanged = (state.st_size, state.st_mtime_ns) == (entry.size_bytes, entry.modified_ns)
        if not stat.S_ISREG(state.st_mode) or not unchanged:
            raise SourceError(Reason.REVISION_MOVED, f"{entry.path} changed since it was listed")
        try:
            yield stream
        except OSError as error:
            raise SourceError(Reason.SERVER_ERROR, f"{entry.path} cannot be read: {error}") from error


@lru_cache(maxsize=100_000)
def file_sha256(path: Path, entry: Entry) -> str:
    """Of the content, streamed; computed once per state of the file. Raises: SourceError."""
    with opened(path, entry) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def holds_files(folder: Path) -> bool:
    return any(not path.name.startswith(".") and not path.is_dir() for path in _children(folder))


def subfolders(folder: Path) -> list[Path]:
    """Without links: what they lead to is found where it is."""
    inside = (path for path in _children(folder) if path.is_dir() and not path.is_symlink())
    return [path for path in inside if path.name not in NOT_CONTENT]


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise SourceError(Reason.GATED, f"{folder} cannot be listed: {error.strerror}") from error
