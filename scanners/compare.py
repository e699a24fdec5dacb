"""Two fingerprints become evidence: the agreement tests in every frame both have, and the layer map.

Nothing here decides; `finding` does. Every p-value is corrected for the layer pairs, the frames and the
pairs of views that were tried to find it, and says so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from scanners import agreement
from scanners.agreement import Agreement, Matching
from scanners.records import MISTAKEN, Comparison, Evidence, Fingerprint, LayerMatch, Matrix, Sketch, UnitProfiles
from scanners.sketch import unit_rows, whitener

MIN_COMMON_ANCHORS = 24
LAYER_LOG10_P = -6.0  # a line of a layer map is beyond this; a GPT-2 twin's two views reach 10^-3.5 by function
NULL = "hits of two independent matchings in random order; bound r_t (m-t)!/m! by rook numbers"
PARTS = {
    "attention": frozenset({"q", "k", "v", "o"}),
    "feed-forward": frozenset({"gate", "up", "in", "down"}),
}
Views = dict[str, Matrix]


@dataclass(frozen=True, slots=True)
class FrameResult:
    """All layer pairs of one frame: the best registered layer for each suspect layer."""

    frame: str
    best: Mapping[int, tuple[int, Agreement, float]]  # suspect layer -> (registered layer, test, expected hits)
    gated: bool  # whether the two views are the two inputs of a gated block
    trials: int  # layer pairs times view pairs tried


def compare(
    suspect: Fingerprint, reference: Fingerprint, reference_id: int, name: str, least: Mapping[str, float]
) -> Comparison:
    """Compare what was read of a suspect with a registered model, in every frame both have.

    ``least`` gives for each frame ("anchored", "identity", "spectral") how alike agreeing units must be.
    """
    kinds = ("anchored", "identity")
    frames = [f for f in (_units(suspect, reference, kind, least.get(kind, 0.0)) for kind in kinds) if f is not None]
    evidence = [_evidence(frame) for frame in frames]
    heads = _heads(suspect, reference, least.get("spectral", 0.0))
    evidence.extend([heads] if heads else [])
    tried = len(evidence)
    log10_p = min((e.log10_p for e in evidence), default=0.0) + (np.log10(tried) if tried else 0.0)
    evidence.extend(_sketch_evidence(suspect, reference))
    layer_map = _layer_map(frames)
    layers = {layer for frame in frames for layer in frame.best}
    shares = [max(_share(f.best[layer]) for f in frames if layer in f.best) for layer in layers]
    score = float(np.mean(shares)) if shares else _head_score(heads)
    return Comparison(reference_id, name, tuple(evidence), layer_map, score, min(0.0, float(log10_p)))


def _units(suspect: Fingerprint, reference: Fingerprint, frame: str, least: float) -> FrameResult | None:
    """The unit agreement test in one frame; None where the two have no such frame in common."""
    ours = {p.layer: p for p in suspect.profiles if p.frame == frame}
    theirs = {p.layer: p for p in reference.profiles if p.frame == frame}
    if not ours or not theirs:
        return None
    if frame == "identity" and suspect.shape.width != reference.shape.width:
        return None
    views = _anchored_views(suspect, reference) if frame == "anchored" else _identity_views
    if views is None:
        return None
    left = {layer: views(profile, True) for layer, profile in ours.items()}
    right = ((profile, views(profile, False)) for profile in theirs.values())  # one registered layer at a time
    return _all_pairs(frame, left, right, least)


def _identity_views(profile: UnitProfiles, _suspect: bool) -> Views:
    return {name: unit_rows(rows.astype(np.float32)) for name, rows in profile.views.items()}


def _anchored_views(suspect: Fingerprint, reference: Fingerprint) -> Callable[[UnitProfiles, bool], Views] | None:
    """A function that whitens a profile on the anchors both models have; None where they share too few."""
    ours, theirs = suspect.anchors, reference.anchors
    if ours is None or theirs is None:
        return None
    _, left, right = np.intersect1d(ours.slots, theirs.slots, return_indices=True)
    if len(left) < MIN_COMMON_ANCHORS:
        return None
    maps = {
        True: (left, whitener(ours.gram[np.ix_(left, left)]).astype(np.float32)),
        False: (right, whitener(theirs.gram[np.ix_(right, right)]).astype(np.float32)),
    }

    def views(profile: UnitProfiles, of_suspect: bool) -> Views:
        chosen, map_ = maps[of_suspect]
        return {name: unit_rows(rows[:, chosen].astype(np.float32) @ map_) for name, rows in profile.views.items()}

    return views


def view_pairs(left: Views, right: Views) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Which two views of a suspect meet which two of the register: by name, and each pair swapped.

    Without telling names, gate and up, or in and down, are easily taken for each other.
    """
    common = sorted(set(left) & set(right))
    if len(common) >= 2:
        for first, second in combinations(common, 2):
            yield (first, second), (first, second)
        first, second = ("gate", "up") if {"gate", "up"} <= set(common) else (common[0], common[1])
        yield (first, second), (second, first)
        return
    for first, second in combinations(sorted(left), 2):
        for one, other in combinations(sorted(right), 2):
            yield (first, second), (one, other)
            yield (first, second), (other, one)


