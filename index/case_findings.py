"""Which case a finding belongs to. A person is not asked twice about the same bytes.

The same commit and reference, and the same weight files under whatever name against the same reference,
stay in the case they are in, closed or not. A new commit or another reference is a new question.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from index import store
from index.case_rules import CaseStatus
from index.tables import case_findings, cases
from scanners import codec
from scanners.records import Finding


@dataclass(frozen=True, slots=True)
class Keys:
    """Digests by which findings are told apart."""

    suspect: str  # source and repository
    finding: str  # ... and commit and reference
    evidence: str  # ... and what was found under which schemes
    weights: str | None  # the hashes of the weight files and the reference; None if no hash is known


def keys(finding: Finding, file_sha256: Iterable[str]) -> Keys:
    """The keys of a finding about a revision with these weight files."""
    subject, hashes = finding.subject, sorted({h.lower() for h in file_sha256})
    one = store.digest(subject.source, subject.repo, subject.commit, finding.reference)
    return Keys(
        suspect=store.digest(subject.source, subject.repo),
        finding=one,
        evidence=store.digest(one, finding.verdict, finding.relation, finding.schemes),
        weights=store.digest(finding.reference, hashes) if hashes else None,
    )


def of_same_finding(connection: Connection, keys: Keys) -> Row[Any] | None:
    """The case that holds a finding about this commit and reference."""
    return _first(connection, _joined().where(case_findings.c.finding_key == keys.finding))


def of_same_weights(connection: Connection, keys: Keys) -> Row[Any] | None:
    """The case that holds a finding about the same weight files and reference, under whatever name."""
    if keys.weights is None:
        return None
    return _first(connection, _joined().where(case_findings.c.weights_key == keys.weights))


def of_same_suspect(connection: Connection, keys: Keys) -> Row[Any] | None:
    """The case of this repository."""
    return _first(connection, select(cases).where(cases.c.suspect_key == keys.suspect))


def add(connection: Connection, case_id: int, finding: Finding, keys: Keys) -> bool:
    """Put a finding into a case; False if one that says the same is there."""
    row = {
        "case_id": case_id,
        "finding_key": keys.finding,
        "evidence_key": keys.evidence,
        "weights_key": keys.weights,
        "score": finding.score,
        "added_at": datetime.now(UTC),
        "finding": codec.dumps(finding),
    }
    return store.insert_once(connection, case_findings, row)


def read(connection: Connection, which: Select[Any]) -> dict[int, list[Finding]]:
    """The findings of the cases whose numbers are selected, in the order they came."""
    query = select(case_findings).where(case_findings.c.case_id.in_(which)).order_by(case_findings.c.id)
    found: dict[int, list[Finding]] = {}
    for row in connection.execute(query):
        found.setdefault(row.case_id, []).append(codec.loads(Finding, row.finding))
    return found


def _joined() -> Select[Any]:
    return select(cases).join(case_findings, case_findings.c.case_id == cases.c.id)


def _first(connection: Connection, query: Select[Any]) -> Row[Any] | None:
    """One that is not closed if there is one, else the newest."""
    closed = cases.c.status == CaseStatus.CLOSED.value
    return connection.execute(query.order_by(closed, cases.c.id.desc()).limit(1)).one_or_none()
