"""Cases: a person is asked once about the same bytes, and every move is on record."""

from itertools import product

import pytest
from sqlalchemy import Engine

from index.case_rules import NEED_TWO, TRANSITIONS
from index.cases import CaseOutcome, Cases, CaseStatus, ReasonCode, ReviewCase
from index.ledger import Ledger
from index.store import connect
from scanners.errors import UsageError
from scanners.records import Verdict
from tests.index import samples
from tests.index.processes import at_once

WHY = [ReasonCode.EXACT_TEST]
WEIGHTS = ["a" * 64, "b" * 64]


def _closed(cases: Cases, outcome: CaseOutcome = CaseOutcome.INDEPENDENT, **finding: object) -> ReviewCase:
    case = cases.open(samples.finding(**finding), WEIGHTS)  # type: ignore[arg-type]
    return cases.decide(case.id, outcome, WHY, "ann")


def test_a_finding_opens_a_case(engine: Engine) -> None:
    case = Cases(engine).open(samples.finding())
    assert (case.repo, case.status, case.outcome) == ("someone/model", CaseStatus.OPEN, None)
    assert case.findings == (samples.finding(),)
    assert case.verdict is Verdict.STRONG
    assert Cases(engine).get(case.id) == case


def test_the_same_finding_opens_no_second_case(engine: Engine) -> None:
    cases = Cases(engine)
    assert cases.open(samples.finding()) == cases.open(samples.finding())
    assert len(cases.list()) == 1


@pytest.mark.parametrize("change", [{"seed": 2}, {"reference": "another"}, {"verdict": Verdict.EXACT}])
def test_a_further_finding_joins_the_open_case(engine: Engine, change: dict[str, object]) -> None:
    cases = Cases(engine)
    first = cases.open(samples.finding())
    case = cases.open(samples.finding(**change))  # type: ignore[arg-type]
    assert case.id == first.id
    assert case.status is CaseStatus.OPEN
    assert len(case.findings) == 2
    assert cases.open(samples.finding(**change)) == case  # type: ignore[arg-type]


def test_another_repository_is_another_case(engine: Engine) -> None:
    cases = Cases(engine)
    assert cases.open(samples.finding("a/b")).id != cases.open(samples.finding("a/c")).id


def test_a_mirror_joins_the_case_of_the_same_weights(engine: Engine) -> None:
    cases = Cases(engine)
    case = cases.open(samples.finding("a/b"), WEIGHTS)
    assert cases.open(samples.finding("c/mirror", 2), WEIGHTS[::-1]).id == case.id
    assert cases.open(samples.finding("d/other", 3), WEIGHTS[:1]).id != case.id


def _open(url: str) -> int:
    return Cases(connect(url)).open(samples.finding()).id


def test_processes_that_open_at_once_open_one_case(engine: Engine) -> None:
    assert len(set(at_once(_open, [engine.url.render_as_string(hide_password=False)] * 4))) == 1
    assert len(Cases(engine).list()) == 1
    assert [a.status for a in Cases(engine).activities(1)] == [CaseStatus.OPEN]
    assert Ledger(engine).verify() == []


# --- what was decided stays decided ------------------------------------------------------------------


def test_a_decided_case_does_not_come_back_for_the_same_commit(engine: Engine) -> None:
    cases = Cases(engine)
    decided = _closed(cases)
    assert cases.open(samples.finding(), WEIGHTS) == decided
    again = cases.open(samples.finding(verdict=Verdict.EXACT), WEIGHTS)
    assert again.status is CaseStatus.CLOSED


@pytest.mark.parametrize("repo", ["someone/model", "c/mirror"])
def test_a_decided_case_does_not_come_back_for_the_same_weights(engine: Engine, repo: str) -> None:
    cases = Cases(engine)
    decided = _closed(cases)
    again = cases.open(samples.finding(repo, seed=2), WEIGHTS)
    assert (again.id, again.status, again.outcome) == (decided.id, CaseStatus.CLOSED, CaseOutcome.INDEPENDENT)
    assert len(again.findings) == 2


