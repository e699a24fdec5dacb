"""``kinprint doctor``: what is wrong here, and what to do about it."""

from typing import Annotated

import typer
from rich.table import Table

from flows.commands import Json
from flows.exits import Exit
from flows.settings import Settings
from flows.terminal import answer, printable, working


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    context: typer.Context,
    hub: Annotated[bool, typer.Option("--hub", help="Ask the hub for one line of its listing, too.")] = False,
    as_json: Json = False,
) -> int:
    """Check versions, database, index, ledger, secrets and open ports; exits 2 if something is wrong."""
    settings: Settings = context.obj
    settings.export()
    from flows import health

    with working():
        checks = health.examine(settings, hub)
    table = Table("check", "", "found", "what to do")
    for check in checks:
        table.add_row(check.name, "ok" if check.ok else "WRONG", printable(check.found), check.advice)
    healthy = all(check.ok for check in checks)
    answer({"ok": healthy, "checks": [check.document() for check in checks]}, table, as_json)
    return Exit.CLEAN if healthy else Exit.FAILED
