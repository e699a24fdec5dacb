"""The nouns as JSON and back, exactly and strictly: what comes back equals what went in.

A dataclass becomes an object with its fields' names. Unknown fields, missing fields without a default
and values of another type are refused. JSON has no infinity, so such a number is written as an object.
The text is ASCII: names from a hub may hold what neither UTF-8 nor a database can.
"""

import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from scanners.errors import FormatError, Reason

T = TypeVar("T")
Json = Any  # null, bool, int, float, str, list or dict of these

_NOT_FINITE = "$float"


def dumps(value: object) -> str:
    """The canonical text of a noun, or of anything built of nouns: ASCII, keys sorted, no spaces."""
    return json.dumps(encode(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def loads(kind: type[T], text: str | bytes) -> T:
    """The noun that ``dumps`` wrote.

    Raises:
        FormatError: the text is not JSON, or not that noun.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(Reason.MALFORMED_HEADER, f"not JSON: {error}") from error
    return decode(kind, value)


def encode(value: object) -> Json:
    """Nouns, numbers, texts, times, sequences and mappings as plain JSON values."""
    if isinstance(value, np.generic):
        value = value.item()
    if is_dataclass(value):
        return {f.name: encode(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return _time_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {_NOT_FINITE: repr(value)}
    return _encode_plain(value)


def _encode_plain(value: object) -> Json:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {_key(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a JSON key is a text, not {key!r}")
    return key


def _time_text(value: datetime) -> str:
    if value.tzinfo is None:
        raise TypeError("a time without a zone is not a time")
    return value.astimezone(UTC).isoformat()


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time


def decode(kind: type[T], value: Json) -> T:
    """One JSON value as ``kind``.

    Raises:
        FormatError: it is not of that kind.
    """
    return cast(T, _decode(kind, value))


def _decode(kind: Any, value: Json) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(get_args(kind), value)
    if origin is tuple:
        return tuple(_decode(get_args(kind)[0], item) for item in _expect(list, value))
    if origin is not None and issubclass(origin, Mapping):
        return {key: _decode(get_args(kind)[1], item) for key, item in _expect(dict, value).items()}
    if is_dataclass(kind):
        return _decode_dataclass(cast(type, kind), _expect(dict, value))
    return _decode_leaf(kind, value)


def _decode_leaf(kind: Any, value: Json) -> Any:
    if kind is float:
        return _decode_float(value)
    if kind is type(None) and value is None:
        return None
    if kind is datetime:
        return _parsed(_time, _expect(str, value))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _parsed(kind, value)
    return _expect(kind, value)


def _decode_union(kinds: tuple[Any, ...], value: Json) -> Any:
    """The member whose JSON type is the value's own: an integer stays one where both are allowed."""
    exact = [kind for kind in kinds if type(value) is kind]
    for kind in exact or kinds:
        try:
            return _decode(kind, value)
        except FormatError:
            continue
    raise FormatError(Reason.MALFORMED_HEADER, f"{value!r:.80} is none of {kinds}")


def _decode_float(value: Json) -> float:
    if isinstance(value, dict) and set(value) == {_NOT_FINITE}:
        return float(_parsed(float, value[_NOT_FINITE]))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormatError(Reason.MALFORMED_HEADER, f"{value!r:.80} is no number")
    return float(_parsed(float, value))


def _decode_dataclass(kind: type, value: dict[str, Json]) -> Any:
    hints = _hints(kind)
    if unknown := sorted(set(value) - set(hints)):
        raise FormatError(Reason.MALFORMED_HEADER, f"{kind.__name__} has no field {unknown[0]!r:.80}")
    if missing := sorted(_required(kind) - set(value)):
        raise FormatError(Reason.MALFORMED_HEADER, f"{kind.__name__} lacks {missing[0]!r}")
    return kind(**{name: _decode(hints[name], item) for name, item in value.items()})


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _required(kind: type) -> frozenset[str]:
    return frozenset(f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)


def _expect(kind: Any, value: Json) -> Any:
    if type(value) is not kind:
        raise FormatError(Reason.MALFORMED_HEADER, f"{value!r:.80} is no {kind.__name__}")
    return value


def _parsed(parse: Any, value: Json) -> Any:
    try:
        return parse(value)
    except (ValueError, OverflowError, TypeError) as error:
        raise FormatError(Reason.MALFORMED_HEADER, f"{value!r:.80}: {error}") from error
