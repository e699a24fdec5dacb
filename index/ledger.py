"""An append-only log of registrations, findings and decisions; every entry holds the hash of the one before.

An entry is hashed as canonical JSON in the manner of RFC 8785: keys sorted, no spaces, and no floating-point
numbers, which two programs may spell differently. A change, a removal or a re-ordering breaks the chain; the
head, kept apart, shows what was cut off at the end.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from index import store
from index.tables import ledger, ledger_head
from scanners import codec
from scanners.errors import FormatError, Reason, UsageError

GENESIS = "0" * 64  # the hash before the first entry
_EXACT = 2**53  # beyond this, some readers of JSON lose digits


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One thing that happened. ``hash`` covers everything else, the previous hash included."""

    sequence: int  # from 1, without gaps
    kind: str
    payload: Mapping[str, Any]
    actor: str
    automated: bool
    at: datetime
    previous: str
    hash: str


class Ledger:
    """The log of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(self, connection: Connection, kind: str, payload: Mapping[str, Any], actor: str, automated: bool) -> int:
        """Write an entry within the caller's transaction and return its sequence number.

        The chain is held until that transaction ends: append last.

        Raises:
            UsageError: the payload holds what canonical JSON cannot spell in one way only.
        """
        _check(payload)
        store.exclusive(connection, "ledger")
        head = connection.execute(select(ledger_head.c.sequence, ledger_head.c.hash)).one()
        entry = {
            "sequence": head.sequence + 1,
            "kind": kind,
            "payload": payload,
            "actor": actor,
            "automated": automated,
            "at": datetime.now(UTC),
            "previous": head.hash,
        }
        text = codec.dumps(entry)
        row = {"sequence": head.sequence + 1, "hash": _hash(text)}
        connection.execute(ledger.insert().values(entry=text, **row))
        connection.execute(update(ledger_head).values(row))
        return int(row["sequence"])

    def entries(self, since: int = 0) -> Iterator[LedgerEntry]:
        """All entries after the given sequence number, oldest first, as they stand when it starts."""
        with store.reading(self._engine) as connection:
            for sequence, digest, text in _rows(connection, since):
                yield _entry(sequence, digest, text)

    def verify(self) -> list[str]:
        """What is wrong with the chain, in words; nothing if it is whole."""
        problems: list[str] = []
        last, previous = 0, GENESIS
        with store.reading(self._engine) as connection:
            for sequence, digest, text in _rows(connection, 0):
                problems += _problems(sequence, digest, text, last, previous)
                last, previous = sequence, digest
            head = connection.execute(select(ledger_head.c.sequence, ledger_head.c.hash)).one_or_none()
        if head is None or tuple(head) != (last, previous):
            problems.append(f"the head does not name entry {last}: entries were cut off or added")
        return problems


def _rows(connection: Connection, since: int) -> Iterator[tuple[int, str, str]]:
    query = select(ledger).where(ledger.c.sequence > since).order_by(ledger.c.sequence)
    for row in connection.execute(query.execution_options(yield_per=1000)):
        yield row.sequence, row.hash, row.entry


def _problems(sequence: int, digest: str, text: str, last: int, previous: str) -> list[str]:
    if sequence != last + 1:
        return [f"entries {last + 1} to {sequence - 1} are missing"]
    if _hash(text) != digest:
        return [f"entry {sequence} was changed: its hash is another"]
    try:
        entry = _entry(sequence, digest, text)
    except FormatError:
        return [f"entry {sequence} is no entry"]
    if (entry.sequence, entry.previous) != (sequence, previous):
        return [f"entry {sequence} does not follow entry {last}"]
    return []


def _entry(sequence: int, digest: str, text: str) -> LedgerEntry:
    try:
        value = json.loads(text)
        at = datetime.fromisoformat(value.pop("at"))
        return LedgerEntry(**value, at=at, hash=digest)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        detail = f"entry {sequence} of the ledger cannot be read"
        raise FormatError(Reason.MALFORMED_HEADER, detail) from error


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _check(value: object) -> None:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _check(item)
    elif isinstance(value, float) or (isinstance(value, int) and abs(value) > _EXACT):
        raise UsageError(f"the ledger takes no {type(value).__name__} like {value!r}: write it as text")
