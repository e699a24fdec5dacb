"""From the register to an index on disk that readers can open at any moment.

A generation is built in a folder of its own, flushed to disk, renamed, and only then named as the current
one: a reader sees the old or the new, never half of one, also when the machine stops in between.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from index import store
from index.faiss_index import FaissIndex
from index.register import Register, RegisteredModel
from index.snapshot import (
    CURRENT,
    FORMAT,
    MANIFEST,
    BrokenSnapshot,
    IndexPart,
    Manifest,
    Snapshot,
    model_file,
    open_snapshot,
    read_current,
    sha256_of,
)
from scanners import codec, fingerprint_file
from scanners.errors import FormatError, UsageError
from scanners.records import Sketch

__all__ = ["BrokenSnapshot", "Snapshot", "build_snapshot", "open_snapshot"]

OLD_GENERATIONS_KEPT = 2
_UNFINISHED = ".building-"

Grouped = dict[tuple[str, str], list[tuple[int, Sketch]]]  # (scheme, role) -> model id, sketch


def build_snapshot(register: Register, folder: Path) -> Path:
    """Bring the index in ``folder`` to the register's state; the folder of the current generation.

    Nothing is written if it is there already. Builders take turns.

    Raises:
        BrokenSnapshot: a fingerprint in the register is not the one that was registered.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        version, models = register.state()
        content = store.digest(FORMAT, [(model.id, sha256) for model, sha256 in models.items()])
        generation, current = f"{version:08d}-{content[:12]}", _current(folder)
        if current is None or current[0] != generation:
            _clear(folder, generation)
            with _unfinished(folder) as building:
                _write_models(register, models, building, folder / (current[0] if current else ""))
                _write_manifest(building, version, content, tuple(models))
                building.rename(folder / generation)
            _name_current(folder, generation)
        _remove_old(folder, generation)
    return folder / generation


# --- writing a generation ----------------------------------------------------------------------------


def _write_models(register: Register, models: Mapping[RegisteredModel, str], building: Path, current: Path) -> None:
    """Every fingerprint as a file: the current generation's where it is the same, else the register's."""
    (building / "models").mkdir()
    for model, sha256 in models.items():
        old, new = current / model_file(model.id), building / model_file(model.id)
        if old.is_file() and sha256_of(old) == sha256:
            os.link(old, new)
            continue
        data = register.fingerprint_bytes(model.id)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BrokenSnapshot(f"the register's fingerprint of {model.name!r} was changed")
        new.write_bytes(data)


def _write_manifest(building: Path, version: int, content: str, references: tuple[RegisteredModel, ...]) -> None:
    parts = _write_parts(building, _grouped(building, references))
    files = sorted(path for path in building.rglob("*") if path.is_file())
    manifest = Manifest(
        format=FORMAT,
        register_version=version,
        content=content,
        references=references,
        parts=parts,
        sha256={str(path.relative_to(building)): sha256_of(path) for path in files},
        size_bytes={str(path.relative_to(building)): path.stat().st_size for path in files},
    )
    (building / MANIFEST).write_text(codec.dumps(manifest), "ascii")
    for path in (*files, building / MANIFEST, building / "models", building / "sketches", building):
        _flush(path)


def _grouped(building: Path, references: tuple[RegisteredModel, ...]) -> Grouped:
    groups: Grouped = {}
    for model in references:
        for sketch in fingerprint_file.open_file(building / model_file(model.id)).sketches:
            groups.setdefault((sketch.scheme, sketch.role), []).append((model.id, sketch))
    return groups


def _write_parts(building: Path, groups: Grouped) -> tuple[IndexPart, ...]:
    """One index for each role under each scheme: vectors that may not be compared never meet."""
    (building / "sketches").mkdir()
    parts = []
    for number, ((scheme, role), members) in enumerate(sorted(groups.items(), key=lambda item: item[0])):
        part = IndexPart(scheme, role, f"sketches/{number}.faiss", f"sketches/{number}.npy")
        index = FaissIndex(len(members[0][1].vector))
        index.add(np.arange(len(members), dtype=np.int64), np.stack([s.vector for _, s in members]))
        index.write(building / part.file)
        keys = [(model_id, sketch.layer, sketch.part) for model_id, sketch in members]
        np.save(building / part.keys, np.array(keys, np.int64), allow_pickle=False)
        parts.append(part)
    return tuple(parts)


# --- the folder of generations -----------------------------------------------------------------------


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One builder at a time; the lock goes with its process, whatever ends it."""
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    building = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
    try:
        building.chmod(0o755)
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _current(folder: Path) -> tuple[str, Manifest] | None:
    """The current generation, if there is a sound one."""
    try:
        return read_current(folder)
    except (UsageError, BrokenSnapshot, FormatError, OSError, ValueError):
        return None


def _name_current(folder: Path, generation: str) -> None:
    text = f"{generation} {sha256_of(folder / generation / MANIFEST)}\n"
    new = folder / f".{CURRENT}"
    new.write_text(text, "ascii")
    _flush(new)
    new.replace(folder / CURRENT)
    _flush(folder)


def _clear(folder: Path, generation: str) -> None:
    """What a builder left that was stopped half-way, and a generation of this name that is not sound."""
    for path in (*folder.glob(f"{_UNFINISHED}*"), folder / generation):
        shutil.rmtree(path, ignore_errors=True)


def _remove_old(folder: Path, current: str) -> None:
    """Readers may still have the last ones open."""
    generations = sorted(p for p in folder.iterdir() if (p / MANIFEST).is_file() and p.name != current)
    for path in generations[: max(0, len(generations) - OLD_GENERATIONS_KEPT)]:
        shutil.rmtree(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
