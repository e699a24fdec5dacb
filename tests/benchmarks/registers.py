"""What the benchmarks register, and what makes a copy of it."""

import os
from collections.abc import Mapping
from pathlib import Path

from index.build import build_snapshot
from index.register import Register
from index.snapshot import Snapshot, open_snapshot
from index.store import connect, migrate
from scanners.records import Fingerprint
from scanners.schemes import Schemes

SCHEMES = Schemes(b"the key of the benchmarks, 32 b.")


def snapshot_of(place: Path, models: Mapping[str, Fingerprint]) -> Snapshot:
    """The index over a register of these models, made in a new folder ``place``."""
    place.mkdir(parents=True)
    engine = connect(f"sqlite:///{place / 'register.db'}")
    migrate(engine)
    register = Register(engine)
    for name, fingerprint in models.items():
        register.add(name, "owner", "protected", fingerprint)
    engine.dispose()
    build_snapshot(register, place / "snapshots")
    return open_snapshot(place / "snapshots")


def change_one_bit(folder: Path) -> Path:
    """Make a checkpoint a copy of what it was, and no mirror: one bit of its last value is another."""
    last = max(folder.rglob("*.safetensors"))
    with last.open("r+b") as file:
        file.seek(-2, os.SEEK_END)  # the low byte of a float16 or bfloat16, a middle one of a float32
        bits = file.read(1)[0]
        file.seek(-2, os.SEEK_END)
        file.write(bytes([bits ^ 1]))
    return folder
