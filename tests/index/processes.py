"""Several processes of our own at once: started fresh, so that none inherits another's connections."""

import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

In, Out = TypeVar("In"), TypeVar("Out")

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["pytest", "alembic.command", "psycopg", "index.store"])


def at_once(function: Callable[[In], Out], arguments: Iterable[In]) -> list[Out]:
    """What a process for each argument returned."""
    arguments = list(arguments)
    with ProcessPoolExecutor(len(arguments), mp_context=_context) as pool:
        return list(pool.map(function, arguments))
