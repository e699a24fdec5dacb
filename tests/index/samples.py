"""Nouns to remember: small, with seeds instead of weights."""

from datetime import UTC, datetime

import numpy as np

from scanners.records import (
    Acquittal,
    AnchorGeometry,
    Coverage,
    Evidence,
    Finding,
    Fingerprint,
    LayerMatch,
    Relation,
    RepoRevision,
    Shape,
    Sketch,
    UnitProfiles,
    Vector,
    Verdict,
)

SCHEME = "direct/dim=32/key=test"
OTHER_SCHEME = "spectral/width=8"
COVERAGE = Coverage(10_000_000_000, 4_000_000, 12, 8, (1, 4), "quick", ("vision tower not read",))


def commit(seed: int) -> str:
    return f"{seed:040x}"


def revision(repo: str = "someone/model", seed: int = 1) -> RepoRevision:
    when = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
    return RepoRevision("hf", repo, commit(seed), when, False, 3, None, ("base/model",))


def vector(*seed: int, dim: int = 32) -> Vector:
    drawn = np.random.default_rng(seed).standard_normal(dim)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def sketches(seed: int, layers: int = 3) -> tuple[Sketch, ...]:
    """Two roles a layer under one scheme, one head a layer under another."""
    mine = [Sketch(SCHEME, n, role, 0, vector(seed, n, r)) for n in range(layers) for r, role in enumerate("qk")]
    heads = [Sketch(OTHER_SCHEME, n, "head", 1, vector(seed, n, dim=8)) for n in range(layers)]
    return (*mine[:1], *heads, *mine[1:])


def profiles(seed: int) -> UnitProfiles:
    draw = np.random.default_rng(seed)
    views = {name: draw.standard_normal((6, 5)).astype(np.float16) for name in ("gate", "up")}
    return UnitProfiles("anchored", 1, "units", views, 64)


def fingerprint(seed: int = 1, repo: str = "owner/original", anchors: bool = True) -> Fingerprint:
    gram = np.random.default_rng(seed).standard_normal((3, 3)).astype(np.float32)
    return Fingerprint(
        revision=revision(repo, seed),
        shape=Shape("llama", 8, 128, 352, 8, 2, 1000),
        sketches=sketches(seed),
        profiles=(profiles(seed), profiles(seed + 1)),
        anchors=AnchorGeometry(np.array([0, 5, 9], np.int16), gram) if anchors else None,
        file_sha256=(f"{seed:064x}",),
        coverage=COVERAGE,
        facts={"tokenizer": "ab\0cd \ud800", "anchors": "3"},
    )


def finding(
    repo: str = "someone/model",
    seed: int = 1,
    reference: str = "original",
    verdict: Verdict = Verdict.STRONG,
) -> Finding:
    evidence = Evidence("units agreement, anchored frame", 64.0, 64, "Poisson, mean 1", -np.inf, {"layer": 4})
    return Finding(
        subject=revision(repo, seed),
        reference=reference,
        verdict=verdict,
        relation=Relation.FINE_TUNED,
        score=0.96,
        error_rate=1e-300,
        layer_map=(LayerMatch(1, 1, 0.97), LayerMatch(4, 4, 1.0)),
        evidence=(evidence,),
        coverage=COVERAGE,
        thresholds="none",
        schemes=(SCHEME,),
    )


def acquittal(repo: str = "someone/model", seed: int = 1) -> Acquittal:
    return Acquittal(revision(repo, seed), None, 0.01, 1e-6, COVERAGE)
