"""What happened to a case: rows that are only ever added, each with its entry in the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from index.case_rules import Activity, CaseOutcome, CaseStatus, ReasonCode
from index.ledger import Ledger
from index.tables import case_activities
from scanners import codec
from scanners.errors import UsageError

SCANNER = "scanner"  # the actor of what no person did


@dataclass(frozen=True, slots=True)
class Move:
    """Something that is about to happen to a case."""

    previous: CaseStatus | None
    status: CaseStatus
    actor: str
    note: str
    outcome: CaseOutcome | None = None
    reasons: tuple[ReasonCode, ...] = ()

    def __post_init__(self) -> None:
        if not self.actor.strip():
            raise UsageError("somebody has to answer for a move: the actor has no name")


def write(connection: Connection, ledger: Ledger, case_id: int, move: Move) -> None:
    """Add the activity and its ledger entry, in the caller's transaction."""
    row: dict[str, Any] = {
        "case_id": case_id,
        "at": datetime.now(UTC),
        "actor": move.actor,
        "automated": move.actor == SCANNER,
        "previous": move.previous,
        "status": move.status,
        "outcome": move.outcome,
        "reasons": codec.dumps(move.reasons),
        "note": move.note,
    }
    connection.execute(case_activities.insert().values(row))
    payload = {name: row[name] for name in ("previous", "status", "outcome", "note")}
    payload |= {"case": case_id, "reasons": move.reasons}
    ledger.append(connection, "case_moved", payload, move.actor, automated=move.actor == SCANNER)


def read(connection: Connection, case_id: int) -> list[Activity]:
    """Everything that happened to a case, oldest first."""
    here = select(case_activities).where(case_activities.c.case_id == case_id)
    return [_activity(row) for row in connection.execute(here.order_by(case_activities.c.id))]


def decisions(activities: Sequence[Activity]) -> list[Activity]:
    """What people decided since the case was last opened."""
    start = max((n for n, a in enumerate(activities) if a.previous is CaseStatus.CLOSED), default=0)
    return [activity for activity in activities[start:] if activity.outcome is not None]


def _activity(row: Row[Any]) -> Activity:
    return Activity(
        id=row.id,
        case_id=row.case_id,
        at=row.at,
        actor=row.actor,
        automated=row.automated,
        previous=None if row.previous is None else CaseStatus(row.previous),
        status=CaseStatus(row.status),
        outcome=None if row.outcome is None else CaseOutcome(row.outcome),
        reasons=codec.loads(tuple[ReasonCode, ...], row.reasons),
        note=row.note,
    )
