"""A folder: one repository, or a tree of them such as owner/name/..., with the same exactness as a hub.

A folder that holds a file is a repository, and everything below belongs to it. The root itself is one
only if it holds weights, or no folders; so a stray file beside the owners does not make it one.

The sizes and digests that a hub's listing gives are computed here. They are part of the listing, so
``usage`` counts a request for them but no bytes: bytes read are those that a scan asked for.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from scanners.errors import Reason, SourceError
from scanners.records import ByteRange, RemoteFile, RepoRevision, Usage
from scanners.sources.checks import check_inside, check_span, is_commit
from scanners.sources.snapshot import (
    Entry,
    Snapshot,
    file_sha256,
    holds_files,
    opened,
    subfolders,
    take_snapshot,
)

READ_CHUNK_BYTES = 1024 * 1024
WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf"})


class FolderSource:
    """The repositories under ``root``. A commit is a digest of the listing: it changes when a file does."""

    def __init__(self, root: Path) -> None:
        self.root, self.usage = Path(root).resolve(), Usage()
        self._pinned: dict[str, Snapshot] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what was seen: a copy looks again, and notices what changed."""
        return {**vars(self), "_pinned": {}}

    # --- what there is ---

    def revisions(self, since: datetime | None = None, limit: int | None = None) -> Iterator[RepoRevision]:
        """Newest first, by the newest file of each; one request counted per repository's listing.

        A repository with an entry that must not be followed is among them: asking for its files says why.
        """
        found = sorted((self._look(repo) for repo in self._repositories()), key=_age)
        recent = (each for each in found if since is None or _modified(each) >= since)
        return islice((_revision(each) for each in recent), limit)

    def resolve(self, repo: str, revision: str | None = None) -> RepoRevision:
        """A folder has one state, the present one: another commit than its own is NOT_FOUND."""
        snapshot = self._look(repo)
        if revision is not None and revision not in ("main", snapshot.commit):
            raise SourceError(Reason.NOT_FOUND, f"{repo} is a folder, and not at {revision}")
        return _revision(snapshot)

    def files(self, revision: RepoRevision) -> tuple[RemoteFile, ...]:
        """Every file, with the sha256 of its content: a local disk is read faster than it is asked about.

        Raises: SourceError for a link that leaves the root, a device, a socket, a pipe, and what cannot
        be opened: a repository that could hide something is refused as a whole.
        """
        snapshot = self._snapshot(revision)
        return tuple(self._remote_file(revision.repo, entry) for entry in snapshot.entries)

    def _remote_file(self, repo: str, entry: Entry) -> RemoteFile:
        if entry.refused is not None:
            raise SourceError(*entry.refused)
        return RemoteFile(entry.path, entry.size_bytes, file_sha256(self._folder(repo) / entry.path, entry))

    # --- what is in it ---

    def read(self, revision: RepoRevision, span: ByteRange) -> bytes:
        """Exactly the bytes asked for, of the file as it was when it was pinned."""
        return b"".join(self.stream(revision, span, READ_CHUNK_BYTES))

    def stream(self, revision: RepoRevision, span: ByteRange, chunk_bytes: int) -> Iterator[bytes]:
        """REVISION_MOVED for a file that changed since its revision was pinned."""
        check_span(span)
        entry = self._snapshot(revision).find(span.path)
        check_inside(span, entry.size_bytes)
        if not span.size_bytes:
            return
        self.usage.add(1, 0)
        with opened(self._folder(revision.repo) / span.path, entry) as stream:
            stream.seek(span.start)
            for position in range(span.start, span.stop, chunk_bytes):
                wanted = min(chunk_bytes, span.stop - position)
                chunk = stream.read(wanted)
                self.usage.add(0, len(chunk))
                if len(chunk) != wanted:
                    raise SourceError(Reason.TRUNCATED, f"{span.path} ended while it was read")
                yield chunk

    # --- folders ---

    def _repositories(self) -> Iterator[str]:
        if not self.root.is_dir():
            raise SourceError(Reason.NOT_FOUND, f"{self.root} is no folder")
        if self._is_one_repository():
            yield self.root.name
            return
        unseen = subfolders(self.root)
        while unseen:
            folder = unseen.pop()
            if holds_files(folder):
                yield folder.relative_to(self.root).as_posix()
            else:
                unseen += subfolders(folder)

    def _is_one_repository(self) -> bool:
        inside = list(self.root.iterdir())
        weights = any(path.suffix.lower() in WEIGHT_SUFFIXES for path in inside)
        return weights or not any(path.is_dir() for path in inside)

    def _folder(self, repo: str) -> Path:
        if self._is_one_repository() and repo == self.root.name:
            return self.root
        folder = self.root / repo
        if not folder.resolve().is_relative_to(self.root) or not folder.is_dir():
            raise SourceError(Reason.NOT_FOUND, f"{self.root} holds no folder {repo}")
        return folder.resolve()

    def _look(self, repo: str) -> Snapshot:
        self.usage.add(1, 0)
        return take_snapshot(self._folder(repo), repo, self.root)

    def _snapshot(self, revision: RepoRevision) -> Snapshot:
        """The state that ``revision`` names, if the folder still is in it."""
        if revision.uri not in self._pinned:
            snapshot = self._look(revision.repo)
            if snapshot.commit != revision.commit or not is_commit(revision.commit):
                raise SourceError(Reason.REVISION_MOVED, f"{revision.repo} changed since it was listed")
            self._pinned = {revision.uri: snapshot}
        return self._pinned[revision.uri]


def _modified(snapshot: Snapshot) -> datetime:
    return snapshot.last_modified


def _age(snapshot: Snapshot) -> tuple[float, str]:
    return -snapshot.last_modified.timestamp(), snapshot.repo


def _revision(snapshot: Snapshot) -> RepoRevision:
    return RepoRevision("file", snapshot.repo, snapshot.commit, snapshot.last_modified)
