"""The commands by subject, and the options they share."""

from typing import Annotated

import typer

from flows.exits import FailOn
from flows.settings import Budget

Json = Annotated[bool, typer.Option("--json", help="Exactly one JSON document on standard output.")]
BudgetOption = Annotated[
    Budget | None,
    typer.Option("--budget", help="How much of a checkpoint may be read.", show_default="standard"),
]
FailOnOption = Annotated[FailOn, typer.Option("--fail-on", help="The weakest verdict that exits 1.")]
