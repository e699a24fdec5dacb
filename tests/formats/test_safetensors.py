"""Honest files are read as the format's own library reads them; from others comes nothing but FormatError."""

import json
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save_file

from scanners.errors import FormatError, Reason
from scanners.formats.dtypes import BITS
from scanners.formats.safetensors import FIRST_READ_BYTES, decode, element_size, parse_header, read_header
from scanners.records import ByteRange, RemoteFile, TensorInfo
from scanners.sources.folder import FolderSource


def read(folder: Path) -> tuple[FolderSource, dict[str, TensorInfo]]:
    source = FolderSource(folder)
    revision = source.resolve(folder.name)
    (file,) = source.files(revision)
    return source, read_header(source, revision, file)


def test_shapes_dtypes_and_bytes_are_those_written(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        "b": generator.standard_normal((3, 5), np.float32),
        "a": generator.standard_normal((2, 2, 2)).astype(ml_dtypes.bfloat16),
        "half": generator.standard_normal(7).astype(np.float16),
        "scalar": np.array(3.5),
        "nothing": np.zeros((0, 4), np.float32),
    }
    save_file(arrays, tmp_path / "model.safetensors", metadata={"format": "pt"})
    source, tensors = read(tmp_path)
    revision = source.resolve(tmp_path.name)
    assert {name: tensor.shape for name, tensor in tensors.items()} == {n: a.shape for n, a in arrays.items()}
    for name, tensor in tensors.items():
        data = source.read(revision, ByteRange(tensor.path, tensor.start, tensor.stop))
        expected = arrays[name].astype(np.float32).ravel()
        np.testing.assert_array_equal(decode(data, tensor.dtype), expected)


def test_a_header_beyond_the_first_read_costs_one_request_more(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    for folder, count in ((small, 2), (large, 3000)):
        folder.mkdir()
        save_file({f"tensor.{i}": np.ones(1, np.float32) for i in range(count)}, folder / "model.safetensors")
    for folder, count, ranges in ((small, 2, 1), (large, 3000, 2)):
        source = FolderSource(folder)
        revision = source.resolve(folder.name)
        (file,) = source.files(revision)
        before = source.usage.requests
        assert len(read_header(source, revision, file)) == count
        assert source.usage.requests - before == ranges
    assert (large / "model.safetensors").stat().st_size > FIRST_READ_BYTES


def test_tensors_come_in_the_order_of_their_bytes() -> None:
    header = {
        "last": {"dtype": "U8", "shape": [2], "data_offsets": [3, 5]},
        "empty": {"dtype": "F32", "shape": [0], "data_offsets": [3, 3]},
        "first": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},
    }
    text = json.dumps(header).encode()
    tensors = parse_header(text, RemoteFile("x", 8 + len(text) + 5, None))
    assert list(tensors) == ["first", "empty", "last"]
    assert tensors["first"].start == 8 + len(text)


# --- headers nobody thought of -----------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
sizes = st.integers(0, 6) | st.sampled_from([2**32, 2**63, 2**64, -1]) | st.floats() | st.booleans()


