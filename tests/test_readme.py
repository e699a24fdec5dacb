"""The README tells the truth: its commands parse, its links lead somewhere, its exit codes are those of the code."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from flows.cli import app
from flows.exits import Exit
from scanners.calibration import shipped

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^(?:pip install uv && )?uv run kinprint (.+)$", README, re.MULTILINE)
LINKS = re.findall(r"\]\(([^)#]+)\)", README)


def test_two_commands_do_all_the_set_up() -> None:
    assert re.findall(r"^pip install uv && (.+)$", README, re.MULTILINE) == ["uv run kinprint demo", "uv run pytest"]


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_is_understood(line: str) -> None:
    group = typer.main.get_command(app)
    words = shlex.split(line, comments=True)
    context = group.make_context("kinprint", words[:1])
    name, command, _ = group.resolve_command(context, words[:1])
    while hasattr(command, "resolve_command"):
        words = words[1:]
        name, command, _ = command.resolve_command(context, words[:1])
    assert command.make_context(name, words[1:], parent=context).command is command


@pytest.mark.parametrize("link", LINKS)
def test_each_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_exit_codes_are_those_of_the_code() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d) \|", README, re.MULTILINE)] == sorted(Exit)


def test_the_rates_are_those_that_were_measured() -> None:
    missed, derived = shipped().derived_missed, shipped().derived
    found = " / ".join(str(derived - missed[budget]) for budget in ("quick", "standard", "full"))
    assert f"{found} of {derived} | 0 of {shipped().unrelated_pairs}" in README
