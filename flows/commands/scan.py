"""``kinprint scan`` and ``kinprint nightly``: look at what was named, or at what changed."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from flows import exits, places
from flows.commands import BudgetOption, FailOnOption, Json
from flows.settings import Settings
from flows.terminal import answer, working


def add_to(app: typer.Typer) -> None:
    app.command()(scan)
    app.command()(nightly)


def scan(
    context: typer.Context,
    sources: Annotated[list[str], typer.Argument(help="hf://owner/name[@revision], a folder, or file://...")],
    budget: BudgetOption = None,
    fail_on: FailOnOption = "suspected",
    as_json: Json = False,
) -> int:
    """Compare checkpoints with the register; a folder may be one repository or a tree of owner/name."""
    settings: Settings = context.obj
    for source in sources:
        places.parse(source)
    settings.export()
    from flows.wiring import Home

    home = Home(settings)
    home.snapshot()
    from flows import on_demand, report

    with working():
        scanned = on_demand.scan(sources, budget)
        outcomes = [outcome for run in scanned.runs for outcome in home.outcomes(run)]
        document = report.document([*outcomes, *scanned.unresolved], home.case_ids(outcomes))
    answer(document, report.tables(document), as_json)
    return exits.of([*outcomes, *scanned.unresolved], fail_on)


def nightly(
    context: typer.Context,
    since: Annotated[datetime | None, typer.Option(help="List from this moment (UTC) on.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many repositories.")] = None,
    budget: BudgetOption = None,
    fail_on: FailOnOption = "suspected",
    as_json: Json = False,
) -> int:
    """Scan what changed on the hub since the last night; an interrupted night is carried on."""
    settings: Settings = context.obj
    settings.export()
    from flows.wiring import Home

    home = Home(settings)
    home.snapshot()
    from flows import nightly as night
    from flows import report

    with working():
        run = night.nightly(since.replace(tzinfo=UTC) if since else None, limit, budget)
        outcomes = home.outcomes(run)
        document = {**report.document(outcomes, home.case_ids(outcomes)), "run": run}
    answer(document, report.tables(document), as_json)
    return exits.of(outcomes, fail_on)
