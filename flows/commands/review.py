"""``kinprint review``: what people were asked, and what they answered."""

from typing import Annotated

import typer

from flows.commands import Json
from flows.settings import Settings
from flows.terminal import answer

app = typer.Typer(no_args_is_help=True)

CaseId = Annotated[int, typer.Argument(help="As `kinprint review list` shows it.")]


@app.command("list")
def list_cases(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="open, assigned, closed, ...; all without it")] = None,
    as_json: Json = False,
) -> int:
    """The cases, the strongest first."""
    from flows import case_report
    from flows.wiring import Home

    lines = [case_report.line(case) for case in Home(_settings(context)).cases.list(status)]
    answer({"cases": lines}, case_report.table(lines), as_json)
    return 0


@app.command()
def show(context: typer.Context, case: CaseId, as_json: Json = False) -> int:
    """One case: its findings with their evidence, and everything that was done to it."""
    from flows import case_report
    from flows.wiring import Home

    cases = Home(_settings(context)).cases
    document = case_report.whole(cases.get(case), cases.activities(case))
    answer(document, case_report.page(document), as_json)
    return 0


@app.command()
def decide(
    context: typer.Context,
    case: CaseId,
    outcome: Annotated[str, typer.Option(help="confirmed_copy, independent, authorised, ...")],
    reason: Annotated[list[str], typer.Option(help="exact_hash, weight_sketch, ...; once or more")],
    note: Annotated[str, typer.Option(help="For whoever reads it later.")] = "",
    as_json: Json = False,
) -> int:
    """Decide a case as KINPRINT_ACTOR, with reasons; an outcome that accuses needs two people."""
    from flows import case_report
    from flows.wiring import Home

    settings = _settings(context)
    decided = Home(settings).cases.decide(case, outcome, reason, settings.actor, note)
    document = case_report.line(decided)
    answer(document, f"case {case}: {document['status']}", as_json)
    return 0


def _settings(context: typer.Context) -> Settings:
    settings: Settings = context.obj
    settings.export()
    return settings