@st.composite
def nearly_headers(draw: st.DrawFn) -> bytes:
    """Headers of contiguous tensors, some spoilt in one place."""
    entries: dict[str, Any] = {}
    position = 0
    for name in draw(st.lists(st.text(max_size=4), max_size=4)):
        dtype, shape = draw(st.sampled_from(sorted(BITS))), draw(st.lists(st.integers(0, 4), max_size=3))
        stop = position + int(np.prod(shape, dtype=int)) * BITS[dtype] // 8
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, stop]}
        position = stop
    if entries and draw(st.booleans()):
        entry = entries[draw(st.sampled_from(sorted(entries)))]
        key = draw(st.sampled_from(["dtype", "shape", "data_offsets", "more"]))
        entry[key] = draw(json_values | st.lists(sizes, max_size=3))
    if draw(st.booleans()):
        entries["__metadata__"] = draw(st.dictionaries(st.text(max_size=3), st.text(max_size=3)) | json_values)
    return json.dumps(entries, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def ours(header: bytes, data_bytes: int) -> dict[str, TensorInfo] | None:
    try:
        return parse_header(header, RemoteFile("model.safetensors", 8 + len(header) + data_bytes, None))
    except FormatError:
        return None


def theirs(header: bytes, data_bytes: int) -> dict[str, Any] | None:
    try:
        return dict(deserialize(struct.pack("<Q", len(header)) + header + bytes(data_bytes)))
    except SafetensorError:
        return None


@settings(max_examples=400, deadline=None)
@given(header=nearly_headers(), data_bytes=st.integers(0, 200))
def test_what_the_formats_library_refuses_is_refused_and_what_both_read_is_the_same(
    header: bytes, data_bytes: int
) -> None:
    fitting = _data_bytes(header, data_bytes)
    mine, reference = ours(header, fitting), theirs(header, fitting)
    if mine is None:
        assert reference is None or _is_stricter_by_design(header)
        return
    assert reference is not None
    described = {name: (tensor.dtype, tensor.shape, tensor.size_bytes) for name, tensor in mine.items()}
    expected = {n: (t["dtype"], tuple(t["shape"]), len(t["data"])) for n, t in reference.items()}
    assert described == expected


def _data_bytes(header: bytes, otherwise: int) -> int:
    """As much data as the last tensor asks for, so that most of the examples are honest files."""
    entries = [entry for entry in json.loads(header).values() if isinstance(entry, dict)]
    stops = [
        entry["data_offsets"][-1]
        for entry in entries
        if isinstance(entry.get("data_offsets"), list) and entry["data_offsets"]
    ]
    whole = [stop for stop in stops if type(stop) is int and 0 <= stop < 10_000]
    return max(whole, default=otherwise)


def _is_stricter_by_design(header: bytes) -> bool:
    """Numbers of no use in a header, even where the format's library skips them; entries that are lists."""
    entries = json.loads(header)
    odd = any(isinstance(entry, list) or (isinstance(entry, dict) and "more" in entry) for entry in entries.values())
    return odd or any(len(entry.get("shape") or ()) > 16 for entry in entries.values() if isinstance(entry, dict))


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=300) | nearly_headers())
def test_whatever_the_bytes_nothing_but_a_format_error_comes(content: bytes) -> None:
    ours(content, 50)
    ours(b"{" + content, 50)


# --- elements ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "kind"), [("F64", "f8"), ("F32", "f4"), ("F16", "f2"), ("BF16", ml_dtypes.bfloat16)])
def test_elements_become_float32_and_what_is_not_finite_stays_so(dtype: str, kind: Any) -> None:
    values = np.array([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan]).astype(kind)
    decoded = decode(memoryview(values.tobytes()), dtype)
    assert decoded.dtype == np.float32
    assert decoded.flags.writeable
    np.testing.assert_array_equal(decoded, values.astype(np.float32))


def test_a_double_beyond_float32_becomes_infinite_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    assert decode(np.array([1e300, -1e300]).tobytes(), "F64").tolist() == [np.inf, -np.inf]
    assert not recwarn.list


@pytest.mark.parametrize("dtype", ["I8", "U8", "F8_E4M3", "F4", "BOOL", "C64", "nothing", ""])
def test_what_are_no_plain_floats_is_unsupported(dtype: str) -> None:
    with pytest.raises(FormatError) as caught:
        decode(bytes(16), dtype)
    assert caught.value.reason is Reason.UNSUPPORTED_DTYPE


def test_a_part_of_an_element_is_refused() -> None:
    with pytest.raises(FormatError, match="truncated"):
        decode(bytes(5), "F32")


def test_sizes_of_elements_are_whole_bytes_or_an_error() -> None:
    assert [element_size(dtype) for dtype in ("F64", "F32", "BF16", "F16", "I8", "BOOL")] == [
        8,
        4,
        2,
        2,
        1,
        1,
    ]
    for dtype in ("F4", "F6_E2M3", "nothing"):
        with pytest.raises(FormatError):
            element_size(dtype)
