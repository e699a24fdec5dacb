"""Review cases: what a person is asked, and what people answered.

A suspect repository has one unclosed case at most. Every move is an activity and a ledger entry, written
in one transaction with the move itself.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Connection, Engine, Row, Select, select, update

from index import case_activities, case_findings, store
from index.case_activities import SCANNER, Move
from index.case_findings import Keys
from index.case_rules import (
    Activity,
    CaseOutcome,
    CaseStatus,
    ReasonCode,
    ReviewCase,
    check_move,
    parse_outcome,
    parse_reasons,
    parse_status,
    status_after,
)
from index.ledger import Ledger
from index.tables import cases
from scanners.errors import UsageError
from scanners.records import Finding

__all__ = ["Activity", "CaseOutcome", "CaseStatus", "Cases", "ReasonCode", "ReviewCase"]

_BY_HAND = frozenset({CaseStatus.QUEUED, CaseStatus.ASSIGNED, CaseStatus.ESCALATED, CaseStatus.ON_HOLD})
ReviewCases = list[ReviewCase]  # inside Cases, `list` is a method
Activities = list[Activity]


class Cases:
    """The cases of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ledger = Ledger(engine)

    # --- what is asked ---------------------------------------------------------------------------

    def open(self, finding: Finding, file_sha256: Iterable[str] = ()) -> ReviewCase:
        """The case this finding belongs to, opened, reopened or as it is; see ``index.case_findings``.

        ``file_sha256`` are the hashes of the suspect's weight files, as far as they are known: by them a
        decision holds for the same bytes under another commit or name as well.
        """
        keys = case_findings.keys(finding, file_sha256)
        with store.writing(self._engine, "cases") as connection:
            return _case(connection, self._place(connection, finding, keys))

    def list(self, status: str | None = None) -> ReviewCases:
        """All cases, or those of one status: the strongest first, among equals the oldest."""
        which = select(cases)
        if status is not None:
            which = which.where(cases.c.status == parse_status(status))
        with store.reading(self._engine) as connection:
            return sorted(_cases(connection, which), key=lambda case: case.urgency)

    def get(self, case_id: int) -> ReviewCase:
        """One case; UsageError if there is none of that number."""
        with store.reading(self._engine) as connection:
            return _case(connection, case_id)

    def activities(self, case_id: int) -> Activities:
        """Everything that happened to a case, oldest first; UsageError if there is none of that number."""
        with store.reading(self._engine) as connection:
            _row(connection, case_id)
            return case_activities.read(connection, case_id)

    # --- what is answered ------------------------------------------------------------------------

    def decide(self, case_id: int, outcome: str, reasons: Collection[str], actor: str, note: str = "") -> ReviewCase:
        """Write down what a person decided; what that does to the case is in ``status_after``.

        Raises:
            UsageError: an unknown outcome, no or an unknown reason code, nobody's name, a case that is
                closed or on hold, or a person who has decided this case already.
        """
        said, why = parse_outcome(outcome), parse_reasons(reasons)
        if actor == SCANNER:
            raise UsageError("a person decides, not the scanner")
        with store.writing(self._engine, "cases") as connection:
            previous = CaseStatus(_row(connection, case_id).status)
            check_move(previous, CaseStatus.CLOSED)
            earlier = case_activities.decisions(case_activities.read(connection, case_id))
            status = status_after(said, actor, earlier)
            if disagreement := bool(earlier) and status is not CaseStatus.CLOSED:
                note = f"{note} (another reviewer decided otherwise: one more has to decide)".strip()
            self._move(connection, case_id, Move(previous, status, actor, note, said, why), disagreement)
            return _case(connection, case_id)

    def move(self, case_id: int, status: str, actor: str, note: str = "") -> ReviewCase:
        """Queue, assign, escalate or hold a case.

        Raises:
            UsageError: the case cannot go there from where it is, or not by hand.
        """
        to = parse_status(status)
        if to not in _BY_HAND:
            raise UsageError(f"a case becomes {to} by a finding or a decision, not by hand")
        with store.writing(self._engine, "cases") as connection:
            row = _row(connection, case_id)
            move = Move(CaseStatus(row.status), to, actor, note)
            self._move(connection, case_id, move, row.disagreement)
            return _case(connection, case_id)

    # --- how it is written down ------------------------------------------------------------------

    def _place(self, connection: Connection, finding: Finding, keys: Keys) -> int:
        asked = case_findings.of_same_finding(connection, keys)
        asked = asked or case_findings.of_same_weights(connection, keys)
        if asked is not None:
            return self._add_to(connection, asked, finding, keys)
        row = case_findings.of_same_suspect(connection, keys)
        if row is None:
            return self._open_new(connection, finding, keys)
        if row.status == CaseStatus.CLOSED:
            return self._reopen(connection, row, finding, keys)
        return self._add_to(connection, row, finding, keys)

    def _open_new(self, connection: Connection, finding: Finding, keys: Keys) -> int:
        now, subject = datetime.now(UTC), finding.subject
        place = {"suspect_key": keys.suspect, "source": subject.source, "repo": subject.repo}
        state = {"status": CaseStatus.OPEN, "disagreement": False, "opened_at": now, "updated_at": now}
        result = connection.execute(cases.insert().values({**place, **state}))
        case_id = int(cast(Row[Any], result.inserted_primary_key).id)
        case_findings.add(connection, case_id, finding, keys)
        move = Move(None, CaseStatus.OPEN, SCANNER, _words("opened", finding))
        case_activities.write(connection, self._ledger, case_id, move)
        return case_id

    def _add_to(self, connection: Connection, row: Row[Any], finding: Finding, keys: Keys) -> int:
        """A further finding moves nothing: a closed case stays closed, but what was seen is on record."""
        if case_findings.add(connection, row.id, finding, keys):
            status = CaseStatus(row.status)
            move = Move(status, status, SCANNER, _words("a further finding", finding))
            connection.execute(update(cases).where(cases.c.id == row.id).values(updated_at=datetime.now(UTC)))
            case_activities.write(connection, self._ledger, row.id, move)
        return int(row.id)

    def _reopen(self, connection: Connection, row: Row[Any], finding: Finding, keys: Keys) -> int:
        known = {earlier.subject.commit for earlier in _case(connection, row.id).findings}
        why = "another reference" if finding.subject.commit in known else "a new commit"
        case_findings.add(connection, row.id, finding, keys)
        note = _words(f"reopened for {why}", finding)
        move = Move(CaseStatus.CLOSED, CaseStatus.REOPENED, SCANNER, note)
        self._move(connection, row.id, move, disagreement=False)
        return int(row.id)

    def _move(self, connection: Connection, case_id: int, move: Move, disagreement: bool) -> None:
        check_move(cast(CaseStatus, move.previous), move.status)
        row = {
            "status": move.status,
            "outcome": move.outcome if move.status is CaseStatus.CLOSED else None,
            "disagreement": disagreement,
            "updated_at": datetime.now(UTC),
        }
        connection.execute(update(cases).where(cases.c.id == case_id).values(row))
        case_activities.write(connection, self._ledger, case_id, move)


def _words(what: str, finding: Finding) -> str:
    return f"{what}: {finding.subject.uri} resembles {finding.reference} ({finding.verdict})"


def _row(connection: Connection, case_id: int) -> Row[Any]:
    row = connection.execute(select(cases).where(cases.c.id == case_id)).one_or_none()
    if row is None:
        raise UsageError(f"there is no case {case_id}")
    return row


def _case(connection: Connection, case_id: int) -> ReviewCase:
    _row(connection, case_id)
    return _cases(connection, select(cases).where(cases.c.id == case_id))[0]


def _cases(connection: Connection, which: Select[Any]) -> ReviewCases:
    findings = case_findings.read(connection, which.with_only_columns(cases.c.id))
    return [_review_case(row, findings[row.id]) for row in connection.execute(which)]


def _review_case(row: Row[Any], findings: Iterable[Finding]) -> ReviewCase:
    return ReviewCase(
        id=row.id,
        source=row.source,
        repo=row.repo,
        status=CaseStatus(row.status),
        outcome=None if row.outcome is None else CaseOutcome(row.outcome),
        findings=tuple(findings),
        disagreement=row.disagreement,
        opened_at=row.opened_at,
        updated_at=row.updated_at,
    )
