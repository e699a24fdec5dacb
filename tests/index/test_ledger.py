"""The ledger shows every change that was made behind its back."""

import hashlib

import pytest
from sqlalchemy import Connection, Engine, text

from index import store
from index.ledger import Ledger
from scanners.errors import UsageError
from tests.index.processes import at_once


def _append(engine: Engine, count: int) -> None:
    for number in range(count):
        with store.writing(engine) as connection:
            Ledger(engine).append(connection, "thing", {"number": number, "text": "ü\0\ud800"}, "ann", False)


def _unlock(connection: Connection) -> None:
    """What an attacker with the database's password would do first."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE ledger DISABLE TRIGGER ALL"))
    else:
        connection.execute(text("DROP TRIGGER ledger_no_update"))
        connection.execute(text("DROP TRIGGER ledger_no_delete"))


def test_an_empty_ledger_is_whole(engine: Engine) -> None:
    assert Ledger(engine).verify() == []


def test_entries_come_back_in_order(engine: Engine) -> None:
    _append(engine, 3)
    entries = list(Ledger(engine).entries())
    assert [entry.sequence for entry in entries] == [1, 2, 3]
    assert [entry.payload["number"] for entry in entries] == [0, 1, 2]
    assert entries[0].payload["text"] == "ü\0\ud800"
    assert [entry.previous for entry in entries[1:]] == [entry.hash for entry in entries[:-1]]
    assert [entry.sequence for entry in Ledger(engine).entries(since=2)] == [3]


def test_a_whole_ledger_has_no_problems(engine: Engine) -> None:
    _append(engine, 5)
    assert Ledger(engine).verify() == []


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ("UPDATE ledger SET entry = replace(entry, 'ann', 'bob') WHERE sequence = 2", "entry 2 was changed"),
        ("UPDATE ledger SET hash = 'aa' WHERE sequence = 2", "entry 2 was changed"),
        ("DELETE FROM ledger WHERE sequence = 2", "entries 2 to 2 are missing"),
        ("DELETE FROM ledger WHERE sequence = 5", "cut off"),
        ("DELETE FROM ledger", "cut off"),
        ("DELETE FROM ledger_head", "cut off"),
        ("INSERT INTO ledger (sequence, hash, entry) VALUES (6, 'aa', '{}')", "entry 6 was changed"),
    ],
)
def test_every_manipulation_is_seen(engine: Engine, change: str, sign: str) -> None:
    _append(engine, 5)
    with engine.begin() as connection:
        _unlock(connection)
        connection.execute(text(change))
    assert sign in " ".join(Ledger(engine).verify())


def test_a_transaction_that_fails_leaves_no_entry(engine: Engine) -> None:
    def fail() -> None:
        with store.writing(engine) as connection:
            Ledger(engine).append(connection, "thing", {}, "ann", False)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    _append(engine, 1)
    assert Ledger(engine).verify() == []


@pytest.mark.parametrize("value", [0.5, [1, [2.5]], {"a": {"b": float("nan")}}, 2**60])
def test_a_number_that_could_be_spelt_in_two_ways_is_refused(engine: Engine, value: object) -> None:
    with pytest.raises(UsageError), store.writing(engine) as connection:
        Ledger(engine).append(connection, "thing", {"value": value}, "ann", False)


def _append_in_process(url: str) -> None:
    _append(store.connect(url), 10)


def test_processes_that_write_at_once_write_one_chain(engine: Engine) -> None:
    at_once(_append_in_process, [engine.url.render_as_string(hide_password=False)] * 4)
    assert len(list(Ledger(engine).entries())) == 40
    assert Ledger(engine).verify() == []


def test_the_chain_can_be_followed_by_another_program(engine: Engine) -> None:
    _append(engine, 1)
    with store.reading(engine) as connection:
        row = connection.execute(text("SELECT hash, entry FROM ledger")).one()
    assert row.hash == hashlib.sha256(row.entry.encode("ascii")).hexdigest()
    assert row.entry.startswith('{"actor":"ann","at":"')
