"""What every test may ask for. The PostgreSQL server starts once a session, and only if one is asked for."""

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine

from index import store
from tests import postgres

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    with postgres.serve() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: postgres.Postgres) -> str:
    """The name of a database that was migrated once, for the others to be copies of."""
    engine = store.connect(postgres_server.create("migrated"))
    store.migrate(engine)
    engine.dispose()
    return "migrated"


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "kinprint.db"
    engine = store.connect(f"sqlite:///{path}")
    store.migrate(engine)
    engine.dispose()
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.cluster)])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[bool], str]]:
    """Makes databases of one kind: ``new_database(migrated)`` is the address of a new one."""
    made: list[str] = []

    def sqlite(migrated: bool) -> str:
        path = tmp_path / f"kinprint-{next(_numbers)}.db"
        if migrated:
            shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite:///{path}"

    def postgresql(migrated: bool) -> str:
        made.append(f"test_{next(_numbers)}")
        template = request.getfixturevalue("migrated_postgres") if migrated else "template0"
        url: str = request.getfixturevalue("postgres_server").create(made[-1], template)
        return url

    yield sqlite if request.param == "sqlite" else postgresql
    for name in made:
        request.getfixturevalue("postgres_server").drop(name)


@pytest.fixture
def engine(new_database: Callable[[bool], str]) -> Iterator[Engine]:
    """A migrated database of the test's own: once on SQLite, once on PostgreSQL."""
    engine = store.connect(new_database(True))
    yield engine
    engine.dispose()
