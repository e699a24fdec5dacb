"""Tensors by pieces: byte ranges become float32 rows, never a whole tensor in memory."""

import math
from collections.abc import Iterator

import numpy as np

from scanners.errors import FormatError, Reason
from scanners.formats.safetensors import decode, element_size
from scanners.records import ByteRange, Matrix, RepoRevision, TensorInfo, Vector
from scanners.sources import Source

CHUNK_BYTES = 8 << 20
MAX_ROW_BYTES = 64 << 20
MAX_NOT_FINITE = 0.01  # share of what was read


class TensorReader:
    """Reads rows of the tensors of one revision; counts what is not finite and sets it to zero.

    A thief could hide behind one NaN if it made a checkpoint unreadable, so single ones are read over and
    noted. A share above one percent raises FormatError(not_finite): such weights compute nothing.
    """

    def __init__(self, source: Source, revision: RepoRevision) -> None:
        self.source = source
        self.revision = revision
        self.values = 0
        self.not_finite = 0

    def rows(self, tensor: TensorInfo, start: int, stop: int) -> Matrix:
        """Rows ``start`` to ``stop`` of a 2-D tensor, float32 (stop - start, columns)."""
        pieces = [piece for _, piece in self.chunks(tensor, start, stop)]
        return np.concatenate(pieces) if pieces else np.zeros((0, tensor.shape[1]), np.float32)

    def vector(self, tensor: TensorInfo) -> Vector:
        """A 1-D tensor, float32 (n,)."""
        if tensor.size_bytes > MAX_ROW_BYTES:
            raise FormatError(Reason.TOO_LARGE, f"the vector {tensor.name!r} has {tensor.size_bytes} bytes")
        data = self.source.read(self.revision, ByteRange(tensor.path, tensor.start, tensor.stop))
        return self._finite(tensor, decode(data, tensor.dtype))

    def chunks(self, tensor: TensorInfo, start: int, stop: int, multiple: int = 1) -> Iterator[tuple[int, Matrix]]:
        """(first row, rows) over ``start`` to ``stop``, some 8 MiB at a time, in whole multiples of rows."""
        row_bytes = tensor.shape[1] * element_size(tensor.dtype)
        if row_bytes * multiple > MAX_ROW_BYTES:
            raise FormatError(Reason.TOO_LARGE, f"a row of {tensor.name!r} has {row_bytes} bytes")
        step = max(CHUNK_BYTES // max(row_bytes * multiple, 1), 1) * multiple
        span = ByteRange(tensor.path, tensor.start + start * row_bytes, tensor.start + stop * row_bytes)
        at = start
        for data in self._pieces(span, step * row_bytes):
            values = decode(data, tensor.dtype)
            rows = self._finite(tensor, values).reshape(-1, tensor.shape[1])
            yield at, rows
            at += len(rows)

    def _pieces(self, span: ByteRange, size: int) -> Iterator[bytes]:
        """The bytes of a span in pieces of exactly ``size``, the last one shorter."""
        if span.size_bytes == 0:
            return
        held = bytearray()
        for data in self.source.stream(self.revision, span, size):
            if not held and len(data) == size:  # as sources promise it, unless a connection broke
                yield data
                continue
            held += data
            while len(held) >= size:
                yield bytes(held[:size])
                del held[:size]
        if held:
            yield bytes(held)

    def _finite(self, tensor: TensorInfo, values: Vector) -> Vector:
        self.values += values.size
        # One sum over the values sees every NaN and infinity at the price of one pass.
        with np.errstate(over="ignore", invalid="ignore"):
            if math.isfinite(float(np.dot(values, values))):
                return values
        good = np.isfinite(values) & (np.abs(values) < 1e18)
        self.not_finite += int((~good).sum())
        if self.not_finite > MAX_NOT_FINITE * self.values:
            raise FormatError(Reason.NOT_FINITE, f"{self.not_finite} of {self.values} values read are not finite")
        return np.where(good, values, np.float32(0.0))
