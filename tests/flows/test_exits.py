"""The exit code never says more than what was looked at."""

import pytest

from flows import exits
from flows.exits import Exit
from scanners.errors import Reason
from scanners.records import Verdict
from tests.flows.subjects import acquittal, finding, revision, skipped

SUBJECT = revision("owner/name")
CLEAN = acquittal(SUBJECT)
FOUND = finding(SUBJECT)
GAP = skipped(SUBJECT, Reason.GATED)
HARMLESS = skipped(SUBJECT, Reason.NO_WEIGHTS)


def test_complete_and_nothing_found_is_zero() -> None:
    assert exits.of([CLEAN], "suspected") == Exit.CLEAN == 0
    assert exits.of([CLEAN, HARMLESS], "suspected") == Exit.CLEAN


def test_a_finding_is_one() -> None:
    assert exits.of([CLEAN, FOUND], "suspected") == Exit.FOUND == 1


def test_incomplete_beats_clean_and_findings() -> None:
    assert exits.of([CLEAN, GAP], "suspected") == Exit.FAILED == 2
    assert exits.of([CLEAN, FOUND, GAP], "suspected") == Exit.FAILED


def test_a_verdict_that_is_incomplete_is_no_answer() -> None:
    assert exits.of([finding(SUBJECT, Verdict.INCOMPLETE)], "suspected") == Exit.FAILED


def test_nothing_scannable_is_three() -> None:
    assert exits.of([], "suspected") == Exit.NOTHING == 3
    assert exits.of([HARMLESS], "suspected") == Exit.NOTHING


@pytest.mark.parametrize(
    ("verdict", "codes"),
    [
        (Verdict.WEAK, (0, 0, 0)),
        (Verdict.SUSPECTED, (1, 0, 0)),
        (Verdict.STRONG, (1, 1, 0)),
        (Verdict.EXACT, (1, 1, 1)),
    ],
)
def test_fail_on_is_the_weakest_verdict_that_counts(verdict: Verdict, codes: tuple[int, ...]) -> None:
    found = [finding(SUBJECT, verdict)]
    assert tuple(exits.of(found, fail_on) for fail_on in ("suspected", "strong", "exact")) == codes
