"""What the benchmarks register and scan: a snapshot over given fingerprints, and copies of folders."""

import os
import shutil
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


def touched(origin: Path, folder: Path) -> Path:
    """A copy of a checkpoint whose last value has one bit changed: derived, and no mirror.

    All other files are hard links, so a copy of sixteen gigabytes takes the room of one shard.
    """
    shutil.copytree(origin, folder, copy_function=os.link)
    last = max(folder.rglob("*.safetensors"))
    content = last.stat()
    last.unlink()
    _copy_sparse(origin / last.relative_to(folder), last)
    with last.open("r+b") as file:
        file.seek(content.st_size - 2)  # the low byte of a float16 or bfloat16, a middle one of a float32
        byte = file.read(1)[0]
        file.seek(content.st_size - 2)
        file.write(bytes([byte ^ 1]))
    return folder


def _copy_sparse(origin: Path, copy: Path, piece: int = 1 << 20) -> None:
    """Holes stay holes."""
    with origin.open("rb") as source, copy.open("wb") as target:
        while data := source.read(piece):
            if data.count(0) == len(data):
                target.seek(len(data), os.SEEK_CUR)
            else:
                target.write(data)
        target.truncate()
