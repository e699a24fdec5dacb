"""What the exit code of a command says.

    0   complete, and nothing found
    1   complete, with findings at or above --fail-on
    2   failed or incomplete: something that may hold weights could not be looked at
    3   nothing scannable
    4   usage error

Incomplete beats everything: a run with findings and gaps prints both and exits 2, because a caller that
only asks for "clean or not" must never take the findings for the whole answer.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Literal

from scanners.errors import HARMLESS
from scanners.records import Finding, Outcome, Skipped, Verdict

FailOn = Literal["suspected", "strong", "exact"]

_STRENGTH = [Verdict.WEAK, Verdict.SUSPECTED, Verdict.STRONG, Verdict.EXACT]
_HARMLESS = frozenset(reason.value for reason in HARMLESS)


class Exit(IntEnum):
    CLEAN = 0
    FOUND = 1
    FAILED = 2
    NOTHING = 3
    USAGE = 4


def complete(outcomes: Iterable[Outcome]) -> bool:
    """Whether everything that may hold weights was looked at."""
    return not any(_is_gap(outcome) for outcome in outcomes)


def _is_gap(outcome: Outcome) -> bool:
    if isinstance(outcome, Skipped):
        return outcome.reason not in _HARMLESS
    return isinstance(outcome, Finding) and outcome.verdict is Verdict.INCOMPLETE


def found(outcomes: Iterable[Outcome], fail_on: FailOn) -> bool:
    """Whether a finding is at least as strong as the caller cares for."""
    strong_enough = _STRENGTH[_STRENGTH.index(Verdict(fail_on)) :]
    return any(isinstance(outcome, Finding) and outcome.verdict in strong_enough for outcome in outcomes)


def of(outcomes: list[Outcome], fail_on: FailOn) -> Exit:
    """The exit code of a scan with these outcomes."""
    if not complete(outcomes):
        return Exit.FAILED
    if all(isinstance(outcome, Skipped) for outcome in outcomes):
        return Exit.NOTHING
    return Exit.FOUND if found(outcomes, fail_on) else Exit.CLEAN
