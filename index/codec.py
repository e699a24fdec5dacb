"""Outcomes as text and back: which of the three it is, and everything that it holds."""

import json

from scanners import codec
from scanners.errors import FormatError, Reason
from scanners.records import Acquittal, Finding, Outcome, Skipped

_KINDS: dict[str, type[Outcome]] = {"finding": Finding, "acquittal": Acquittal, "skipped": Skipped}


def kind_of(outcome: Outcome) -> str:
    """``finding``, ``acquittal`` or ``skipped``."""
    return next(name for name, kind in _KINDS.items() if type(outcome) is kind)


def outcome_to_json(outcome: Outcome) -> str:
    """One line of ASCII; equal outcomes give equal text."""
    return codec.dumps({"kind": kind_of(outcome), "outcome": outcome})


def outcome_from_json(text: str) -> Outcome:
    """The outcome that was written.

    Raises:
        FormatError: the text is not one.
    """
    try:
        value = json.loads(text)
        kind, fields = _KINDS[value["kind"]], value["outcome"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(Reason.MALFORMED_HEADER, f"no outcome: {text:.80}") from error
    return codec.decode(kind, fields)
