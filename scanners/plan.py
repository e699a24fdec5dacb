"""Which bytes to read: a layout and a budget become a scope. Pure; the only randomness is the keyed offset.

Requests cost more than bytes, so rows are read in contiguous runs and neighbours are coalesced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from scanners.records import Role
from scanners.roles import Block, Layout
from scanners.sketch import generator

BLOCK_ROWS = 64  # rows of the fixed block that direct sketches and unit probes read
HELD_UNITS = 4096  # units a layer keeps in the register
MAX_UNITS = 16384  # units a layer is read to; more (many experts) are left out and noted
MIN_ANCHORS = 24


class Budget(StrEnum):
    """How far a scan may go before it must say what it knows."""

    QUICK = "quick"
    STANDARD = "standard"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a checkpoint is read, layer by layer.

    ``unit_layers``: feed-forward units, ``rows`` of them (None: all). ``narrow_layers``: k and v whole.
    ``attention_layers``: q, k, v and o whole, hence head spectra.
    """

    unit_layers: tuple[int, ...]
    rows: int | None
    narrow_layers: tuple[int, ...]
    attention_layers: tuple[int, ...]

    def without(self, done: "Scope") -> "Scope":
        """What this scope asks for beyond another one that was read already."""
        deeper = self.rows is None or (done.rows is not None and self.rows > done.rows)
        units = self.unit_layers if deeper else _minus(self.unit_layers, done.unit_layers)
        attention = _minus(self.attention_layers, done.attention_layers)
        narrow = _minus(_minus(self.narrow_layers, done.narrow_layers), self.attention_layers)
        return Scope(units, self.rows, narrow, attention)


def _minus(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    return tuple(layer for layer in left if layer not in set(right))


def spread(layers: int, count: int) -> tuple[int, ...]:
    """Up to ``count`` layers spread over the depth; layer 0 last of all, since strangers agree there."""
    if count >= layers:
        return tuple(range(layers))
    step = layers / count
    return tuple(sorted({min(layers - 1, int(step * (i + 0.5))) for i in range(count)}))


def everything(layout: Layout) -> Scope:
    """All layers, all units: what the register holds, and what a full scan reads."""
    layers = tuple(range(len(layout.blocks)))
    return Scope(layers, None, (), layers)


def first_look(layout: Layout, budget: Budget) -> Scope:
    """What every subject is read to: enough to acquit a stranger."""
    layers = len(layout.blocks)
    if budget is Budget.FULL:
        return everything(layout)
    if budget is Budget.QUICK:
        return Scope(spread(layers, 2), BLOCK_ROWS, spread(layers, 1), ())
    return _wide(layout, 2 * BLOCK_ROWS)


def _wide(layout: Layout, rows: int) -> Scope:
    """Up to 16 layers' units, and as much attention as gives some 32 heads."""
    layers, heads = len(layout.blocks), max(layout.shape.heads, 1)
    return Scope(spread(layers, 16), rows, spread(layers, 4), spread(layers, -(-32 // heads)))


def second_look(layout: Layout, budget: Budget) -> Scope:
    """What a suspect is read to: every layer, for its layer map."""
    layers = tuple(range(len(layout.blocks)))
    if budget is Budget.QUICK:
        return _wide(layout, BLOCK_ROWS)  # the same rows, so that what was read is not read again
    return Scope(layers, 2 * BLOCK_ROWS, (), layers)


def block_start(key: bytes, units: int, rows: int = BLOCK_ROWS) -> int:
    """Where the fixed block of rows begins in a matrix of ``units`` rows: keyed, the same for all models."""
    free = max(units - rows, 0)
    return int(generator(key, f"block:{units}").random() * (free + 1))


def unit_rows(key: bytes, units: int, rows: int | None) -> tuple[int, int]:
    """The half-open run of units to read: around the fixed block, or all of them."""
    if rows is None or rows >= units:
        return 0, units
    start = block_start(key, units)
    start = max(0, min(start - (rows - BLOCK_ROWS) // 2, units - rows))
    return start, start + rows


def unit_roles(block: Block) -> tuple[Role, ...]:
    """The views of a block's units that are there: a gated block has up to three, an ungated one two."""
    gated = tuple(role for role in (Role.GATE, Role.UP) if role in block.parts)
    if len(gated) == 2:
        return gated
    ungated = tuple(role for role in (Role.IN, Role.UP, Role.GATE) if role in block.parts)[:1]
    return (*ungated, Role.DOWN) if ungated and Role.DOWN in block.parts else ()


def row_runs(rows: Sequence[int], row_bytes: int, max_runs: int, max_bytes: int) -> list[tuple[int, int]]:
    """Half-open runs of row numbers that catch as many of ``rows`` as the two caps allow.

    Tries every gap from none to thousands of rows; for each, keeps the runs richest in wanted rows.
    """
    best: list[tuple[int, int]] = []
    most = 0
    for gap in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096):
        runs, caught = _richest(_joined(sorted(rows), gap), row_bytes, max_runs, max_bytes)
        if caught > most:
            best, most = runs, caught
    return sorted(best)


def _joined(rows: Sequence[int], gap: int) -> list[tuple[int, int, int]]:
    """(start, stop, wanted rows inside) of runs whose wanted rows are at most ``gap`` apart."""
    runs: list[tuple[int, int, int]] = []
    for row in rows:
        if runs and row - runs[-1][1] < gap:
            runs[-1] = (runs[-1][0], row + 1, runs[-1][2] + 1)
        else:
            runs.append((row, row + 1, 1))
    return runs


def _richest(
    runs: list[tuple[int, int, int]], row_bytes: int, max_runs: int, max_bytes: int
) -> tuple[list[tuple[int, int]], int]:
    kept: list[tuple[int, int]] = []
    caught = spent = 0
    for start, stop, wanted in sorted(runs, key=lambda run: -run[2]):
        cost = (stop - start) * row_bytes
        if len(kept) < max_runs and spent + cost <= max_bytes:
            kept.append((start, stop))
            caught, spent = caught + wanted, spent + cost
    return kept, caught
