"""One database for everything that is remembered: SQLite by default, PostgreSQL by URL."""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
from alembic.config import Config
from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from scanners import codec
from scanners.errors import UsageError

# FULL, not NORMAL: both keep every acknowledged row when a process is killed, only FULL keeps it when the
# machine loses power as well. A register and its decisions are worth one fsync for a repository.
_PRAGMAS = (
    "busy_timeout = 60000",  # first, so that the others wait as well; milliseconds
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
)

_one_migration = threading.Lock()  # Alembic's context is one per process


def connect(url: str) -> Engine:
    """An engine for ``sqlite:///path`` or ``postgresql+psycopg://...``; nothing is migrated yet.

    Raises:
        UsageError: no such kind of database, or SQLite without a file.
    """
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise UsageError(f"not the address of a database: {error}") from error
    if address.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return create_engine(address.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if address.drivername in ("sqlite", "sqlite+pysqlite"):
        return _connect_sqlite(address)
    raise UsageError(f"{address.drivername} is neither sqlite nor postgresql")


def _connect_sqlite(address: URL) -> Engine:
    if address.database in (None, "", ":memory:"):
        raise UsageError("a database in memory remembers nothing: give sqlite:///path")
    Path(str(address.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own: we do
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    """Writers take the lock before they read; else two of them read the same value and one update is lost."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent view of the database; writers go on beside it."""
    options: dict[str, Any] = {"reads": True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection:
        yield connection


@contextmanager
def writing(engine: Engine, *locks: str) -> Iterator[Connection]:
    """One transaction that holds the named locks till it ends. Locks are taken in the order given."""
    with engine.begin() as connection:
        for lock in locks:
            exclusive(connection, lock)
        yield connection


def exclusive(connection: Connection, lock: str) -> None:
    """Wait until nobody else holds this lock and keep it for the transaction.

    PostgreSQL lets transactions run side by side; on SQLite one that writes is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        number = int.from_bytes(hashlib.sha256(f"kinprint {lock}".encode()).digest()[:8], signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def insert_once(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one of the same key is there; True if it was inserted."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(row).on_conflict_do_nothing()
    return connection.execute(statement.returning(*table.primary_key)).first() is not None


def digest(*parts: object) -> str:
    """64 hexadecimal digits that stand for these nouns or texts in a key."""
    return hashlib.sha256(codec.dumps(parts).encode()).hexdigest()


def migrate(engine: Engine) -> None:
    """Bring the tables to this version's shape; when several start at once, one does and the others wait."""
    with _one_migration, writing(engine, "migrations") as connection:
        alembic.command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings: the migrations that come with this package, on this connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