def _all_pairs(
    frame: str, left: Mapping[int, Views], right: Iterable[tuple[UnitProfiles, Views]], least: float
) -> FrameResult:
    best: dict[int, tuple[UnitProfiles, Matching]] = {}
    trials, gated = 0, all({"gate", "up"} <= set(views) for views in left.values())
    for profile, registered in right:
        gated = gated and {"gate", "up"} <= set(registered)
        for layer, views in left.items():
            matchings = _matchings(views, registered, least)
            trials += len(matchings)
            for found in matchings:
                if layer not in best or found.rank > best[layer][1].rank:
                    best[layer] = (profile, found)
    return FrameResult(frame, {layer: _tested(*found) for layer, found in best.items()}, gated, max(trials, 1))


def _tested(profile: UnitProfiles, found: Matching) -> tuple[int, Agreement, float]:
    """(registered layer, test, units that would agree if the suspect were a copy)."""
    held = min(len(next(iter(profile.views.values()))) / max(profile.units_total, 1), 1.0)
    return profile.layer, found.test(), max(len(found.first) * held, 1.0)


def _matchings(left: Views, right: Views, least: float) -> list[Matching]:
    """One matching for every two views of the suspect's units against two of the registered ones'."""
    pairs = list(view_pairs(left, right))
    wanted = {(ours[i], theirs[i]) for ours, theirs in pairs for i in (0, 1)}
    near = {(ours, theirs): agreement.nearest(left[ours], right[theirs]) for ours, theirs in wanted}
    return [Matching.of(near[ours[0], theirs[0]], near[ours[1], theirs[1]], least) for ours, theirs in pairs]


def _share(result: tuple[int, Agreement, float]) -> float:
    _, test, expected = result
    return min(1.0, test.agreeing / expected)


def _evidence(result: FrameResult) -> Evidence:
    tests = [test for _, test, _ in result.best.values()]
    _, strongest, expected = min(result.best.values(), key=lambda found: (found[1].log10_p, -found[1].agreeing))
    corrected = min(0.0, strongest.log10_p + float(np.log10(result.trials)))
    detail: dict[str, float | int | str] = {
        "kind": f"{result.frame} {'gated' if result.gated else 'ungated'}",
        "layers compared": len(tests),
        "strongest layer agreeing": strongest.agreeing,
        "strongest layer units": strongest.units,
        "held": round(min(expected / max(strongest.units, 1), 1.0), 4),
        "similarity": round(strongest.similarity, 4),
        "trials": result.trials,
    }
    agreeing, units = sum(t.agreeing for t in tests), sum(t.units for t in tests)
    return Evidence(f"units agreement, {result.frame} frame", agreeing, units, NULL, corrected, detail)


