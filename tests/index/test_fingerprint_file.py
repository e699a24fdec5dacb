"""Fingerprints as files: exact round trips, mapped into memory, strict in what they take."""

import contextlib
import json
import mmap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from scanners import fingerprint_file
from scanners.errors import FormatError, UsageError
from scanners.records import Fingerprint, Sketch
from tests.index import samples


def _same(left: Fingerprint, right: Fingerprint) -> bool:
    """Field by field; arrays by dtype and bytes."""
    arrays = [_arrays(left), _arrays(right)]
    bare = [replace(f, sketches=(), profiles=(), anchors=None) for f in (left, right)]
    return arrays[0] == arrays[1] and bare[0] == bare[1]


def _arrays(fingerprint: Fingerprint) -> list[object]:
    found: list[object] = []
    for s in fingerprint.sketches:
        found += [s.scheme, s.layer, s.role, s.part, s.vector.dtype, s.vector.tobytes()]
    for p in fingerprint.profiles:
        found += [p.frame, p.layer, p.kind, p.units_total]
        found += [(name, v.dtype, v.shape, v.tobytes()) for name, v in p.views.items()]
    if fingerprint.anchors is not None:
        found += [(a.dtype, a.shape, a.tobytes()) for a in (fingerprint.anchors.slots, fingerprint.anchors.gram)]
    return found


@pytest.mark.parametrize("anchors", [True, False])
def test_a_fingerprint_comes_back_as_it_went(tmp_path: Path, anchors: bool) -> None:
    original = samples.fingerprint(anchors=anchors)
    data = fingerprint_file.to_bytes(original)
    (tmp_path / "one").write_bytes(data)
    assert _same(fingerprint_file.from_bytes(data), original)
    assert _same(fingerprint_file.open_file(tmp_path / "one"), original)


def test_equal_fingerprints_give_equal_bytes() -> None:
    assert fingerprint_file.to_bytes(samples.fingerprint()) == fingerprint_file.to_bytes(samples.fingerprint())


def test_an_empty_fingerprint_is_one(tmp_path: Path) -> None:
    original = replace(samples.fingerprint(anchors=False), sketches=(), profiles=())
    (tmp_path / "one").write_bytes(fingerprint_file.to_bytes(original))
    assert _same(fingerprint_file.open_file(tmp_path / "one"), original)


def test_an_opened_file_lies_in_mapped_memory(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(fingerprint_file.to_bytes(samples.fingerprint()))
    view = fingerprint_file.open_file(tmp_path / "one").profiles[0].views["gate"]
    base: object = view
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, memoryview)
    assert isinstance(base.obj, mmap.mmap)
    assert not view.flags.writeable


@pytest.mark.parametrize(
    "vector",
    [np.ones(32), np.ones((1, 32), np.float32), np.ones(31, np.float32), np.full(32, np.nan, np.float32)],
    ids=["float64", "a matrix", "another length", "not a number"],
)
def test_a_vector_that_is_none_is_not_written(vector: np.ndarray) -> None:
    broken = Sketch(samples.SCHEME, 0, "q", 0, vector)
    with pytest.raises(UsageError):
        fingerprint_file.to_bytes(replace(samples.fingerprint(), sketches=(*samples.sketches(1), broken)))


def test_views_that_do_not_fit_together_are_not_written() -> None:
    profile = samples.profiles(1)
    broken = replace(profile, views={"gate": profile.views["gate"], "up": profile.views["up"][:3]})
    with pytest.raises(UsageError, match="do not fit"):
        fingerprint_file.to_bytes(replace(samples.fingerprint(), profiles=(broken,)))


def test_a_safetensors_file_of_somebody_else_is_refused() -> None:
    with pytest.raises(FormatError, match="no fingerprint"):
        fingerprint_file.from_bytes(save({"w": np.zeros(3, np.float32)}))


def _with_header(change: dict[str, object]) -> bytes:
    data = fingerprint_file.to_bytes(samples.fingerprint())
    size = int.from_bytes(data[:8], "little")
    outer = json.loads(data[8 : 8 + size])
    header = json.loads(outer["__metadata__"]["kinprint"]) | change
    outer["__metadata__"]["kinprint"] = json.dumps({k: v for k, v in header.items() if v is not None})
    text = json.dumps(outer).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": True},
        {"coverage": None},
        {"surprise": 1},
        {"sketches": []},
        {"profiles": []},
        {"anchors": False},
        {"facts": {"a": 1}},
        {"file_sha256": "abc"},
        {"revision": {"source": "hf", "repo": "a/b", "commit": "0", "last_modified": "2026-01-01T00:00:00"}},
    ],
)
def test_a_header_that_says_otherwise_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        fingerprint_file.from_bytes(_with_header(change))


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = fingerprint_file.to_bytes(samples.fingerprint())
    for stop in (0, 4, 8, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "short").write_bytes(data[:stop])
        with pytest.raises(FormatError):
            fingerprint_file.from_bytes(data[:stop])
        with pytest.raises(FormatError):
            fingerprint_file.open_file(tmp_path / "short")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        fingerprint_file.from_bytes(data)


@given(st.data())
def test_a_changed_byte_in_the_header_is_refused_or_harmless(data: st.DataObject) -> None:
    whole = bytearray(fingerprint_file.to_bytes(samples.fingerprint()))
    size = int.from_bytes(whole[:8], "little")
    whole[data.draw(st.integers(0, 7 + size))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        assert isinstance(fingerprint_file.from_bytes(bytes(whole)), Fingerprint)
