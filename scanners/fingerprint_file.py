"""A fingerprint as one safetensors file: no pickle, and arrays that map straight into memory.

The nouns are JSON in the file's metadata; sketches are one matrix per scheme, a row each; every view of
every profile is a tensor of its own. Round trips are exact. What is read is checked before it is used.
"""

import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import save

from scanners import codec
from scanners.errors import FormatError, Reason, UsageError
from scanners.records import (
    AnchorGeometry,
    Coverage,
    Fingerprint,
    RepoRevision,
    Shape,
    Sketch,
    UnitProfiles,
)

FORMAT = 1
_KEY = "kinprint"
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "I16": np.dtype("<i2")}

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _SketchRow:
    scheme: str
    layer: int
    role: str
    part: int


@dataclass(frozen=True, slots=True)
class _Profile:
    frame: str
    layer: int
    kind: str
    units_total: int
    views: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Header:
    """Everything of a fingerprint that is no array."""

    format: int
    revision: RepoRevision
    shape: Shape
    sketches: tuple[_SketchRow, ...]
    profiles: tuple[_Profile, ...]
    anchors: bool
    file_sha256: tuple[str, ...]
    coverage: Coverage
    facts: Mapping[str, str]


# --- writing -----------------------------------------------------------------------------------------


def to_bytes(fingerprint: Fingerprint) -> bytes:
    """The file's content.

    Raises:
        UsageError: an array has not the dtype or shape that the nouns promise, or is not finite.
    """
    try:
        text, tensors = codec.dumps(_header(fingerprint)), _tensors(fingerprint)
        _check_finite(tensors)
        _fingerprint(text, dict(tensors))  # what could not be read again is not written
    except FormatError as error:
        raise UsageError(f"not a fingerprint of this format: {error.detail}") from error
    return bytes(save(tensors, {_KEY: text}))


def _header(fingerprint: Fingerprint) -> _Header:
    return _Header(
        format=FORMAT,
        revision=fingerprint.revision,
        shape=fingerprint.shape,
        sketches=tuple(_SketchRow(s.scheme, s.layer, s.role, s.part) for s in fingerprint.sketches),
        profiles=tuple(_Profile(p.frame, p.layer, p.kind, p.units_total, tuple(p.views)) for p in fingerprint.profiles),
        anchors=fingerprint.anchors is not None,
        file_sha256=fingerprint.file_sha256,
        coverage=fingerprint.coverage,
        facts=fingerprint.facts,
    )


def _tensors(fingerprint: Fingerprint) -> Tensors:
    tensors = _sketch_matrices(fingerprint.sketches)
    for p, profile in enumerate(fingerprint.profiles):
        for v, view in enumerate(profile.views.values()):
            tensors[_view_name(p, v)] = _array(view, np.float16, 2, f"view {v} of profile {p}")
    if fingerprint.anchors is not None:
        tensors["anchors.slots"] = _array(fingerprint.anchors.slots, np.int16, 1, "anchor slots")
        tensors["anchors.gram"] = _array(fingerprint.anchors.gram, np.float32, 2, "anchor gram")
    return tensors


def _sketch_matrices(sketches: tuple[Sketch, ...]) -> Tensors:
    vectors: dict[str, list[NDArray[Any]]] = {}
    for sketch in sketches:
        vectors.setdefault(sketch.scheme, []).append(_array(sketch.vector, np.float32, 1, sketch.scheme))
    for scheme, rows in vectors.items():
        if len({row.shape for row in rows}) > 1:
            raise FormatError(Reason.SIZE_MISMATCH, f"sketches of {scheme!r:.80} differ in length")
    return {_matrix_name(i): np.stack(rows) for i, rows in enumerate(vectors.values())}


def _array(array: NDArray[Any], dtype: type[np.generic], dimensions: int, what: str) -> NDArray[Any]:
    if array.dtype != dtype or array.ndim != dimensions:
        found = f"{array.dtype} with {array.ndim} axes"
        raise FormatError(Reason.UNSUPPORTED_DTYPE, f"{what:.80}: {found}, not {np.dtype(dtype)}")
    return np.ascontiguousarray(array)


def _matrix_name(scheme: int) -> str:
    return f"sketches.{scheme}"


def _view_name(profile: int, view: int) -> str:
    return f"profiles.{profile}.{view}"


def _check_finite(tensors: Mapping[str, NDArray[Any]]) -> None:
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise FormatError(Reason.NOT_FINITE, f"{name} holds what is no number")


# --- reading -----------------------------------------------------------------------------------------


def from_bytes(data: bytes) -> Fingerprint:
    """The fingerprint that ``to_bytes`` wrote; its arrays are read-only views of ``data``.

    Raises:
        FormatError: the bytes are not such a file, or an array is not finite.
    """
    try:
        deserialize(data)  # type: ignore[no-untyped-call]  # the library's own checks: dtypes, holes, overlaps, truncation
    except SafetensorError as error:
        raise FormatError(Reason.MALFORMED_HEADER, str(error)) from error
    text, tensors = _views(np.frombuffer(data, np.uint8))
    _check_finite(tensors)
    return _fingerprint(text, tensors)


