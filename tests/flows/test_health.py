"""The doctor says what is wrong, and what to do about it."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from flows import health
from flows.health import Check
from flows.settings import Settings
from flows.wiring import Home
from tests.flows.subjects import finding, revision

LISTENS_TO_ALL = """
import socket, time
server = socket.create_server(("", 0))
print(server.getsockname()[1], flush=True)
time.sleep(60)
"""


def checks(home: Path, hub: bool = False) -> dict[str, Check]:
    return {check.name: check for check in health.examine(Settings(home=home), hub)}


def test_the_pins_that_keep_prefect_alive_hold_here(home: Path) -> None:
    found = checks(home)
    assert all(found[name].ok for name in health.FRAGILE)


def test_an_empty_register_is_wrong_and_says_how_to_fill_it(home: Path) -> None:
    check = checks(home)["register"]
    assert not check.ok
    assert "kinprint register" in check.advice


def test_a_secret_that_others_read_is_wrong(home: Path) -> None:
    Settings(home=home).key_bytes()
    assert checks(home)["key"].ok
    (home / "key").chmod(0o644)
    check = checks(home)["key"]
    assert not check.ok
    assert check.advice.startswith("chmod 600")


def test_a_database_out_of_reach_is_wrong_and_stops_nothing(home: Path) -> None:
    settings = Settings(home=home, database_url="postgresql://127.0.0.1:1/nothing")
    found = {check.name: check for check in health.examine(settings, hub=False)}
    assert not found["database"].ok
    assert found["listeners"]


def test_an_altered_ledger_is_noticed(home: Path) -> None:
    wiring, subject = Home(Settings(home=home)), revision("owner/copy")
    wiring.cases.open(finding(subject))
    assert checks(home)["ledger"].ok
    with wiring.engine.begin() as connection:
        for trigger in connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            connection.execute(text(f"DROP TRIGGER {trigger}"))
        connection.execute(text("UPDATE ledger SET entry = replace(entry, 'copy', 'kopy')"))
    assert not checks(home)["ledger"].ok


def test_a_server_that_listens_to_the_world_is_noticed(home: Path) -> None:
    script = (
        "import socket, time; s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, "raylet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        check = checks(home)["listeners"]
        process.kill()
    assert not check.ok
    assert f":{port}" in check.found


def test_a_hub_that_does_not_answer_is_wrong(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    settings = Settings(home=home, hf_endpoint=f"http://127.0.0.1:{port}", request_timeout_seconds=1)
    assert not {check.name: check for check in health.examine(settings, hub=True)}["hub"].ok


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback_is_loopback_however_it_is_written(address: str, loopback: bool) -> None:
    assert health._is_loopback(address) is loopback
