"""Evidence and policy become a finding or none. Thresholds are `calibration`'s; the rule is here.

A subject is a finding when one agreement test is beyond chance by its exact bound and by the calibrated one,
and the agreeing units are as alike as copies are. Both p-values are corrected for everything that was tried:
layer pairs and view pairs inside a comparison, frames, and all registered models.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scanners.calibration import Calibration
from scanners.records import (
    Acquittal,
    Comparison,
    Coverage,
    Evidence,
    Finding,
    Fingerprint,
    Relation,
    RepoRevision,
    Verdict,
)
from scanners.relation import relation, statistic

ASSUMPTIONS = (
    "assumes independent seeds and training that treats units alike; does not tell a copy from a sibling, "
    "and says nothing of who copied whom"
)
# Coordinates alike, tokens and heads not: either blocks carried under a foreign embedding, which keep their
# numbers (0.78 after pruning by 80 %), or one initialisation trained twice (0.55 after 100 steps, less later).
SAME_INIT_SIMILARITY = 0.75


@dataclass(frozen=True, slots=True)
class Judgement:
    """One comparison, judged: the verdict and both corrected p-values of its best test."""

    comparison: Comparison
    verdict: Verdict
    log10_exact: float
    log10_calibrated: float
    similarity: float

    @property
    def accuses(self) -> bool:
        """Whether it makes a finding."""
        return self.verdict not in (Verdict.INDEPENDENT, Verdict.WEAK)


def judge(comparison: Comparison, calibration: Calibration, references: int) -> Judgement:
    """The verdict on one comparison among ``references`` registered models."""
    tests = [_weigh(e, calibration, references, len(comparison.evidence)) for e in comparison.evidence]
    exact, calibrated, similarity = min(tests, key=lambda test: max(test[0], test[1]), default=(0.0, 0.0, 0.0))
    both = max(exact, calibrated)
    verdict = Verdict.INDEPENDENT
    if both <= calibration.strong_log10_p:
        verdict = Verdict.STRONG
    elif both <= calibration.suspected_log10_p:
        verdict = Verdict.SUSPECTED
    if verdict is not Verdict.INDEPENDENT and _same_init(comparison, tests, calibration):
        verdict = Verdict.WEAK
    return Judgement(comparison, verdict, exact, calibrated, similarity)


def _same_init(comparison: Comparison, tests: Sequence[tuple[float, float, float]], calibration: Calibration) -> bool:
    """Whether only coordinates agree, and no better than those of one initialisation trained twice."""
    kinds = [str(evidence.detail.get("kind", "")) for evidence in comparison.evidence]
    beyond = [max(exact, calibrated) <= calibration.suspected_log10_p for exact, calibrated, _ in tests]
    alone = any(kind.startswith("anchored") for kind in kinds)
    for kind, found, (_, _, similarity) in zip(kinds, beyond, tests, strict=True):
        if found and (not kind.startswith("identity") or similarity >= SAME_INIT_SIMILARITY):
            return False
    return alone


def _weigh(evidence: Evidence, calibration: Calibration, references: int, frames: int) -> tuple[float, float, float]:
    """(exact, calibrated, similarity) of one piece of evidence."""
    kind = str(evidence.detail.get("kind", ""))
    similarity = float(evidence.detail.get("similarity", 0.0))
    if not kind:  # a similarity, no test
        return 0.0, 0.0, 0.0
    tried = references * frames
    agreeing, units = (
        int(evidence.detail["strongest layer agreeing"]),
        int(evidence.detail["strongest layer units"]),
    )
    trials, held = int(evidence.detail["trials"]) * tried, float(evidence.detail["held"])
    calibrated = calibration.calibrated_log10_p(kind, agreeing, units, trials, held)
    return min(0.0, evidence.log10_p + math.log10(tried)), calibrated, similarity


def strongest(judgements: Sequence[Judgement]) -> Judgement | None:
    """The judgement with the strongest evidence; ties (p-values at their floor) go to the more alike."""
    return min(
        judgements,
        key=lambda j: (
            j.verdict is Verdict.INDEPENDENT,
            -round(j.comparison.score, 2),
            -_direct(j),
            -j.similarity,
        ),
        default=None,
    )


def _direct(judgement: Judgement) -> float:
    return round(statistic(judgement.comparison, "direct") or 0.0, 2)


def finding(
    judgement: Judgement, suspect: Fingerprint, reference: Fingerprint, calibration: Calibration, schemes: str
) -> Finding:
    """The finding that a judgement beyond chance makes."""
    comparison = judgement.comparison
    return Finding(
        suspect.revision,
        comparison.reference,
        judgement.verdict,
        relation(comparison, suspect, reference),
        round(comparison.score, 4),
        10.0 ** max(judgement.log10_exact, judgement.log10_calibrated, -300.0),
        comparison.layer_map,
        (*comparison.evidence, _calibrated_evidence(judgement), _cohort_evidence(calibration)),
        suspect.coverage,
        calibration.digest,
        tuple(schemes.split()),
    )


def _calibrated_evidence(judgement: Judgement) -> Evidence:
    return Evidence(
        "best test, calibrated",
        judgement.similarity,
        1,
        f"binomial with the calibration set's share of units that agree by function; {ASSUMPTIONS}",
        judgement.log10_calibrated,
        {"log10 p, exact bound, corrected": round(judgement.log10_exact, 2)},
    )


def _cohort_evidence(calibration: Calibration) -> Evidence:
    bound = calibration.false_positive_bound()
    return Evidence(
        "cohort",
        calibration.unrelated_flagged,
        calibration.unrelated_pairs,
        "unrelated calibration pairs that this rule flags; upper 95 % bound of the rate",
        math.log10(bound),
        {"families": calibration.unrelated_families, "upper bound": round(bound, 4)},
    )


def exact_finding(
    subject: RepoRevision,
    reference: str,
    coverage: Coverage,
    files: int,
    calibration: Calibration,
    schemes: str,
) -> Finding:
    """Every weight file of the registered model is there, byte for byte; nothing was downloaded to know it."""
    same = Evidence("sha256 of weight files", files, files, "two files with one SHA-256", -77.0)
    return Finding(
        subject,
        reference,
        Verdict.EXACT,
        Relation.EXACT,
        1.0,
        1e-77,
        (),
        (same,),
        coverage,
        calibration.digest,
        tuple(schemes.split()),
    )


def acquittal(subject: RepoRevision, best: Judgement | None, coverage: Coverage, calibration: Calibration) -> Acquittal:
    """Weights independent of every registered model's, as far as they were read, and how often that is wrong."""
    name = best.comparison.reference if best else None
    score = round(best.comparison.score, 4) if best else 0.0
    weak = best is not None and best.verdict is Verdict.WEAK
    found = Relation.SAME_INIT if weak else Relation.INDEPENDENT
    return Acquittal(subject, name, score, calibration.miss_bound(coverage.budget), coverage, found)


def beside_ancestor(protected: Judgement, ancestor: Judgement | None) -> Judgement:
    """The judgement on a protected model, taken back where a known ancestor is as near or nearer.

    A registered model that was made from a public one shares its weights with all of that one's children.
    """
    if ancestor is None or not ancestor.accuses:
        return protected
    nearer = (ancestor.similarity, _direct(ancestor)) >= (protected.similarity, _direct(protected))
    return replace(protected, verdict=Verdict.INDEPENDENT) if nearer else protected
