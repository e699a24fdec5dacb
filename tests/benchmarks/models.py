"""Made-up checkpoints of Llama's layout and any size, written tensor by tensor: random bf16, or holes.

The values are random bits within two binades, both signs: as independent as drawn normals and written as fast
as a disk takes them. A part that no scan reads may be left as a hole: it takes no room and reads as zeros.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from scanners.anchors import ANCHORS

PIECE_VALUES = 1 << 23
SIGN_AND_MANTISSA, BINADE = 0x80FF, 0x3C00  # of bf16: magnitudes from 2^-7 to 2^-5
GAIN_BITS = 0x3F80  # of bf16: 1.0


@dataclass(frozen=True)
class LlamaShape:
    """The dimensions of a checkpoint; ``size_bytes`` is that of its tensors."""

    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    vocabulary: int

    @property
    def config(self) -> dict[str, Any]:
        """What its config.json says."""
        return {
            "model_type": "llama",
            "hidden_size": self.width,
            "intermediate_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocabulary,
        }

    @property
    def size_bytes(self) -> int:
        return sum(2 * int(np.prod(shape)) for _, shape in self.tensors())

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every tensor, in the order of the file."""
        yield "model.embed_tokens.weight", (self.vocabulary, self.width)
        for layer in range(self.layers):
            yield from ((f"model.layers.{layer}.{name}", shape) for name, shape in self._block().items())
        yield "model.norm.weight", (self.width,)
        yield "lm_head.weight", (self.vocabulary, self.width)

    def _block(self) -> dict[str, tuple[int, ...]]:
        narrow = self.width // self.heads * self.kv_heads
        return {
            "input_layernorm.weight": (self.width,),
            "self_attn.q_proj.weight": (self.width, self.width),
            "self_attn.k_proj.weight": (narrow, self.width),
            "self_attn.v_proj.weight": (narrow, self.width),
            "self_attn.o_proj.weight": (self.width, self.width),
            "post_attention_layernorm.weight": (self.width,),
            "mlp.gate_proj.weight": (self.hidden, self.width),
            "mlp.up_proj.weight": (self.hidden, self.width),
            "mlp.down_proj.weight": (self.width, self.hidden),
        }


TINY = LlamaShape(layers=2, width=32, hidden=88, heads=2, kv_heads=1, vocabulary=256)
LLAMA_8B = LlamaShape(layers=32, width=4096, hidden=14336, heads=32, kv_heads=8, vocabulary=128256)

Runs = Mapping[str, tuple[int, int]]  # the end of a tensor's name -> the rows that are written


def write(folder: Path, shape: LlamaShape, seed: int, shards: int = 1, filled: Runs | None = None) -> Path:
    """A checkpoint in ``folder``; tensors that ``filled`` names get those rows only, the rest are holes."""
    folder.mkdir(parents=True)
    random, listed = np.random.default_rng(seed), list(shape.tensors())
    weight_map: dict[str, str] = {}
    for number in range(shards):
        name = f"model-{number + 1:05d}-of-{shards:05d}.safetensors" if shards > 1 else "model.safetensors"
        part = listed[number * len(listed) // shards : (number + 1) * len(listed) // shards]
        _write_shard(folder / name, part, random, filled or {})
        weight_map |= dict.fromkeys((tensor for tensor, _ in part), name)
    if shards > 1:
        _write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
    _write_json(folder / "config.json", shape.config)
    _write_json(folder / "tokenizer.json", _tokenizer(shape.vocabulary))
    return folder


def _write_shard(
    path: Path, tensors: list[tuple[str, tuple[int, ...]]], random: np.random.Generator, filled: Runs
) -> None:
    header, at = {}, 0
    for name, shape in tensors:
        stop = at + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, stop]}
        at = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors:
            _write_tensor(file, name, shape, random, filled)
        file.truncate()


def _write_tensor(file: BinaryIO, name: str, shape: tuple[int, ...], random: np.random.Generator, filled: Runs) -> None:
    row_values = shape[1] if len(shape) == 2 else 1
    first, last = next((rows for end, rows in filled.items() if name.endswith(end)), (0, shape[0]))
    start = file.tell()
    file.seek(start + 2 * first * row_values)
    for at in range(0, (last - first) * row_values, PIECE_VALUES):
        values = min(PIECE_VALUES, (last - first) * row_values - at)
        bits = random.integers(0, 1 << 16, values, np.uint16)
        bits &= 0x7F if len(shape) == 1 else SIGN_AND_MANTISSA
        bits |= GAIN_BITS if len(shape) == 1 else BINADE
        bits.tofile(file)
    file.seek(start + 2 * shape[0] * row_values)


def _tokenizer(vocabulary: int) -> dict[str, Any]:
    """Byte-level BPE: the anchor strings, frequent ones first as trainers leave them, then made-up words."""
    words = [text.decode().replace(" ", "Ġ") for text in ANCHORS]
    words += [f"Ġword{number}" for number in range(vocabulary - len(words))]
    return {"model": {"type": "BPE", "vocab": {word: number for number, word in enumerate(words[:vocabulary])}}}


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document))
