"""The same night comes to the same result in one process tree and on servers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import BASE, ZOO
from tests.flows.test_killed import two_nodes
from tests.hub_simulator import Hub
from tests.postgres import Postgres

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("ray_session")]


def command(home: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """What a command of a process of its own prints with --json."""
    line = [sys.executable, "-m", "flows", "--home", str(home), *arguments, "--json"]
    done = subprocess.run(line, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=400)
    print(done.stderr[-4000:])
    return dict(json.loads(done.stdout))


def night(home: Path, hub: Hub, **environment: str) -> dict[str, Any]:
    """Register one model, scan the hub, and keep of the document what does not count runs and cases."""
    home.mkdir()
    (home / "key").write_text("5a" * 32)  # the same projections for all
    (home / "key").chmod(0o600)
    command(home, "register", str(ZOO / BASE), "--name", "Base", **environment)
    document = command(home, "nightly", KINPRINT_HF_ENDPOINT=hub.url, **environment)
    del document["run"]
    for finding in document["findings"]:
        assert finding.pop("case") is not None
    by_name = {"findings": _subject, "independent": _subject, "skipped": lambda line: line["source"]}
    return document | {name: sorted(document[name], key=key) for name, key in by_name.items()}


def _subject(line: dict[str, Any]) -> str:
    return str(line["subject"]["repo"])


def test_embedded_and_served_say_the_same(
    home: Path,
    hub: Hub,
    prefect_url: str,
    postgres_server: Postgres,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embedded = night(tmp_path / "embedded", hub)
    with two_nodes(tmp_path_factory, monkeypatch) as cluster:
        served = night(
            tmp_path / "served",
            hub,
            KINPRINT_DATABASE_URL=postgres_server.create("served"),
            KINPRINT_PREFECT_API_URL=prefect_url,
            KINPRINT_RAY_ADDRESS=cluster.address,
        )
    assert {finding["subject"]["repo"] for finding in embedded["findings"]} == {
        "mirrors/llama",
        "kestrel-works/llama-fine-tune",
    }
    assert [line["subject"]["repo"] for line in embedded["independent"]] == ["southgate-ai/llama-twin"]
    assert not (tmp_path / "served" / "kinprint.db").exists()
    assert served == embedded
