"""What unrelated and derived models look like, measured on the calibration set, and the thresholds chosen there.

One file, ``calibration.json``, holds everything that was fitted: it is written by `python -m
tests.calibration` from the models under tests/zoo/calibration and is never touched by the evaluation models.

The agreement test's exact bound assumes that two views of a unit share nothing across independently trained
models. They share a little: both learn the same few units of language (a unit that reads and writes "the").
`by_function` is the upper 95 % confidence bound of the share of a layer's units on which unrelated
calibration models agree in their worst layer pair; the calibrated p-value is the tail of a binomial with
that share, on top of the exact bound. So each finding has two error rates, reported apart.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from scipy.special import betainc, betaincinv

SMALLEST = 1e-300


@dataclass(frozen=True, slots=True)
class Calibration:
    """The fitted numbers, and what they were fitted on."""

    digest: str  # of the calibration models' weights and of this file's numbers
    by_function: Mapping[str, float]  # frame and kind of block -> share of units agreeing by function
    similarity: Mapping[str, float]  # frame -> least median cosine of agreeing units that a copy shows
    strong_log10_p: float
    suspected_log10_p: float
    unrelated_pairs: int
    unrelated_flagged: int
    unrelated_families: int
    derived: int
    derived_missed: Mapping[str, int]  # budget -> how many of the derived were acquitted

    def calibrated_log10_p(self, frame: str, agreeing: int, units: int, trials: int, held: float = 1.0) -> float:
        """log10 of trials x P(Binomial(units, held x by_function[frame]) >= agreeing), at most 0.

        ``held`` is the share of the reference's units that the register kept: a unit that is alike by function
        can only be met if it was kept.
        """
        share = held * self.by_function.get(frame, max(self.by_function.values()))
        if agreeing == 0:
            return 0.0
        # P(Binomial(n, p) >= k) is the regularised incomplete beta function I_p(k, n - k + 1).
        tail = math.log10(max(float(betainc(agreeing, units - agreeing + 1, share)), SMALLEST))
        return min(0.0, tail + math.log10(max(trials, 1)))

    def false_positive_bound(self) -> float:
        """Upper 95 % bound of the share of unrelated pairs that are flagged (Clopper and Pearson 1934)."""
        return upper_bound(self.unrelated_flagged, self.unrelated_pairs)

    def miss_bound(self, budget: str) -> float:
        """Upper 95 % bound of the share of derived models that are acquitted under a budget."""
        return upper_bound(self.derived_missed.get(budget, self.derived), self.derived)


def upper_bound(events: int, cases: int, confidence: float = 0.95) -> float:
    """The one-sided upper confidence bound of a rate after ``events`` in ``cases`` (1.0 without cases)."""
    if cases == 0 or events >= cases:
        return 1.0
    return float(betaincinv(events + 1, cases - events, confidence))


def parse(document: Mapping[str, Any]) -> Calibration:
    """The calibration from its JSON; raises KeyError or TypeError on a file that is not one."""
    cohort, measured, chosen = document["cohort"], document["measured"], document["chosen"]
    return Calibration(
        cohort["digest"],
        chosen["by_function"],
        chosen["similarity"],
        chosen["strong_log10_p"],
        chosen["suspected_log10_p"],
        measured["unrelated_pairs"],
        measured["unrelated_flagged"],
        cohort["families"],
        measured["derived"],
        measured["derived_missed"],
    )


@cache
def shipped() -> Calibration:
    """The calibration that comes with this version."""
    return parse(json.loads((resources.files("scanners") / "calibration.json").read_text()))
