"""The peak memory of a worker: does it grow with the checkpoint, or only with what the register keeps of it?

A small and a large checkpoint of the same width, bf16, random. Each is registered, and strangers and a copy are
looked at, in a process of its own. The peak is beyond what a process has that only imported the code.
"""

import multiprocessing
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from flows.examine import examine
from index.snapshot import open_snapshot
from scanners import fingerprint
from scanners.records import Acquittal, Finding, Fingerprint
from scanners.sources.folder import FolderSource
from tests.benchmarks.command import run
from tests.benchmarks.figures import Figure, counted
from tests.benchmarks.models import LlamaShape, write
from tests.benchmarks.registers import SCHEMES, change_one_bit, snapshot_of

LARGE = LlamaShape(layers=36, width=2048, hidden=7168, heads=16, kv_heads=4, vocabulary=8192)
TINY = LlamaShape(layers=4, width=128, hidden=352, heads=2, kv_heads=1, vocabulary=512)
MIB = 1 << 20


def benchmark(small: bool) -> list[Figure]:
    """MiB at the peak of each process."""
    large = TINY if small else LARGE
    with tempfile.TemporaryDirectory() as place:
        figures = _measured(Path(place), large, replace(large, layers=2))
        return list(islice(figures, 8) if small else figures)  # to the last registration


def _measured(place: Path, large: LlamaShape, small: LlamaShape) -> Iterator[Figure]:
    yield from _size("small checkpoint", small)
    made, peak = _in_a_child(_register, write(place / "small", small, seed=1))
    yield from _peak("register the small one", peak, made)
    snapshot_of(place / "small-register", {"small": made})
    yield from _size("large checkpoint", large)
    folder = write(place / "large", large, seed=2)
    made, peak = _in_a_child(_register, folder)
    yield from _peak("register the large one", peak, made)
    snapshot_of(place / "large-register", {"large": made})
    yield from _looked(place, "a small stranger", place / "small", "large")
    yield from _looked(place, "a large copy", change_one_bit(folder), "large")
    shutil.rmtree(folder)
    stranger = write(place / "stranger", large, seed=3)
    yield from _looked(place, "a large stranger", stranger, "large")
    yield from _looked(place, "a large stranger", stranger, "small")


def _looked(place: Path, name: str, subject: Path, registered: str) -> Iterator[Figure]:
    said, peak = _in_a_child(_examine, subject, place / f"{registered}-register" / "snapshots")
    yield from _peak(f"look at {name}, the {registered} one registered: {said}", peak)


def _in_a_child(look: Callable[..., Any], *arguments: Path) -> tuple[Any, float]:
    """What ``look`` gives in a fresh process, and by how many MiB its memory grew at the peak."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        result, peak = pool.submit(_growth, look, *arguments).result()
    return result, peak


def _growth(look: Callable[..., Any], *arguments: Path) -> tuple[Any, float]:
    before = peak_mib()
    return look(*arguments), peak_mib() - before


def peak_mib() -> float:
    """The peak of this process's resident memory so far (getrusage would count the parent's from before exec)."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _register(folder: Path) -> Fingerprint:
    source = FolderSource(folder)
    return fingerprint.of(source, source.resolve(folder.name), SCHEMES)


def _examine(folder: Path, snapshots: Path) -> str:
    source = FolderSource(folder)
    subject = source.resolve(folder.name)
    outcome = examine(subject, source, open_snapshot(snapshots), SCHEMES, "standard")
    assert isinstance(outcome, Finding | Acquittal), outcome
    return outcome.verdict.value if isinstance(outcome, Finding) else "independent"


def _size(name: str, shape: LlamaShape) -> Iterator[Figure]:
    yield counted(f"{name}: {shape.layers} layers", "checkpoint, MiB", shape.size_bytes / MIB)


def _peak(name: str, peak: float, made: Fingerprint | None = None) -> Iterator[Figure]:
    kept = None if made is None else kept_mib(made)
    yield counted(name, "peak, MiB", peak)
    if kept is not None:
        yield counted(name, "kept profiles, MiB", kept)
        yield counted(name, "peak less profiles, MiB", peak - kept)


def kept_mib(made: Fingerprint) -> float:
    """The arrays that the register keeps of a model."""
    views = [view for profile in made.profiles for view in profile.views.values()]
    return sum(np.asarray(array).nbytes for array in [*views, *(s.vector for s in made.sketches)]) / MIB


def main() -> None:
    """``python -m tests.benchmarks.worker_memory``."""
    run(benchmark, __doc__)


if __name__ == "__main__":
    main()
