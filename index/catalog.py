"""The catalogue: which revisions were to be looked at in which run, and what came of each.

A run's parameters are any JSON object. Three keys of it say by what its outcomes were judged, so that a
later run under the same three need not read the same commit again: ``schemes`` (the sketch schemes),
``register_version`` (of the register) and ``budget`` (its name).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Connection, Engine, Row, and_, func, or_, select, update

from index import store
from index.codec import kind_of, outcome_from_json, outcome_to_json
from index.ledger import Ledger
from index.summary import RunSummary, summarise
from index.tables import outcomes, planned, runs
from scanners import codec
from scanners.errors import Reason, UsageError
from scanners.records import Finding, Outcome, RepoRevision, Skipped

# These may be gone tomorrow: what was skipped for one of them is looked at again.
PASSING = frozenset(
    {
        Reason.RATE_LIMITED,
        Reason.TIMEOUT,
        Reason.SERVER_ERROR,
        Reason.CONNECTION,
        Reason.WORKER_DIED,
        Reason.INTERNAL,
    }
)
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as it was started."""

    id: int
    kind: str
    parameters: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime | None


class Catalog:
    """What was scanned, and what is still to be scanned."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ledger = Ledger(engine)

    # --- a run -----------------------------------------------------------------------------------

    def start_run(self, kind: str, parameters: Mapping[str, Any], planned: Sequence[RepoRevision]) -> int:
        """Write down what is to be looked at, in order; a revision named twice is planned once."""
        row = {
            "kind": kind,
            "parameters": codec.dumps(parameters),
            "run_key": store.digest(kind, parameters),
            "judged_by": _judged_by(*(parameters.get(k) for k in ("schemes", "register_version", "budget"))),
            "started_at": datetime.now(UTC),
        }
        with store.writing(self._engine) as connection:
            result = connection.execute(runs.insert().values(row))
            run_id = int(cast(Row[Any], result.inserted_primary_key).id)
            _plan(connection, run_id, planned)
        return run_id

    def pending(self, run_id: int) -> list[RepoRevision]:
        """What is planned and not recorded yet, in the order planned."""
        done = and_(outcomes.c.run_id == planned.c.run_id, outcomes.c.subject_key == planned.c.subject_key)
        query = (
            select(planned.c.subject)
            .outerjoin(outcomes, done)
            .where(planned.c.run_id == run_id, outcomes.c.id.is_(None))
            .order_by(planned.c.position)
        )
        with store.reading(self._engine) as connection:
            _run_row(connection, run_id)
            return [codec.loads(RepoRevision, text) for text in connection.scalars(query)]

    def unfinished_run(self, kind: str, parameters: Mapping[str, Any]) -> int | None:
        """The newest run of this kind with these parameters that was started and never finished."""
        same = runs.c.run_key == store.digest(kind, parameters)
        query = select(func.max(runs.c.id)).where(same, runs.c.finished_at.is_(None))
        with store.reading(self._engine) as connection:
            newest: int | None = connection.scalar(query)
        return newest

    def finish_run(self, run_id: int) -> RunSummary:
        """Close a run, complete or not; it takes no outcomes any more."""
        with store.writing(self._engine) as connection:
            _run_row(connection, run_id, lock=True)
            open_run = and_(runs.c.id == run_id, runs.c.finished_at.is_(None))
            connection.execute(update(runs).where(open_run).values(finished_at=datetime.now(UTC)))
        return self.summary(run_id)

    # --- its outcomes ----------------------------------------------------------------------------

    def record(self, run_id: int, subject: RepoRevision, outcome: Outcome) -> bool:
        """Write down what came of a planned revision; False if something was written down before.

        Raises:
            UsageError: the revision is not planned in that run, or the run is finished.
        """
        with store.writing(self._engine) as connection:
            run = _run_row(connection, run_id, lock=True)
            if run.finished_at is not None:
                raise UsageError(f"run {run_id} is finished and takes no outcome of {subject.uri}")
            row = _outcome_row(run_id, subject, outcome) | {"judged_by": run.judged_by}
            if not _is_planned(connection, run_id, row["subject_key"]):
                raise UsageError(f"{subject.uri} is not planned in run {run_id}")
            inserted = store.insert_once(connection, outcomes, row)
            if inserted and isinstance(outcome, Finding):
                self._ledger.append(connection, *_ledger_entry(run_id, outcome), automated=True)
        return inserted

    def earlier(self, subject: RepoRevision, schemes: str, register_version: int, budget: str) -> Outcome | None:
        """What came of this commit when it was last judged by the same; None if that has to be done anew."""
        query = (
            select(outcomes.c.outcome)
            .where(
                outcomes.c.subject_key == _subject_key(subject),
                outcomes.c.judged_by == _judged_by(schemes, register_version, budget),
                or_(outcomes.c.reason.is_(None), outcomes.c.reason.not_in(sorted(PASSING))),
            )
            .order_by(outcomes.c.id.desc())
            .limit(1)
        )
        with store.reading(self._engine) as connection:
            text = connection.scalar(query)
        return None if text is None else outcome_from_json(text)

    def outcomes(self, run_id: int) -> Iterator[Outcome]:
        """Everything recorded in a run, oldest first; read in pages, so a run may be of any size."""
        last = 0
        while True:
            query = select(outcomes.c.id, outcomes.c.outcome).where(outcomes.c.run_id == run_id, outcomes.c.id > last)
            with store.reading(self._engine) as connection:
                page = connection.execute(query.order_by(outcomes.c.id).limit(_PAGE)).all()
            yield from (outcome_from_json(row.outcome) for row in page)
            if len(page) < _PAGE:
                return
            last = page[-1].id

    def findings(self, run_id: int | None = None) -> list[Finding]:
        """All findings of a run, or of all runs, oldest first."""
        query = select(outcomes.c.outcome).where(outcomes.c.kind == "finding").order_by(outcomes.c.id)
        if run_id is not None:
            query = query.where(outcomes.c.run_id == run_id)
        with store.reading(self._engine) as connection:
            found = [outcome_from_json(text) for text in connection.scalars(query)]
        return [outcome for outcome in found if isinstance(outcome, Finding)]

    # --- all of them -----------------------------------------------------------------------------

    def summary(self, run_id: int) -> RunSummary:
        """Counts and sums over a run as it stands; UsageError if there is no such run."""
        with store.reading(self._engine) as connection:
            _run_row(connection, run_id)
            return summarise(connection, run_id)

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        with store.reading(self._engine) as connection:
            return [_run(row) for row in connection.execute(select(runs).order_by(runs.c.id.desc()))]


def _subject_key(subject: RepoRevision) -> str:
    """A revision is its source, repository and commit; what else the hub said of it may change."""
    return store.digest(subject.source, subject.repo, subject.commit)


def _judged_by(schemes: object, register_version: object, budget: object) -> str:
    return store.digest(schemes, register_version, budget)


def _plan(connection: Connection, run_id: int, subjects: Sequence[RepoRevision]) -> None:
    rows: dict[str, dict[str, Any]] = {}
    for subject in subjects:
        key = _subject_key(subject)
        row = {"run_id": run_id, "subject_key": key, "position": len(rows), "subject": codec.dumps(subject)}
        rows.setdefault(key, row)
    if rows:
        connection.execute(planned.insert(), list(rows.values()))


def _run_row(connection: Connection, run_id: int, lock: bool = False) -> Row[Any]:
    query = select(runs).where(runs.c.id == run_id)
    row = connection.execute(query.with_for_update(read=True) if lock else query).one_or_none()
    if row is None:
        raise UsageError(f"there is no run {run_id}")
    return row


def _is_planned(connection: Connection, run_id: int, subject_key: str) -> bool:
    here = and_(planned.c.run_id == run_id, planned.c.subject_key == subject_key)
    return connection.scalar(select(planned.c.position).where(here)) is not None


def _run(row: Row[Any]) -> Run:
    return Run(row.id, row.kind, json.loads(row.parameters), row.started_at, row.finished_at)


def _outcome_row(run_id: int, subject: RepoRevision, outcome: Outcome) -> dict[str, Any]:
    cost = outcome if isinstance(outcome, Skipped) else outcome.coverage
    return {
        "run_id": run_id,
        "subject_key": _subject_key(subject),
        "uri": subject.uri,
        "kind": kind_of(outcome),
        "verdict": outcome.verdict.value if isinstance(outcome, Finding) else None,
        "reason": outcome.reason if isinstance(outcome, Skipped) else None,
        "bytes_read": cost.bytes_read,
        "requests": cost.requests,
        "recorded_at": datetime.now(UTC),
        "outcome": outcome_to_json(outcome),
    }


def _ledger_entry(run_id: int, finding: Finding) -> tuple[str, dict[str, Any], str]:
    payload = {
        "run": run_id,
        "subject": finding.subject.uri,
        "reference": finding.reference,
        "verdict": finding.verdict,
        "relation": finding.relation,
        "finding_sha256": store.digest(finding),
    }
    return "finding_recorded", payload, f"run {run_id}"
