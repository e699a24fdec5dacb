"""The matrices of one block, streamed: profiles, Grams of heads and the block of rows kept as it is.

Every quantity here adds up over pieces, so memory depends on the number of units and anchors and not on the
size of a tensor: (units, anchors) and (units, 128) numbers for the profiles, (heads, head width, head width)
for the Grams, 64 rows for the direct sketch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scanners.plan import BLOCK_ROWS, block_start
from scanners.reading import TensorReader
from scanners.records import Matrix, Vector
from scanners.roles import MatrixPart


@dataclass(frozen=True, slots=True)
class Frames:
    """What a matrix is seen through: anchor rows and identity signs, one below the other (rows, width).

    ``gain`` (width,) is the norm's before the matrix, or None. It is folded into ``joined``, which is small,
    and not into the weights.
    """

    joined: Matrix
    anchors: int  # how many of the rows are anchors
    gain: Vector | None = None

    @staticmethod
    def of(anchors: Matrix | None, identity: Matrix) -> "Frames":
        """From anchor rows (anchors, width), None where there are none, and identity signs (width, 128)."""
        rows = np.zeros((0, len(identity)), np.float32) if anchors is None else anchors
        return Frames(np.concatenate([rows, identity.T]), len(rows))

    def behind(self, gain: Vector | None) -> "Frames":
        """The same frames for a matrix that reads through a norm with this gain (width,)."""
        return self if gain is None else Frames(self.joined * gain, self.anchors, gain)


class PartSums:
    """What is summed up of one matrix part while its tensor streams by.

    ``first`` to ``last`` are the units that are read. ``anchored`` (units, anchors), ``identity``
    (units, 128), ``grams`` (heads, head width, head width) for attention parts, ``block`` (rows, width).
    """

    def __init__(self, part: MatrixPart, frames: Frames, key: bytes, run: tuple[int, int], head: int = 0) -> None:
        self.part, self.frames = part, frames
        self.first, self.last = run
        units = self.last - self.first
        self.profiles = np.zeros((units, len(frames.joined)), np.float32)
        self.anchored, self.identity = self.profiles[:, : frames.anchors], self.profiles[:, frames.anchors :]
        self.zeros = self.values = 0
        self.head = head if head and units % head == 0 else 0
        self.grams = np.zeros((units // self.head if self.head else 0, self.head, self.head), np.float64)
        self.sums = np.zeros((len(self.grams), self.head), np.float64)
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
        for at, unit, count in _runs(self.unit_of[start : start + len(rows)]):
            self._add(unit, rows[at : at + count], slice(None))

    def add_columns(self, start: int, chunk: Matrix) -> None:
        """A slice of the residual axis from ``start``, for all units (n, units)."""
        for at, unit, count in _runs(self.unit_of):
            self._add(unit, chunk[:, at : at + count].T, slice(start, start + len(chunk)))

    def _add(self, unit: int, rows: Matrix, where: slice) -> None:
        """Units from ``unit`` on (n, width), of which ``rows`` holds the columns ``where``; any memory order."""
        units = slice(unit, unit + len(rows))
        self._keep_block(unit, rows, where)
        self.profiles[units] += rows @ self.frames.joined[:, where].T
        self.zeros += rows.size - int(np.count_nonzero(rows != 0))
        self.values += rows.size
        if self.head:
            self._add_grams(units, rows if self.frames.gain is None else rows * self.frames.gain[where])

    def _add_grams(self, units: slice, rows: Matrix) -> None:
        heads = slice(units.start // self.head, units.stop // self.head)
        by_head = rows.reshape(-1, self.head, rows.shape[1])
        self.grams[heads] += by_head @ by_head.transpose(0, 2, 1)
        self.sums[heads] += by_head.sum(axis=2, dtype=np.float64)

    def _keep_block(self, unit: int, rows: Matrix, where: slice) -> None:
        at = unit + self.first - self.block_at  # the place in the block of the first of these rows
        first, last = max(at, 0), min(at + len(rows), len(self.block))
        if first < last:
            self.block[first:last, where] = rows[first - at : last - at]

    def has_block(self) -> bool:
        """Whether the fixed block of rows lies within the units that were read."""
        return self.first <= self.block_at and self.block_at + len(self.block) <= self.last

    def centred_grams(self) -> NDArray[np.float64]:
        """The Grams after the mean over the residual axis is taken out: G - s s^T / width."""
        means = self.sums[:, :, None] * self.sums[:, None, :] / self.part.width
        return np.asarray(self.grams - means)


def _runs(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """(index, unit, length) of each run of units that are numbered one after the other; -1 belongs to none."""
    offsets = np.where(numbers < 0, -len(numbers), numbers - np.arange(len(numbers)))  # the same within a run
    edges = np.flatnonzero(np.diff(offsets)) + 1
    for start, stop in pairwise([0, *edges.tolist(), len(numbers)]):
        if start < stop and numbers[start] >= 0:
            yield start, int(numbers[start]), stop - start


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
