"""One shape for all layouts, in which a symmetry is a line of code.

The residual axis is always the last one, of what reads it and of what writes it alike; heads and hidden
units are the first. A map Q of the residual space is therefore ``x @ Q.T`` on every array here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tests.disguises.checkpoint import Array

Whole = TypeVar("Whole", "Block", "Network")

RESIDUAL = (
    "attention_gain", "attention_shift", "q", "k", "v", "o", "o_bias",
    "ffn_gain", "ffn_shift", "gate", "up", "down", "down_bias",
)  # fmt: skip
UNITS = ("gate", "up", "up_bias", "down")
QUERY_HEADS = ("q", "q_bias", "o")
KEY_HEADS = ("k", "k_bias", "v", "v_bias")
ATTENTION = ("attention_gain", "attention_shift", *QUERY_HEADS, *KEY_HEADS, "o_bias")
FFN = ("ffn_gain", "ffn_shift", *UNITS, "down_bias")
OUTER = ("embedding", "positions", "embedding_gain", "embedding_shift", "final_gain", "final_shift")


@dataclass(frozen=True)
class Block:
    """Width d, n query heads, m key heads of width h, f hidden units. Absent parts are None."""

    attention_gain: Array  # (d,)
    q: Array  # (n, h, d)
    k: Array  # (m, h, d)
    v: Array  # (m, h, d)
    o: Array  # (n, h, d)
    ffn_gain: Array  # (d,)
    up: Array  # (f, d)
    down: Array  # (f, d)
    gate: Array | None = None  # (f, d)
    attention_shift: Array | None = None  # (d,)
    q_bias: Array | None = None  # (n, h)
    k_bias: Array | None = None  # (m, h)
    v_bias: Array | None = None  # (m, h)
    o_bias: Array | None = None  # (d,)
    ffn_shift: Array | None = None  # (d,)
    up_bias: Array | None = None  # (f,)
    down_bias: Array | None = None  # (d,)

    def mapped(self, names: tuple[str, ...], change: Callable[[Array], Array]) -> "Block":
        """The block with ``change`` applied to those of the named arrays that it has."""
        return mapped(self, names, change)


@dataclass(frozen=True)
class Network:
    """A whole model. ``unembedding`` is None where the embedding serves for both."""

    blocks: tuple[Block, ...]
    embedding: Array  # (vocabulary, d)
    unembedding: Array | None = None  # (vocabulary, d)
    positions: Array | None = None  # (positions, d)
    embedding_gain: Array | None = None  # (d,)
    embedding_shift: Array | None = None  # (d,)
    final_gain: Array | None = None  # (d,)
    final_shift: Array | None = None  # (d,)
    extras: dict[str, Array] = field(default_factory=dict)  # by tensor name; the last axis is residual

    def over_blocks(self, change: Callable[[Block], Block]) -> "Network":
        return replace(self, blocks=tuple(map(change, self.blocks)))

    def over_residual(self, change: Callable[[Array], Array]) -> "Network":
        """The network with ``change`` applied to every array along the residual axis."""
        inner = self.over_blocks(lambda block: block.mapped(RESIDUAL, change))
        outer = mapped(inner, (*OUTER, "unembedding"), change)
        return replace(outer, extras={name: change(array) for name, array in self.extras.items()})

    @property
    def untied(self) -> "Network":
        """The same function with an unembedding of its own."""
        return self if self.unembedding is not None else replace(self, unembedding=self.embedding)

    @property
    def width(self) -> int:
        return int(self.embedding.shape[1])


def mapped(whole: Whole, names: tuple[str, ...], change: Callable[[Array], Array]) -> Whole:
    """``whole`` with ``change`` applied to those of the named arrays that it has."""
    present = {name: getattr(whole, name) for name in names if getattr(whole, name) is not None}
    changed: dict[str, Any] = {name: change(array) for name, array in present.items()}
    return replace(whole, **changed)
