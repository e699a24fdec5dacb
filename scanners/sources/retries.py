"""Ask again, but only for what may pass, not too often and not too late."""

import random

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from scanners.errors import TransientError

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0


def retrying(attempts: int, firstwait_seconds: float = FIRST_WAIT_SECONDS) -> Retrying:
    """Up to ``attempts`` tries in all; the last error is raised as it came."""

    def wait(state: RetryCallState) -> float:
        return wait_seconds(state, firstwait_seconds)

    return Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(attempts),
        wait=wait,
        reraise=True,
    )


def wait_seconds(state: RetryCallState, first: float) -> float:
    """Exponential with full jitter; at least as long as the hub asks, at most a minute."""
    growing = first * 2 ** (state.attempt_number - 1)
    jittered = random.uniform(growing / 2, growing)  # noqa: S311 - spreads load, guards nothing
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, TransientError) else None
    return min(max(jittered, asked or 0.0), LONGEST_WAIT_SECONDS)


class RetryingTransport(httpx2.BaseTransport):
    """Asks again below a client that would lose its place in a listing by starting over.

    Answers are read whole before they are handed up: only so can one that breaks off be asked for again.
    """

    def __init__(self, inner: httpx2.BaseTransport, retrying: Retrying) -> None:
        self._inner, self._retrying = inner, retrying

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._retrying.copy()(self._ask, request)

    def _ask(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._inner.handle_request(request)
        try:
            content = answer.read()
        finally:
            answer.close()
        return httpx2.Response(answer.status_code, headers=answer.headers, content=content)
