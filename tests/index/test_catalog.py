"""The catalogue: what was planned is looked at, once, and whatever was recorded stays."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from index.catalog import PASSING, Catalog
from index.ledger import Ledger
from index.store import connect, migrate
from scanners.errors import HARMLESS, Reason, UsageError
from scanners.records import Outcome, RepoRevision, Skipped, Verdict
from tests.index import samples
from tests.index.processes import at_once

PARAMETERS = {"schemes": "direct/1+spectral/1", "register_version": 7, "budget": "quick"}
JUDGED_BY = ("direct/1+spectral/1", 7, "quick")
SUBJECTS = [samples.revision(f"someone/model-{n}", n) for n in range(5)]


def _skipped(reason: str) -> Skipped:
    return Skipped("hf://someone/model", reason, "it would not \0 \ud800", 2, 100)


def _run(catalog: Catalog, *outcomes: Outcome) -> int:
    run = catalog.start_run("nightly", PARAMETERS, SUBJECTS[: len(outcomes)])
    for subject, outcome in zip(SUBJECTS, outcomes, strict=False):
        assert catalog.record(run, subject, outcome)
    return run


def test_everything_planned_is_pending_at_first(engine: Engine) -> None:
    catalog = Catalog(engine)
    run = catalog.start_run("nightly", PARAMETERS, [*SUBJECTS, SUBJECTS[0]])
    assert catalog.pending(run) == SUBJECTS


def test_what_is_recorded_is_pending_no_more(engine: Engine) -> None:
    catalog = Catalog(engine)
    run = catalog.start_run("nightly", PARAMETERS, SUBJECTS)
    assert catalog.record(run, SUBJECTS[1], samples.acquittal())
    assert catalog.pending(run) == [SUBJECTS[0], *SUBJECTS[2:]]


@pytest.mark.parametrize(
    "outcome",
    [samples.finding(), samples.acquittal(), _skipped("gated")],
    ids=["finding", "acquittal", "skip"],
)
def test_an_outcome_comes_back_as_it_went(engine: Engine, outcome: Outcome) -> None:
    catalog = Catalog(engine)
    assert list(catalog.outcomes(_run(catalog, outcome))) == [outcome]


def test_the_first_record_stands(engine: Engine) -> None:
    catalog = Catalog(engine)
    run = _run(catalog, samples.finding())
    assert not catalog.record(run, SUBJECTS[0], samples.acquittal())
    assert list(catalog.outcomes(run)) == [samples.finding()]
    assert len(list(Ledger(engine).entries())) == 1


def test_what_was_not_planned_is_not_recorded(engine: Engine) -> None:
    catalog = Catalog(engine)
    run = catalog.start_run("nightly", PARAMETERS, SUBJECTS[:1])
    with pytest.raises(UsageError, match="not planned"):
        catalog.record(run, SUBJECTS[1], samples.acquittal())


def test_a_finished_run_takes_no_more(engine: Engine) -> None:
    catalog = Catalog(engine)
    run = catalog.start_run("nightly", PARAMETERS, SUBJECTS)
    catalog.finish_run(run)
    with pytest.raises(UsageError, match="finished"):
        catalog.record(run, SUBJECTS[0], samples.acquittal())


def test_the_summary_counts_everything(engine: Engine) -> None:
    catalog = Catalog(engine)
    outcomes = [samples.finding(), samples.acquittal(), _skipped("gated"), _skipped("gated")]
    run = _run(catalog, *outcomes, _skipped("no_weights"))
    summary = catalog.finish_run(run)
    assert (summary.planned, summary.scanned, summary.findings, summary.independent) == (5, 2, 1, 1)
    assert (summary.skipped, summary.skipped_by_reason) == (3, {"gated": 2, "no_weights": 1})
    assert summary.bytes_read == 2 * samples.COVERAGE.bytes_read + 3 * 100
    assert summary.requests == 2 * samples.COVERAGE.requests + 3 * 2
    assert catalog.summary(run) == summary
    assert summary.pending == 0


def test_a_run_with_something_pending_is_incomplete(engine: Engine) -> None:
    catalog = Catalog(engine)
    run = catalog.start_run("nightly", PARAMETERS, SUBJECTS[:2])
    catalog.record(run, SUBJECTS[0], samples.acquittal())
    assert not catalog.finish_run(run).complete


@pytest.mark.parametrize("reason", [*Reason, "a reason nobody knows"])
def test_only_a_harmless_reason_leaves_a_run_complete(reason: str, tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/one.db")
    migrate(engine)
    catalog = Catalog(engine)
    assert catalog.finish_run(_run(catalog, _skipped(str(reason)))).complete == (reason in HARMLESS)


@pytest.mark.parametrize("verdict", Verdict)
def test_an_incomplete_verdict_leaves_a_run_incomplete(engine: Engine, verdict: Verdict) -> None:
    catalog = Catalog(engine)
    run = _run(catalog, samples.finding(verdict=verdict))
    assert catalog.summary(run).complete == (verdict is not Verdict.INCOMPLETE)


def test_an_empty_run_is_complete(engine: Engine) -> None:
    catalog = Catalog(engine)
    assert catalog.finish_run(_run(catalog)).complete


def test_an_unfinished_run_is_found_again(engine: Engine) -> None:
    catalog = Catalog(engine)
    assert catalog.unfinished_run("nightly", PARAMETERS) is None
    run = catalog.start_run("nightly", PARAMETERS, SUBJECTS)
    backwards = dict(reversed(PARAMETERS.items()))
    assert catalog.unfinished_run("nightly", backwards) == run
    assert catalog.unfinished_run("nightly", PARAMETERS | {"budget": "full"}) is None
    assert catalog.unfinished_run("on_demand", PARAMETERS) is None
    catalog.finish_run(run)
    assert catalog.unfinished_run("nightly", PARAMETERS) is None


def test_the_same_commit_judged_by_the_same_is_not_read_again(engine: Engine) -> None:
    catalog = Catalog(engine)
    _run(catalog, samples.finding())
    later = RepoRevision("hf", SUBJECTS[0].repo, SUBJECTS[0].commit, downloads=99)
    assert catalog.earlier(later, *JUDGED_BY) == samples.finding()


@pytest.mark.parametrize("judged_by", [("direct/2", 7, "quick"), (JUDGED_BY[0], 8, "quick"), (JUDGED_BY[0], 7, "full")])
def test_what_was_judged_by_another_is_read_again(engine: Engine, judged_by: tuple[str, int, str]) -> None:
    catalog = Catalog(engine)
    _run(catalog, samples.finding())
    assert catalog.earlier(SUBJECTS[0], *judged_by) is None


def test_another_commit_is_read(engine: Engine) -> None:
    catalog = Catalog(engine)
    _run(catalog, samples.acquittal())
    assert catalog.earlier(samples.revision(SUBJECTS[0].repo, 77), *JUDGED_BY) is None


@pytest.mark.parametrize("reason", [Reason.GATED, *sorted(PASSING)])
def test_what_failed_in_passing_is_tried_again(engine: Engine, reason: Reason) -> None:
    catalog = Catalog(engine)
    _run(catalog, _skipped(reason))
    assert (catalog.earlier(SUBJECTS[0], *JUDGED_BY) is None) == (reason in PASSING)


def test_findings_are_told_by_run_and_in_all(engine: Engine) -> None:
    catalog = Catalog(engine)
    first = _run(catalog, samples.finding(seed=1), samples.acquittal())
    second = _run(catalog, samples.finding(seed=2))
    assert catalog.findings(first) == [samples.finding(seed=1)]
    assert catalog.findings() == [samples.finding(seed=1), samples.finding(seed=2)]
    assert [run.id for run in catalog.runs()] == [second, first]
    assert catalog.runs()[0].parameters == PARAMETERS


def test_there_is_no_run_that_was_not_started(engine: Engine) -> None:
    catalog = Catalog(engine)
    for ask in (catalog.pending, catalog.summary, catalog.finish_run):
        with pytest.raises(UsageError):
            ask(1)


def test_names_of_any_length_and_kind_are_kept(engine: Engine) -> None:
    catalog = Catalog(engine)
    hostile = [RepoRevision("hf", "x" * 5000, "0" * 40), RepoRevision("hf", "a/\0\ud800\x1b[31m", "0" * 40)]
    run = catalog.start_run("nightly", PARAMETERS, hostile)
    assert catalog.pending(run) == hostile
    assert all(catalog.record(run, subject, _skipped("not_found")) for subject in hostile)
    assert catalog.finish_run(run).skipped == 2


def _record_all(arguments: tuple[str, int]) -> int:
    url, run = arguments
    catalog = Catalog(connect(url))
    return sum(catalog.record(run, subject, samples.finding()) for subject in SUBJECTS)


def test_processes_that_record_the_same_record_it_once(engine: Engine) -> None:
    run = Catalog(engine).start_run("nightly", PARAMETERS, SUBJECTS)
    url = engine.url.render_as_string(hide_password=False)
    assert sum(at_once(_record_all, [(url, run)] * 4)) == len(SUBJECTS)
    assert Ledger(engine).verify() == []


def _record_until_killed(url: str, run: int, acknowledged: str) -> None:
    catalog = Catalog(connect(url))
    with open(acknowledged, "a") as told:
        for subject in catalog.pending(run):
            catalog.record(run, subject, samples.finding(subject.repo))
            told.write(f"{subject.repo}\n")
            told.flush()


def test_what_was_acknowledged_survives_a_kill(engine: Engine, tmp_path: Path) -> None:
    catalog, told = Catalog(engine), tmp_path / "acknowledged"
    told.touch()
    planned = [samples.revision(f"someone/{n}", n) for n in range(3000)]
    run = catalog.start_run("nightly", PARAMETERS, planned)
    url = engine.url.render_as_string(hide_password=False)
    child = multiprocessing.get_context("forkserver").Process(target=_record_until_killed, args=(url, run, str(told)))
    child.start()
    while told.stat().st_size < 200:
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    lines = told.read_text().splitlines(keepends=True)
    acknowledged = {line.strip() for line in lines if line.endswith("\n")}
    recorded = {found.subject.repo for found in catalog.findings(run)}
    assert acknowledged <= recorded
    assert len(recorded - acknowledged) <= 1
    assert catalog.unfinished_run("nightly", PARAMETERS) == run
    assert {s.repo for s in catalog.pending(run)} == {s.repo for s in planned} - recorded
    assert Ledger(engine).verify() == []
