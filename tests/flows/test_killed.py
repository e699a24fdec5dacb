"""Whatever is killed, the next run finishes the rest: nothing twice, nothing lost, nothing left behind."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from ray.cluster_utils import Cluster

from flows.wiring import Home
from scanners.errors import Reason
from scanners.records import Skipped
from tests.flows.conftest import ended
from tests.flows.subjects import by_repo
from tests.hub_simulator import Hub

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("ray_session")]

REPOSITORIES = 6
COMMAND = [sys.executable, "-m", "flows", "nightly", "--json"]


@pytest.fixture(autouse=True)
def slow_night(wiring: Home, hub: Hub, prefect_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two repositories at a time, and the hub takes its time with each."""
    monkeypatch.setenv("KINPRINT_PREFECT_API_URL", prefect_url)
    monkeypatch.setenv("KINPRINT_IN_FLIGHT", "2")
    hub.control.misbehave("silence", on="tree", seconds=3.0)


@contextmanager
def night() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with ended(process):
        yield process


def until(true: Callable[[], object], seconds: float = 120.0) -> None:
    stop = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < stop, "it never came to pass"
        time.sleep(0.1)


def recorded(wiring: Home) -> int:
    runs = wiring.catalog.runs()
    return len(wiring.outcomes(runs[0].id)) if runs else 0


def test_a_killed_driver_is_carried_on(wiring: Home, hub: Hub) -> None:
    with night() as process:
        until(lambda: recorded(wiring) >= 2)
        family = psutil.Process(process.pid).children(recursive=True)
        working = [child for child in family if not child.name().endswith("Agent")]  # those follow in a minute
        process.kill()
    _, alive = psutil.wait_procs(working, timeout=30)
    assert alive == []
    [run] = wiring.catalog.runs()
    before = wiring.outcomes(run.id)
    assert 2 <= len(before) < REPOSITORIES
    hub.control.behave()
    with night() as process:
        document = json.loads(process.communicate(timeout=300)[0])
    after = wiring.outcomes(run.id)
    assert document["run"] == run.id
    assert after[: len(before)] == before
    assert len(after) == len(by_repo(after)) == REPOSITORIES
    assert len(wiring.cases.list()) == 2


def test_a_killed_worker_costs_its_subject_nothing(wiring: Home) -> None:
    with night() as process:
        until(lambda: _workers(process.pid))
        _workers(process.pid)[0].kill()
        document = json.loads(process.communicate(timeout=300)[0])
    assert_whole(wiring, document["run"])


def test_a_killed_node_costs_its_subjects_nothing(
    wiring: Home, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two_nodes(tmp_path_factory, monkeypatch) as cluster:
        monkeypatch.setenv("KINPRINT_RAY_ADDRESS", cluster.address)
        with night() as process:
            until(lambda: recorded(wiring) >= 2)
            cluster.worker_nodes.copy().pop().kill_raylet()
            document = json.loads(process.communicate(timeout=300)[0])
    assert_whole(wiring, document["run"])


def assert_whole(wiring: Home, run_id: int) -> None:
    outcomes = wiring.outcomes(run_id)
    assert len(outcomes) == len(by_repo(outcomes)) == REPOSITORIES
    died = [o for o in outcomes if isinstance(o, Skipped) and o.reason == Reason.WORKER_DIED]
    assert died == []


def _workers(pid: int) -> list[psutil.Process]:
    """The processes that look at a repository now; Ray gives them their task's name."""
    family = psutil.Process(pid).children(recursive=True)
    return [child for child in family if "examine_one" in " ".join(child.cmdline())]


@contextmanager
def two_nodes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A Ray cluster of two nodes with a core each, on loopback."""
    folder = Path(tmp_path_factory.mktemp("r"))
    (folder / "ray").mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    size = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    try:
        cluster.add_node(**size)
        yield cluster
    finally:
        cluster.shutdown()
