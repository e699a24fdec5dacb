"""How a related model relates, as far as what was read shows it. Direction is never inferred.

The labels come from which frames agree: a coordinate permutation leaves the direct sketches at zero and the
agreement of units whole; a dropped layer leaves the layers that remain whole. Where nothing settles it the
label is `related`.
"""

from scanners.records import Comparison, Fingerprint, Relation

UNTOUCHED = 0.99999  # direct cosine of a copy after a change of dtype
NEAR_GRID = 0.08
FOREIGN = 0.3  # direct cosine below which coordinates have little in common
MANY_ZEROS = 0.25
BY_CHANCE = 0.02  # share of units on which strangers agree


def statistic(comparison: Comparison, test: str) -> float | None:
    """The statistic of the evidence whose name begins so, as a share where it is a count."""
    for evidence in comparison.evidence:
        if evidence.test.startswith(test):
            counted = "agreement" in evidence.test
            return evidence.statistic / max(evidence.sample_size, 1) if counted else evidence.statistic
    return None


def relation(comparison: Comparison, suspect: Fingerprint, reference: Fingerprint) -> Relation:
    """The relation that the evidence shows; call only for a comparison that is beyond chance."""
    if _partial(comparison, suspect):
        return Relation.PARTIAL
    if _disguised(comparison, suspect, reference):
        return Relation.DISGUISED
    return _structure(comparison, suspect, reference) or _values(comparison, suspect, reference)


def _partial(comparison: Comparison, suspect: Fingerprint) -> bool:
    """Whether some layers, or one of the two parts of all layers, have nothing to do with the reference."""
    mapped, compared = (
        len(comparison.layer_map),
        len({p.layer for p in suspect.profiles if p.kind == "units"}),
    )
    if compared > 1 and mapped < 0.75 * compared:
        return True
    heads = statistic(comparison, "heads agreement")
    direct = _direct(comparison)
    foreign_attention = heads is not None and heads < 0.5 and direct.get("attention", 1.0) < FOREIGN
    foreign_attention = foreign_attention and direct.get("feed-forward", 0.0) > 0.9
    return foreign_attention or _foreign_embedding(comparison)


def _foreign_embedding(comparison: Comparison) -> bool:
    """Whether the blocks are those of the reference and its token embedding is not."""
    anchored = statistic(comparison, "units agreement, anchored")
    identity = statistic(comparison, "units agreement, identity")
    return anchored is not None and anchored < BY_CHANCE and (identity or 0.0) > 0.9


def _narrowed(comparison: Comparison, suspect: Fingerprint, reference: Fingerprint) -> bool:
    """Whether units are missing but those that remain kept their coordinates: then rows only moved up."""
    fewer = suspect.shape.hidden < reference.shape.hidden
    return fewer and (statistic(comparison, "units agreement, identity") or 0.0) > 0.5


def _disguised(comparison: Comparison, suspect: Fingerprint, reference: Fingerprint) -> bool:
    """Whether units or heads agree although their coordinates do not: a symmetry was applied."""
    direct = _direct(comparison)
    units = (
        comparison.score > 0.5
        and direct.get("feed-forward", 1.0) < FOREIGN
        and not _narrowed(comparison, suspect, reference)
    )
    heads = (statistic(comparison, "heads agreement") or 0.0) > 0.5 and direct.get("attention", 1.0) < 0.75
    return units or heads


def _direct(comparison: Comparison) -> dict[str, float]:
    found = next((e for e in comparison.evidence if e.test.startswith("direct")), None)
    return {name: float(value) for name, value in found.detail.items()} if found else {}


def _structure(comparison: Comparison, suspect: Fingerprint, reference: Fingerprint) -> Relation | None:
    """What was done to layers, width and vocabulary; None where all of them are as they were."""
    mapped = {match.suspect_layer: match.reference_layer for match in comparison.layer_map}
    if suspect.shape.layers != reference.shape.layers or any(a != b for a, b in mapped.items()):
        return Relation.DEPTH_EDITED
    if suspect.shape.hidden < reference.shape.hidden or suspect.shape.width < reference.shape.width:
        return Relation.PRUNED
    both = suspect.shape.vocabulary and reference.shape.vocabulary
    if both and suspect.shape.vocabulary != reference.shape.vocabulary:
        return Relation.VOCABULARY_EDITED
    return None


def _values(comparison: Comparison, suspect: Fingerprint, reference: Fingerprint) -> Relation:
    """What was done to the numbers, where shape and coordinates are as they were."""
    direct = statistic(comparison, "direct") or 0.0
    zeros, had = float(suspect.facts.get("zeros", 0)), float(reference.facts.get("zeros", 0))
    grid, was = float(suspect.facts.get("grid", 0.25)), float(reference.facts.get("grid", 0.25))
    if zeros - had > MANY_ZEROS:  # before the grid: zeros lie on every one
        return Relation.PRUNED
    if grid < NEAR_GRID <= was:
        return Relation.QUANTISED
    if direct >= UNTOUCHED:
        return Relation.REFORMATTED
    if direct > 0.95:
        return Relation.FINE_TUNED
    return Relation.RELATED
