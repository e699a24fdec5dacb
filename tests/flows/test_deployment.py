"""The installed versions together: a deployment is made, scheduled and run. Wrong pins break only this."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun

from flows.wiring import Home
from tests.flows.conftest import prefect_at

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("ray_session")]

CHECKOUT = Path(__file__).parents[2]
FILE = CHECKOUT / "infra" / "prefect.yaml"


def prefect(url: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "prefect", *arguments]
    environment = {**os.environ, "PREFECT_API_URL": url}
    subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, timeout=240, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def deployed(prefect_url: str) -> str:
    prefect(prefect_url, "work-pool", "create", "local", "--type", "process", "--overwrite")
    prefect(prefect_url, "--no-prompt", "deploy", "--all", "--prefect-file", str(FILE))
    return prefect_url


def flow_runs(url: str, state: str) -> list[FlowRun]:
    async def ask() -> list[FlowRun]:
        wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": [state]}}})
        async with get_client() as client:
            return await client.read_flow_runs(flow_run_filter=wanted)

    with prefect_at(url):
        return asyncio.run(ask())


def test_the_cron_schedule_produces_runs(deployed: str) -> None:
    stop = time.monotonic() + 90
    while not (runs := flow_runs(deployed, "SCHEDULED")):
        assert time.monotonic() < stop, "the scheduler never scheduled: are fastapi and sqlalchemy as pinned?"
        time.sleep(0.5)
    assert {(run.expected_start_time.hour, run.expected_start_time.minute) for run in runs} == {(2, 0)}


def test_a_worker_runs_the_deployment(deployed: str, wiring: Home) -> None:
    prefect(deployed, "deployment", "run", "nightly/nightly", "--param", "limit=2")
    prefect(deployed, "worker", "start", "--pool", "local", "--run-once", "--limit", "1")
    [run] = wiring.catalog.runs()
    stop = time.monotonic() + 120
    while wiring.catalog.runs()[0].finished_at is None:
        assert time.monotonic() < stop
        time.sleep(0.5)
    assert len(wiring.outcomes(run.id)) == 2
