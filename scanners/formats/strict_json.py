"""JSON from strangers: duplicates, constants that are no JSON, depth and sheer number are refused."""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

MOST_VALUES = 4_000_000  # a header of 250,000 tensors; a hundred megabytes of "[[[[" are 5 GB of objects


class NotStrictJson(ValueError):
    """The text is no JSON, or JSON that two readers could understand in two ways."""


def parse(text: bytes) -> Any:
    """The value that ``text`` (UTF-8) holds. Raises: NotStrictJson, nothing else."""
    if sum(map(text.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise NotStrictJson(f"holds more than {MOST_VALUES} values")
    try:
        return json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer,
        )
    except RecursionError:
        raise NotStrictJson("is nested too deeply") from None
    except ValueError as error:
        raise NotStrictJson(str(error)) from error


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise NotStrictJson(f"names {twice[:100]!r} twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise NotStrictJson(f"holds {name}, which is no JSON")


def _integer(digits: str) -> int:
    # "-0" is a float to other readers; 20 digits hold every 64-bit number
    if digits.startswith("-") or len(digits) > 20:
        raise NotStrictJson(f"holds {digits[:40]}, which no offset, shape or size can be")
    return int(digits)
