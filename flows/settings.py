"""One settings object: the only reader of the environment, and the only writer of it.

Every field can be set by ``KINPRINT_<FIELD>``; the names that the hub's client, Prefect and Ray use
themselves (``HF_ENDPOINT``, ``HF_TOKEN``, ``PREFECT_API_URL``, ``RAY_ADDRESS``) are understood as well.
"""

import contextlib
import getpass
import os
import secrets
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, PositiveFloat, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Budget = Literal["quick", "standard", "full"]
Role = Literal["protected", "ancestor"]

# What keeps the dependencies from phoning home, from listening beyond loopback, and from chattering.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` Ray starts workers that never answer
    "RAY_AUTH_MODE": "token",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_task_oom_retries": "1",  # the default is to try for ever
    "RAY_DEDUP_LOGS": "0",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # a first start migrates a database
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # nothing of ours is pickled to disk
    "PREFECT_CLI_PROMPT": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # byte ranges go by plain HTTP
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "OMP_NUM_THREADS": "1",  # one worker a core
    "OPENBLAS_NUM_THREADS": "1",
}
JOINS_A_CLUSTER = ("KINPRINT_RAY_ADDRESS", "RAY_ADDRESS")


def keep_quiet() -> None:
    """Export what must stand in the environment before a dependency is imported; the operator's own wins."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not any(os.environ.get(name) for name in JOINS_A_CLUSTER):
        # Ray's own name for "this machine only": every listener of it binds to 127.0.0.1.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def _or(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Settings(BaseSettings):
    """Where things are and how hard to work; times in seconds."""

    model_config = SettingsConfigDict(env_prefix="KINPRINT_", populate_by_name=True, extra="ignore")

    home: Path = Field(default_factory=lambda: user_data_path("kinprint"))
    database_url: str = ""  # empty: SQLite in the home folder
    ray_address: str | None = Field(default=None, validation_alias=_or(*JOINS_A_CLUSTER))
    prefect_api_url: str | None = Field(
        default=None, validation_alias=_or("KINPRINT_PREFECT_API_URL", "PREFECT_API_URL")
    )
    hf_endpoint: str = Field(
        default="https://huggingface.co", validation_alias=_or("KINPRINT_HF_ENDPOINT", "HF_ENDPOINT")
    )
    hf_token: SecretStr | None = Field(default=None, validation_alias=_or("KINPRINT_HF_TOKEN", "HF_TOKEN"))
    workers: PositiveInt = Field(default_factory=lambda: os.cpu_count() or 1)
    in_flight: PositiveInt = Field(default_factory=lambda: 2 * (os.cpu_count() or 1))
    batch_size: PositiveInt = 200
    budget: Budget = "standard"
    request_timeout_seconds: PositiveFloat = 30.0
    subject_timeout_seconds: PositiveFloat = 1800.0  # from submission to outcome
    actor: str = Field(default_factory=getpass.getuser)
    verbose: bool = False

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the register, the catalogue and the ledger."""
        return self.database_url or f"sqlite:///{self.home / 'kinprint.db'}"

    @property
    def snapshots(self) -> Path:
        """The folder of the index: its generations, one for each state of the register."""
        return self.home / "snapshots"

    def key_bytes(self) -> bytes:
        """The secret that seeds the keyed projection: 32 bytes, made on first use, readable by its owner."""
        return bytes.fromhex(self.secret("key"))

    def secret(self, name: str) -> str:
        """A secret of this home as 64 hexadecimal digits, kept in a file of mode 0600."""
        path = self.home / name
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_once(path, secrets.token_hex(32))
        return path.read_text()

    def export(self) -> None:
        """Put the state of every dependency under the home folder; the operator's own choice wins."""
        self.secret("ray_token")
        os.environ |= self._ours()
        for name, value in self._theirs().items():
            os.environ.setdefault(name, value)

    def _ours(self) -> dict[str, str]:
        """What flows and workers read again when they make their own settings."""
        token = self.hf_token.get_secret_value() if self.hf_token else ""
        return {
            "KINPRINT_HOME": str(self.home),
            "KINPRINT_DATABASE_URL": self.database_url,
            "KINPRINT_VERBOSE": str(self.verbose),
            "KINPRINT_HF_ENDPOINT": self.hf_endpoint,
            "KINPRINT_HF_TOKEN": token,
            "HF_ENDPOINT": self.hf_endpoint,
        }

    def _theirs(self) -> dict[str, str]:
        """Where the dependencies keep their state, and how much they say."""
        places = {
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_LOGGING_LEVEL": "INFO" if self.verbose else "ERROR",
            "HF_HOME": str(self.home / "huggingface"),
            "RAY_AUTH_TOKEN_PATH": str(self.home / "ray_token"),
        }
        return places | ({"PREFECT_API_URL": self.prefect_api_url} if self.prefect_api_url else {})


def _write_once(path: Path, text: str) -> None:
    """Write a secret so that of two processes that start together one wins and neither sees half of it."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