@pytest.mark.parametrize(
    ("change", "why"), [({"seed": 2}, "a new commit"), ({"reference": "another"}, "another reference")]
)
def test_a_new_question_reopens_a_decided_case(engine: Engine, change: dict[str, object], why: str) -> None:
    cases = Cases(engine)
    decided = _closed(cases)
    case = cases.open(samples.finding(**change), ["c" * 64])  # type: ignore[arg-type]
    assert (case.id, case.status, case.outcome) == (decided.id, CaseStatus.REOPENED, None)
    last = cases.activities(case.id)[-1]
    assert why in last.note
    assert last.automated


def test_a_reopened_case_is_decided_anew_by_the_same_person(engine: Engine) -> None:
    cases = Cases(engine)
    _closed(cases)
    case = cases.open(samples.finding(seed=2))
    assert cases.decide(case.id, "authorised", ["licensed_use"], "ann").outcome is CaseOutcome.AUTHORISED


# --- deciding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", CaseOutcome)
def test_one_person_closes_what_does_not_leave_the_building(engine: Engine, outcome: CaseOutcome) -> None:
    case = _closed(Cases(engine), outcome)
    if outcome in NEED_TWO:
        assert (case.status, case.outcome) == (CaseStatus.PENDING_SECOND_REVIEW, None)
    else:
        assert (case.status, case.outcome) == (CaseStatus.CLOSED, outcome)


def test_two_people_who_agree_confirm(engine: Engine) -> None:
    cases = Cases(engine)
    case = _closed(cases, CaseOutcome.CONFIRMED_COPY)
    case = cases.decide(case.id, "confirmed_copy", ["exact_hash", "layer_map"], "bob", "the same")
    assert (case.status, case.outcome) == (CaseStatus.CLOSED, CaseOutcome.CONFIRMED_COPY)
    assert not case.disagreement
    last = cases.activities(case.id)[-1]
    assert (last.actor, last.note) == ("bob", "the same")
    assert last.reasons == (ReasonCode.EXACT_HASH, ReasonCode.LAYER_MAP)


@pytest.mark.parametrize("other", ["independent", "confirmed_derivative"])
def test_two_people_who_disagree_need_a_third(engine: Engine, other: str) -> None:
    cases = Cases(engine)
    case = _closed(cases, CaseOutcome.CONFIRMED_COPY)
    case = cases.decide(case.id, other, WHY, "bob")
    assert case.status is CaseStatus.PENDING_SECOND_REVIEW
    assert case.disagreement
    assert "one more has to decide" in cases.activities(case.id)[-1].note
    case = cases.decide(case.id, other, WHY, "cleo")
    assert (case.status, case.outcome) == (CaseStatus.CLOSED, other)
    assert not case.disagreement


@pytest.mark.parametrize("actor", ["ann", "Ann", " ann "])
def test_nobody_confirms_alone(engine: Engine, actor: str) -> None:
    cases = Cases(engine)
    case = _closed(cases, CaseOutcome.CONFIRMED_COPY)
    with pytest.raises(UsageError, match="another person"):
        cases.decide(case.id, "confirmed_copy", WHY, actor)


def test_a_detour_does_not_spare_the_second_reviewer(engine: Engine) -> None:
    cases = Cases(engine)
    case = _closed(cases, CaseOutcome.CONFIRMED_COPY)
    cases.move(case.id, "escalated", "bob")
    assert cases.decide(case.id, "independent", WHY, "bob").status is CaseStatus.PENDING_SECOND_REVIEW


@pytest.mark.parametrize(
    ("outcome", "reasons", "actor"),
    [
        ("guilty", WHY, "ann"),
        ("independent", [], "ann"),
        ("independent", ["because"], "ann"),
        ("independent", "exact_test", "ann"),
        ("independent", WHY, " "),
        ("independent", WHY, "scanner"),
    ],
)
def test_a_decision_has_an_outcome_reasons_and_a_person(
    engine: Engine, outcome: str, reasons: list[str], actor: str
) -> None:
    cases = Cases(engine)
    case = cases.open(samples.finding())
    with pytest.raises(UsageError):
        cases.decide(case.id, outcome, reasons, actor)
    assert cases.get(case.id) == case


def test_a_closed_case_is_not_decided_again(engine: Engine) -> None:
    cases = Cases(engine)
    case = _closed(cases)
    with pytest.raises(UsageError, match="cannot become"):
        cases.decide(case.id, "duplicate", WHY, "bob")


# --- moving ------------------------------------------------------------------------------------------


