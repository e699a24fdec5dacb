"""What became of a run: counts and sums, and whether everything that was planned was looked at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select

from index.tables import outcomes, planned
from scanners.errors import HARMLESS
from scanners.records import Verdict


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What became of everything that was planned."""

    run_id: int
    planned: int
    scanned: int  # looked at: findings and independent together
    findings: int
    independent: int
    skipped: int
    skipped_by_reason: Mapping[str, int]
    bytes_read: int
    requests: int
    complete: bool  # nothing pending, nothing skipped that could be weights, no verdict incomplete

    @property
    def pending(self) -> int:
        return self.planned - self.scanned - self.skipped


def summarise(connection: Connection, run_id: int) -> RunSummary:
    """The summary of a run as it stands."""
    total = connection.execute(select(func.count()).where(planned.c.run_id == run_id)).scalar_one()
    groups = _groups(connection, run_id)
    findings, independent, skipped = (_count(groups, kind) for kind in ("finding", "acquittal", "skipped"))
    return RunSummary(
        run_id=run_id,
        planned=total,
        scanned=findings + independent,
        findings=findings,
        independent=independent,
        skipped=skipped,
        skipped_by_reason={row.reason: row.number for row in groups if row.reason is not None},
        bytes_read=sum(int(row.bytes_read) for row in groups),
        requests=sum(int(row.requests) for row in groups),
        complete=findings + independent + skipped == total and not any(map(_leaves_a_gap, groups)),
    )


def _groups(connection: Connection, run_id: int) -> list[Row[Any]]:
    """Outcomes of one kind, reason and verdict together; there are a few dozen at most."""
    by = (outcomes.c.kind, outcomes.c.reason, outcomes.c.verdict)
    sums = (func.sum(outcomes.c.bytes_read), func.sum(outcomes.c.requests))
    query = (
        select(*by, func.count().label("number"), sums[0].label("bytes_read"), sums[1].label("requests"))
        .where(outcomes.c.run_id == run_id)
        .group_by(*by)
        .order_by(*by)
    )
    return list(connection.execute(query).all())


def _count(groups: list[Row[Any]], kind: str) -> int:
    return sum(row.number for row in groups if row.kind == kind)


def _leaves_a_gap(group: Row[Any]) -> bool:
    if group.kind == "skipped":
        return group.reason not in HARMLESS
    return bool(group.verdict == Verdict.INCOMPLETE)
