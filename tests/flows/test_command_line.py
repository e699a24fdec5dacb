"""The command line: one document on standard output, and an exit code that a script can trust."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.exits import Exit
from flows.settings import Settings
from flows.wiring import Home
from scanners.records import Verdict
from tests.flows.subjects import finding, revision


@dataclass(frozen=True)
class Kinprint:
    """The command in this process: its imports take longer than most commands."""

    monkeypatch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        self.capture.readouterr()
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["kinprint", *arguments])
            patch.setattr(sys, "excepthook", sys.excepthook)
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as left:
                main()
        output, error = self.capture.readouterr()
        return int(str(left.value.code)), output, error

    def document(self, *arguments: str) -> Any:
        """What a command that succeeds prints as JSON."""
        code, output, _ = self(*arguments, "--json")
        assert code == 0
        return json.loads(output)


@pytest.fixture
def kinprint(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Kinprint:
    return Kinprint(monkeypatch, capfd)


def process(*arguments: str) -> tuple[int, str, str]:
    """The same as a process of its own."""
    command = [sys.executable, "-m", "flows", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("scan",),
        ("scan", "hf://a/b", "--budget", "enormous"),
        ("scan", "/no/such/folder"),
        ("scan", "hf://a/b/c"),
        ("nightly", "--limit", "0"),
        ("register", "hf://a/b"),
        ("review", "decide", "1"),
        ("review", "show", "1"),
    ],
)
def test_a_usage_error_is_four_and_says_what_is_wrong(kinprint: Kinprint, arguments: tuple[str, ...]) -> None:
    code, output, error = kinprint(*arguments)
    assert code == Exit.USAGE
    assert output == ""
    assert error.startswith("kinprint: ")
    assert "Traceback" not in error


def test_a_wrong_setting_is_a_usage_error_too(kinprint: Kinprint) -> None:
    code, _, error = kinprint("findings", KINPRINT_WORKERS="many")
    assert code == Exit.USAGE
    assert "workers" in error


def test_with_json_an_error_is_a_document(kinprint: Kinprint, home: Path) -> None:
    code, output, _ = kinprint("scan", "/no/such/folder", "--json")
    assert code == Exit.USAGE
    assert json.loads(output)["error"]["type"] == "UsageError"


def test_help_needs_no_home(kinprint: Kinprint, home: Path) -> None:
    code, output, _ = process("scan", "--help")
    assert code == 0
    assert "--fail-on" in output
    assert not home.exists()


def test_an_error_nobody_foresaw_is_two_never_one(kinprint: Kinprint, home: Path) -> None:
    home.write_text("a file where the home should be")
    code, output, _ = process("findings", "--json")
    assert code == Exit.FAILED
    assert "error" in json.loads(output)


def test_findings_are_one_and_no_findings_zero(kinprint: Kinprint, home: Path) -> None:
    assert kinprint("findings")[0] == Exit.CLEAN
    _record(home)
    code, output, _ = kinprint("findings", "--json")
    assert code == Exit.FOUND
    assert json.loads(output)["findings"][0]["subject"]["repo"] == "owner/copy"
    assert kinprint("findings", "--fail-on", "exact")[0] == Exit.CLEAN


def test_a_case_is_listed_shown_and_decided(kinprint: Kinprint, home: Path) -> None:
    _record(home)
    listed = kinprint.document("review", "list")["cases"]
    assert [case["repo"] for case in listed] == ["owner/copy"]
    assert kinprint("review", "decide", "1", "--outcome", "independent", "--reason", "common_base")[0] == 0
    shown = kinprint.document("review", "show", "1")
    assert shown["status"] == "closed"
    assert shown["activities"][-1]["reasons"] == ["common_base"]
    assert kinprint.document("review", "list", "--status", "open")["cases"] == []


def test_an_outcome_that_accuses_waits_for_a_second_reviewer(kinprint: Kinprint, home: Path) -> None:
    _record(home)
    decision = ("review", "decide", "1", "--outcome", "confirmed_copy", "--reason", "exact_hash", "--json")
    assert json.loads(kinprint(*decision, KINPRINT_ACTOR="ann")[1])["status"] == "pending_second_review"
    assert kinprint(*decision, KINPRINT_ACTOR="ann")[0] == Exit.USAGE
    assert json.loads(kinprint(*decision, KINPRINT_ACTOR="bob")[1])["status"] == "closed"


def test_tables_are_for_people(kinprint: Kinprint, home: Path) -> None:
    _record(home)
    for arguments in (("findings",), ("review", "list"), ("review", "show", "1")):
        assert "owner/copy" in kinprint(*arguments)[1]


def _record(home: Path) -> None:
    """One finding and its case, as a run leaves them."""
    wiring, subject = Home(Settings(home=home)), revision("owner/copy")
    run_id = wiring.catalog.start_run("scan", {}, [subject])
    found = finding(subject, Verdict.STRONG)
    wiring.cases.open(found)
    wiring.catalog.record(run_id, subject, found)
    wiring.catalog.finish_run(run_id)
