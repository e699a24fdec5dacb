"""The whole way on one machine: a hub of about thirty repositories on loopback, scanned in one night.

It needs the source checkout, because the hub is built from the tests' tiny trained models.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.settings import Settings
from scanners.errors import UsageError
from scanners.records import Acquittal, Finding, Outcome, Verdict

CHECKOUT = Path(__file__).resolve().parent.parent
REGISTERED = {"Northwind Llama": "northwind-lab/llama-base", "Northwind GPT-2": "northwind-lab/gpt2-base"}
OWNER = "Northwind Lab"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the demonstration came to: the night's run, and which repositories came out other than built."""

    run_id: int
    wrong: tuple[str, ...]


def show(settings: Settings) -> Shown:
    """Build the hub, register two models, scan the night; raises UsageError outside a source checkout."""
    if not (CHECKOUT / "tests" / "zoo_hub.py").is_file():
        raise UsageError("the demo needs the source checkout: its hub is built from tests/zoo")
    hub = settings.home / "hub"
    expected = _build(hub)
    with _serving(hub) as url:
        here = settings.model_copy(update={"hf_endpoint": url, "hf_token": None})
        here.export()
        from flows.cluster import session
        from flows.enrol import enrol
        from flows.nightly import nightly
        from flows.wiring import Home

        with session(here):
            for name, folder in REGISTERED.items():
                enrol(str(CHECKOUT / "tests" / "zoo" / "evaluation" / folder), name, OWNER)
            run_id = nightly()
        return Shown(run_id, tuple(_wrong(expected, Home(here).outcomes(run_id))))


def _build(hub: Path) -> dict[str, str]:
    """Repository -> what it is: "derived", "stranger" or "unreadable"."""
    listing = hub.with_suffix(".json")
    command = [sys.executable, "-m", "tests.zoo_hub", "--root", str(hub), "--listing", str(listing)]
    subprocess.run(command, cwd=CHECKOUT, check=True, stdout=sys.stderr)  # noqa: S603 - our own module
    return dict(json.loads(listing.read_text()))


@contextmanager
def _serving(hub: Path) -> Iterator[str]:
    """The hub's address while it runs as a process of its own, which ends with this one."""
    command = [sys.executable, "-m", "tests.hub_simulator", "--root", str(hub), "--exit-with-parent"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=CHECKOUT, stdin=pipe, stdout=pipe, text=True)  # noqa: S603
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def _wrong(expected: dict[str, str], outcomes: list[Outcome]) -> Iterator[str]:
    seen = {_repo(outcome): _kind(outcome) for outcome in outcomes}
    for repo, kind in expected.items():
        if seen.get(repo) != kind:
            yield f"{repo} is {kind} and came out {seen.get(repo, 'not at all')}"


def _repo(outcome: Outcome) -> str:
    if isinstance(outcome, Finding | Acquittal):
        return outcome.subject.repo
    return outcome.source.removeprefix("hf://").partition("@")[0]


def _kind(outcome: Outcome) -> str:
    if isinstance(outcome, Finding):
        return "derived" if outcome.verdict is not Verdict.WEAK else "weak"
    return "stranger" if isinstance(outcome, Acquittal) else "unreadable"
