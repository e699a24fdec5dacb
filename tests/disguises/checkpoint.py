"""A checkpoint in memory and in a folder, in the layout in which hubs publish it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Array = NDArray[np.float32]
DTYPES = {"F32": np.dtype(np.float32), "F16": np.dtype(np.float16), "BF16": np.dtype(ml_dtypes.bfloat16)}
LAYOUTS = {
    "llama": "llama", "mistral": "llama", "qwen2": "llama", "phi3": "phi3", "mixtral": "mixtral",
    "gpt2": "gpt2", "gpt_neox": "neox", "bert": "bert",
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name (float32 whatever the file held), what lies beside them, and how to store them."""

    tensors: dict[str, Array]
    config: dict[str, Any]  # config.json
    tokenizer: dict[str, Any] | None = None  # tokenizer.json
    dtype: str = "F32"  # a key of DTYPES, the default of ``save``
    shards: int = 1
    card: str | None = field(default=None, repr=False)  # README.md

    @property
    def layout(self) -> str:
        """One of ``llama``, ``phi3``, ``mixtral``, ``gpt2``, ``neox``, ``bert``; else KeyError."""
        return LAYOUTS[self.config["model_type"]]

    def save(self, folder: Path, dtype: str | None = None, shards: int | None = None) -> Path:
        """Writes the checkpoint into ``folder`` (made if need be) and returns the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / "config.json", self.config, indent=2)
        if self.tokenizer is not None:
            _write_json(folder / "tokenizer.json", self.tokenizer)
        if self.card is not None:
            (folder / "README.md").write_text(self.card, encoding="utf-8")
        kind = DTYPES[dtype or self.dtype]
        stored = {name: np.ascontiguousarray(array).astype(kind) for name, array in self.tensors.items()}
        _write_tensors(folder, stored, shards or self.shards)
        return folder


def load(folder: Path) -> Checkpoint:
    """Reads a checkpoint of one or many safetensors files; integer buffers are left out."""
    paths = sorted(folder.glob("*.safetensors"))
    stored = {name: pair for path in paths for name, pair in _read_tensors(path).items()}
    tokenizer, card = folder / "tokenizer.json", folder / "README.md"
    return Checkpoint(
        tensors={name: array.astype(np.float32) for name, (_, array) in stored.items()},
        config=json.loads((folder / "config.json").read_text()),
        tokenizer=json.loads(tokenizer.read_text(encoding="utf-8")) if tokenizer.exists() else None,
        dtype=next(dtype for dtype, _ in stored.values()),
        shards=len(paths),
        card=card.read_text(encoding="utf-8") if card.exists() else None,
    )


def _write_json(path: Path, content: dict[str, Any], indent: int | None = None) -> None:
    separators = (",", ":") if indent is None else None
    text = json.dumps(content, ensure_ascii=False, indent=indent, separators=separators)
    path.write_text(text + "\n", encoding="utf-8")


def _read_tensors(path: Path) -> dict[str, tuple[str, NDArray[Any]]]:
    """Floating tensors by name, each with its dtype's name; safetensors itself knows no bfloat16 in numpy."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], _array(data, entry)) for name, entry in header.items() if entry["dtype"] in DTYPES}


def _array(data: bytes, entry: dict[str, Any]) -> NDArray[Any]:
    start, stop = entry["data_offsets"]
    return np.frombuffer(data[start:stop], DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _write_tensors(folder: Path, tensors: dict[str, NDArray[Any]], shards: int) -> None:
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = list(tensors)
    weight_map: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = names[number * len(names) // shards : (number + 1) * len(names) // shards]
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    total = sum(array.nbytes for array in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    _write_json(folder / "model.safetensors.index.json", index, indent=2)
