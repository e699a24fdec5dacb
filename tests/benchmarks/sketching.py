"""What a fingerprint costs beside reading its bytes, and beside the bare matrix product inside it.

Two layers of an 8-billion-parameter Llama, bf16, random, from the page cache; processor time of one thread.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from scanners import fingerprint
from scanners.anchors import ANCHORS
from scanners.fingerprint import Measurement
from scanners.opening import Checkpoint, open_checkpoint, weights_of
from scanners.plan import Budget, first_look
from scanners.reading import CHUNK_BYTES, TensorReader
from scanners.records import ByteRange, RepoRevision
from scanners.sketch import IDENTITY_WIDTH
from scanners.sources.folder import FolderSource
from tests.benchmarks.command import run
from tests.benchmarks.figures import Figure, counted, figure, interleaved, ratios
from tests.benchmarks.models import LLAMA_8B, LlamaShape, write
from tests.benchmarks.registers import SCHEMES

SUBSET = replace(LLAMA_8B, layers=2, vocabulary=8192)
SMALL = LlamaShape(layers=2, width=256, hidden=704, heads=4, kv_heads=2, vocabulary=512)


def benchmark(small: bool) -> list[Figure]:
    """Ratios of the whole fingerprint and of the first looks."""
    with tempfile.TemporaryDirectory() as place:
        folder = write(Path(place) / "model", SMALL if small else SUBSET, seed=1, shards=2)
        source = FolderSource(folder)
        return _measured(source, source.resolve("model"), repeats=2 if small else 3)


def _measured(source: FolderSource, revision: RepoRevision, repeats: int) -> list[Figure]:
    files = source.files(revision)  # hashes the files once: no part of what is compared here
    checkpoint = open_checkpoint(source, revision, files, weights_of(files)[0])
    read = blocks_bytes(checkpoint)
    actions: dict[str, Callable[[], object]] = {
        "fingerprint": lambda: fingerprint.of(source, revision, SCHEMES),
        "decoded": lambda: _decode(checkpoint),
        "read": lambda: _read(checkpoint),
        "product": _bare_product(checkpoint),
        "quick": lambda: _look(source, revision, Budget.QUICK),
        "standard": lambda: _look(source, revision, Budget.STANDARD),
    }
    times = interleaved(actions, repeats, processor=True)
    whole = times["fingerprint"]
    return [
        counted("bytes of the transformer blocks", "bytes", read),
        figure("whole fingerprint, processor time", "GB/s", [read / t / 1e9 for t in whole]),
        ratios("whole fingerprint / bare matrix product", whole, times["product"]),
        ratios("whole fingerprint / reading and decoding", whole, times["decoded"]),
        ratios("whole fingerprint / reading", whole, times["read"]),
        ratios("first look, quick / whole fingerprint", times["quick"], whole),
        ratios("first look, standard / whole fingerprint", times["standard"], whole),
    ]


def blocks_bytes(checkpoint: Checkpoint) -> int:
    """The size of the matrices that a whole fingerprint reads."""
    return sum(stop - start for _, start, stop in _spans(checkpoint))


def _spans(checkpoint: Checkpoint) -> Iterator[tuple[str, int, int]]:
    parts = (part for block in checkpoint.layout.blocks for parts in block.parts.values() for part in parts)
    yield from dict.fromkeys((part.tensor.path, part.tensor.start, part.tensor.stop) for part in parts)


def _read(checkpoint: Checkpoint) -> None:
    """The same bytes in the same pieces, and nothing done with them."""
    for span in _spans(checkpoint):
        for _ in checkpoint.reader.source.stream(checkpoint.revision, ByteRange(*span), CHUNK_BYTES):
            pass


def _decode(checkpoint: Checkpoint) -> None:
    """The same matrices as float32 with the check for numbers that are not finite, and no more."""
    reader = TensorReader(checkpoint.reader.source, checkpoint.revision)
    for block in checkpoint.layout.blocks:
        for parts in block.parts.values():
            for part in parts:
                for _ in reader.chunks(part.tensor, 0, part.tensor.shape[0]):
                    pass


def _bare_product(checkpoint: Checkpoint) -> Callable[[], object]:
    """As many multiply-adds as all profiles need, as float32 products of one chunk that is there already."""
    width = checkpoint.layout.shape.width
    anchors = sum(row < checkpoint.layout.shape.vocabulary for row in checkpoint.anchor_rows.values())
    assert anchors <= len(ANCHORS)
    random = np.random.default_rng(1)
    chunk = random.standard_normal((max(CHUNK_BYTES // (2 * width), 1), width), np.float32)
    frames = random.standard_normal((anchors + IDENTITY_WIDTH, width), np.float32)
    products = -(-blocks_bytes(checkpoint) // (2 * chunk.size))

    def multiply() -> None:
        for _ in range(products):
            chunk @ frames.T

    return multiply


def _look(source: FolderSource, revision: RepoRevision, budget: Budget) -> None:
    """What every subject costs before the first verdict, but for the comparison."""
    files = source.files(revision)
    checkpoint = open_checkpoint(source, revision, files, weights_of(files)[0])
    Measurement(checkpoint, SCHEMES, budget.value, thorough=False).extend(first_look(checkpoint.layout, budget))


def main() -> None:
    """``python -m tests.benchmarks.sketching``."""
    run(benchmark, __doc__)


if __name__ == "__main__":
    main()
