"""Between a checkpoint's tensors and ``Network``, for every layout."""

from dataclasses import replace
from typing import Any

from tests.disguises import places
from tests.disguises.checkpoint import Array, Checkpoint
from tests.disguises.fused import FUSE, SPLIT, Heads, Tensors
from tests.disguises.network import Block, Network


def heads_of(config: dict[str, Any]) -> Heads:
    """How many query heads and how many key heads."""
    heads = int(config.get("num_attention_heads") or config["n_head"])
    return heads, int(config.get("num_key_value_heads") or heads)


def unpack(model: Checkpoint) -> Network:
    """The network in a checkpoint; raises KeyError where a tensor of the layout is missing."""
    layout, heads = model.layout, heads_of(model.config)
    tensors = {name.removeprefix("transformer."): array for name, array in model.tensors.items()}
    depth = int(model.config[places.size_names(model.config)[0]])
    blocks = tuple(_block(layout, tensors, f"{places.BLOCKS[layout]}.{i}.", heads) for i in range(depth))
    outer = {field: tensors[name] for field, name in places.OUTER[layout].items() if name in tensors}
    return Network(blocks, extras={name: tensors[name] for name in places.EXTRAS if name in tensors}, **outer)


def pack(network: Network, like: Checkpoint) -> Checkpoint:
    """A checkpoint in the layout of ``like``, its config brought up to date with the network's shape."""
    layout = like.layout
    outer = {name: getattr(network, field) for field, name in places.OUTER[layout].items()}
    tensors = {name: array for name, array in outer.items() if array is not None} | network.extras
    for number, block in enumerate(network.blocks):
        tensors |= _tensors(layout, block, f"{places.BLOCKS[layout]}.{number}.")
    if layout == "gpt2" and network.unembedding is not None:
        tensors = {_inner(name): array for name, array in tensors.items()}
    kept = {name: array for name, array in like.tensors.items() if name in places.UNTOUCHED}
    return replace(like, tensors=tensors | kept, config=_config(network, like))


def _inner(name: str) -> str:
    """GPT-2 with a head of its own keeps the rest under a name."""
    return name if name == "lm_head.weight" else f"transformer.{name}"


def _config(network: Network, like: Checkpoint) -> dict[str, Any]:
    depth, hidden, words = places.size_names(like.config)
    sizes = {depth: len(network.blocks), words: len(network.embedding), hidden: len(network.blocks[0].up)}
    if like.layout != "bert":
        sizes["tie_word_embeddings"] = network.unembedding is None
    return like.config | sizes


def _block(layout: str, tensors: Tensors, prefix: str, heads: Heads) -> Block:
    fields = {
        field: _turned(tensors[prefix + name], how, heads)
        for field, name, how in places.BLOCK[layout]
        if prefix + name in tensors
    }
    return Block(**(fields | SPLIT[layout](tensors, prefix, heads)))


def _tensors(layout: str, block: Block, prefix: str) -> Tensors:
    named = {
        prefix + name: _turned_back(getattr(block, field), how)
        for field, name, how in places.BLOCK[layout]
        if getattr(block, field) is not None
    }
    return named | FUSE[layout](block, prefix)


def _turned(array: Array, how: str, heads: Heads) -> Array:
    array = array.T if "turned" in how else array
    if "heads" in how or "keys" in how:
        return array.reshape(heads["keys" in how], -1, *array.shape[1:])
    return array


def _turned_back(array: Array, how: str) -> Array:
    array = array.reshape(-1, *array.shape[2:]) if "heads" in how or "keys" in how else array
    return array.T if "turned" in how else array
