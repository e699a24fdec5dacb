"""The words of a review and the moves that are allowed; docs and pages use these spellings."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scanners.errors import UsageError
from scanners.records import Finding, Verdict


class CaseStatus(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    QUEUED = "queued"
    ASSIGNED = "assigned"
    ESCALATED = "escalated"
    PENDING_SECOND_REVIEW = "pending_second_review"
    CLOSED = "closed"
    REOPENED = "reopened"
    ON_HOLD = "on_hold"


class CaseOutcome(StrEnum):
    """What people decided. Only these words say "copy"."""

    CONFIRMED_COPY = "confirmed_copy"
    CONFIRMED_DERIVATIVE = "confirmed_derivative"
    SHARED_ANCESTOR = "shared_ancestor"
    INDEPENDENT = "independent"
    AUTHORISED = "authorised"
    INCONCLUSIVE = "inconclusive"
    DUPLICATE = "duplicate"
    OUT_OF_SCOPE = "out_of_scope"


class ReasonCode(StrEnum):
    """What a decision rests on; one or more of them."""

    EXACT_HASH = "exact_hash"
    WEIGHT_SKETCH = "weight_sketch"
    EXACT_TEST = "exact_test"
    LAYER_MAP = "layer_map"
    ADAPTER_DELTA = "adapter_delta"
    DECLARED_LINEAGE = "declared_lineage"
    CONTRADICTING_DECLARATION = "contradicting_declaration"
    COMMON_BASE = "common_base"
    SAME_ARCHITECTURE_ONLY = "same_architecture_only"
    SAME_INIT = "same_init"
    LICENSED_USE = "licensed_use"
    REGISTRANT_OWN_UPLOAD = "registrant_own_upload"
    INSUFFICIENT_COVERAGE = "insufficient_coverage"
    FINGERPRINT_DEFECT = "fingerprint_defect"


# These leave the building: two people have to say so.
NEED_TWO = frozenset({CaseOutcome.CONFIRMED_COPY, CaseOutcome.CONFIRMED_DERIVATIVE})

_S = CaseStatus
_DECIDED = frozenset({_S.PENDING_SECOND_REVIEW, _S.CLOSED})
TRANSITIONS: dict[CaseStatus, frozenset[CaseStatus]] = {
    _S.OPEN: frozenset({_S.QUEUED, _S.ASSIGNED, _S.ESCALATED, _S.ON_HOLD}) | _DECIDED,
    _S.QUEUED: frozenset({_S.ASSIGNED, _S.ESCALATED, _S.ON_HOLD}) | _DECIDED,
    _S.ASSIGNED: frozenset({_S.QUEUED, _S.ESCALATED, _S.ON_HOLD}) | _DECIDED,
    _S.ESCALATED: frozenset({_S.ASSIGNED, _S.ON_HOLD}) | _DECIDED,
    _S.PENDING_SECOND_REVIEW: frozenset({_S.ESCALATED, _S.ON_HOLD}) | _DECIDED,
    _S.CLOSED: frozenset({_S.REOPENED}),
    _S.REOPENED: frozenset({_S.QUEUED, _S.ASSIGNED, _S.ESCALATED, _S.ON_HOLD}) | _DECIDED,
    _S.ON_HOLD: frozenset({_S.QUEUED, _S.ASSIGNED, _S.ESCALATED}),
}

_STRENGTH = list(Verdict)  # the strongest first


@dataclass(frozen=True, slots=True)
class ReviewCase:
    """What people are asked about one suspect repository; its mirrors and later commits belong to it."""

    id: int
    source: str
    repo: str
    status: CaseStatus
    outcome: CaseOutcome | None  # while the case is closed
    findings: tuple[Finding, ...]  # in the order they came
    disagreement: bool  # the reviewers so far have not said the same
    opened_at: datetime
    updated_at: datetime

    @property
    def verdict(self) -> Verdict:
        """The strongest of its findings."""
        return min((finding.verdict for finding in self.findings), key=_STRENGTH.index)

    @property
    def urgency(self) -> tuple[int, float, int]:
        """Sorts the strongest verdict first, then the highest score, then the oldest case."""
        score = max(finding.score for finding in self.findings)
        return _STRENGTH.index(self.verdict), -score, self.id


@dataclass(frozen=True, slots=True)
class Activity:
    """One thing that happened to a case; never changed, never removed."""

    id: int
    case_id: int
    at: datetime
    actor: str
    automated: bool
    previous: CaseStatus | None  # None: the case was opened
    status: CaseStatus
    outcome: CaseOutcome | None  # what this actor decided
    reasons: tuple[ReasonCode, ...]
    note: str


def check_move(previous: CaseStatus, status: CaseStatus) -> None:
    """UsageError unless a case may go from one status to the other."""
    if status not in TRANSITIONS[previous]:
        allowed = ", ".join(sorted(TRANSITIONS[previous]))
        raise UsageError(f"a case that is {previous} cannot become {status}; it can become: {allowed}")


def status_after(outcome: CaseOutcome, actor: str, earlier: Sequence[Activity]) -> CaseStatus:
    """Where a decision leads, given the earlier decisions since the case was last opened.

    Alone, a decision closes the case unless its outcome needs two people. After another's, it closes the
    case if the two agree; while no two people agree, the case waits for one more.

    Raises:
        UsageError: this actor has decided already.
    """
    if _person(actor) in {_person(decision.actor) for decision in earlier}:
        raise UsageError(f"{actor} has decided this case already: another person has to")
    if not earlier:
        return CaseStatus.PENDING_SECOND_REVIEW if outcome in NEED_TWO else CaseStatus.CLOSED
    agreed = outcome in {decision.outcome for decision in earlier}
    return CaseStatus.CLOSED if agreed else CaseStatus.PENDING_SECOND_REVIEW


def _person(actor: str) -> str:
    """A name in capitals is not another person's."""
    return actor.strip().casefold()


def parse_status(status: str) -> CaseStatus:
    """The status of that spelling; UsageError if there is none."""
    if status not in set(CaseStatus):
        raise UsageError(f"{status!r} is no status; these are: {', '.join(CaseStatus)}")
    return CaseStatus(status)


def parse_outcome(outcome: str) -> CaseOutcome:
    """The outcome of that spelling; UsageError if there is none."""
    if outcome not in set(CaseOutcome):
        raise UsageError(f"{outcome!r} is no outcome; these are: {', '.join(CaseOutcome)}")
    return CaseOutcome(outcome)


def parse_reasons(reasons: Collection[str]) -> tuple[ReasonCode, ...]:
    """The reason codes of a decision, sorted; UsageError for none or an unknown one."""
    if isinstance(reasons, str) or not reasons:
        raise UsageError(f"a decision needs reason codes, one or more of: {', '.join(ReasonCode)}")
    if unknown := set(reasons) - set(ReasonCode):
        raise UsageError(f"{min(unknown)!r} is no reason code; these are: {', '.join(ReasonCode)}")
    return tuple(sorted(ReasonCode(reason) for reason in set(reasons)))
