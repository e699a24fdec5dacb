"""``kinprint findings``: everything on record that resembles a registered model."""

import typer

from flows import exits
from flows.commands import FailOnOption, Json
from flows.settings import Settings
from flows.terminal import answer


def add_to(app: typer.Typer) -> None:
    app.command()(findings)


def findings(context: typer.Context, fail_on: FailOnOption = "suspected", as_json: Json = False) -> int:
    """List the findings of all runs so far; exits 1 if there are any."""
    settings: Settings = context.obj
    settings.export()
    from flows import report
    from flows.wiring import Home

    home = Home(settings)
    known = list(home.catalog.findings())
    document = {"findings": report.document(known, home.case_ids(known))["findings"]}
    answer(document, report.findings_table(document["findings"]), as_json)
    return exits.Exit.FOUND if exits.found(known, fail_on) else exits.Exit.CLEAN
