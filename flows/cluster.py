"""A Ray session around a block: the operator's cluster, or one of our own on loopback."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from flows.settings import QUIET, Settings

MIB = 1 << 20
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
    with tempfile.TemporaryDirectory(prefix="ray-", dir=_short_folder(settings), ignore_cleanup_errors=True) as folder:
        ray.init(
            "local",
            num_cpus=settings.workers,
            include_dashboard=False,
            object_store_memory=100 * MIB,  # only small results travel
            log_to_driver=settings.verbose,
            _temp_dir=folder,
            **_logging(settings),
        )
        try:
            yield
        finally:
            ray.shutdown()


def _logging(settings: Settings) -> dict[str, int]:
    return {"logging_level": logging.INFO if settings.verbose else logging.ERROR}


def _short_folder(settings: Settings) -> Path:
    """Where Ray's sockets may lie: in the home, or among the temporary files if its path is too long."""
    folder = settings.home / "ray"
    if len(os.fsencode(folder)) + len("/ray-12345678") + SESSION_PATH_CHARACTERS > SOCKET_PATH_CHARACTERS:
        return Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