def _heads(suspect: Fingerprint, reference: Fingerprint, least: float) -> Evidence | None:
    """The agreement test on attention heads: all heads read against all registered heads."""
    ours = [p for p in suspect.profiles if p.kind == "heads"]
    theirs = [p for p in reference.profiles if p.kind == "heads"]
    if not ours or not theirs:
        return None
    first, second = (_nearest_spectrum(_stack(ours, v), _stack(theirs, v)) for v in ("query-key", "value-output"))
    test = Matching.of(first, second, least).test()
    detail: dict[str, float | int | str] = {
        "kind": "spectral heads",
        "strongest layer agreeing": test.agreeing,
        "strongest layer units": test.units,
        "held": 1.0,
        "similarity": round(test.similarity, 4),
        "trials": 1,
    }
    return Evidence("heads agreement, spectra", test.agreeing, test.units, NULL, test.log10_p, detail)


def _stack(profiles: Sequence[UnitProfiles], view: str) -> Matrix:
    return np.concatenate([p.views[view] for p in profiles]).astype(np.float32)


def _nearest_spectrum(left: Matrix, right: Matrix) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Nearest by Euclidean distance between log spectra; the similarity is 1 / (1 + distance)."""
    squared = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
    best = squared.argmin(axis=1)
    distance = np.sqrt(np.maximum(squared[np.arange(len(best)), best], 0.0))
    return best.astype(np.int64), (1.0 / (1.0 + distance)).astype(np.float32)


def _head_score(heads: Evidence | None) -> float:
    return float(heads.statistic / max(heads.sample_size, 1)) if heads else 0.0


def _sketch_evidence(suspect: Fingerprint, reference: Fingerprint) -> list[Evidence]:
    """Median over layers of the best cosine of direct and anchored sketches: similarity, not a test."""
    found = []
    for channel in ("direct", "anchored"):
        ours = [s for s in suspect.sketches if s.scheme.startswith(channel)]
        theirs = [s for s in reference.sketches if s.scheme.startswith(channel)]
        scores = {name: _sketch_score(ours, theirs, roles) for name, roles in PARTS.items()}
        known = {name: round(score, 5) for name, score in scores.items() if score is not None}
        if known:
            null = "cosine of keyed sketches; unrelated models scatter around 0"
            mean = float(np.mean(list(known.values())))
            found.append(Evidence(f"{channel} sketches", mean, len(ours), null, 0.0, dict(known)))
    return found


def _sketch_score(ours: Sequence[Sketch], theirs: Sequence[Sketch], roles: frozenset[str]) -> float | None:
    """Per suspect layer the best registered layer's mean cosine over common roles; the median of those."""
    right = {(s.layer, s.role): s.vector for s in theirs}
    scores: dict[int, list[float]] = {}
    for other in sorted({s.layer for s in theirs}):
        cosines: dict[int, dict[str, float]] = {}
        for s in ours:
            named = MISTAKEN.get(s.role, s.role) if s.part else s.role  # the matrix this is another reading of
            if named in roles and (other, s.role) in right:
                held = cosines.setdefault(s.layer, {})
                held[named] = max(held.get(named, -1.0), float(s.vector @ right[other, s.role]))
        for layer, found in cosines.items():
            scores.setdefault(layer, []).append(float(np.mean(list(found.values()))))
    return float(np.median([max(values) for values in scores.values()])) if scores else None


def _layer_map(frames: Sequence[FrameResult]) -> tuple[LayerMatch, ...]:
    """For each suspect layer the registered layer it agrees with, where that is beyond chance."""
    lines = []
    for layer in sorted({layer for frame in frames for layer in frame.best}):
        frame = min((f for f in frames if layer in f.best), key=lambda f: f.best[layer][1].log10_p)
        other, test, _ = frame.best[layer]
        if test.log10_p + np.log10(frame.trials) < LAYER_LOG10_P:
            share = round(_share(frame.best[layer]), 4)
            lines.append(LayerMatch(layer, other, share, frame.frame, round(test.similarity, 4)))
    return tuple(lines)
