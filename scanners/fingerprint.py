"""One revision becomes one fingerprint: the only place where reading and mathematics meet."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from scanners import sketch
from scanners.anchors import ANCHORS
from scanners.measuring import Frames, PartSums, stream
from scanners.opening import Checkpoint, open_checkpoint, read_anchors, weights_of
from scanners.plan import BLOCK_ROWS, HELD_UNITS, MAX_UNITS, Scope, everything, unit_roles, unit_rows
from scanners.records import (
    MISTAKEN,
    AnchorGeometry,
    Coverage,
    Fingerprint,
    RepoRevision,
    Role,
    Sketch,
    UnitProfiles,
    Vector,
)
from scanners.roles import Block, MatrixPart
from scanners.schemes import Schemes
from scanners.sources import Source

ATTENTION = (Role.Q, Role.K, Role.V, Role.O)
UNIT_ROLES = (Role.GATE, Role.UP, Role.IN, Role.DOWN)


class Measurement:
    """A checkpoint being measured, scope by scope; what was read once is not read again."""

    def __init__(self, checkpoint: Checkpoint, schemes: Schemes, budget: str, thorough: bool) -> None:
        self.checkpoint, self.schemes, self.budget = checkpoint, schemes, budget
        self.done = Scope((), 0, (), ())
        self.sketches: dict[tuple[str, int, str, int], Sketch] = {}
        self.profiles: dict[tuple[str, int], UnitProfiles] = {}
        self.gains: dict[str, Vector] = {}
        self.zeros: dict[int, float] = {}
        self.grid: dict[int, float] = {}
        runs, size = (64, 256 << 20) if thorough else (4, max(4 << 20, checkpoint.manifest.size_bytes // 2000))
        found = read_anchors(checkpoint, runs, size)
        self.anchors: AnchorGeometry | None = found[0] if found else None
        rows = found[1] if found else None
        self.whitener = None if self.anchors is None else sketch.whitener(self.anchors.gram)
        self.frames = Frames.of(rows, sketch.identity_frame(checkpoint.layout.shape.width, schemes.key))
        self.behind: dict[str, Frames] = {}

    def extend(self, scope: Scope) -> "Measurement":
        """Read and measure what the scope asks for beyond what was read."""
        todo = scope.without(self.done)
        for layer in sorted({*todo.unit_layers, *todo.narrow_layers, *todo.attention_layers}):
            block = self.checkpoint.layout.blocks[layer]
            self._measure(block, scope.rows if layer in todo.unit_layers else 0, self._attention_roles(todo, layer))
        self.done = Scope(
            _union(self.done.unit_layers, scope.unit_layers),
            scope.rows,
            _union(self.done.narrow_layers, scope.narrow_layers),
            _union(self.done.attention_layers, scope.attention_layers),
        )
        return self

    @staticmethod
    def _attention_roles(scope: Scope, layer: int) -> tuple[Role, ...]:
        if layer in scope.attention_layers:
            return ATTENTION
        return (Role.K, Role.V) if layer in scope.narrow_layers else ()

    def _measure(self, block: Block, rows: int | None, attention: tuple[Role, ...]) -> None:
        self.behind = {}
        units = () if rows == 0 else (unit_roles(block) if rows is not None else UNIT_ROLES)
        wanted = [role for role in (*units, *attention) if role in block.parts]
        sums = {role: self._sums(block.parts[role], role, rows) for role in wanted}
        by_tensor: dict[str, list[PartSums]] = defaultdict(list)
        for part in chain.from_iterable(sums.values()):
            by_tensor[part.part.tensor.name].append(part)
        for parts in by_tensor.values():
            stream(self.checkpoint.reader, parts)
        for role, parts in sums.items():
            self._add_sketches(block.layer, role, parts, whole=rows is None or role in ATTENTION)
        self._add_units(block, sums)
        self._add_heads(block.layer, sums)

    def _sums(self, parts: Iterable[MatrixPart], role: Role, rows: int | None) -> list[PartSums]:
        chosen, total = [], 0
        for part in parts:
            if total and (total + part.rows > MAX_UNITS or rows is not None):
                break
            total += part.rows
            run = unit_rows(self.schemes.key, part.rows, rows if role in UNIT_ROLES else None)
            head = self.checkpoint.layout.head_width if role in ATTENTION else 0
            chosen.append(PartSums(part, self._frames(part), self.schemes.key, run, head))
        return chosen

    def _frames(self, part: MatrixPart) -> Frames:
        """The frames behind the norm that a part reads through, made once for each norm of a block."""
        if part.norm is None:
            return self.frames
        if part.norm.name not in self.gains:
            self.gains[part.norm.name] = self.checkpoint.reader.vector(part.norm) + np.float32(part.gain_offset)
        if part.norm.name not in self.behind:
            self.behind[part.norm.name] = self.frames.behind(self.gains[part.norm.name])
        return self.behind[part.norm.name]

    def _add_sketches(self, layer: int, role: Role, parts: list[PartSums], whole: bool) -> None:
        first = parts[0]
        if first.has_block():
            vector = sketch.folded(first.block, self.schemes.key, "direct")
            self._also(Sketch(self.schemes.direct, layer, role.value, 0, vector))
            self.grid[layer] = min(self.grid.get(layer, 0.25), sketch.grid_residual(first.block))
        if whole and self.anchors is not None and self.whitener is not None:
            seen_whole = np.concatenate([part.anchored for part in parts]) @ self.whitener
            frame = sketch.unit_rows(seen_whole) if role in UNIT_ROLES else seen_whole
            vector = sketch.gram_sketch(frame, self.anchors.slots, len(ANCHORS), self.schemes.key)
            self._also(Sketch(self.schemes.anchored, layer, role.value, 0, vector))
        seen = sum(part.values for part in parts)
        self.zeros[layer] = max(self.zeros.get(layer, 0.0), sum(p.zeros for p in parts) / max(seen, 1))

    def _also(self, made: Sketch) -> None:
        """Under names never seen, ask as well as the role this matrix may be mistaken for."""
        self._keep(made)
        if self.checkpoint.layout.shape.family == "unknown" and made.role in MISTAKEN:
            self._keep(replace(made, role=MISTAKEN[made.role], part=1))

    def _keep(self, made: Sketch) -> None:
        self.sketches[made.scheme, made.layer, made.role, made.part] = made

    def _add_units(self, block: Block, sums: dict[Role, list[PartSums]]) -> None:
        roles = [role for role in UNIT_ROLES if role in sums]
        if len(roles) < 2:
            return
        total = sum(part.rows for part in block.parts[roles[0]])
        first = sums[roles[0]]
        held = _held(sum(len(part.identity) for part in first), first[0].part.rows, self.schemes.key)
        views = {role.value: np.concatenate([p.identity for p in sums[role]])[held] for role in roles}
        self._keep_units("identity", block.layer, views, total)
        if self.anchors is not None:
            views = {role.value: np.concatenate([p.anchored for p in sums[role]])[held] for role in roles}
            self._keep_units("anchored", block.layer, views, total)

    def _keep_units(self, frame: str, layer: int, views: dict[str, NDArray[np.float32]], total: int) -> None:
        small = {name: sketch.unit_rows(rows).astype(np.float16) for name, rows in views.items()}
        self.profiles[frame, layer] = UnitProfiles(frame, layer, "units", small, total)

    def _add_heads(self, layer: int, sums: dict[Role, list[PartSums]]) -> None:
        if not all(role in sums and len(sums[role][0].grams) for role in ATTENTION):
            return
        query, key, value, output = (sums[role][0].centred_grams() for role in ATTENTION)
        if len(query) % len(key) or len(output) != len(query) or len(key) != len(value):
            self.checkpoint.notes.append(f"layer {layer}: the numbers of heads do not fit each other")
            return
        share = len(query) // len(key)
        spectra = [
            (
                sketch.product_spectrum(query[h], key[h // share]),
                sketch.product_spectrum(output[h], value[h // share]),
            )
            for h in range(len(query))
        ]
        views = {
            "query-key": np.stack([first for first, _ in spectra]).astype(np.float16),
            "value-output": np.stack([second for _, second in spectra]).astype(np.float16),
        }
        self.profiles["spectral", layer] = UnitProfiles("spectral", layer, "heads", views, len(spectra))
        for h, (first, second) in enumerate(spectra):
            vector = sketch.spectrum_sketch(first, second, self.schemes.key)
            self._keep(Sketch(self.schemes.heads, layer, "head", h, vector))

    def fingerprint(self) -> Fingerprint:
        """Everything measured so far, with what it cost."""
        checkpoint = self.checkpoint
        reader, usage = checkpoint.reader, checkpoint.reader.source.usage
        notes = list(dict.fromkeys(checkpoint.notes))
        if reader.not_finite:
            notes.append(f"{reader.not_finite} values that are not finite were read as zero")
        layers = _union(self.done.unit_layers, self.done.narrow_layers, self.done.attention_layers)
        coverage = Coverage(
            sum(file.size_bytes for file in checkpoint.files),
            usage.bytes_read,
            usage.requests,
            len(checkpoint.layout.blocks),
            layers,
            self.budget,
            tuple(notes),
        )
        hashes = tuple(file.sha256 for file in checkpoint.manifest.files if file.sha256)
        return Fingerprint(
            checkpoint.revision,
            checkpoint.layout.shape,
            tuple(self.sketches.values()),
            tuple(self.profiles.values()),
            self.anchors,
            hashes,
            coverage,
            self._facts(),
        )

    def _facts(self) -> dict[str, str]:
        dtypes = sorted({tensor.dtype for tensor in self.checkpoint.manifest.tensors.values()})
        zeros = float(np.median(list(self.zeros.values()))) if self.zeros else 0.0
        grid = float(np.median(list(self.grid.values()))) if self.grid else 0.25
        files = str(len(self.checkpoint.manifest.files))
        anchors = json.dumps(dict(self.checkpoint.anchor_rows))
        return {
            "dtypes": " ".join(dtypes),
            "zeros": f"{zeros:.4f}",
            "grid": f"{grid:.4f}",
            "files": files,
            "anchor rows": anchors,
        }


def _union(*parts: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(chain(*parts))))


def _held(units: int, first: int, key: bytes) -> NDArray[np.int64]:
    """Which of the units read are kept: all, or the run that a scan reads and a keyed choice of the others.

    ``first`` is the number of units of the first part (of several experts): a scan reads a run of that one.
    """
    if units <= HELD_UNITS:
        return np.arange(units)
    start, stop = unit_rows(key, first, 2 * BLOCK_ROWS)
    others = np.concatenate([np.arange(start), np.arange(stop, units)])
    chosen = sketch.generator(key, f"held:{units}").choice(others, HELD_UNITS - (stop - start), replace=False)
    return np.sort(np.concatenate([np.arange(start, stop), chosen]))


def of(source: Source, revision: RepoRevision, schemes: Schemes) -> Fingerprint:
    """The whole fingerprint of a model to register: every layer, role, head and unit, streamed.

    Raises CannotLook with the reason where the checkpoint cannot be read or understood.
    """
    files = source.files(revision)
    checkpoint = open_checkpoint(source, revision, files, weights_of(files)[0])
    measurement = Measurement(checkpoint, schemes, "full", thorough=True)
    return measurement.extend(everything(checkpoint.layout)).fingerprint()


def anchor_rows(fingerprint: Fingerprint) -> dict[int, int]:
    """Anchor slot -> embedding row of a registered model: lent to a subject that came without a tokenizer."""
    stored = json.loads(fingerprint.facts.get("anchor rows", "{}"))
    return {int(slot): int(row) for slot, row in stored.items()}