def test_every_move_is_in_the_table_or_refused(engine: Engine) -> None:
    """All pairs of statuses that a hand can ask for; the table is the law, the sentence names both."""
    cases = Cases(engine)
    ways = {
        CaseStatus.OPEN: [],
        CaseStatus.QUEUED: ["queued"],
        CaseStatus.ASSIGNED: ["assigned"],
        CaseStatus.ESCALATED: ["escalated"],
        CaseStatus.ON_HOLD: ["on_hold"],
    }
    by_hand = [status for status in ways if status is not CaseStatus.OPEN]
    for number, (start, to) in enumerate(product(ways, by_hand)):
        case = cases.open(samples.finding(f"a/{number}"))
        for step in ways[start]:
            cases.move(case.id, step, "ann")
        if to in TRANSITIONS[start]:
            assert cases.move(case.id, to, "ann").status is to
        else:
            with pytest.raises(UsageError, match=f"{start}.*{to}"):
                cases.move(case.id, to, "ann")


@pytest.mark.parametrize("status", ["closed", "pending_second_review", "reopened", "open", "lost"])
def test_no_hand_moves_a_case_where_only_a_decision_or_a_finding_can(engine: Engine, status: str) -> None:
    cases = Cases(engine)
    case = cases.open(samples.finding())
    with pytest.raises(UsageError):
        cases.move(case.id, status, "ann")


def test_a_case_on_hold_is_not_decided(engine: Engine) -> None:
    cases = Cases(engine)
    case = cases.open(samples.finding())
    cases.move(case.id, "on_hold", "ann", "waiting for the registrant")
    with pytest.raises(UsageError, match="on_hold"):
        cases.decide(case.id, "independent", WHY, "ann")


def test_every_status_has_a_way_out_and_a_way_in() -> None:
    assert set(TRANSITIONS) == set(CaseStatus)
    assert all(TRANSITIONS.values())
    assert set().union(*TRANSITIONS.values()) == set(CaseStatus) - {CaseStatus.OPEN}


def test_every_move_is_an_activity_and_a_ledger_entry(engine: Engine) -> None:
    cases = Cases(engine)
    case = cases.open(samples.finding())
    cases.move(case.id, "assigned", "ann")
    cases.decide(case.id, "independent", WHY, "ann")
    cases.open(samples.finding(seed=2))
    activities = cases.activities(case.id)
    steps = [(a.previous, a.status, a.automated) for a in activities]
    assert steps == [
        (None, CaseStatus.OPEN, True),
        (CaseStatus.OPEN, CaseStatus.ASSIGNED, False),
        (CaseStatus.ASSIGNED, CaseStatus.CLOSED, False),
        (CaseStatus.CLOSED, CaseStatus.REOPENED, True),
    ]
    entries = list(Ledger(engine).entries())
    assert [entry.payload["status"] for entry in entries] == [a.status for a in activities]
    assert [entry.actor for entry in entries] == [a.actor for a in activities]


def test_a_move_that_fails_leaves_no_trace(engine: Engine) -> None:
    cases = Cases(engine)
    case = cases.open(samples.finding())
    with pytest.raises(UsageError):
        cases.move(case.id, "on_hold", "")
    assert cases.get(case.id) == case
    assert len(list(Ledger(engine).entries())) == 1


def test_the_strongest_case_comes_first(engine: Engine) -> None:
    cases = Cases(engine)
    for number, verdict in enumerate([Verdict.WEAK, Verdict.EXACT, Verdict.SUSPECTED, Verdict.EXACT]):
        cases.open(samples.finding(f"a/{number}", verdict=verdict))
    cases.decide(cases.list()[0].id, "independent", WHY, "ann")
    assert [case.repo for case in cases.list()] == ["a/1", "a/3", "a/2", "a/0"]
    assert [case.repo for case in cases.list("open")] == ["a/3", "a/2", "a/0"]
    assert [case.repo for case in cases.list("closed")] == ["a/1"]


def test_what_is_not_there_is_said_so(engine: Engine) -> None:
    cases = Cases(engine)
    for ask in (cases.get, cases.activities, lambda n: cases.move(n, "queued", "ann")):
        with pytest.raises(UsageError, match="no case 9"):
            ask(9)
    with pytest.raises(UsageError):
        cases.list("lost")
