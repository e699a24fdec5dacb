"""Ray's sessions stay in the home, fit into its sockets' paths, and leave nothing behind."""

import os
import tempfile
from pathlib import Path

import pytest

from flows.cluster import PREFIX, SOCKET_PATH_CHARACTERS, _folder, _locked
from flows.settings import Settings


def test_a_session_is_in_the_home_and_gone_afterwards() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        with _folder(Settings(home=Path(home))) as folder:
            assert folder.parent == Path(home) / "ray"
        assert list((Path(home) / "ray").iterdir()) == []


def test_a_home_with_a_long_path_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    with _folder(Settings(home=tmp_path / ("long" * 20))) as folder:
        socket = folder / "session_2026-11-21_12-34-56_123456_1234567" / "sockets" / "plasma_store"
        assert len(os.fsencode(socket)) < SOCKET_PATH_CHARACTERS
    assert not folder.exists()


def test_what_a_killed_session_left_is_swept_and_a_running_one_is_not() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        parent = Path(home) / "ray"
        left, running = parent / f"{PREFIX}left", parent / f"{PREFIX}running"
        left.mkdir(parents=True)
        running.mkdir()
        with _locked(running), _folder(Settings(home=Path(home))):
            assert running.exists()
            assert not left.exists()


def test_a_folder_is_held_by_one_only(tmp_path: Path) -> None:
    with _locked(tmp_path), pytest.raises(BlockingIOError), _locked(tmp_path):
        pass
