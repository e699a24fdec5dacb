"""The tensors of a whole checkpoint, over all its shards, with its index held against their headers."""

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from scanners.errors import FormatError, Reason
from scanners.formats import strict_json
from scanners.formats.checkpoints import CheckpointFiles, checkpoints, why_none
from scanners.formats.safetensors import MOST_TENSORS, read_header
from scanners.records import ByteRange, CheckpointManifest, RemoteFile, RepoRevision, TensorInfo
from scanners.sources import Source

LARGEST_INDEX_BYTES = 64 * 1024 * 1024
MOST_SHARDS = 4096


def read_manifest(source: Source, revision: RepoRevision, files: Iterable[RemoteFile]) -> CheckpointManifest:
    """Of the first of ``checkpoints(files)``.

    Raises: FormatError (PICKLE_ONLY, UNSUPPORTED_FORMAT, NO_WEIGHTS, MALFORMED_INDEX, MALFORMED_HEADER,
    TRUNCATED, TOO_LARGE); SourceError.
    """
    files = tuple(files)
    found = checkpoints(files)
    if not found:
        raise why_none(files)
    return read_checkpoint(source, revision, files, found[0])


def read_checkpoint(
    source: Source, revision: RepoRevision, files: Iterable[RemoteFile], checkpoint: CheckpointFiles
) -> CheckpointManifest:
    """Two requests a file at most, and one for the index. Tensors are ordered by file, then by bytes.

    Shards without an index are taken as they are, even if one is missing: what is there is looked at.
    So are numbered shards that the index leaves out.
    """
    weights = {file.path: file for file in files if file.path.lower().endswith(".safetensors")}
    weight_map = _read_index(source, revision, checkpoint.index, weights)
    paths = {*weight_map.values(), *(() if checkpoint.loose else (file.path for file in checkpoint.files))}
    shards = tuple(weights[path] for path in sorted(paths))
    if len(shards) > MOST_SHARDS:
        raise FormatError(Reason.TOO_LARGE, f"{checkpoint.name} has {len(shards)} shards")
    tensors: dict[str, TensorInfo] = {}
    for shard in shards:
        _merge(tensors, read_header(source, revision, shard))
    if not tensors:
        raise FormatError(Reason.NO_WEIGHTS, f"{checkpoint.name} is a checkpoint without a tensor")
    _check_named_tensors(weight_map, tensors)
    return CheckpointManifest(tensors, shards)


def _merge(tensors: dict[str, TensorInfo], more: Mapping[str, TensorInfo]) -> None:
    for name in more.keys() & tensors.keys():
        sentence = f"{tensors[name].path} and {more[name].path} both hold {name[:80]!r}"
        raise FormatError(Reason.MALFORMED_INDEX, sentence)
    tensors.update(more)
    if len(tensors) > MOST_TENSORS:
        raise FormatError(Reason.TOO_LARGE, f"more than {MOST_TENSORS} tensors over all shards")


def _check_named_tensors(weight_map: Mapping[str, str], tensors: Mapping[str, TensorInfo]) -> None:
    for name, path in weight_map.items():
        if name not in tensors or tensors[name].path != path:
            raise FormatError(Reason.MALFORMED_INDEX, f"the index places {name[:80]!r} in {path}; it is not there")


def _read_index(
    source: Source, revision: RepoRevision, index: RemoteFile | None, weights: Mapping[str, RemoteFile]
) -> dict[str, str]:
    """Tensor name -> path of its shard in the repository; empty without an index."""
    if index is None:
        return {}
    if index.size_bytes > LARGEST_INDEX_BYTES:
        raise _malformed(index, f"has {index.size_bytes} bytes; at most {LARGEST_INDEX_BYTES} are read")
    text = source.read(revision, ByteRange(index.path, 0, index.size_bytes))
    return _parse_index(text, index, weights)


def _parse_index(text: bytes, index: RemoteFile, weights: Mapping[str, RemoteFile]) -> dict[str, str]:
    try:
        content = strict_json.parse(text)
    except strict_json.NotStrictJson as error:
        raise _malformed(index, str(error)) from error
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise _malformed(index, "has no weight_map")
    return {name: _shard_path(name, file, index, weights) for name, file in weight_map.items()}


def _shard_path(tensor: str, file: Any, index: RemoteFile, weights: Mapping[str, RemoteFile]) -> str:
    """An index names files beside itself; a name that could lead elsewhere is not even looked for."""
    if not isinstance(file, str):
        raise _malformed(index, f"gives no file name for {tensor[:80]!r}")
    parts = file.split("/")
    if "\\" in file or "\0" in file or any(part in ("", ".", "..") for part in parts):
        raise _malformed(index, f"names a file outside the repository: {file[:80]!r}")
    path = posixpath.join(posixpath.dirname(index.path), file)
    if path not in weights:
        raise _malformed(index, f"names {file[:80]!r}, which is not among the repository's weights")
    return path


def _malformed(index: RemoteFile, sentence: str) -> FormatError:
    return FormatError(Reason.MALFORMED_INDEX, f"{index.path} {sentence}")
