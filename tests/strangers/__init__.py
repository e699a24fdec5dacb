"""What must not be accused: checkpoints that share with a model everything but its weights.

``STRANGERS[name](model)`` forges one from a model's statistics. ``with_copied_gains(model, twin)`` is the
twin with all norm gains of the model: they stay near one in every model, so their likeness says nothing,
although a public accusation was once built on it.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tests.disguises.checkpoint import Array, Checkpoint
from tests.disguises.layouts import pack, unpack

__all__ = ["STRANGERS", "same_spectra", "same_statistics", "shuffled", "with_copied_gains"]


def _each(model: Checkpoint, change: Callable[[Array], Array]) -> Checkpoint:
    return replace(model, tensors={name: change(array) for name, array in model.tensors.items()})


def same_statistics(model: Checkpoint, seed: int = 201) -> Checkpoint:
    """Normal random numbers with each tensor's mean and standard deviation."""
    rng = np.random.default_rng(seed)

    def drawn(array: Array) -> Array:
        normal: Array = rng.standard_normal(array.shape, dtype=np.float32)
        return np.float32(array.mean()) + np.float32(array.std()) * normal

    return _each(model, drawn)


def shuffled(model: Checkpoint, seed: int = 202) -> Checkpoint:
    """Each tensor's own entries in random places: every histogram stays."""
    rng = np.random.default_rng(seed)
    return _each(model, lambda array: rng.permutation(array.ravel()).reshape(array.shape))


def same_spectra(model: Checkpoint, seed: int = 203) -> Checkpoint:
    """Each matrix with its own singular values between random singular vectors; vectors shuffled."""
    rng = np.random.default_rng(seed)

    def turned(array: Array) -> Array:
        if array.ndim != 2:
            return rng.permutation(array)
        values = _singular_values(array)
        left, right = (_frame(rng, size, len(values)) for size in array.shape)
        return ((left * values) @ right.T).astype(np.float32)

    return _each(model, turned)


def _singular_values(array: Array) -> NDArray[np.float64]:
    """By the smaller Gram matrix, ten times as fast on wide matrices; ascending."""
    narrow = (array if array.shape[0] < array.shape[1] else array.T).astype(np.float64)
    values: NDArray[np.float64] = np.sqrt(np.clip(np.linalg.eigvalsh(narrow @ narrow.T), 0, None))
    return values


def _frame(rng: np.random.Generator, rows: int, columns: int) -> Array:
    """Random orthonormal columns, (rows, columns)."""
    return np.linalg.qr(rng.standard_normal((rows, columns)))[0].astype(np.float32)


def with_copied_gains(model: Checkpoint, twin: Checkpoint) -> Checkpoint:
    """The twin, its norm gains replaced by the model's."""
    source, body = unpack(model), unpack(twin)
    blocks = tuple(
        replace(block, attention_gain=origin.attention_gain, ffn_gain=origin.ffn_gain)
        for origin, block in zip(source.blocks, body.blocks, strict=True)
    )
    body = replace(body, blocks=blocks, final_gain=source.final_gain, embedding_gain=source.embedding_gain)
    return pack(body, twin)


STRANGERS: dict[str, Callable[[Checkpoint], Checkpoint]] = {
    "random numbers with the same statistics": same_statistics,
    "its own numbers shuffled": shuffled,
    "random vectors under the same spectra": same_spectra,
}
