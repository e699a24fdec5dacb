"""Arrays become sketches and profiles: the mathematics of recognition, pure numpy.

Notation: ``E`` (anchors, width) holds the embedding rows of the anchor tokens; ``W`` (rows, width) is a
matrix that reads the residual stream with its norm gain folded in, or the transpose of one that writes it.
A permutation, sign flip or rotation Q of the residual stream sends E to EQ and W to WQ, so every product
W E^T stays as it was; whatever permutes the rows of W permutes the rows of the product.
"""

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from scanners.records import Matrix, Vector

SKETCH_DIM = 256
RIDGE = 0.2  # share of the mean singular value below which directions of the anchors fade out
SPECTRUM_VALUES = 24
IDENTITY_WIDTH = 128
TINY = 1e-12


def generator(key: bytes, label: str) -> np.random.Generator:
    """A random stream that only the holder of ``key`` can make again, one for each label."""
    digest = hashlib.blake2b(label.encode(), key=key[:64], digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big")))


def unit(vector: NDArray[np.floating]) -> Vector:
    """The vector (n,) at length one; a zero vector stays zero."""
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / max(length, TINY), np.float32)


def unit_rows(matrix: NDArray[np.floating]) -> Matrix:
    """Each row of (n, m) at length one; zero rows stay zero."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.maximum(lengths, TINY), np.float32)


def folded(values: NDArray[np.floating], key: bytes, label: str, dim: int = SKETCH_DIM) -> Vector:
    """A unit vector (dim,) whose inner products estimate the cosine of the centred ``values`` (n,).

    Random signs, then a fold into ``dim`` sums: the feature hashing of Weinberger et al. (ICML 2009) with
    a round-robin hash. For unrelated inputs the inner product has mean 0 and deviation 1/sqrt(dim).
    """
    centred = np.asarray(values, np.float32).ravel()
    return folded_sparse(centred - centred.mean(), key, label, dim)


def centred_gram(gram: NDArray[np.floating]) -> NDArray[np.float64]:
    """J G J for G (k, k): inner products after the mean over the anchors is taken out."""
    double = np.asarray(gram, np.float64)
    rows = double - double.mean(axis=0, keepdims=True)
    return np.asarray(rows - rows.mean(axis=1, keepdims=True), np.float64)


def whitener(gram: NDArray[np.floating], ridge: float = RIDGE) -> NDArray[np.float64]:
    """H (k, k) such that ``profiles @ H`` equals W A_w^T, from the anchors' inner products alone.

    With the centred anchors A = U S V^T and A_w = U f(S) V^T, f(s) = s / sqrt(s^2 + (r mean s)^2), one has
    A_w = H A with H = U f(S)/S U^T, and U, S^2 are the eigenvectors and eigenvalues of A A^T. So any subset
    of anchors can be whitened later, without their rows. The centring is part of H.
    """
    values, vectors = np.linalg.eigh(centred_gram(gram))
    singular = np.sqrt(np.clip(values, 0.0, None))
    floor = ridge * max(float(singular.mean()), TINY)
    scales = 1.0 / np.sqrt(singular**2 + floor**2)
    scales[singular < 1e-6 * max(float(singular.max()), TINY)] = 0.0
    whitened = (vectors * scales) @ vectors.T
    return np.asarray(whitened - whitened.mean(axis=0, keepdims=True))


def whitened(profiles: NDArray[np.floating], gram: NDArray[np.floating]) -> Matrix:
    """Profiles (rows, k) in the whitened anchor frame, each row of unit length."""
    return unit_rows(np.asarray(profiles, np.float64) @ whitener(gram))


def gram_sketch(frame: NDArray[np.floating], slots: NDArray[np.integer], total: int, key: bytes) -> Vector:
    """The keyed sketch (dim,) of Z^T Z for Z (rows, k) = W A_w^T; ``slots`` (k,) place the anchors in ``total``.

    Diagonal dropped, upper triangle centred, missing anchors left at zero: two models with different
    tokenizers meet on the anchors they share.
    """
    product = np.asarray(frame, np.float32).T @ np.asarray(frame, np.float32)
    upper = np.triu_indices(len(slots), 1)
    values = product[upper]
    triangle = np.zeros((total, total), np.float32)
    triangle[slots[upper[0]], slots[upper[1]]] = values - values.mean() if values.size else values
    return folded_sparse(triangle[np.triu_indices(total, 1)], key, "gram")


def folded_sparse(values: Vector, key: bytes, label: str, dim: int = SKETCH_DIM) -> Vector:
    """`folded` without the centring, which would fill the places of missing anchors."""
    flips = generator(key, f"fold:{label}:{values.size}").integers(0, 2, values.size, dtype=np.int8)
    padded = np.zeros(-(-values.size // dim) * dim, np.float32)
    padded[: values.size] = values * (2 * flips - 1)
    return unit(padded.reshape(-1, dim).sum(axis=0))


def identity_frame(width: int, key: bytes) -> Matrix:
    """Keyed random signs (width, 128) / sqrt(128): rows of W multiplied by it keep their cosines."""
    flips = generator(key, f"identity:{width}").integers(0, 2, (width, IDENTITY_WIDTH), dtype=np.int8)
    return np.asarray((2 * flips - 1) / np.sqrt(IDENTITY_WIDTH), np.float32)


def product_spectrum(left: NDArray[np.floating], right: NDArray[np.floating]) -> Vector:
    """Log singular values (24,) of L^T R, scaled by their mean, from the head's Grams L L^T and R R^T.

    Both Grams are (head width, head width). With L^T R = M one has M M^T = L^T (R R^T) L, whose nonzero
    eigenvalues are those of (L L^T)^(1/2) R R^T (L L^T)^(1/2). Invariant to rotations of the residual
    stream and to maps that cancel between the two factors (rotary-commuting q/k maps, any invertible v/o
    map). Grams add up over the residual axis, so either storage order streams.
    """
    values, vectors = np.linalg.eigh(np.asarray(left, np.float64))
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    squared = np.linalg.eigvalsh(root @ np.asarray(right, np.float64) @ root)[::-1]
    singular = np.sqrt(np.clip(squared[:SPECTRUM_VALUES], 0.0, None))
    top = np.zeros(SPECTRUM_VALUES)
    top[: singular.size] = np.log(np.maximum(singular / max(float(singular.mean()), TINY), 1e-6))
    return top.astype(np.float32)


def spectrum_sketch(query_key: Vector, value_output: Vector, key: bytes) -> Vector:
    """One unit vector (48,) for a head from its two spectra, under a keyed rotation."""
    joined = np.concatenate([query_key - query_key.mean(), value_output - value_output.mean()])
    return unit(_rotation(joined.size, key) @ joined)


@cache
def _rotation(size: int, key: bytes) -> NDArray[np.float64]:
    """The keyed rotation (size, size): the same for every head."""
    return np.linalg.qr(generator(key, "spectrum").standard_normal((size, size)))[0]


def grid_residual(block: Matrix) -> float:
    """How far the values of a block (rows, width) lie off a quantisation grid: near 0 on one, 0.25 off any.

    Tries the usual steps (largest value over 7 or 127, range over 15 or 255) on groups of 32, 64, 128 and
    whole rows, and takes the median over groups of the mean distance to the nearest multiple of the step.
    """
    best = 0.25
    for size in (32, 64, 128, block.shape[1]):
        width = block.shape[1] // size * size
        if not width or not block.any():
            continue
        groups = block[:, :width].reshape(-1, size).astype(np.float64)
        groups = groups[groups.any(axis=1)]
        largest, span = np.abs(groups).max(axis=1, keepdims=True), np.ptp(groups, axis=1, keepdims=True)
        for step in (largest / 7, largest / 127, span / 15, span / 255):
            scaled = groups / np.maximum(step, TINY)
            best = min(best, float(np.median(np.abs(scaled - np.round(scaled)).mean(axis=1))))
    return best
