"""Which of a repository's files are a checkpoint: by their names alone, before anything is read.

A repository can hold several: model.safetensors beside a half-precision variant, diffusers' folders,
adapters. ``checkpoints`` gives them all, the one that loaders would take first; a scan that reads
only that one knows from the rest what it left out.
"""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scanners.errors import FormatError, Reason
from scanners.records import RemoteFile

INDEX_SUFFIX = ".safetensors.index.json"
PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".distcp"})
OTHER_FORMATS = frozenset(
    {
        *(".gguf", ".ggml", ".onnx", ".h5", ".hdf5", ".keras", ".msgpack", ".npz", ".npy", ".nemo", ".mlx"),
        *(".pb", ".tflite", ".mlmodel", ".pdparams", ".pdiparams", ".params", ".engine", ".plan", ".ot"),
        *(
            ".llamafile",
            ".pte",
            ".task",
            ".litertlm",
            ".tar",
            ".gz",
            ".tgz",
            ".zip",
            ".7z",
            ".zst",
            ".xz",
            ".rar",
        ),
    }
)
UNNAMED_WEIGHTS_BYTES = 50_000_000  # larger than any vocabulary: it could be weights, whatever its name
_SHARD = re.compile(r"(?P<stem>.+?)-(?P<number>\d{1,6})-of-(?P<count>\d{1,6})\.safetensors", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """One checkpoint: its safetensors files sorted by path, and the index that maps tensors to them."""

    name: str  # folder and stem, e.g. "unet/diffusion_pytorch_model"
    files: tuple[RemoteFile, ...]
    index: RemoteFile | None = None
    loose: bool = False  # which of the files belong to it, only the index says

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def preference(self) -> tuple[int, int, int, int, str]:
        """Sorts as loaders choose: in the root by name, then one file before shards; then by size."""
        folder, stem = posixpath.split(self.name)
        if folder:
            return 1, 0, 0, -self.size_bytes, self.name
        shards = 1 if self.index else min(len(self.files), 2) - 1
        return 0, int(stem != "model"), shards, -self.size_bytes, self.name


def checkpoints(files: Iterable[RemoteFile]) -> tuple[CheckpointFiles, ...]:
    """All safetensors checkpoints among ``files``, most likely first.

    In a folder: the shards ``stem-00001-of-00002`` belong together, with ``stem.safetensors.index.json``
    where there is one; every other file is a checkpoint of its own. Among folders the root comes first,
    then the largest.
    """
    files = tuple(files)
    indexes = {file.path[: -len(INDEX_SUFFIX)]: file for file in files if _is_index(file)}
    groups: dict[tuple[str, str], list[RemoteFile]] = defaultdict(list)
    for file in files:
        if file.path.lower().endswith(".safetensors"):
            groups[_group(file.path)].append(file)
    named = {name for name, count in groups if count}
    found = [_checkpoint(key, members, indexes) for key, members in groups.items()]
    # An index may name its files as it likes: then all of its folder are candidates.
    found += [_of_folder(name, index, files) for name, index in indexes.items() if name not in named]
    return tuple(sorted(found, key=lambda checkpoint: checkpoint.preference))


def _is_index(file: RemoteFile) -> bool:
    return file.path.lower().endswith(INDEX_SUFFIX)


def _group(path: str) -> tuple[str, str]:
    """(folder and stem, number of shards as written; "" for a single file)."""
    shard = _SHARD.fullmatch(path)
    return (shard["stem"], shard["count"]) if shard else (path[: -len(".safetensors")], "")


def _checkpoint(key: tuple[str, str], members: Sequence[RemoteFile], indexes: dict[str, RemoteFile]) -> CheckpointFiles:
    name, count = key
    index = indexes.get(name) if count else None
    return CheckpointFiles(name, tuple(sorted(members, key=lambda file: file.path)), index)


def _of_folder(name: str, index: RemoteFile, files: Sequence[RemoteFile]) -> CheckpointFiles:
    folder = posixpath.dirname(index.path)
    beside = [file for file in files if posixpath.dirname(file.path) == folder]
    weights = (file for file in beside if file.path.lower().endswith(".safetensors"))
    return CheckpointFiles(name, tuple(sorted(weights, key=lambda file: file.path)), index, loose=True)


def why_none(files: Iterable[RemoteFile]) -> FormatError:
    """The reason why a repository without safetensors cannot be looked at.

    NO_WEIGHTS only where nothing could be weights: a large file of an unknown kind is
    UNSUPPORTED_FORMAT, lest a changed suffix be a way to hide.
    """
    files = sorted(files, key=lambda file: -file.size_bytes)
    for reason, suffixes in ((Reason.PICKLE_ONLY, PICKLES), (Reason.UNSUPPORTED_FORMAT, OTHER_FORMATS)):
        for file in files:
            if posixpath.splitext(file.path.lower())[1] in suffixes:
                return FormatError(reason, f"no safetensors; {file.path} has {file.size_bytes} bytes")
    if files and files[0].size_bytes >= UNNAMED_WEIGHTS_BYTES:
        sentence = f"no safetensors; {files[0].path} has {files[0].size_bytes} bytes of no known format"
        return FormatError(Reason.UNSUPPORTED_FORMAT, sentence)
    return FormatError(Reason.NO_WEIGHTS, f"none of {len(files)} files holds weights")
