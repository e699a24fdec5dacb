"""Checkpoints that lie, each written by a function of its own; used by the tests and by the demonstration.

Every function writes one repository into an empty folder. ``HOSTILE`` names them all; ``REASONS`` says
what a scan must answer to each.
"""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scanners.errors import Reason

Writer = Callable[[Path], None]
HOSTILE: dict[str, Writer] = {}
REASONS: dict[str, Reason] = {}
DATA = bytes(range(64))


def hostile(reason: Reason) -> Callable[[Writer], Writer]:
    def register(writer: Writer) -> Writer:
        HOSTILE[writer.__name__] = writer
        REASONS[writer.__name__] = reason
        return writer

    return register


def tensor(dtype: Any = "F32", shape: Any = (4, 4), offsets: Any = (0, 64)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def write(folder: Path, header: Any, data: bytes = DATA, name: str = "model.safetensors") -> None:
    """A safetensors file; ``header`` is JSON text or what becomes it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (folder / name).write_bytes(struct.pack("<Q", len(text)) + text + data)


def _header(name: str, reason: Reason, header: Any, data: bytes = DATA) -> None:
    def writer(folder: Path) -> None:
        write(folder, header, data)

    HOSTILE[name], REASONS[name] = writer, reason


_HEADERS: Mapping[str, Any] = {
    "overlapping_tensors": {"a": tensor(), "b": tensor(offsets=(32, 96))},
    "the_same_bytes_twice": {"a": tensor(), "b": tensor()},
    "a_hole_between_tensors": {
        "a": tensor(shape=(4,), offsets=(0, 16)),
        "b": tensor(shape=(4,), offsets=(48, 64)),
    },
    "a_hole_before_the_first": {"a": tensor(shape=(4,), offsets=(48, 64))},
    "trailing_bytes": {"a": tensor(shape=(4,), offsets=(0, 16))},
    "a_shape_that_does_not_fill_its_bytes": {"a": tensor(shape=(4, 3))},
    "a_shape_that_overflows": {"a": tensor(shape=(2**63, 2, 4))},
    "a_shape_of_huge_numbers": {"a": tensor(shape=(10**30,))},
    "a_shape_that_overflows_to_nothing": {"a": tensor(), "b": tensor(shape=(2**63, 4, 0), offsets=(64, 64))},
    "a_negative_shape": {"a": tensor(shape=(-4, -4))},
    "a_fractional_shape": {"a": tensor(shape=(4.0, 4))},
    "a_shape_of_booleans": {"a": tensor(dtype="U8", shape=(64, True))},
    "a_shape_that_is_text": {"a": tensor(shape="4,4")},
    "too_many_dimensions": {"a": tensor(shape=[1] * 1000 + [16])},
    "negative_offsets": {"a": tensor(offsets=(-64, 0))},
    "offsets_backwards": {"a": tensor(offsets=(64, 0))},
    "fractional_offsets": {"a": tensor(offsets=(0, 64.0))},
    "three_offsets": {"a": tensor(offsets=(0, 32, 64))},
    "offsets_that_are_text": {"a": tensor(offsets=("0", "64"))},
    "offsets_as_an_object": {"a": tensor(offsets={"0": 0, "1": 64})},
    "an_unknown_dtype": {"a": tensor(dtype="F33")},
    "a_dtype_that_is_a_number": {"a": tensor(dtype=32)},
    "a_dtype_that_is_a_list": {"a": tensor(dtype=["F32"])},
    "a_part_of_a_byte": {"a": tensor(dtype="F4", shape=(127,))},
    "a_tensor_without_a_shape": {"a": {"dtype": "F32", "data_offsets": [0, 64]}},
    "a_tensor_that_is_a_list": {"a": ["F32", [4, 4], [0, 64]]},
    "a_tensor_that_is_null": {"a": None},
    "metadata_that_are_no_text": {"__metadata__": {"format": 7}, "a": tensor()},
    "metadata_that_are_a_list": {"__metadata__": ["pt"], "a": tensor()},
    "a_header_that_is_a_list": [tensor()],
    "a_name_of_a_megabyte": {"a" * 1_000_000: tensor()},
    "half_a_character_in_a_name": {"\ud800": tensor()},
    "a_header_that_is_not_a_number": {"a": tensor(shape=(float("nan"),))},
    "an_infinite_offset": {"a": tensor(offsets=(0, float("inf")))},
    "a_header_that_is_no_json": b'{"a": ',
    "a_header_that_is_no_text": b'{"\xff\xfe": 1}',
    "a_header_that_is_empty": b"",
    "a_header_that_begins_with_spaces": b"   " + json.dumps({"a": tensor()}).encode(),
    "two_headers": json.dumps({"a": tensor()}).encode() * 2,
    "a_tensor_named_twice": b'{"a":%b,"a":%b}' % ((json.dumps(tensor()).encode(),) * 2),
    "a_dtype_given_twice": b'{"a":{"dtype":"F32","dtype":"F64","shape":[4,4],"data_offsets":[0,64]}}',
    "a_header_a_million_deep": b'{"a":' + b"[" * 1_000_000,
    "objects_a_hundred_thousand_deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a_header_of_millions_of_values": b'{"a":[' + b"0," * 4_100_000 + b"0]}",
    "minus_zero": b'{"a":{"dtype":"F32","shape":[4,4],"data_offsets":[-0,64]}}',
    "digits_without_end": b'{"a":{"dtype":"F32","shape":[' + b"9" * 100_000 + b'],"data_offsets":[0,64]}}',
}
for _name, _text in _HEADERS.items():
    _header(_name, Reason.MALFORMED_HEADER, _text)
_header("data_that_end_too_early", Reason.TRUNCATED, {"a": tensor()}, DATA[:-1])
_header(
    "offsets_far_past_the_end",
    Reason.TRUNCATED,
    {"a": tensor(dtype="U8", shape=(2**50,), offsets=(0, 2**50))},
)


@hostile(Reason.TRUNCATED)
def an_empty_file(folder: Path) -> None:
    (folder / "model.safetensors").touch()


@hostile(Reason.TRUNCATED)
def half_a_length(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x10\0\0")


@hostile(Reason.TRUNCATED)
def a_header_longer_than_the_file(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1000) + b"{}")


@hostile(Reason.MALFORMED_HEADER)
def a_header_of_exabytes(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 16)


@hostile(Reason.MALFORMED_HEADER)
def a_pointer_in_place_of_weights(folder: Path) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1000000\n"
    (folder / "model.safetensors").write_text(pointer)


@hostile(Reason.MALFORMED_HEADER)
def a_web_page_in_place_of_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_text("<!doctype html>" * 100)


# --- indexes -----------------------------------------------------------------------------------------


def write_shards(folder: Path, index: Any, second: str = "b") -> None:
    write(folder, {"a": tensor()}, name="model-00001-of-00002.safetensors")
    write(folder, {second: tensor()}, name="model-00002-of-00002.safetensors")
    text = index if isinstance(index, bytes) else json.dumps(index).encode()
    (folder / "model.safetensors.index.json").write_bytes(text)


ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
_INDEXES: Mapping[str, Any] = {
    "an_index_that_climbs_out": {"weight_map": {"a": ONE, "b": f"../{TWO}"}},
    "an_index_with_an_absolute_path": {"weight_map": {"a": ONE, "b": "/etc/passwd"}},
    "an_index_with_a_backslash": {"weight_map": {"a": ONE, "b": "..\\" + TWO}},
    "an_index_with_an_address": {"weight_map": {"a": ONE, "b": "https://example.org/x.safetensors"}},
    "an_index_naming_a_missing_shard": {"weight_map": {"a": ONE, "b": "model-00003-of-00003.safetensors"}},
    "an_index_naming_another_kind_of_file": {"weight_map": {"a": ONE, "b": "model.safetensors.index.json"}},
    "an_index_placing_a_tensor_wrongly": {"weight_map": {"a": TWO, "b": TWO}},
    "an_index_naming_a_missing_tensor": {"weight_map": {"a": ONE, "b": TWO, "c": TWO}},
    "an_index_of_numbers": {"weight_map": {"a": 1, "b": 2}},
    "an_index_that_is_a_list": [ONE, TWO],
    "an_index_without_a_map": {"metadata": {}},
    "an_index_with_an_empty_map": {"weight_map": {}},
    "an_index_that_is_no_json": b"{",
    "an_index_naming_a_tensor_twice": f'{{"weight_map": {{"a": "{ONE}", "a": "{TWO}"}}}}'.encode(),
    "an_index_a_million_deep": b"[" * 1_000_000,
}


def _index(name: str, index: Any) -> None:
    def writer(folder: Path) -> None:
        write_shards(folder, index)

    HOSTILE[name], REASONS[name] = writer, Reason.MALFORMED_INDEX


for _name, _text in _INDEXES.items():
    _index(_name, _text)


@hostile(Reason.MALFORMED_INDEX)
def one_tensor_in_two_shards(folder: Path) -> None:
    write_shards(folder, {"weight_map": {"a": TWO}}, second="a")


@hostile(Reason.MALFORMED_INDEX)
def an_index_far_too_large(folder: Path) -> None:
    write_shards(folder, {})
    with (folder / "model.safetensors.index.json").open("wb") as stream:
        stream.truncate(2**26 + 1)


# --- what is no safetensors at all -------------------------------------------------------------------


def _file(name: str, reason: Reason, path: str, size_bytes: int = 100) -> None:
    def writer(folder: Path) -> None:
        with (folder / path).open("wb") as stream:
            stream.truncate(size_bytes)

    HOSTILE[name], REASONS[name] = writer, reason


_file("nothing_but_a_pickle", Reason.PICKLE_ONLY, "pytorch_model.bin")
_file("nothing_but_a_pickle_in_capitals", Reason.PICKLE_ONLY, "MODEL.CKPT")
_file("nothing_but_gguf", Reason.UNSUPPORTED_FORMAT, "model.Q4_K_M.gguf")
_file("nothing_but_an_archive", Reason.UNSUPPORTED_FORMAT, "model.nemo")
_file("a_large_file_under_an_innocent_name", Reason.UNSUPPORTED_FORMAT, "notes.txt", 100_000_000)
_file("nothing_but_a_card", Reason.NO_WEIGHTS, "README.md")


@hostile(Reason.NO_WEIGHTS)
def a_checkpoint_without_a_tensor(folder: Path) -> None:
    write(folder, {"__metadata__": {"format": "pt"}}, b"")
