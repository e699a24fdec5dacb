"""Nearest neighbours by inner product: what an index promises, and the obvious one that defines it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scanners.errors import UsageError

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]
Vectors = NDArray[np.float32]

NO_SCORE = np.float32(-np.inf)  # beside the id -1, where there are fewer than k vectors
NO_ID = -1


class SearchIndex(Protocol):
    """Vectors of one length under numbers of the caller's choice."""

    @property
    def dim(self) -> int:
        """Length of every vector."""
        ...

    @property
    def size(self) -> int:
        """How many vectors there are."""
        ...

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add vectors (n, dim) under new, distinct, non-negative ids (n,); UsageError for anything else."""
        ...

    def search(self, queries: Vectors, k: int) -> tuple[Scores, Ids]:
        """For queries (q, dim): scores and ids, both (q, k), the best first; -inf and -1 where fewer."""
        ...


class ExactIndex:
    """Brute force over all vectors: the specification of every other index."""

    def __init__(self, dim: int) -> None:
        self._ids: Ids = np.empty(0, np.int64)
        self._vectors: Vectors = np.empty((0, dim), np.float32)

    @property
    def dim(self) -> int:
        return int(self._vectors.shape[1])

    @property
    def size(self) -> int:
        return len(self._ids)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        check_new(ids, vectors, self.dim, self._ids)
        self._ids = np.concatenate([self._ids, ids])
        self._vectors = np.concatenate([self._vectors, vectors])

    def search(self, queries: Vectors, k: int) -> tuple[Scores, Ids]:
        check_queries(queries, k, self.dim)
        scores = queries @ self._vectors.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        missing = ((0, 0), (0, k - best.shape[1]))
        found = np.pad(np.take_along_axis(scores, best, axis=1), missing, constant_values=NO_SCORE)
        return found, np.pad(self._ids[best], missing, constant_values=NO_ID)


def check_new(ids: Ids, vectors: Vectors, dim: int, known: Ids) -> None:
    """UsageError unless these vectors may be added to an index of this length with these ids in it."""
    check_vectors(vectors, dim)
    if ids.dtype != np.int64 or ids.shape != (len(vectors),):
        raise UsageError(f"{len(vectors)} vectors need as many int64 ids")
    if len(ids) and ids.min() < 0:
        raise UsageError("an id is not negative")
    if len(np.unique(ids)) < len(ids) or np.isin(ids, known).any():
        raise UsageError("an id stands for one vector only")


def check_queries(queries: Vectors, k: int, dim: int) -> None:
    """UsageError unless an index of this length can be asked so."""
    check_vectors(queries, dim)
    if k < 1:
        raise UsageError(f"at least one neighbour has to be asked for, not {k}")


def check_vectors(vectors: Vectors, dim: int) -> None:
    """UsageError unless these are finite float32 vectors (n, dim)."""
    if vectors.dtype != np.float32 or vectors.ndim != 2 or vectors.shape[1] != dim:
        raise UsageError(f"vectors are float32 (n, {dim}), not {vectors.dtype} {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise UsageError("a vector holds what is no number")
