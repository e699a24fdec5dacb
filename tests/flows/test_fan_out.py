"""Whatever happens to a worker, every subject has one typed outcome."""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.fan_out import FanOut
from flows.settings import Settings
from scanners.errors import Reason
from scanners.records import Acquittal, RepoRevision, Skipped
from scanners.schemes import Schemes
from tests.flows.subjects import look, revision

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("ray_session")]


def fan_out(home: Path, **changes: float) -> FanOut:
    settings = Settings(home=home).model_copy(update={"in_flight": 4, **changes})
    return FanOut(settings, "hf://", "", Schemes(bytes(16)), "quick", look)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("kills-its-worker", Reason.WORKER_DIED),
        ("divides-by-zero", Reason.INTERNAL),
        ("is-gated", Reason.GATED),
        ("is-busy", Reason.RATE_LIMITED),
    ],
)
def test_a_failure_is_skipped_with_its_reason(home: Path, what: str, reason: Reason) -> None:
    subject = revision(f"owner/{what}")
    [(_, outcome)] = fan_out(home).outcomes([subject])
    assert isinstance(outcome, Skipped)
    assert (outcome.source, outcome.reason) == (subject.uri, reason.value)


def test_an_unforeseen_error_is_named_by_its_class(home: Path) -> None:
    [(_, outcome)] = fan_out(home).outcomes([revision("owner/divides-by-zero")])
    assert isinstance(outcome, Skipped)
    assert outcome.detail == "ZeroDivisionError"


@pytest.mark.parametrize("what", ["kills-one-worker", "is-busy-once"])
def test_what_may_pass_is_tried_again(home: Path, what: str) -> None:
    subject = revision(f"{secrets.token_hex(8)}/{what}")
    [(_, outcome)] = fan_out(home).outcomes([subject])
    Path("/tmp", subject.repo.replace("/", "-")).unlink()
    assert isinstance(outcome, Acquittal)


def test_a_subject_that_never_ends_is_given_up(home: Path) -> None:
    started = time.monotonic()
    [(_, outcome)] = fan_out(home, subject_timeout_seconds=3.0).outcomes([revision("owner/never-ends")])
    assert isinstance(outcome, Skipped)
    assert outcome.reason == Reason.TIMEOUT.value
    assert time.monotonic() - started < 30


def test_one_bad_subject_costs_the_others_nothing(home: Path) -> None:
    bad = [revision(f"owner/{what}") for what in ("kills-its-worker", "divides-by-zero", "is-gated")]
    good = [revision(f"owner/model-{number}") for number in range(40)]
    outcomes = dict(fan_out(home).outcomes([*bad, *good]))
    assert len(outcomes) == 43
    assert all(isinstance(outcomes[subject], Acquittal) for subject in good)
    assert all(isinstance(outcomes[subject], Skipped) for subject in bad)


def test_no_more_than_in_flight_are_taken_from_the_plan(home: Path) -> None:
    taken = 0

    def plan() -> Iterator[RepoRevision]:
        nonlocal taken
        for number in range(20):
            taken += 1
            yield revision(f"owner/model-{number}")

    for done, _ in enumerate(fan_out(home).outcomes(plan()), start=1):
        assert taken <= done + 4 + 1
    assert taken == 20
