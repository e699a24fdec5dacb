"""One contract for every index: brute force is the specification, FAISS keeps it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.faiss_index import BrokenIndex, FaissIndex
from index.search import ExactIndex, SearchIndex
from scanners.errors import UsageError

Float = NDArray[np.float32]
Ids = NDArray[np.int64]
Build = Callable[[Ids, Float], SearchIndex]
DIM = 24


def _unit(count: int, seed: int = 0) -> Float:
    drawn = np.random.default_rng(seed).standard_normal((count, DIM))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def _added(index: SearchIndex, ids: Ids, vectors: Float) -> SearchIndex:
    index.add(ids[:100], vectors[:100])
    index.add(ids[100:], vectors[100:])
    return index


def _reopened(path: Path, ids: Ids, vectors: Float, exact_up_to: int) -> SearchIndex:
    index = FaissIndex(DIM, exact_up_to)
    _added(index, ids, vectors)
    index.write(path)
    return FaissIndex.open(path)


@pytest.fixture(params=["exact", "faiss", "faiss file", "faiss lists", "faiss lists file"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    return {
        "exact": lambda ids, vectors: _added(ExactIndex(DIM), ids, vectors),
        "faiss": lambda ids, vectors: _added(FaissIndex(DIM), ids, vectors),
        "faiss file": lambda ids, vectors: _reopened(tmp_path / "i", ids, vectors, 1000),
        "faiss lists": lambda ids, vectors: _added(FaissIndex(DIM, 100), ids, vectors),
        "faiss lists file": lambda ids, vectors: _reopened(tmp_path / "i", ids, vectors, 100),
    }[request.param]


def test_it_names_what_brute_force_names(build: Build) -> None:
    ids, vectors = np.arange(400, dtype=np.int64) * 3 + 7, _unit(400)
    queries = vectors[::7] + 0.1 * _unit(400, seed=1)[::7]
    scores, found = build(ids, vectors).search(queries, 5)
    expected_scores, expected = _added(ExactIndex(DIM), ids, vectors).search(queries, 5)
    assert (found[:, 0] == expected[:, 0]).all()
    assert (found[:, 0] == ids[::7]).all()
    np.testing.assert_allclose(scores[:, 0], expected_scores[:, 0], atol=0.01)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(found, expected, strict=True)]) > 4.5


def test_scores_fall(build: Build) -> None:
    scores, ids = build(np.arange(300, dtype=np.int64), _unit(300)).search(_unit(4, seed=2), 20)
    assert scores.shape == ids.shape == (4, 20)
    assert scores.dtype == np.float32
    assert ids.dtype == np.int64
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_than_asked_are_marked(build: Build, count: int) -> None:
    scores, ids = build(np.arange(count, dtype=np.int64), _unit(count)).search(_unit(2), 5)
    assert (ids[:, count:] == -1).all()
    assert (scores[:, count:] == -np.inf).all()
    assert (np.sort(ids[:, :count], axis=1) == np.arange(count)).all()


def test_no_query_gives_no_answer(build: Build) -> None:
    scores, ids = build(np.arange(3, dtype=np.int64), _unit(3)).search(_unit(0), 5)
    assert scores.shape == ids.shape == (0, 5)


def test_it_knows_its_size(build: Build) -> None:
    index = build(np.arange(150, dtype=np.int64), _unit(150))
    assert (index.size, index.dim) == (150, DIM)


@pytest.mark.parametrize("kind", [ExactIndex, FaissIndex, lambda dim: FaissIndex(dim, 2)])
@pytest.mark.parametrize(
    ("ids", "vectors"),
    [
        ([1, 1], _unit(2)),
        ([5, 2], _unit(2)),
        ([-1, 2], _unit(2)),
        ([1], _unit(2)),
        ([1, 2], _unit(2).astype(np.float64)),
        ([1, 2], _unit(2)[:, :-1]),
        ([1, 2], _unit(2) * np.float32(np.nan)),
    ],
    ids=["twice", "known", "negative", "too few", "float64", "short", "not a number"],
)
def test_what_does_not_fit_is_refused(kind: Callable[[int], SearchIndex], ids: list[int], vectors: Float) -> None:
    index = kind(DIM)
    index.add(np.array([5, 6, 7], np.int64), _unit(3, seed=9))
    with pytest.raises(UsageError):
        index.add(np.array(ids, np.int64), vectors)
    assert index.size == 3


@pytest.mark.parametrize("k", [0, -1])
def test_at_least_one_neighbour_is_asked_for(build: Build, k: int) -> None:
    with pytest.raises(UsageError):
        build(np.arange(3, dtype=np.int64), _unit(3)).search(_unit(1), k)


def test_an_opened_index_takes_no_more(tmp_path: Path) -> None:
    index = _reopened(tmp_path / "i", np.arange(3, dtype=np.int64), _unit(3), 10)
    with pytest.raises(UsageError):
        index.add(np.array([9], np.int64), _unit(1))


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"no index at all")
    for path in (tmp_path / "junk", tmp_path / "absent"):
        with pytest.raises(BrokenIndex):
            FaissIndex.open(path)
