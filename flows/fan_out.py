"""Many subjects over Ray with back-pressure: results as they come, nothing lost, no task left behind.

At most ``in_flight`` tasks are with Ray at any time, so a million subjects cost no more memory than a
dozen. A subject whose worker dies, whose code fails or whose time runs out becomes a typed Skipped: no
subject can stop a run.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from flows.settings import Settings
from flows.tasks import enrol_one, examine_one
from scanners.errors import CannotLook, Reason, TransientError
from scanners.records import Fingerprint, Outcome, RepoRevision, Skipped
from scanners.schemes import Schemes

log = logging.getLogger(__name__)
RETRIES = 2  # of one subject, after a worker's death or a transient error


@dataclass(slots=True)
class FanOut:
    """The tasks that are with Ray now, oldest first."""

    settings: Settings
    root: str
    snapshot: str  # path of the folder
    schemes: Schemes
    budget: str
    look: Callable[..., Outcome] = examine_one
    running: dict[Any, tuple[RepoRevision, float]] = field(default_factory=dict)
    task: Any = field(init=False)

    def __post_init__(self) -> None:
        self.task = _remote(self.look)

    def outcomes(self, subjects: Iterable[RepoRevision]) -> Iterator[tuple[RepoRevision, Outcome]]:
        """Each subject with its outcome, in the order they finish."""
        for subject in subjects:
            if len(self.running) >= self.settings.in_flight:
                yield self._next()
            self._submit(subject)
        while self.running:
            yield self._next()

    def _submit(self, subject: RepoRevision) -> None:
        how = (self.root, self.snapshot, self.schemes, self.budget, self.settings)
        reference = self.task.remote(subject, *how)
        self.running[reference] = (subject, time.monotonic() + self.settings.subject_timeout_seconds)

    def _next(self) -> tuple[RepoRevision, Outcome]:
        """Wait for whichever task finishes first, or for the oldest one's time to run out."""
        oldest = next(iter(self.running))
        left = max(0.0, self.running[oldest][1] - time.monotonic())
        ready, _ = ray.wait(list(self.running), num_returns=1, timeout=left)
        reference = ready[0] if ready else oldest
        subject, _ = self.running.pop(reference)
        if ready:
            return subject, result(subject, reference)
        ray.cancel(reference, force=True)
        seconds = self.settings.subject_timeout_seconds
        return subject, _skipped(subject, Reason.TIMEOUT, f"no outcome after {seconds:g} s")


def _remote(look: Callable[..., Any]) -> Any:
    """A core for each task; Ray tries again after a worker's death, and after a TransientError."""
    return ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=[TransientError])(look)


def result(subject: RepoRevision, reference: Any) -> Outcome:
    """The outcome of a finished task; every way it can fail is a typed Skipped."""
    try:
        outcome: Outcome = ray.get(reference)
    except RayTaskError as error:
        return _failed(subject, error)
    except RayError as error:  # the worker or its machine is gone, or out of memory
        return _skipped(subject, Reason.WORKER_DIED, type(error).__name__)
    return outcome


def _failed(subject: RepoRevision, error: RayTaskError) -> Skipped:
    if isinstance(error.cause, CannotLook):
        return _skipped(subject, error.cause.reason, error.cause.detail)
    log.error("%s: our own fault: %s", subject.uri, error)  # with the worker's traceback
    return _skipped(subject, Reason.INTERNAL, type(error.cause).__name__)


def _skipped(subject: RepoRevision, reason: Reason, detail: str) -> Skipped:
    return Skipped(subject.uri, reason.value, detail)


def whole_fingerprint(subject: RepoRevision, root: str, schemes: Schemes, settings: Settings) -> Fingerprint:
    """Enrol's one task: the whole fingerprint; raises CannotLook, typed, as the worker raised it."""
    try:
        fingerprint: Fingerprint = ray.get(_remote(enrol_one).remote(subject, root, schemes, settings))
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        raise CannotLook(Reason.WORKER_DIED, type(error).__name__) from error
    return fingerprint
