"""Headers of safetensors files, read by two ranges at most and believed only when nothing is odd.

Everything the format's own library refuses is refused here. Stricter by design: a header must begin
with "{", name nothing twice, describe each tensor by an object, and keep to the caps below.
"""

import math
from typing import Any

from scanners.errors import FormatError, Reason
from scanners.formats import strict_json
from scanners.formats.dtypes import BITS, decode, element_size
from scanners.records import ByteRange, RemoteFile, RepoRevision, TensorInfo
from scanners.sources import Source

__all__ = ["decode", "element_size", "parse_header", "read_header"]

FIRST_READ_BYTES = 64 * 1024
LARGEST_HEADER_BYTES = 100_000_000  # the format's own limit
MOST_TENSORS = 250_000
LONGEST_NAME = 1024
HIGHEST_RANK = 16
_LENGTH_BYTES = 8
_LFS_POINTER = b"version https://git-lfs"


def read_header(source: Source, revision: RepoRevision, file: RemoteFile) -> dict[str, TensorInfo]:
    """The tensors of one file by name, in the order of their bytes; offsets absolute in the file.

    Raises: FormatError, TRUNCATED for a file that ends before its header or its data do,
    MALFORMED_HEADER for everything else that is wrong; SourceError.
    """
    start = source.read(revision, ByteRange(file.path, 0, min(FIRST_READ_BYTES, file.size_bytes)))
    length = _header_length(start, file)
    stop = _LENGTH_BYTES + length
    if stop > len(start):
        start += source.read(revision, ByteRange(file.path, len(start), stop))
    return parse_header(start[_LENGTH_BYTES:stop], file)


def _header_length(start: bytes, file: RemoteFile) -> int:
    if start.startswith(_LFS_POINTER):
        raise _malformed(file, "holds a Git LFS pointer in place of weights: they were never uploaded")
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    if len(start) < _LENGTH_BYTES:
        raise _truncated(file, "is too short to hold the length of a header")
    if length > LARGEST_HEADER_BYTES:
        raise _malformed(file, f"announces a header of {length} bytes; the format allows {LARGEST_HEADER_BYTES}")
    if _LENGTH_BYTES + length > file.size_bytes:
        raise _truncated(file, f"has {file.size_bytes} bytes and announces a header of {length}")
    return length


def parse_header(header: bytes, file: RemoteFile) -> dict[str, TensorInfo]:
    """As ``read_header``, from the header's bytes. Raises: FormatError, nothing else."""
    if not header.startswith(b"{"):
        raise _malformed(file, "has a header that does not begin with '{'")
    try:
        entries: dict[str, Any] = strict_json.parse(header)
    except strict_json.NotStrictJson as error:
        raise _malformed(file, f"has a header that {error}") from error
    _check_metadata(entries.pop("__metadata__", None), file)
    if len(entries) > MOST_TENSORS:
        raise _malformed(file, f"names {len(entries)} tensors; at most {MOST_TENSORS} are read")
    data_start = _LENGTH_BYTES + len(header)
    tensors = [_tensor(name, entry, data_start, file) for name, entry in entries.items()]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.stop))
    _check_layout(tensors, data_start, file)
    return {tensor.name: tensor for tensor in tensors}


def _check_metadata(metadata: Any, file: RemoteFile) -> None:
    texts = metadata.items() if isinstance(metadata, dict) else ()
    if not isinstance(metadata, dict | None) or not all(isinstance(text, str) for _, text in texts):
        raise _malformed(file, "has metadata that are no texts by name")
    for name, text in texts:
        _check_unicode(name, file)
        _check_unicode(text, file)


def _check_unicode(text: str, file: RemoteFile) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise _malformed(file, f"has half a character in its header: {text[:40]!r}")


def _tensor(name: str, entry: Any, data_start: int, file: RemoteFile) -> TensorInfo:
    _check_unicode(name, file)
    if len(name) > LONGEST_NAME:
        raise _malformed(file, f"names a tensor with {len(name)} letters")
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise _malformed(file, f"does not give dtype, shape and data_offsets of {name[:80]!r}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _malformed(file, f"gives {name[:80]!r} the dtype {dtype!r:.40}, which the format does not have")
    if not _are_sizes(shape) or len(shape) > HIGHEST_RANK:
        raise _malformed(file, f"gives {name[:80]!r} a shape that is none: {shape!r:.80}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _malformed(file, f"gives {name[:80]!r} offsets that are none: {offsets!r:.80}")
    _check_size(name, dtype, shape, offsets[1] - offsets[0], file)
    return TensorInfo(name, dtype, tuple(shape), file.path, data_start + offsets[0], data_start + offsets[1])


def _are_sizes(numbers: Any) -> bool:
    """Whether this is a list of whole numbers of 64 bits. (True is an int to Python; here it is none.)"""
    return isinstance(numbers, list) and all(type(size) is int and 0 <= size < 2**64 for size in numbers)


def _check_size(name: str, dtype: str, shape: list[int], size_bytes: int, file: RemoteFile) -> None:
    # The format's library multiplies in 64 bits from left to right: [2**63, 2, 0] overflows there.
    if any(math.prod(shape[:rank]) * BITS[dtype] >= 2**64 for rank in range(len(shape) + 1)):
        raise _malformed(file, f"gives {name[:80]!r} more elements than a file can hold")
    if math.prod(shape) * BITS[dtype] != 8 * size_bytes:
        sentence = f"gives {name[:80]!r} {size_bytes} bytes for {shape!r:.80} elements of {dtype}"
        raise _malformed(file, sentence)


def _check_layout(tensors: list[TensorInfo], data_start: int, file: RemoteFile) -> None:
    """From the first byte after the header to the last of the file, no byte twice and none left over."""
    position = data_start
    for tensor in tensors:
        if tensor.start != position:
            kind = "overlaps the one before" if tensor.start < position else "leaves a hole before it"
            raise _malformed(file, f"places {tensor.name[:80]!r} so that it {kind}")
        position = tensor.stop
    if position > file.size_bytes:
        raise _truncated(file, f"has {file.size_bytes} bytes; its tensors end at byte {position}")
    if position < file.size_bytes:
        raise _malformed(file, f"has {file.size_bytes - position} bytes that belong to no tensor")


def _malformed(file: RemoteFile, sentence: str) -> FormatError:
    return FormatError(Reason.MALFORMED_HEADER, f"{file.path} {sentence}")


def _truncated(file: RemoteFile, sentence: str) -> FormatError:
    return FormatError(Reason.TRUNCATED, f"{file.path} {sentence}")
