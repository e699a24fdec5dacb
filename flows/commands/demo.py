"""``kinprint demo``: see it work on a hub of its own."""

import tempfile
from pathlib import Path

import typer
from rich.console import Group

from flows.commands import Json
from flows.exits import Exit
from flows.settings import Settings
from flows.terminal import answer, note, working


def add_to(app: typer.Typer) -> None:
    app.command()(demo)


def demo(context: typer.Context, as_json: Json = False) -> int:
    """Scan a loopback hub of about thirty repositories; exits 0 if each came out as it was made."""
    settings: Settings = context.obj
    home = settings.home if "home" in settings.model_fields_set else Path(tempfile.mkdtemp(prefix="kinprint-"))
    settings = settings.model_copy(update={"home": home, "database_url": ""})
    note(f"A hub of tiny models is built and served under {home}; this takes about a minute.")
    settings.export()
    from flows import demo as demonstration
    from flows import report
    from flows.wiring import Home

    with working():
        shown = demonstration.show(settings)
        wiring = Home(settings)
        outcomes = wiring.outcomes(shown.run_id)
        document = {**report.document(outcomes, wiring.case_ids(outcomes)), "run": shown.run_id}
    next_steps = f"Next: kinprint --home {home} review list, review show 1, findings, doctor"
    wrong = list(shown.wrong)
    answer({**document, "wrong": wrong}, Group(report.tables(document), *wrong, next_steps), as_json)
    return Exit.FAILED if wrong else Exit.CLEAN
