"""curl, the client's own command line, and the simulator's: processes that know nothing of each other."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.hub_simulator import Hub, running_hub

CONTENT = bytes(range(256)) * 64


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "hub" / "owner" / "name"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(CONTENT)
    (folder / "config.json").write_text("{}")
    return tmp_path / "hub"


@pytest.fixture
def hub(root: Path) -> Iterator[Hub]:
    with running_hub(root) as hub:
        yield hub


def curl(*arguments: str) -> bytes:
    return subprocess.run(["curl", "-sS", *arguments], capture_output=True, check=True, timeout=20).stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_follows_to_the_storage_and_gets_the_range(hub: Hub) -> None:
    address = f"{hub.url}/owner/name/resolve/main/model.safetensors"
    assert curl("-L", "-r", "100-199", address) == CONTENT[100:200]
    headers = curl("-I", address).decode().lower()
    assert "302" in headers.splitlines()[0]
    assert f"x-linked-size: {len(CONTENT)}" in headers
    assert f"location: {hub.cdn_url}" in headers


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_sees_a_reset_as_an_error(hub: Hub) -> None:
    hub.control.misbehave("reset", on="cdn")
    with pytest.raises(subprocess.CalledProcessError):
        curl("-L", f"{hub.url}/owner/name/resolve/main/model.safetensors")


def test_the_command_line_of_the_client_downloads(hub: Hub, tmp_path: Path) -> None:
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    places = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    command = Path(sys.executable).with_name("hf")
    arguments = ["download", "owner/name", "--local-dir", str(tmp_path / "out")]
    subprocess.run(
        [command, *arguments],
        env={**os.environ, **quiet, **places},
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == CONTENT


def test_the_simulator_runs_as_a_process_and_ends_with_its_parent(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.hub_simulator", "--root", str(root), "--exit-with-parent"]
    command += ["--port-file", str(tmp_path / "port")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url == f"http://127.0.0.1:{(tmp_path / 'port').read_text()}"
    assert urlopen(f"{url}/owner/name/resolve/main/config.json").read() == b"{}"
    orders = json.dumps({"misbehave": {"kind": "server_error", "times": 1}}).encode()
    assert json.load(urlopen(Request(f"{url}/_control", data=orders)))["requests"] == {"resolve": 1}
    process.stdin.close()
    assert process.wait(timeout=10) == 0


def test_an_unknown_switch_is_refused(hub: Hub) -> None:
    with pytest.raises(ValueError, match="no such misbehaviour"):
        hub.control.misbehave("fly")
