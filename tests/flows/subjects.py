"""Made-up revisions and outcomes, and things that happen to a worker while it looks at one."""

import hashlib
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scanners.errors import Reason, SourceError, TransientError
from scanners.records import (
    Acquittal,
    Coverage,
    Evidence,
    Finding,
    LayerMatch,
    Outcome,
    Relation,
    RepoRevision,
    Skipped,
    Verdict,
)

COVERAGE = Coverage(bytes_total=1000, bytes_read=100, requests=3, layers_total=2, layers_read=(0, 1), budget="quick")


def revision(repo: str, last_modified: datetime | None = None) -> RepoRevision:
    commit = hashlib.sha1(repo.encode()).hexdigest()
    return RepoRevision("hf", repo, commit, last_modified or datetime(2026, 11, 1, tzinfo=UTC))


def acquittal(subject: RepoRevision) -> Acquittal:
    return Acquittal(subject, best_reference="Base", score=0.01, error_rate=0.001, coverage=COVERAGE)


def skipped(subject: RepoRevision, reason: Reason) -> Skipped:
    return Skipped(subject.uri, reason.value, "because")


def finding(subject: RepoRevision, verdict: Verdict = Verdict.STRONG) -> Finding:
    evidence = Evidence("units agreement", 64.0, 64, "Poisson with mean 1", float("-inf"), {"frame": "anchored"})
    return Finding(
        subject=subject,
        reference="Base",
        verdict=verdict,
        relation=Relation.FINE_TUNED,
        score=0.9,
        error_rate=1e-9,
        layer_map=(LayerMatch(0, 0, 0.9), LayerMatch(1, 1, 0.95)),
        evidence=(evidence,),
        coverage=COVERAGE,
        thresholds="0" * 64,
        schemes=("direct-v1",),
    )


def by_repo(outcomes: list[Outcome]) -> dict[str, Outcome]:
    """The outcomes by their repositories."""

    def repo(outcome: Outcome) -> str:
        name = outcome.source if isinstance(outcome, Skipped) else outcome.subject.uri
        return name.partition("://")[2].partition("@")[0]

    return {repo(outcome): outcome for outcome in outcomes}


def look(subject: RepoRevision, *_how: Any) -> Acquittal:
    """What a worker does with each made-up revision, by its name."""
    match subject.repo.partition("/")[2]:
        case "kills-its-worker":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kills-one-worker":
            _once(subject, lambda: os.kill(os.getpid(), signal.SIGKILL))
        case "divides-by-zero":
            return 1 / 0  # type: ignore[return-value]
        case "is-gated":
            raise SourceError(Reason.GATED, "ask its owner")
        case "is-busy":
            raise TransientError(Reason.RATE_LIMITED, "later", retry_after_seconds=1.0)
        case "is-busy-once":
            _once(subject, _busy)
        case "never-ends":
            time.sleep(3600)
    return acquittal(subject)


def _busy() -> None:
    raise TransientError(Reason.SERVER_ERROR, "503")


def _once(subject: RepoRevision, happens: Any) -> None:
    """The first attempt leaves a mark in the folder that the repository's owner names."""
    mark = Path("/tmp", subject.repo.replace("/", "-"))
    if not mark.exists():
        mark.touch()
        happens()
