"""What a command says: the answer on standard output, everything else on standard error."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flows import progress
from scanners.records import Outcome, RepoRevision


def answer(document: Any, for_a_person: RenderableType, as_json: bool) -> None:
    """Print the answer: one JSON document, or the same for a person."""
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
        sys.stdout.flush()
        return
    # Off a terminal a table must not be cut to some default width.
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(for_a_person)


def note(text: str) -> None:
    """Say something that is not the answer."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


@contextmanager
def working() -> Iterator[None]:
    """Whatever a dependency prints meanwhile goes to standard error; a bar is drawn on a terminal only."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with _Bar() as bar, progress.listening(bar):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


class _Bar(Progress):
    """A progress bar that listens to a run."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        super().__init__(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)

    def planned(self, subjects: int) -> None:
        self.add_task("scanning", total=subjects)

    def done(self, subject: RepoRevision, outcome: Outcome) -> None:
        self.advance(self.task_ids[-1])


def printable(text: str) -> str:
    """Text from a hub with its control characters as escapes: a name must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
