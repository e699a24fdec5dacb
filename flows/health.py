"""The checks of ``kinprint doctor``: each says what it found and, where that is wrong, what to do."""

import contextlib
import ipaddress
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import requires, version
from typing import Any

import psutil
from packaging.requirements import Requirement
from sqlalchemy.exc import SQLAlchemyError

from flows.places import HUB
from flows.settings import Settings
from flows.wiring import Home, open_source
from index.build import open_snapshot
from scanners.errors import KinprintError

FRAGILE = ("prefect", "fastapi", "sqlalchemy", "ray", "huggingface-hub")  # pins that break silently


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; ``advice`` is empty where it is well."""

    name: str
    ok: bool
    found: str
    advice: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)


def examine(settings: Settings, hub: bool) -> list[Check]:
    """Every check; the hub is asked only where the caller wants it."""
    home = Home(settings)
    checks = [*versions(), *_guarded("database", lambda: stored(home)), *secrets(settings), *listeners()]
    return checks + list(_guarded("hub", lambda: answers(settings))) if hub else checks


def _guarded(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """A check that cannot even be made is a check that failed."""
    try:
        yield from check()
    except (KinprintError, SQLAlchemyError, OSError) as error:
        yield Check(name, False, f"{type(error).__name__}: {error}", f"make the {name} reachable")


def versions() -> Iterator[Check]:
    """Installed versions against our own pins: outside them Prefect starts, and never schedules a run."""
    for requirement in map(Requirement, requires("kinprint") or ()):
        if requirement.name in FRAGILE:
            installed = version(requirement.name)
            ok = requirement.specifier.contains(installed, prereleases=True)
            yield Check(requirement.name, ok, installed, "" if ok else f"install {requirement}")


def stored(home: Home) -> Iterator[Check]:
    """The database answers and is migrated, the index is as new as the register, the ledger is whole."""
    models = len(home.register.list())
    yield Check("database", True, home.engine.url.render_as_string(hide_password=True))
    yield Check("register", models > 0, f"{models} models", "" if models else "kinprint register SOURCE --name NAME")
    if models:
        index = open_snapshot(home.settings.snapshots)
        fresh = index.register_version == home.register.version()
        yield Check("index", fresh, index.generation, "" if fresh else "the next scan builds it anew")
    broken = next(iter(home.ledger.verify()), None)
    advice = "" if broken is None else "somebody altered the database: restore it and compare"
    yield Check("ledger", broken is None, broken or "intact", advice)


def secrets(settings: Settings) -> Iterator[Check]:
    """Nobody but their owner reads the secrets."""
    for name in ("key", "ray_token"):
        path = settings.home / name
        if path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
            ok = mode & 0o077 == 0
            yield Check(name, ok, f"mode {mode:04o}", "" if ok else f"chmod 600 {path}")


def listeners() -> Iterator[Check]:
    """What of ours listens beyond loopback: Ray and Prefect are open doors there."""
    open_doors = sorted(_beyond_loopback())
    found = ", ".join(open_doors) or "only loopback"
    advice = "" if not open_doors else "bind to 127.0.0.1, or guard with a firewall and RAY_AUTH_MODE=token"
    yield Check("listeners", not open_doors, found, advice)


def _beyond_loopback() -> Iterator[str]:
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if not any(part in command for part in ("raylet", "gcs_server", "prefect.server", "prefect server")):
            continue
        with contextlib.suppress(psutil.Error):  # it ended, or is somebody else's
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN and not _is_loopback(connection.laddr.ip):
                    yield f"{connection.laddr.ip}:{connection.laddr.port} ({process.name()})"


def _is_loopback(address: str) -> bool:
    """Also as an IPv6 socket writes it: ::ffff:127.0.0.1."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def answers(settings: Settings) -> Iterator[Check]:
    """The hub lists at least one repository."""
    first = next(iter(open_source(settings, HUB).revisions(limit=1)), None)
    found = settings.hf_endpoint if first is None else f"{settings.hf_endpoint}: {first.repo}"
    yield Check("hub", first is not None, found, "" if first else "is HF_ENDPOINT right?")
