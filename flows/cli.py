"""``kinprint``: the command line. Its exit codes are in `flows.exits`.

Each command is a thin layer over a flow or over the index; the modules of `flows.commands` hold them by
subject. Heavy imports happen inside the commands, after the settings have prepared the environment.
"""

import json
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from flows import exits
from flows.commands import demo, doctor, findings, register, review, scan
from flows.settings import Settings
from flows.terminal import note
from scanners.errors import KinprintError, UsageError

EPILOG = (
    "Exit codes: 0 complete and nothing found; 1 complete with findings; 2 failed or incomplete, "
    "findings or not; 3 nothing scannable; 4 usage error."
)

app = typer.Typer(
    name="kinprint",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=EPILOG,
    help="Tells the owners of a model when a checkpoint on a public hub was made from their weights.",
)


@app.callback()
def prepare(
    context: typer.Context,
    home: Annotated[Path | None, typer.Option(help="Where everything is kept.", show_default=False)] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Logs on standard error.")] = False,
) -> None:
    """Settings come from the environment (KINPRINT_...); these options may stand anywhere."""
    settings = Settings(home=home) if home else Settings()
    context.obj = settings.model_copy(update={"verbose": True}) if verbose else settings


for module in (demo, register, scan, findings, doctor):
    module.add_to(app)
app.add_typer(review.app, name="review", help="Cases: what people were asked, and what they answered.")


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    sys.excepthook = _unexpected
    try:
        command = typer.main.get_command(app)  # an app would set a hook of its own
        code = command(args=_common_first(sys.argv[1:]), standalone_mode=False)
    except ValidationError as error:
        code = _refuse(exits.Exit.USAGE, "UsageError", _settings_errors(error))
    except (typer.TyperException, UsageError) as error:
        code = _refuse(exits.Exit.USAGE, "UsageError", str(error))
    except KinprintError as error:
        code = _refuse(exits.Exit.FAILED, type(error).__name__, str(error))
    sys.exit(int(code or 0))


def _common_first(arguments: list[str]) -> list[str]:
    """--home and --verbose may stand anywhere: the parser wants them before the command."""
    common, rest = [], []
    words = iter(arguments)
    for word in words:
        if word == "--home":
            common += [word, *[value for value in [next(words, None)] if value is not None]]
        elif word == "--verbose" or word.startswith("--home="):
            common.append(word)
        else:
            rest.append(word)
    return common + rest


def _refuse(code: exits.Exit, kind: str, message: str) -> exits.Exit:
    """Say why there is no answer; with --json as a document, because something waits for one."""
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"error": {"type": kind, "message": message}}) + "\n")
    note(f"kinprint: {message}")
    return code


def _settings_errors(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())


def _unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error nobody foresaw means "failed", 2; Python's own 1 would say "findings"."""
    traceback.print_exception(kind, error, trace)
    raise SystemExit(int(_refuse(exits.Exit.FAILED, kind.__name__, str(error))))
