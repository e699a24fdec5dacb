"""Which tensor does what: tensor names (or, failing those, shapes) become roles in transformer blocks.

The known families are data (architectures/*.json): a pattern that finds the block number, and for each
tensor of a block its roles, the axis that is the residual stream, and the norms whose gain it reads through.
Names never seen go to `unknown_names`. The config of an untrusted repository is only a hint for what the
shapes leave open (how many heads), and only where it fits them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from scanners.records import Role, Shape, TensorInfo


@dataclass(frozen=True, slots=True)
class MatrixPart:
    """Where the matrix (units, width) of one role lies: a stored 2-D tensor, or a run of its units.

    ``residual_axis`` is the stored axis of length width; the other one counts units. ``units`` are half-open
    runs on that other axis, in order. ``norm`` names the gain (width,) to fold in, ``gain_offset`` is 1.0
    where the model multiplies by 1 + gain, ``centred`` is set where the norm takes the mean out.
    """

    tensor: TensorInfo
    residual_axis: int
    units: tuple[tuple[int, int], ...]
    norm: TensorInfo | None = None
    gain_offset: float = 0.0
    centred: bool = False
    row_gain: TensorInfo | None = None

    @property
    def rows(self) -> int:
        return sum(stop - start for start, stop in self.units)

    @property
    def width(self) -> int:
        return self.tensor.shape[self.residual_axis]

    @property
    def contiguous(self) -> bool:
        """Whether some units can be read without the others."""
        return self.residual_axis == 1


@dataclass(frozen=True, slots=True)
class Block:
    """The parts of one transformer block; several under one role are experts."""

    layer: int
    parts: Mapping[Role, tuple[MatrixPart, ...]]


@dataclass(frozen=True, slots=True)
class Layout:
    """A checkpoint understood: its embedding, its blocks and its dimensions."""

    shape: Shape
    embedding: TensorInfo | None
    unembedding: TensorInfo | None
    blocks: tuple[Block, ...]
    head_width: int
    centred: bool  # the model's norms take the mean out, so the all-ones direction carries nothing
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hints:
    """What config.json claims and shapes cannot show; None where it says nothing usable."""

    heads: int | None = None
    kv_heads: int | None = None
    head_width: int | None = None
    gain_offset: float = 0.0


@dataclass(frozen=True, slots=True)
class TensorRule:
    """How a family stores one tensor of a block."""

    roles: tuple[str, ...]
    residual_axis: int
    norms: tuple[str, ...] = ()
    interleaved: bool = False
    row_gain: str | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """One architecture file, or the rules that were worked out for names never seen."""

    name: str
    block: re.Pattern[str]
    embedding: tuple[str, ...]
    unembedding: tuple[str, ...]
    tensors: Mapping[str, TensorRule]

    def place(self, name: str) -> tuple[str, int, str, int] | None:
        """(stack, block number, rule, expert) of a tensor name, None if it is not of this family."""
        found = self.block.search(name)
        if found is None:
            return None
        suffix = name[found.end() :]
        rule, expert = re.sub(r"experts\.(\d+)\.", "experts.*.", suffix), 0
        if rule != suffix:
            expert = int(re.search(r"experts\.(\d+)\.", suffix).group(1))  # type: ignore[union-attr]
        return (name[: found.start()], int(found.group(1)), rule, expert) if rule in self.tensors else None


@cache
def families() -> tuple[Family, ...]:
    """All architecture files of the package."""
    folder = resources.files("scanners") / "architectures"
    documents = [
        json.loads(f.read_text()) for f in sorted(folder.iterdir(), key=lambda f: f.name) if f.name.endswith(".json")
    ]
    return tuple(_family(document) for document in documents)


def _family(document: Mapping[str, Any]) -> Family:
    rules = {
        name: TensorRule(
            tuple(rule["roles"]),
            rule["residual_axis"],
            tuple(rule.get("norms", ())),
            rule.get("interleaved", False),
            rule.get("row_gain"),
        )
        for name, rule in document["tensors"].items()
    }
    return Family(
        document["family"],
        re.compile(document["block"]),
        tuple(document["embedding"]),
        tuple(document["unembedding"]),
        rules,
    )


def best_family(tensors: Mapping[str, TensorInfo]) -> Family | None:
    """The family that places the most tensors; None if none finds feed-forward or attention matrices."""
    counted = [(sum(family.place(name) is not None for name in tensors), family) for family in families()]
    count, family = max(counted, key=lambda pair: pair[0])
    return family if count >= 2 else None


def hints(config: Mapping[str, Any]) -> Hints:
    """The usable claims of a config.json; wrong types and wild numbers count as silence."""

    def number(*names: str) -> int | None:
        values = (config.get(name) for name in names)
        return next((v for v in values if type(v) is int and 0 < v <= 65536), None)

    heads = number("num_attention_heads", "n_head", "num_heads")
    gemma = str(config.get("model_type", "")).startswith("gemma")
    return Hints(heads, number("num_key_value_heads") or heads, number("head_dim"), 1.0 if gemma else 0.0)


def find_tensor(tensors: Mapping[str, TensorInfo], suffixes: Sequence[str]) -> TensorInfo | None:
    """The 2-D tensor whose name is, or ends in, one of the suffixes; the largest if several do."""
    found = [
        tensor
        for name, tensor in tensors.items()
        if len(tensor.shape) == 2 and any(name == s or name.endswith("." + s) for s in suffixes)
    ]
    return max(found, key=lambda tensor: tensor.size_bytes, default=None)
