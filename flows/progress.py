"""How far a run is, told to whoever listens: the command line draws a bar, a deployment has no listener."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from scanners.records import Outcome, RepoRevision


class Listener(Protocol):
    """Told how many subjects a run has, then of each outcome as it is recorded."""

    def planned(self, subjects: int) -> None: ...

    def done(self, subject: RepoRevision, outcome: Outcome) -> None: ...


class _Nobody:
    def planned(self, subjects: int) -> None:
        return

    def done(self, subject: RepoRevision, outcome: Outcome) -> None:
        return


_listener: ContextVar[Listener] = ContextVar("listener", default=_Nobody())  # noqa: B039 - it has no state


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of every outcome recorded inside the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def listener() -> Listener:
    """Whoever listens now."""
    return _listener.get()
