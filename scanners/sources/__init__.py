"""Where checkpoints come from: a hub by HTTP ranges, or a folder. Both keep the same contract."""

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from scanners.records import ByteRange, RemoteFile, RepoRevision, Usage


class Source(Protocol):
    """What a scan needs of a place that holds checkpoints. Every method raises SourceError, nothing else.

    Instances can be pickled: connections are opened where they are used.
    """

    usage: Usage  # counted where bytes enter; callers read it before and after

    def revisions(self, since: datetime | None = None, limit: int | None = None) -> Iterator[RepoRevision]:
        """Newest first, each pinned to its commit; those modified at ``since`` (UTC) or later. No
        request per repository."""
        ...

    def resolve(self, repo: str, revision: str | None = None) -> RepoRevision:
        """Pin a branch, a tag or a commit (None: the newest state) to a commit of 40 hex digits."""
        ...

    def files(self, revision: RepoRevision) -> tuple[RemoteFile, ...]:
        """Every file of the revision, in all folders, sorted by path, with sizes and sha256 where known."""
        ...

    def read(self, revision: RepoRevision, span: ByteRange) -> bytes:
        """Exactly ``span.size_bytes`` bytes, or an error."""
        ...

    def stream(self, revision: RepoRevision, span: ByteRange, chunk_bytes: int) -> Iterator[bytes]:
        """The same bytes in chunks of ``chunk_bytes``, the last one shorter; one chunk in memory."""
        ...
