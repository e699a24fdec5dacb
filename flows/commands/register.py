"""``kinprint register``: a model to watch over, or a public ancestor that many descend from."""

from typing import Annotated

import typer

from flows.commands import Json
from flows.settings import Role, Settings
from flows.terminal import answer, working


def add_to(app: typer.Typer) -> None:
    app.command()(register)


def register(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="hf://owner/name[@revision], or a checkpoint's folder")],
    name: Annotated[str, typer.Option(help="What findings will call it.")],
    owner: Annotated[str, typer.Option(help="Who it belongs to.", show_default="you")] = "",
    role: Annotated[
        Role, typer.Option(help="An ancestor is public: what descends from it is no finding.")
    ] = "protected",
    as_json: Json = False,
) -> int:
    """Fingerprint a checkpoint and add it to the register; no weight is kept."""
    settings: Settings = context.obj
    settings.export()
    from flows.enrol import enrol
    from flows.wiring import Home

    with working():
        model = enrol(source, name, owner, role)
        version = Home(settings).register.version()
    document = {"id": model, "name": name, "role": role, "register_version": version}
    answer(document, f"{name} is registered as {role} (id {model})", as_json)
    return 0
