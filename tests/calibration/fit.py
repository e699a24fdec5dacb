"""From measurements to thresholds: the rules by which every fitted number is chosen, and the file they go to."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scanners.calibration import Calibration, parse, upper_bound
from scanners.finding import judge
from scanners.records import Evidence
from tests.calibration.cohort import CALIBRATION, digest
from tests.calibration.measure import BUDGETS, Measured

KINDS = ("anchored gated", "anchored ungated", "identity gated", "identity ungated", "spectral heads")
STRONG_LOG10_P = -12.0  # a false accusation a year at a million repositories a night, a thousand models
SUSPECTED_LOG10_P = -7.0  # a queue that people read
LEAST_SHARE = 0.05  # two families cannot show that it is less
SHARE_MARGIN = 2.0  # longer training shares more units of language than the calibration models do
SIMILARITY_MARGIN = 0.05
FEW = 3  # agreeing units below which their similarity says nothing


def tests_of(measured: Iterable[Measured], kind: str) -> list[Evidence]:
    """The agreement tests of one kind in all comparisons."""
    return [e for m in measured for e in m.comparison.evidence if e.detail.get("kind") == kind]


def by_function(unrelated: Sequence[Measured]) -> dict[str, float]:
    """Per kind a bound of the share of units that agree and are alike although the models are unrelated.

    The worst pair's share or the upper 95 % bound of all pairs' common share, whichever is larger, times two.
    """
    shares = {}
    for kind in KINDS:
        found = [_counts(e) for e in tests_of(unrelated, kind)]
        pooled = upper_bound(sum(agreeing for agreeing, _ in found), sum(units for _, units in found))
        worst = max(agreeing / units for agreeing, units in found)
        shares[kind] = round(max(LEAST_SHARE, SHARE_MARGIN * max(pooled, worst)), 4)
    return shares


def _counts(evidence: Evidence) -> tuple[int, int]:
    return int(evidence.detail["strongest layer agreeing"]), int(evidence.detail["strongest layer units"])


def similarity(unrelated: Sequence[Measured]) -> dict[str, float]:
    """Per frame the highest median similarity of agreeing units in unrelated models, and a margin."""
    highest: dict[str, float] = {}
    for kind in KINDS:
        for e in tests_of(unrelated, kind):
            if _counts(e)[0] >= FEW:
                frame = kind.split()[0]
                highest[frame] = max(highest.get(frame, 0.0), float(e.detail["similarity"]))
    return {frame: round(value + SIMILARITY_MARGIN, 3) for frame, value in highest.items()}


def fit(measured: Sequence[Measured], least: Mapping[str, float]) -> dict[str, Any]:
    """The whole document of calibration.json; ``least`` is the similarity that the comparisons asked for."""
    unrelated = [m for m in measured if not m.related]
    document: dict[str, Any] = {
        "cohort": {
            "digest": digest(CALIBRATION),
            "families": len(CALIBRATION.bases),
            "members": len({m.member.name for m in measured}),
        },
        "measured": {"unrelated_pairs": 0, "unrelated_flagged": 0, "derived": 0, "derived_missed": {}},
        "chosen": {
            "by_function": by_function(unrelated),
            "similarity": dict(least),
            "strong_log10_p": STRONG_LOG10_P,
            "suspected_log10_p": SUSPECTED_LOG10_P,
        },
    }
    document["measured"] = rates(parse(document), measured)
    return document


def rates(calibration: Calibration, measured: Sequence[Measured]) -> dict[str, Any]:
    """How many derived models the rule misses and how many unrelated pairs it flags; pairs are not independent."""
    derived, unrelated = [m for m in measured if m.related], [m for m in measured if not m.related]
    flagged = [m for m in unrelated if _found(m, calibration)]
    missed = [m for m in derived if not _found(m, calibration)]
    by_budget = {b.value: sorted({m.member.name for m in missed if m.budget == b.value}) for b in BUDGETS}
    return {
        "unrelated_pairs": len({(m.member.name, m.base) for m in unrelated}),
        "unrelated_flagged": len({(m.member.name, m.base) for m in flagged}),
        "derived": len({m.member.name for m in derived}),
        "derived_missed": {budget: len(names) for budget, names in by_budget.items()},
        "missed": by_budget,
        "flagged": sorted({f"{m.member.name} as {m.base}" for m in flagged}),
    }


def _found(measured: Measured, calibration: Calibration) -> bool:
    return judge(measured.comparison, calibration, 2).accuses
