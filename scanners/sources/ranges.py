"""Ranges of files on a hub: one HEAD per file pins it, then one GET per span, believed only when exact."""

import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import httpx2

from scanners.errors import Reason, SourceError
from scanners.records import ByteRange, RemoteFile, RepoRevision, Usage
from scanners.sources.checks import check_inside, is_sha256
from scanners.sources.metered import MeteredTransport, origin

MOST_REDIRECTS = 5
REMEMBERED_FILES = 4096
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


@dataclass(frozen=True, slots=True)
class Location:
    """A file as pinned by its HEAD: where its bytes are and how many."""

    url: httpx2.URL
    size_bytes: int


class RangeReader:
    """Reads spans of files, one request each. Keeps its connections; not picklable, made where used.

    The token goes to the hub's own origin only. Raises: SourceError, TransientError; it never retries.
    """

    def __init__(self, endpoint: str, token: str | None, timeout_seconds: float, usage: Usage) -> None:
        self._endpoint, self._origin = endpoint.rstrip("/"), origin(httpx2.URL(endpoint))
        self._authorization = {"authorization": f"Bearer {token}"} if token else {}
        transport = MeteredTransport(usage, timeout_seconds, cap=None)
        self._client = httpx2.Client(transport=transport, trust_env=False, follow_redirects=False)
        self._located: OrderedDict[tuple[str, str], Location] = OrderedDict()

    def chunks(
        self, revision: RepoRevision, span: ByteRange, listed: RemoteFile | None, chunk_bytes: int
    ) -> Iterator[bytes]:
        """The bytes of ``span``; more or fewer than asked for are an error, a 200 is not read at all."""
        if not span.size_bytes:
            return
        with self._open(revision, span, listed) as response:
            missing = span.size_bytes
            for chunk in response.iter_raw(min(chunk_bytes, span.size_bytes)):
                missing -= len(chunk)
                if missing < 0:
                    break
                yield chunk
            if missing:
                sentence = f"{span.path}: {'more' if missing < 0 else 'fewer'} bytes than asked for"
                raise SourceError(Reason.TRUNCATED, sentence)

    @contextmanager
    def _open(self, revision: RepoRevision, span: ByteRange, listed: RemoteFile | None) -> Iterator[httpx2.Response]:
        known = (revision.uri, span.path) in self._located
        location = self._locate(revision, span.path, listed)
        check_inside(span, location.size_bytes)
        try:
            response = self._ask(location, span)
        except SourceError as error:
            # A signed address runs out after a while: ask the hub once for a new one.
            if error.reason is not Reason.GATED or not known:
                raise
            del self._located[revision.uri, span.path]
            location = self._locate(revision, span.path, listed)
            response = self._ask(location, span)
        try:
            _check_answer(response, span, location.size_bytes)
            yield response
        finally:
            response.close()

    def _ask(self, location: Location, span: ByteRange) -> httpx2.Response:
        headers = {"range": f"bytes={span.start}-{span.stop - 1}", **self._token_for(location.url)}
        return self._client.send(self._client.build_request("GET", location.url, headers=headers), stream=True)

    def _token_for(self, url: httpx2.URL) -> dict[str, str]:
        return self._authorization if origin(url) == self._origin else {}

    def _locate(self, revision: RepoRevision, path: str, listed: RemoteFile | None) -> Location:
        key = revision.uri, path
        if key not in self._located:
            self._located[key] = self._head(revision, path, listed)
            if len(self._located) > REMEMBERED_FILES:
                self._located.popitem(last=False)
        return self._located[key]

    def _head(self, revision: RepoRevision, path: str, listed: RemoteFile | None) -> Location:
        url = httpx2.URL(f"{self._endpoint}/{revision.repo}/resolve/{revision.commit}/{quote(path)}")
        for _ in range(MOST_REDIRECTS):
            response = self._client.request("HEAD", url, headers=self._token_for(url))
            target = _redirect_target(response, url)
            if target is None or origin(target) != self._origin:
                return _pin(response, target or url, revision, path, listed)
            url = target
        raise SourceError(Reason.CONNECTION, f"{path}: the hub redirects without end")


def _redirect_target(response: httpx2.Response, url: httpx2.URL) -> httpx2.URL | None:
    if not response.has_redirect_location:
        return None
    try:
        target = url.join(response.headers["location"])
    except (httpx2.InvalidURL, ValueError) as error:
        raise SourceError(Reason.CONNECTION, f"the hub redirects to no address: {error}") from error
    if target.scheme not in ("http", "https") or not target.host:
        raise SourceError(Reason.CONNECTION, f"the hub redirects to {target.scheme}://")
    return target


def _pin(
    response: httpx2.Response, url: httpx2.URL, revision: RepoRevision, path: str, listed: RemoteFile | None
) -> Location:
    commit = response.headers.get("x-repo-commit")
    if commit != revision.commit:
        raise SourceError(Reason.REVISION_MOVED, f"{path} was asked for at {revision.commit}, came of {commit}")
    claimed = "content-length" if response.status_code == 200 else "x-linked-size"
    size = response.headers.get(claimed, "")
    if not (size.isascii() and size.isdigit() and len(size) < 19):
        raise SourceError(Reason.SIZE_MISMATCH, f"{path}: the hub does not say its size")
    if listed is not None:
        _check_listing(listed, int(size), response.headers.get("x-linked-etag", ""))
    return Location(url, int(size))


def _check_listing(listed: RemoteFile, size_bytes: int, etag: str) -> None:
    """What is stored must be what was listed: exact copies are told by the listing's hashes alone."""
    if size_bytes != listed.size_bytes:
        sentence = f"{listed.path} has {listed.size_bytes} bytes in the listing and {size_bytes} where it is stored"
        raise SourceError(Reason.SIZE_MISMATCH, sentence)
    stored = etag.removeprefix("W/").strip('"')
    if listed.sha256 is not None and is_sha256(stored) and stored != listed.sha256:
        sentence = f"{listed.path} is {listed.sha256} in the listing and {stored} where it is stored"
        raise SourceError(Reason.HASH_MISMATCH, sentence)


def _check_answer(response: httpx2.Response, span: ByteRange, size_bytes: int) -> None:
    if response.status_code != 206:
        sentence = f"{span.path}: asked for a range, was answered {response.status_code}"
        raise SourceError(Reason.RANGE_IGNORED, sentence)
    header = response.headers.get("content-range", "")
    exact = _CONTENT_RANGE.fullmatch(header)
    if exact is None or tuple(map(int, exact.groups())) != (span.start, span.stop - 1, size_bytes):
        sentence = f"{span.path}: asked for {span.start} to {span.stop} of {size_bytes}, got {header[:80]!r}"
        raise SourceError(Reason.RANGE_IGNORED, sentence)
    if response.headers.get("content-length", str(span.size_bytes)) != str(span.size_bytes):
        raise SourceError(Reason.TRUNCATED, f"{span.path}: not as many bytes as asked for are announced")
