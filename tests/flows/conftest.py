"""A home for each test; one hub, one Ray session and one Prefect server for those that need them."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from flows.settings import Settings
from flows.wiring import Home
from tests.hub_simulator import Hub, running_hub

# Prefect reads this when it is imported: no test may write to the home of whoever runs it.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="prefect-")
os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"  # the server ends before this process does

ZOO = Path(__file__).parents[1] / "zoo" / "evaluation"
BASE = "northwind-lab/llama-base"
TUNED = "kestrel-works/llama-fine-tune"
TWIN = "southgate-ai/llama-twin"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that the environment names, so that every part of a flow finds the same one."""
    for name in list(os.environ):
        if name.startswith(("KINPRINT_", "HF_")) or name in ("RAY_ADDRESS", "PREFECT_API_URL"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KINPRINT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two workers on loopback; `flows.cluster.session` finds it and leaves it alone."""
    from flows.cluster import session

    with session(Settings(home=tmp_path_factory.mktemp("ray"), workers=2)):
        yield


@pytest.fixture(scope="session")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prefect server on loopback."""
    environment = {
        **os.environ,
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect-server")),
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "3",
    }
    with free_port() as port:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with ended(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)):
        url = f"http://127.0.0.1:{port}/api"
        _wait_for(f"{url}/health")
        yield url


@contextmanager
def free_port() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """The process is gone after the block, whatever happened in it."""
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, seconds: float = 120.0) -> None:
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        try:
            if httpx2.get(url).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.2)
    raise TimeoutError(url)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A mirror, a fine-tune, a twin, and three repositories that nobody can look at."""
    root = tmp_path / "hub"
    for repo, origin in {"mirrors/llama": BASE, TUNED: TUNED, TWIN: TWIN, "closed/gated": TUNED}.items():
        shutil.copytree(ZOO / origin, root / repo)
    (root / "closed/gated/.hub.json").write_text('{"gated": "manual"}')
    for repo in ("open/empty", "open/broken"):
        (root / repo).mkdir(parents=True)
        (root / repo / "README.md").write_text("# Soon\n")
    (root / "open/broken/model.safetensors").write_bytes(b"\xff" * 64)
    with running_hub(root) as running:
        yield running


@pytest.fixture
def wiring(home: Path, hub: Hub, prefect_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home whose hub is the small one, with one model in its register."""
    monkeypatch.setenv("KINPRINT_HF_ENDPOINT", hub.url)
    monkeypatch.setenv("KINPRINT_BATCH_SIZE", "4")
    from flows.enrol import enrol

    with prefect_at(prefect_url):
        enrol(str(ZOO / BASE), "Base", "Owner")
        yield Home(Settings())


@contextmanager
def prefect_at(url: str) -> Iterator[None]:
    """Flows of this process report to that server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}):
        yield
