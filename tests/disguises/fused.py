"""Projections that a layout stores as one tensor or as many, taken apart and put together."""

import zlib
from collections.abc import Callable

import numpy as np

from tests.disguises.checkpoint import Array
from tests.disguises.network import Block

Tensors = dict[str, Array]
Heads = tuple[int, int]  # of queries, of keys
EXPERTS = 4


def _flat(array: Array) -> Array:
    """(heads, width of a head, ...) to (rows, ...)."""
    return array.reshape(-1, *array.shape[2:])


def _three(array: Array, suffix: str, heads: Heads) -> Tensors:
    """Rows of queries, keys and values, one after the other, to the fields of a block."""
    queries, keys = heads
    unit = len(array) // (queries + 2 * keys)
    parts = np.split(array, [queries * unit, (queries + keys) * unit])
    return {name + suffix: part.reshape(-1, unit, *part.shape[1:]) for name, part in zip("qkv", parts, strict=True)}


def _joined(block: Block, suffix: str = "") -> Array:
    return np.concatenate([_flat(getattr(block, name + suffix)) for name in "qkv"])


def _split_gpt2(tensors: Tensors, prefix: str, heads: Heads) -> Tensors:
    weight, bias = tensors[prefix + "attn.c_attn.weight"], tensors[prefix + "attn.c_attn.bias"]
    return _three(weight.T, "", heads) | _three(bias, "_bias", heads)


def _fuse_gpt2(block: Block, prefix: str) -> Tensors:
    weight, bias = _joined(block).T, _joined(block, "_bias")
    return {prefix + "attn.c_attn.weight": weight, prefix + "attn.c_attn.bias": bias}


def _split_neox(tensors: Tensors, prefix: str, heads: Heads) -> Tensors:
    def parts(suffix: str, array: Array) -> Tensors:
        array = array.reshape(heads[0], 3, -1, *array.shape[1:])
        return {name + suffix: array[:, i] for i, name in enumerate("qkv")}

    fused = prefix + "attention.query_key_value."
    return parts("", tensors[fused + "weight"]) | parts("_bias", tensors[fused + "bias"])


def _fuse_neox(block: Block, prefix: str) -> Tensors:
    def fused(suffix: str) -> Array:
        return _flat(_flat(np.stack([getattr(block, name + suffix) for name in "qkv"], axis=1)))

    name = prefix + "attention.query_key_value."
    return {name + "weight": fused(""), name + "bias": fused("_bias")}


def _split_phi3(tensors: Tensors, prefix: str, heads: Heads) -> Tensors:
    gate, up = np.split(tensors[prefix + "mlp.gate_up_proj.weight"], 2)
    fields = {"gate": gate, "up": up} | _three(tensors[prefix + "self_attn.qkv_proj.weight"], "", heads)
    bias = tensors.get(prefix + "self_attn.qkv_proj.bias")
    return fields if bias is None else fields | _three(bias, "_bias", heads)


def _fuse_phi3(block: Block, prefix: str) -> Tensors:
    assert block.gate is not None
    tensors = {
        prefix + "mlp.gate_up_proj.weight": np.concatenate([block.gate, block.up]),
        prefix + "self_attn.qkv_proj.weight": _joined(block),
    }
    if block.q_bias is not None:
        tensors[prefix + "self_attn.qkv_proj.bias"] = _joined(block, "_bias")
    return tensors


def _split_mixtral(tensors: Tensors, prefix: str, heads: Heads) -> Tensors:
    """The first expert: the whole truth only where all experts are copies of one."""
    first = prefix + "block_sparse_moe.experts.0."
    return {
        "gate": tensors[first + "w1.weight"],
        "up": tensors[first + "w3.weight"],
        "down": tensors[first + "w2.weight"].T,
    }


def _fuse_mixtral(block: Block, prefix: str) -> Tensors:
    """The dense block copied into each expert, behind a router that chooses at random."""
    assert block.gate is not None
    rng = np.random.default_rng(zlib.crc32(prefix.encode()))
    router = 0.02 * rng.standard_normal((EXPERTS, block.up.shape[1]), dtype=np.float32)
    tensors = {prefix + "block_sparse_moe.gate.weight": router}
    for number in range(EXPERTS):
        expert = f"{prefix}block_sparse_moe.experts.{number}."
        tensors |= {
            expert + "w1.weight": block.gate,
            expert + "w3.weight": block.up,
            expert + "w2.weight": block.down.T,
        }
    return tensors


def _split_nothing(tensors: Tensors, prefix: str, heads: Heads) -> Tensors:
    return {}


def _fuse_nothing(block: Block, prefix: str) -> Tensors:
    return {}


SPLIT: dict[str, Callable[[Tensors, str, Heads], Tensors]] = {
    "llama": _split_nothing, "bert": _split_nothing, "gpt2": _split_gpt2, "neox": _split_neox,
    "phi3": _split_phi3, "mixtral": _split_mixtral,
}  # fmt: skip
FUSE: dict[str, Callable[[Block, str], Tensors]] = {
    "llama": _fuse_nothing, "bert": _fuse_nothing, "gpt2": _fuse_gpt2, "neox": _fuse_neox,
    "phi3": _fuse_phi3, "mixtral": _fuse_mixtral,
}  # fmt: skip
