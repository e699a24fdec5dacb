"""The one way in for bytes from a hub: counted, bounded in time, every failure turned into ours.

It sits below both HTTP clients, our own and the hub library's, so that neither can forget a count, wait
without end, or be talked by the server into a wait of its own: the library sleeps for as long as a 429
orders it to, so it never gets to see one.
"""

import time
from collections.abc import Iterator

import httpx2
from huggingface_hub.utils._http import parse_ratelimit_headers

from scanners.errors import Reason, SourceError, TransientError
from scanners.records import Usage

# Slower than this on average, after the time allowed for one answer, and a body counts as stuck.
SLOWEST_BYTES_PER_SECOND = 128 * 1024
LONGEST_ANSWER_BYTES = 64 * 1024 * 1024  # of a body whose length was not asked for: JSON

_REFUSALS = {
    "GatedRepo": Reason.GATED,
    "RepoNotFound": Reason.NOT_FOUND,
    "RevisionNotFound": Reason.NOT_FOUND,
    "EntryNotFound": Reason.NOT_FOUND,
}


def origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    default = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, url.port or default


def _seconds_to_wait(headers: httpx2.Headers) -> float | None:
    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    seconds = headers.get("retry-after", "").strip()
    return float(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 10 else None


def refuse(response: httpx2.Response, url: httpx2.URL) -> SourceError:
    """The error that an answer of 400 or more stands for."""
    status, sentence = response.status_code, f"{url.host}{url.path} answers {response.status_code}"
    if status == 429:
        return TransientError(Reason.RATE_LIMITED, sentence, _seconds_to_wait(response.headers))
    if status == 408:
        return TransientError(Reason.TIMEOUT, sentence)
    if status >= 500:
        return TransientError(Reason.SERVER_ERROR, sentence, _seconds_to_wait(response.headers))
    if status == 416:
        return SourceError(Reason.SIZE_MISMATCH, f"{sentence}: the file is shorter than the hub said")
    by_status = Reason.GATED if status in (401, 403) else Reason.NOT_FOUND
    return SourceError(_REFUSALS.get(response.headers.get("x-error-code", ""), by_status), sentence)


class _BoundedBody(httpx2.SyncByteStream):
    """A body that is counted as it comes and may neither be too long nor take too long."""

    def __init__(self, inner: httpx2.SyncByteStream, usage: Usage, seconds: float, cap: int, name: str) -> None:
        self._inner, self._usage, self._name = inner, usage, name
        self._seconds, self._cap = seconds, cap

    def __iter__(self) -> Iterator[bytes]:
        received, waited = 0, 0.0
        chunks = iter(self._inner)
        while True:
            asked_at = time.monotonic()
            chunk = _next(chunks, self._name)
            waited += time.monotonic() - asked_at  # the hub's time only: the reader may take its own
            if chunk is None:
                return
            received += len(chunk)
            self._usage.add(0, len(chunk))
            self._check(received, waited)
            yield chunk

    def _check(self, received: int, waited: float) -> None:
        if received > self._cap:
            raise SourceError(Reason.TOO_LARGE, f"{self._name} sends more than {self._cap} bytes")
        if waited > self._seconds + received / SLOWEST_BYTES_PER_SECOND:
            raise TransientError(Reason.TIMEOUT, f"{self._name} sent {received} bytes in {waited:.1f} s")

    def close(self) -> None:
        self._inner.close()


def _next(chunks: Iterator[bytes], name: str) -> bytes | None:
    try:
        return next(chunks, None)
    except httpx2.HTTPError as error:
        raise _lost(error, name) from error


def _lost(error: httpx2.HTTPError, name: str) -> TransientError:
    late = isinstance(error, httpx2.TimeoutException)
    sentence = f"{name}: {error or type(error).__name__}"
    return TransientError(Reason.TIMEOUT if late else Reason.CONNECTION, sentence)


class MeteredTransport(httpx2.BaseTransport):
    """Requests over HTTP, to ``only`` one origin where that is given.

    Raises: TransientError for what may pass (429, 5xx, connection, time); SourceError for other
    refusals, for bodies over ``cap`` bytes and for answers in a compression that was not asked for.
    Closing a client that uses it leaves its connections open for the next one.
    """

    def __init__(
        self,
        usage: Usage,
        timeout_seconds: float,
        only: tuple[str, str, int | None] | None = None,
        cap: int | None = LONGEST_ANSWER_BYTES,
    ) -> None:
        self._usage, self._seconds, self._only, self._cap = usage, timeout_seconds, only, cap
        self._inner = httpx2.HTTPTransport(trust_env=False)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        name = f"{request.url.host}{request.url.path}"
        self._check(request.url, name)
        request.extensions["timeout"] = httpx2.Timeout(self._seconds).as_dict()
        request.headers["accept-encoding"] = "identity"  # what is counted is what came, and no bomb unpacks
        self._usage.add(1, 0)
        try:
            response = self._inner.handle_request(request)
        except httpx2.HTTPError as error:
            raise _lost(error, name) from error
        try:
            self._check_answer(response, request.url, name)
        except SourceError:
            response.close()
            raise
        cap = self._cap if self._cap is not None else 2**63
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _BoundedBody(response.stream, self._usage, self._seconds, cap, name)
        return response

    def _check(self, url: httpx2.URL, name: str) -> None:
        if url.scheme not in ("http", "https"):
            raise SourceError(Reason.CONNECTION, f"{name} is no address on the web")
        if self._only is not None and origin(url) != self._only:
            raise SourceError(Reason.CONNECTION, f"the hub sends its listing's reader elsewhere: {name}")

    def _check_answer(self, response: httpx2.Response, url: httpx2.URL, name: str) -> None:
        if response.status_code >= 400:
            raise refuse(response, url)
        if response.headers.get("content-encoding", "identity") != "identity":
            raise SourceError(Reason.SERVER_ERROR, f"{name} answers in a compression nobody asked for")
