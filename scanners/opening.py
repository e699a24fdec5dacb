"""From a listed revision to an opened checkpoint: headers, config, tokenizer, anchor rows.

Config and tokenizer come from the same hostile repository: sizes are capped, what does not parse is noted
and done without. A checkpoint without a usable tokenizer loses the anchored channel, not the others.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scanners import anchors as anchor_list
from scanners.errors import CannotLook, TransientError
from scanners.formats.checkpoints import CheckpointFiles, checkpoints, why_none
from scanners.formats.manifest import read_checkpoint
from scanners.layout import understand
from scanners.plan import MIN_ANCHORS, row_runs
from scanners.reading import TensorReader
from scanners.records import AnchorGeometry, ByteRange, CheckpointManifest, Matrix, RemoteFile, RepoRevision
from scanners.roles import Hints, Layout, hints
from scanners.sketch import centred_gram
from scanners.sources import Source

MAX_CONFIG_BYTES = 1 << 20
MAX_TOKENIZER_BYTES = 64 << 20


@dataclass(slots=True)
class Checkpoint:
    """An opened checkpoint: understood, not yet measured."""

    revision: RepoRevision
    files: tuple[RemoteFile, ...]
    manifest: CheckpointManifest
    layout: Layout
    reader: TensorReader
    anchor_rows: Mapping[int, int]  # anchor slot -> row of the embedding; empty without a tokenizer
    notes: list[str] = field(default_factory=list)


def open_checkpoint(
    source: Source, revision: RepoRevision, files: tuple[RemoteFile, ...], weights: CheckpointFiles
) -> Checkpoint:
    """Read the headers of one checkpoint and understand; raises CannotLook with the reason where that fails."""
    manifest = read_checkpoint(source, revision, files, weights)
    notes: list[str] = []
    folder = _folder(manifest)
    claims = _config(source, revision, files, folder, notes)
    layout = understand(manifest, claims)
    notes.extend(layout.notes)
    anchor_rows = anchor_list.slots(_vocabulary(source, revision, files, folder, notes))
    return Checkpoint(revision, files, manifest, layout, TensorReader(source, revision), anchor_rows, notes)


def weights_of(files: tuple[RemoteFile, ...]) -> tuple[CheckpointFiles, ...]:
    """All checkpoints of a revision, the one that loaders take first; raises FormatError where there is none."""
    found = checkpoints(files)
    if not found:
        raise why_none(files)
    return found


def _folder(manifest: CheckpointManifest) -> str:
    path = manifest.files[0].path
    return path[: path.rfind("/") + 1]


def _small_file(
    source: Source, revision: RepoRevision, files: tuple[RemoteFile, ...], path: str, cap: int
) -> bytes | None:
    file = next((f for f in files if f.path == path), None)
    if file is None or not 0 < file.size_bytes <= cap:
        return None
    return source.read(revision, ByteRange(path, 0, file.size_bytes))


def _config(
    source: Source, revision: RepoRevision, files: tuple[RemoteFile, ...], folder: str, notes: list[str]
) -> Hints:
    try:
        data = _small_file(source, revision, files, folder + "config.json", MAX_CONFIG_BYTES)
        document: Any = json.loads(data) if data else {}
    except (ValueError, RecursionError):
        notes.append("config.json does not parse and is done without")
        return Hints()
    return hints(document) if isinstance(document, dict) else Hints()


def _vocabulary(
    source: Source, revision: RepoRevision, files: tuple[RemoteFile, ...], folder: str, notes: list[str]
) -> dict[str, int]:
    """The first tokenizer file that parses, beside the weights or at the root; empty if there is none."""
    for place in dict.fromkeys((folder, "", "tokenizer/")):
        for name, read in anchor_list.READERS.items():
            try:
                data = _small_file(source, revision, files, place + name, MAX_TOKENIZER_BYTES)
                if data is not None:
                    return read(data)
            except TransientError:
                raise
            except CannotLook as error:
                notes.append(f"{place + name}: {error}")
    notes.append("no tokenizer that can be read")
    return {}


def read_anchors(checkpoint: Checkpoint, max_runs: int, max_bytes: int) -> tuple[AnchorGeometry, Matrix] | None:
    """The anchors' geometry and their centred embedding rows (anchors, width); None where there are too few."""
    embedding = checkpoint.layout.embedding
    if embedding is None:
        return None
    slots = {s: row for s, row in checkpoint.anchor_rows.items() if row < embedding.shape[0]}
    row_bytes = embedding.size_bytes // max(embedding.shape[0], 1)
    runs = row_runs(sorted(set(slots.values())), row_bytes, max_runs, max_bytes)
    slots = {s: row for s, row in slots.items() if any(a <= row < b for a, b in runs)}
    if len(slots) < MIN_ANCHORS:
        checkpoint.notes.append(f"only {len(slots)} anchor tokens: the anchored channel is missing")
        return None
    rows = {a: checkpoint.reader.rows(embedding, a, b) for a, b in runs}
    chosen = np.stack([rows[a][row - a] for row in slots.values() for a, b in runs if a <= row < b])
    return _geometry(chosen, list(slots), checkpoint.layout.centred)


def _geometry(rows: Matrix, slots: list[int], centred: bool) -> tuple[AnchorGeometry, Matrix]:
    frame = rows - rows.mean(axis=0, keepdims=True)
    if centred:  # the norms take the mean over the residual axis out, so nothing may depend on it
        frame = frame - frame.mean(axis=1, keepdims=True)
    scale = float(np.sqrt((frame.astype(np.float64) ** 2).mean())) or 1.0
    frame = (frame / scale).astype(np.float32)
    gram = centred_gram(frame.astype(np.float64) @ frame.T.astype(np.float64))
    return AnchorGeometry(np.asarray(slots, np.int16), gram.astype(np.float32)), frame
