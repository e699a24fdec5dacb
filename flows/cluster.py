"""A Ray session around a block: the operator's cluster, or one of our own on loopback."""

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from flows.settings import QUIET, Settings

MIB = 1 << 20
PREFIX = "kinprint-ray-"
SESSION_PATH_CHARACTERS = 65  # "/session_<date>_<pid>/sockets/plasma_store" and a margin
SOCKET_PATH_CHARACTERS = 107  # of a Unix socket, on Linux


@contextmanager
def session(settings: Settings) -> Iterator[None]:
    """Connect to Ray for the block; a session that is already there is used and left alone."""
    if ray.is_initialized():
        yield
        return
    settings.export()
    opened = _joined if settings.ray_address else _alone
    with opened(settings):
        yield


@contextmanager
def _joined(settings: Settings) -> Iterator[None]:
    """The operator's cluster; its workers are told to keep quiet too."""
    workers = {"env_vars": dict(QUIET)}
    ray.init(settings.ray_address, runtime_env=workers, log_to_driver=settings.verbose, **_logging(settings))
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """A cluster of this process only: loopback, no dashboard, gone with the block."""
    with _folder(settings) as folder:
        ray.init(
            "local",
            num_cpus=settings.workers,
            include_dashboard=False,
            object_store_memory=100 * MIB,  # only small results travel
            log_to_driver=settings.verbose,
            _temp_dir=str(folder),
            **_logging(settings),
        )
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _folder(settings: Settings) -> Iterator[Path]:
    """A folder for one session; those of sessions that were killed go first."""
    for old in (settings.home / "ray").glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), _locked(old):
            shutil.rmtree(old, ignore_errors=True)
    parent = _short_folder(settings)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent, ignore_cleanup_errors=True) as folder,
        _locked(Path(folder)),
    ):
        yield Path(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder as in use; BlockingIOError if another process does. A kill lets go of it."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _logging(settings: Settings) -> dict[str, int]:
    return {"logging_level": logging.INFO if settings.verbose else logging.ERROR}


def _short_folder(settings: Settings) -> Path:
    """Where Ray's sockets may lie: in the home, or among the temporary files if its path is too long."""
    folder = settings.home / "ray"
    if len(os.fsencode(folder)) + len(f"/{PREFIX}12345678") + SESSION_PATH_CHARACTERS > SOCKET_PATH_CHARACTERS:
        return Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