def open_file(path: Path) -> Fingerprint:
    """The fingerprint in a file, its arrays mapped into memory: pages are read when they are used.

    Raises:
        FormatError: the file is not one that ``to_bytes`` wrote. Profiles are not searched for numbers
            that are none: that was done before they were written.
        OSError: there is no such file, or it cannot be read.
    """
    with path.open("rb") as file:
        try:
            with safe_open(path, framework="numpy"):
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except SafetensorError as error:
            raise FormatError(Reason.MALFORMED_HEADER, str(error)) from error
    text, tensors = _views(np.frombuffer(mapped, np.uint8))
    _check_finite({name: array for name, array in tensors.items() if name.startswith("sketches.")})
    return _fingerprint(text, tensors)


def _views(buffer: NDArray[np.uint8]) -> tuple[str, Tensors]:
    """The metadata's text and every tensor as a view; the library has found the header sound before."""
    data = 8 + int.from_bytes(buffer[:8].tobytes(), "little")
    entries = json.loads(buffer[8:data].tobytes())
    metadata = entries.pop("__metadata__", None) or {}
    if _KEY not in metadata:
        raise FormatError(Reason.MALFORMED_HEADER, "a safetensors file, but no fingerprint")
    return metadata[_KEY], {name: _view(buffer[data:], name, entry) for name, entry in entries.items()}


def _view(data: NDArray[np.uint8], name: str, entry: Mapping[str, Any]) -> NDArray[Any]:
    if entry["dtype"] not in _DTYPES:
        raise FormatError(Reason.UNSUPPORTED_DTYPE, f"{name:.80}: {entry['dtype']}")
    start, stop = entry["data_offsets"]
    array: NDArray[Any] = data[start:stop].view(_DTYPES[entry["dtype"]])
    return array.reshape(entry["shape"])


def _fingerprint(text: str, tensors: Tensors) -> Fingerprint:
    header = codec.loads(_Header, text)
    if header.format != FORMAT:
        raise FormatError(Reason.UNSUPPORTED_FORMAT, f"fingerprint format {header.format}, not {FORMAT}")
    fingerprint = Fingerprint(
        revision=header.revision,
        shape=header.shape,
        sketches=_read_sketches(header.sketches, tensors),
        profiles=tuple(_read_profile(p, profile, tensors) for p, profile in enumerate(header.profiles)),
        anchors=_read_anchors(tensors) if header.anchors else None,
        file_sha256=header.file_sha256,
        coverage=header.coverage,
        facts=header.facts,
    )
    if tensors:
        raise FormatError(Reason.MALFORMED_HEADER, f"nobody asked for {min(tensors)!r:.80}")
    return fingerprint


def _read_sketches(rows: tuple[_SketchRow, ...], tensors: Tensors) -> tuple[Sketch, ...]:
    schemes = list(dict.fromkeys(row.scheme for row in rows))
    matrices = {s: iter(_take(tensors, _matrix_name(i), np.float32, 2)) for i, s in enumerate(schemes)}
    try:
        sketches = tuple(Sketch(r.scheme, r.layer, r.role, r.part, next(matrices[r.scheme])) for r in rows)
    except StopIteration:
        raise FormatError(Reason.SIZE_MISMATCH, "fewer vectors than sketches") from None
    if any(next(matrix, None) is not None for matrix in matrices.values()):
        raise FormatError(Reason.SIZE_MISMATCH, "more vectors than sketches")
    return sketches


def _read_profile(number: int, profile: _Profile, tensors: Tensors) -> UnitProfiles:
    views = {name: _take(tensors, _view_name(number, v), np.float16, 2) for v, name in enumerate(profile.views)}
    if len(views) != len(profile.views) or len({len(view) for view in views.values()}) > 1:
        raise FormatError(Reason.SIZE_MISMATCH, f"the views of profile {number} do not fit together")
    return UnitProfiles(profile.frame, profile.layer, profile.kind, views, profile.units_total)


def _read_anchors(tensors: Tensors) -> AnchorGeometry:
    slots = _take(tensors, "anchors.slots", np.int16, 1)
    gram = _take(tensors, "anchors.gram", np.float32, 2)
    if gram.shape != (len(slots), len(slots)):
        raise FormatError(Reason.SIZE_MISMATCH, "the anchors' slots and gram do not fit together")
    return AnchorGeometry(slots, gram)


def _take(tensors: Tensors, name: str, dtype: type[np.generic], dimensions: int) -> NDArray[Any]:
    if name not in tensors:
        raise FormatError(Reason.MALFORMED_HEADER, f"{name} is missing")
    return _array(tensors.pop(name), dtype, dimensions, name)
