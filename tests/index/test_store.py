"""The database: one shape on both kinds, built once, losing nothing that was acknowledged."""

from collections.abc import Callable

import alembic.command
import pytest
from sqlalchemy import Engine, inspect, select, text, update
from sqlalchemy.exc import DBAPIError

from index import store, tables
from scanners.errors import UsageError
from tests.index.processes import at_once

NewDatabase = Callable[[bool], str]


def test_the_tables_are_what_the_migrations_build(engine: Engine) -> None:
    with engine.begin() as connection:
        alembic.command.check(store.alembic_config(connection))


def test_a_migration_goes_down_and_up_again(engine: Engine) -> None:
    with engine.begin() as connection:
        alembic.command.downgrade(store.alembic_config(connection), "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    store.migrate(engine)
    assert set(inspect(engine).get_table_names()) == {*tables.metadata.tables, "alembic_version"}


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    store.migrate(engine)
    with store.reading(engine) as connection:
        assert connection.scalar(select(tables.ledger_head.c.sequence)) == 0


def _migrate(url: str) -> str:
    engine = store.connect(url)
    store.migrate(engine)
    with store.reading(engine) as connection:
        return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def test_processes_that_start_at_once_all_find_the_tables(new_database: NewDatabase) -> None:
    url = new_database(False)
    assert at_once(_migrate, [url] * 4) == ["0001"] * 4


def _count_up(url: str) -> None:
    engine = store.connect(url)
    head = tables.ledger_head
    for _ in range(50):
        with store.writing(engine, "counting") as connection:
            before = connection.execute(select(head.c.sequence)).scalar_one()
            connection.execute(update(head).values(sequence=before + 1))


def test_no_update_is_lost_between_processes(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    at_once(_count_up, [url] * 4)
    with store.reading(engine) as connection:
        assert connection.scalar(select(tables.ledger_head.c.sequence)) == 200


def test_a_reader_does_not_wait_for_a_writer(engine: Engine) -> None:
    with store.writing(engine, "ledger") as writer:
        writer.execute(update(tables.ledger_head).values(sequence=7))
        with store.reading(engine) as reader:
            assert reader.scalar(select(tables.ledger_head.c.sequence)) == 0


@pytest.mark.parametrize("table", ["ledger", "case_activities"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET {} = {}"])
def test_what_is_append_only_refuses_a_change(engine: Engine, table: str, change: str) -> None:
    column = "sequence" if table == "ledger" else "case_id"
    with engine.begin() as connection:
        if table == "ledger":
            connection.execute(tables.ledger.insert().values(sequence=1, hash="", entry=""))
        else:
            _an_activity(connection)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(change.format(table, column, column)))


def _an_activity(connection: object) -> None:
    now = "CURRENT_TIMESTAMP"
    connection.execute(  # type: ignore[attr-defined]
        text(
            "INSERT INTO cases (id, suspect_key, source, repo, status, disagreement, opened_at, updated_at) "
            f"VALUES (1, '', '', '', 'open', '0', {now}, {now})"
        )
    )
    connection.execute(  # type: ignore[attr-defined]
        text(
            "INSERT INTO case_activities (case_id, at, actor, automated, status, reasons, note) "
            f"VALUES (1, {now}, '', '1', 'open', '', '')"
        )
    )


@pytest.mark.parametrize(
    "url", ["mysql://host/x", "sqlite://", "sqlite:///:memory:", "no address", "postgresql+asyncpg://host/x"]
)
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        store.connect(url)


def test_a_plain_postgresql_address_is_understood() -> None:
    assert store.connect("postgresql://host/name").dialect.driver == "psycopg"


def test_a_key_says_nothing_twice() -> None:
    assert store.digest("a", "bc") != store.digest("ab", "c")
