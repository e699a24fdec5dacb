"""The same places, other numbers: what a publisher does to save space, and what a thief does to blur."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.disguises.checkpoint import Array, Checkpoint
from tests.disguises.storage import cast


def _each(model: Checkpoint, change: Callable[[Array], Array]) -> Checkpoint:
    return replace(model, tensors={name: change(array) for name, array in model.tensors.items()})


def _each_matrix(model: Checkpoint, change: Callable[[Array], Array]) -> Checkpoint:
    return _each(model, lambda array: change(array) if array.ndim == 2 else array)


def quantise(model: Checkpoint, bits: int, group: int = 32) -> Checkpoint:
    """Each matrix rounded to the nearest of ``2**bits - 1`` symmetric levels a group, stored as F16."""

    def rounded(array: Array) -> Array:
        flat = np.pad(array.ravel(), (0, -array.size % group)).reshape(-1, group)
        step = np.abs(flat).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
        levels = np.round(flat / np.where(step > 0, step, 1))
        restored: Array = (levels * step).ravel()[: array.size].reshape(array.shape)
        return restored

    return cast(_each_matrix(model, rounded), "F16")


def noise(model: Checkpoint, share: float, seed: int = 101) -> Checkpoint:
    """Normal noise on every tensor, of ``share`` of the tensor's standard deviation."""
    rng = np.random.default_rng(seed)

    def noisy(array: Array) -> Array:
        drawn: Array = rng.standard_normal(array.shape, dtype=np.float32)
        return array + np.float32(share * array.std()) * drawn

    return _each(model, noisy)


def prune(model: Checkpoint, share: float) -> Checkpoint:
    """The smallest ``share`` of each matrix's entries set to zero."""

    def pruned(array: Array) -> Array:
        threshold = np.quantile(np.abs(array), share)
        return np.where(np.abs(array) < threshold, np.float32(0), array)

    return _each_matrix(model, pruned)


def low_rank(model: Checkpoint, share: float) -> Checkpoint:
    """Each matrix cut to ``share`` of its rank."""

    def cut(array: Array) -> Array:
        if array.shape[0] < array.shape[1]:
            return cut(array.T).T
        kept = round(share * array.shape[1])
        main = np.linalg.eigh(array.T @ array).eigenvectors[:, -kept:]  # right singular vectors, ascending
        projected: Array = (array @ main) @ main.T
        return projected

    return _each_matrix(model, cut)
