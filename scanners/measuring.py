"""The matrices of one block, streamed: profiles, Grams of heads and the block of rows kept as it is.

Every quantity here adds up over pieces, so memory depends on the number of units and anchors and not on the
size of a tensor: (units, anchors) and (units, 128) numbers for the profiles, (heads, head width, head width)
for the Grams, 64 rows for the direct sketch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanners.plan import BLOCK_ROWS, block_start
from scanners.reading import TensorReader
from scanners.records import Matrix, Vector
from scanners.roles import MatrixPart


@dataclass(frozen=True, slots=True)
class Frames:
    """What a matrix is seen through: anchor rows (anchors, width) or None, identity signs (width, 128)."""

    anchors: Matrix | None
    identity: Matrix


class PartSums:
    """What is summed up of one matrix part while its tensor streams by.

    ``first`` to ``last`` are the units that are read. ``anchored`` (units, anchors), ``identity``
    (units, 128), ``grams`` (heads, head width, head width) for attention parts, ``block`` (rows, width).
    """

    def __init__(
        self,
        part: MatrixPart,
        frames: Frames,
        gain: Vector | None,
        key: bytes,
        run: tuple[int, int],
        head: int = 0,
    ) -> None:
        self.part, self.frames, self.gain = part, frames, gain
        self.first, self.last = run
        units = self.last - self.first
        anchors = 0 if frames.anchors is None else len(frames.anchors)
        self.anchored = np.zeros((units, anchors), np.float32)
        self.identity = np.zeros((units, frames.identity.shape[1]), np.float32)
        self.sums = np.zeros(units, np.float64)
        self.zeros = self.values = 0
        self.head = head if head and units % head == 0 else 0
        self.grams = np.zeros((units // self.head if self.head else 0, self.head, self.head), np.float64)
        self.block_at = block_start(key, part.rows)
        self.block = np.zeros((min(BLOCK_ROWS, part.rows), part.width), np.float32)
        self.unit_of = self._unit_numbers()

    def _unit_numbers(self) -> NDArray[np.int64]:
        """For each index on the stored unit axis the unit it is (from 0 at ``first``), or -1."""
        stored = self.part.tensor.shape[1 - self.part.residual_axis]
        numbers = np.full(stored, -1, np.int64)
        index = np.concatenate([np.arange(a, b) for a, b in self.part.units])
        numbers[index[self.first : self.last]] = np.arange(self.last - self.first)
        return numbers

    def add_rows(self, start: int, rows: Matrix) -> None:
        """Stored rows from ``start``, each one unit (n, width)."""
        numbers = self.unit_of[start : start + len(rows)]
        mine = numbers >= 0
        numbers, rows = numbers[mine], rows[mine]
        self._keep_block(numbers, rows, slice(None))
        seen = rows if self.gain is None else rows * self.gain
        self._add(numbers, seen, slice(None))

    def add_columns(self, start: int, chunk: Matrix) -> None:
        """A slice of the residual axis from ``start``, for all units (n, units)."""
        mine = self.unit_of >= 0
        numbers = self.unit_of[mine]
        rows = np.ascontiguousarray(chunk[:, mine].T)
        where = slice(start, start + len(chunk))
        self._keep_block(numbers, rows, where)
        seen = rows if self.gain is None else rows * self.gain[where]
        self._add(numbers, seen, where)

    def _add(self, numbers: NDArray[np.int64], rows: Matrix, where: slice) -> None:
        if self.frames.anchors is not None:
            self.anchored[numbers] += rows @ self.frames.anchors[:, where].T
        self.identity[numbers] += rows @ self.frames.identity[where]
        self.sums[numbers] += rows.sum(axis=1, dtype=np.float64)
        self.zeros += int(rows.size - np.count_nonzero(rows))
        self.values += rows.size
        if self.head and len(rows):
            heads = rows.reshape(-1, self.head, rows.shape[1])
            self.grams[numbers[:: self.head] // self.head] += heads @ heads.transpose(0, 2, 1)

    def _keep_block(self, numbers: NDArray[np.int64], rows: Matrix, where: slice) -> None:
        at = numbers + self.first - self.block_at
        mine = (at >= 0) & (at < len(self.block))
        self.block[at[mine], where] = rows[mine]

    def has_block(self) -> bool:
        """Whether the fixed block of rows lies within the units that were read."""
        return self.first <= self.block_at and self.block_at + len(self.block) <= self.last

    def centred_grams(self) -> NDArray[np.float64]:
        """The Grams after the mean over the residual axis is taken out: G - s s^T / width."""
        sums = self.sums.reshape(-1, self.head)
        return np.asarray(self.grams - sums[:, :, None] * sums[:, None, :] / self.part.width)


def stream(reader: TensorReader, parts: Sequence[PartSums]) -> None:
    """Feed every part that lies in one tensor from one pass over it (or over the rows they ask for)."""
    part = parts[0].part
    tensor = part.tensor
    if part.residual_axis == 0:
        for start, chunk in reader.chunks(tensor, 0, tensor.shape[0]):
            for sums in parts:
                sums.add_columns(start, chunk)
        return
    wanted = np.flatnonzero(np.max([sums.unit_of for sums in parts], axis=0) >= 0)
    first, last = (int(wanted[0]), int(wanted[-1]) + 1) if wanted.size else (0, 0)
    multiple = max((sums.head for sums in parts), default=0) or 1
    for start, chunk in reader.chunks(tensor, first, last, multiple):
        for sums in parts:
            sums.add_rows(start, chunk)
