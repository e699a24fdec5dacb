"""A home for each test, and one Ray session for those that need no cluster of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that the environment names, so that every part of a flow finds the same one."""
    for name in list(os.environ):
        if name.startswith(("KINPRINT_", "HF_")) or name in ("RAY_ADDRESS", "PREFECT_API_URL"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KINPRINT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two workers on loopback; `flows.cluster.session` finds it and leaves it alone."""
    from flows.cluster import session

    with session(Settings(home=tmp_path_factory.mktemp("ray"), workers=2)):
        yield
