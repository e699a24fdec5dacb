"""The one path: a planned run becomes batches, a batch becomes Ray tasks, a task's outcome is recorded.

The project's own database says what was done, Prefect only shows it: a run that was killed is found there
by its parameters, and carried on with the subjects that have no outcome yet.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from flows import progress
from flows.cluster import session
from flows.fan_out import FanOut
from flows.settings import Settings
from flows.wiring import Home, weight_hashes
from scanners.records import Finding, Outcome, RepoRevision


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done with every subject of a run."""

    kind: str  # "nightly" or "scan"
    root: str
    budget: str
    schemes: str  # the names of all sketch schemes
    register_version: int
    snapshot: str  # path of the folder
    extra: Mapping[str, Any]  # what else tells two runs apart, e.g. the limit of a listing

    @property
    def parameters(self) -> dict[str, Any]:
        """What is recorded of the run, and what an interrupted one is recognised by."""
        return {
            "root": self.root,
            "budget": self.budget,
            "schemes": self.schemes,
            "register_version": self.register_version,
            **self.extra,
        }


def order(home: Home, kind: str, root: str, budget: str | None, **extra: Any) -> Order:
    """An order against the register as it is now; raises UsageError where nothing is registered."""
    return Order(
        kind=kind,
        root=root,
        budget=budget or home.settings.budget,
        schemes=home.schemes.name,
        register_version=home.register.version(),
        snapshot=home.snapshot(),
        extra=extra,
    )


def carry_out(home: Home, run_id: int, what: Order) -> None:
    """Give every subject of the run that has none yet its outcome, batch after batch, and close the run."""
    pending = home.catalog.pending(run_id)
    progress.listener().planned(len(pending))
    with session(home.settings):
        for batch in _batches(pending, home.settings.batch_size):
            scan_batch(run_id, batch, what)
    home.catalog.finish_run(run_id)


def _batches(subjects: Iterable[RepoRevision], size: int) -> Iterator[list[RepoRevision]]:
    rest = iter(subjects)
    while batch := list(islice(rest, size)):
        yield batch


def _batch_key(context: TaskRunContext, inputs: Mapping[str, Any]) -> str:
    """A batch that is complete is not done again when its flow run is retried under the same code.

    Between flow runs only the catalogue remembers: two databases both have a run 1.
    """
    names = "\n".join(subject.uri for subject in inputs["subjects"])
    digest = hashlib.sha256(names.encode()).hexdigest()[:16]
    return f"{context.task_run.flow_run_id}-{inputs['run_id']}-{digest}-{version('kinprint')}"


@task(
    name="scan_batch",
    retries=2,
    retry_delay_seconds=5,
    cache_key_fn=_batch_key,
    persist_result=True,
    result_serializer="json",
)
def scan_batch(run_id: int, subjects: Sequence[RepoRevision], what: Order) -> dict[str, int]:
    """Some hundred subjects: their outcomes into the catalogue, their findings into cases; returns counts."""
    settings = Settings()
    home = Home(settings)
    fan_out = FanOut(settings, what.root, what.snapshot, home.schemes, what.budget)
    counts: Counter[str] = Counter()
    with session(settings):
        for subject, outcome in _known_or_new(home, what, fan_out, subjects):
            record(home, run_id, what.root, subject, outcome)
            counts[type(outcome).__name__] += 1
    return dict(counts)


def _known_or_new(
    home: Home, what: Order, fan_out: FanOut, subjects: Iterable[RepoRevision]
) -> Iterator[tuple[RepoRevision, Outcome]]:
    """Each subject's outcome: the one on record for the same bytes and question, or a new one."""
    unseen = []
    for subject in subjects:
        known = home.catalog.earlier(subject, what.schemes, what.register_version, what.budget)
        if known is None:
            unseen.append(subject)
        else:
            yield subject, known
    yield from fan_out.outcomes(unseen)


def record(home: Home, run_id: int, root: str, subject: RepoRevision, outcome: Outcome) -> None:
    """The case first, then the outcome: killed between the two, the next run opens the same case again."""
    if isinstance(outcome, Finding):
        home.cases.open(outcome, weight_hashes(home.settings, root, subject))
    home.catalog.record(run_id, subject, outcome)
    progress.listener().done(subject, outcome)
