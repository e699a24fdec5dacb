"""A hub: its own client library lists and describes, our own ranged reads fetch."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar

import httpx2
from huggingface_hub import HfApi, set_client_factory
from huggingface_hub.errors import HFValidationError
from huggingface_hub.hf_api import ModelInfo, RepoFile
from huggingface_hub.utils._http import default_client_factory
from huggingface_hub.utils._validators import validate_repo_id

from scanners.errors import Reason, SourceError
from scanners.records import ByteRange, RemoteFile, RepoRevision, Usage
from scanners.sources.checks import check_span, is_commit, is_sha256, leaves_repository
from scanners.sources.metered import MeteredTransport, origin
from scanners.sources.ranges import RangeReader
from scanners.sources.retries import FIRST_WAIT_SECONDS, RetryingTransport, retrying

READ_CHUNK_BYTES = 1024 * 1024
MOST_FILES = 100_000
REMEMBERED_LISTINGS = 16
_PROPERTIES: Any = ["sha", "lastModified", "gated", "downloads", "likes", "tags"]
_BASE_MODEL = "base_model:"
_LIBRARY = threading.Lock()  # the library's HTTP client is one for the whole process

T = TypeVar("T")


class HuggingFaceSource:
    """Model repositories of the hub at ``endpoint``, read with ``token`` where one is given.

    ``timeout_seconds`` bounds connecting, each wait for bytes, and (with the time that the size of an
    answer allows for) each answer as a whole. What may pass is asked ``attempts`` times in all.
    """

    def __init__(
        self,
        endpoint: str,
        token: str | None = None,
        timeout_seconds: float = 30.0,
        attempts: int = 5,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
    ) -> None:
        self.endpoint, self.usage = endpoint.rstrip("/"), Usage()
        self._token, self._seconds = token, timeout_seconds
        self._attempts, self._first_wait = attempts, first_wait_seconds
        self._listed: OrderedDict[str, dict[str, RemoteFile]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Without connections: they are opened again where the copy is used."""
        return {key: value for key, value in vars(self).items() if key not in ("_api", "_ranges")}

    # --- what there is ---

    def revisions(self, since: datetime | None = None, limit: int | None = None) -> Iterator[RepoRevision]:
        """Newest first; one request per page of the hub's listing."""
        with self._library() as api:
            models = api.list_models(sort="last_modified", expand=_PROPERTIES, limit=limit)
        found = map(_revision, models)
        while (revision := self._next(found)) is not None:
            if since is not None and revision.last_modified is not None and revision.last_modified < since:
                return
            yield revision

    def _next(self, items: Iterator[T]) -> T | None:
        with self._library():
            return next(items, None)

    def resolve(self, repo: str, revision: str | None = None) -> RepoRevision:
        """Two answers that disagree on a commit asked for by name are REVISION_MOVED."""
        with self._library() as api:
            pinned = _revision(api.model_info(repo, revision=revision, expand=_PROPERTIES))
        if is_commit(revision) and pinned.commit != revision:
            raise SourceError(Reason.REVISION_MOVED, f"{repo} at {revision} is said to be at {pinned.commit}")
        return pinned

    def files(self, revision: RepoRevision) -> tuple[RemoteFile, ...]:
        """The recursive tree. TOO_LARGE for more than ``MOST_FILES`` entries."""
        with self._library() as api:
            tree = api.list_repo_tree(revision.repo, revision=revision.commit, recursive=True)
            entries = list(islice(tree, MOST_FILES + 1))
            files = tuple(_remote_file(entry) for entry in entries if isinstance(entry, RepoFile))
        if len(entries) > MOST_FILES:
            raise SourceError(Reason.TOO_LARGE, f"{revision.repo} holds more than {MOST_FILES} files")
        if len({file.path for file in files}) != len(files):
            raise SourceError(Reason.SERVER_ERROR, f"{revision.repo} is listed with one path twice")
        self._listed[revision.uri] = {file.path: file for file in files}
        if len(self._listed) > REMEMBERED_LISTINGS:
            self._listed.popitem(last=False)
        return tuple(sorted(files, key=lambda file: file.path))

    # --- what is in it ---

    def read(self, revision: RepoRevision, span: ByteRange) -> bytes:
        """One GET, and one HEAD before the first of each file."""
        return b"".join(self.stream(revision, span, READ_CHUNK_BYTES))

    def stream(self, revision: RepoRevision, span: ByteRange, chunk_bytes: int) -> Iterator[bytes]:
        """One GET; a connection that breaks is taken up again where it broke."""
        check_span(span)
        listed = self._listed.get(revision.uri, {}).get(span.path)
        position = span.start
        for attempt in retrying(self._attempts, self._first_wait):
            with attempt:
                rest = ByteRange(span.path, position, span.stop)
                for chunk in self._ranges.chunks(revision, rest, listed, chunk_bytes):
                    position += len(chunk)
                    yield chunk

    # --- connections ---

    @cached_property
    def _ranges(self) -> RangeReader:
        return RangeReader(self.endpoint, self._token, self._seconds, self.usage)

    @cached_property
    def _api(self) -> tuple[HfApi, httpx2.BaseTransport]:
        only = origin(httpx2.URL(self.endpoint))
        metered = MeteredTransport(self.usage, self._seconds, only)
        transport = RetryingTransport(metered, retrying(self._attempts, self._first_wait))
        return HfApi(endpoint=self.endpoint, token=self._token or False, library_name="kinprint"), transport

    @contextmanager
    def _library(self) -> Iterator[HfApi]:
        """The hub's client, speaking through our transport while the block lasts."""
        api, transport = self._api
        with _LIBRARY, _understood():
            set_client_factory(lambda: httpx2.Client(transport=transport, follow_redirects=True))
            try:
                yield api
            finally:
                set_client_factory(default_client_factory)


@contextmanager
def _understood() -> Iterator[None]:
    """An answer the library stumbles over is the hub's fault, not the caller's."""
    try:
        yield
    except HFValidationError as error:
        raise SourceError(Reason.NOT_FOUND, f"no such repository can be: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, httpx2.HTTPError) as error:
        raise SourceError(Reason.SERVER_ERROR, f"the hub's answer is not understood: {error!r:.200}") from error


def _revision(model: ModelInfo) -> RepoRevision:
    validate_repo_id(model.id)
    if not is_commit(model.sha):
        raise SourceError(Reason.SERVER_ERROR, f"the hub names no commit for {model.id}")
    bases = [tag.rpartition(":")[2] for tag in model.tags or () if tag.startswith(_BASE_MODEL)]
    return RepoRevision(
        source="hf",
        repo=model.id,
        commit=str(model.sha),
        last_modified=model.last_modified and model.last_modified.astimezone(UTC),
        gated=bool(model.gated),
        downloads=model.downloads,
        likes=model.likes,
        base_models=tuple(dict.fromkeys(bases)),
    )


def _remote_file(entry: RepoFile) -> RemoteFile:
    sha256 = entry.lfs.sha256 if entry.lfs else None
    if not isinstance(entry.path, str) or leaves_repository(entry.path):
        raise SourceError(Reason.SERVER_ERROR, f"the hub lists a path that is none: {entry.path!r:.100}")
    if type(entry.size) is not int or entry.size < 0 or not (sha256 is None or is_sha256(sha256)):
        raise SourceError(Reason.SERVER_ERROR, f"the hub does not say how large {entry.path} is, or what")
    return RemoteFile(entry.path, entry.size, sha256)
