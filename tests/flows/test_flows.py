"""The nights of one small hub: everything planned has one outcome, and nothing is looked at twice."""

import shutil
from pathlib import Path

import pytest

from flows.enrol import enrol
from flows.nightly import nightly
from flows.on_demand import scan
from flows.wiring import Home
from scanners.errors import Reason, UsageError
from scanners.records import Acquittal, Finding, Outcome, Skipped, Verdict
from tests.flows.conftest import BASE, TUNED, TWIN, ZOO, prefect_at
from tests.flows.subjects import by_repo
from tests.hub_simulator import Hub

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("ray_session")]


def test_a_night_gives_each_repository_its_outcome(wiring: Home) -> None:
    outcomes = wiring.outcomes(nightly())
    found = by_repo(outcomes)
    assert len(outcomes) == len(found) == 6
    assert _verdict(found["mirrors/llama"]) is Verdict.EXACT
    assert _verdict(found[TUNED]) in (Verdict.STRONG, Verdict.SUSPECTED)
    assert isinstance(found[TWIN], Acquittal)
    assert _reason(found["closed/gated"]) == Reason.GATED
    assert _reason(found["open/broken"]) == Reason.MALFORMED_HEADER
    assert _reason(found["open/empty"]) == Reason.NO_WEIGHTS
    assert {case.repo for case in wiring.cases.list()} == {"mirrors/llama", TUNED}


def test_the_next_night_reads_no_weight_again(wiring: Home, hub: Hub) -> None:
    first = wiring.outcomes(nightly())
    hub.control.reset_counters()
    second = wiring.outcomes(nightly())
    assert by_repo(first) == by_repo(second)
    assert set(hub.control.counters()["requests"]) <= {"listing", "tree"}  # the tree for the findings' hashes
    assert len(wiring.cases.list()) == 2


def test_what_changed_is_looked_at_the_next_night(wiring: Home, hub: Hub, tmp_path: Path) -> None:
    nightly()
    shutil.copytree(ZOO / BASE, tmp_path / "hub" / "late/arrival")
    outcome = by_repo(wiring.outcomes(nightly()))["late/arrival"]
    assert _verdict(outcome) is Verdict.EXACT


def test_a_register_that_grew_is_asked_anew(wiring: Home) -> None:
    before = by_repo(wiring.outcomes(nightly()))
    enrol(str(ZOO / TWIN), "Twin", "Owner")
    after = by_repo(wiring.outcomes(nightly()))
    assert isinstance(before[TWIN], Acquittal)
    assert _verdict(after[TWIN]) is Verdict.EXACT


def test_a_hub_that_is_busy_is_asked_again_the_next_night(wiring: Home, hub: Hub) -> None:
    hub.control.misbehave("server_error", repo=TUNED, on="tree")
    missed = by_repo(wiring.outcomes(nightly()))[TUNED]
    assert _reason(missed) == Reason.SERVER_ERROR
    hub.control.behave()
    assert isinstance(by_repo(wiring.outcomes(nightly()))[TUNED], Finding)


def test_a_limit_limits(wiring: Home) -> None:
    assert len(wiring.outcomes(nightly(limit=2))) == 2


def test_sources_of_several_roots_are_scanned_at_once(wiring: Home) -> None:
    scanned = scan(["hf://mirrors/llama", str(ZOO / "southgate-ai" / "llama-twin"), "hf://no/such"], "quick")
    outcomes = [outcome for run in scanned.runs for outcome in wiring.outcomes(run)]
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Acquittal", "Finding"]
    assert [skipped.reason for skipped in scanned.unresolved] == [Reason.NOT_FOUND.value]


def test_a_tree_of_folders_is_scanned_whole(wiring: Home) -> None:
    [run] = scan([str(ZOO)]).runs
    assert set(by_repo(wiring.outcomes(run))) == {str(path.relative_to(ZOO)) for path in ZOO.glob("*/*")}


def test_nothing_is_scanned_against_an_empty_register(home: Path, prefect_url: str) -> None:
    with prefect_at(prefect_url), pytest.raises(UsageError, match="register"):
        nightly()


def test_one_model_is_registered_at_a_time(home: Path, prefect_url: str) -> None:
    with prefect_at(prefect_url), pytest.raises(UsageError, match="one model"):
        enrol(str(ZOO), "Everything", "Owner")


def _verdict(outcome: Outcome) -> Verdict:
    assert isinstance(outcome, Finding), outcome
    return outcome.verdict


def _reason(outcome: Outcome) -> str:
    assert isinstance(outcome, Skipped), outcome
    return outcome.reason
