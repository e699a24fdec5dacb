"""Parts taken away, repeated, or put into another model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tests.disguises.checkpoint import Checkpoint
from tests.disguises.layouts import pack, unpack
from tests.disguises.network import ATTENTION, FFN, UNITS, Block, Network

# --- of one model ------------------------------------------------------------------------------------


def reorder_layers(model: Checkpoint, order: Sequence[int]) -> Checkpoint:
    """Blocks of the model in any order, left out or repeated: ``order`` names the origin of each."""
    network = unpack(model)
    return pack(replace(network, blocks=tuple(network.blocks[number] for number in order)), model)


def drop_layers(model: Checkpoint) -> Checkpoint:
    """The second block left out, and the last but one."""
    depth = len(unpack(model).blocks)
    return reorder_layers(model, [number for number in range(depth) if number not in (1, depth - 2)])


def shuffle_layers(model: Checkpoint) -> Checkpoint:
    """The inner blocks in reverse order."""
    depth = len(unpack(model).blocks)
    return reorder_layers(model, [0, *range(depth - 2, 0, -1), depth - 1])


def duplicate_layers(model: Checkpoint) -> Checkpoint:
    """Deeper by overlapping slices, as frankenmerges are: 0 1 2, 1 2 3, ..."""
    depth = len(unpack(model).blocks)
    return reorder_layers(model, [*range(depth - 1), *range(1, depth)])


def prune_width(model: Checkpoint, kept: float = 0.75) -> Checkpoint:
    """The strongest ``kept`` of each block's hidden units, in their order."""

    def change(block: Block) -> Block:
        strength = np.linalg.norm(block.up, axis=1) * np.linalg.norm(block.down, axis=1)
        units = np.sort(np.argsort(-strength)[: round(kept * len(strength))])
        return block.mapped(UNITS, lambda array: array[units])

    return pack(unpack(model).over_blocks(change), model)


# --- of two models of one shape ----------------------------------------------------------------------


def merge(model: Checkpoint, host: Checkpoint, weight: float = 0.5) -> Checkpoint:
    """Tensor by tensor: ``weight`` of the model, the rest of the host."""
    tensors = {name: weight * array + (1 - weight) * host.tensors[name] for name, array in model.tensors.items()}
    return replace(host, tensors=tensors)


def transplant(model: Checkpoint, host: Checkpoint, layers: Sequence[int] = (1, 2)) -> Checkpoint:
    """The host with these blocks of the model in place of its own."""
    donor, body = unpack(model), unpack(host)
    pairs = zip(donor.blocks, body.blocks, strict=True)
    blocks = tuple(new if number in layers else old for number, (new, old) in enumerate(pairs))
    return pack(replace(body, blocks=blocks), host)


def _with_parts(model: Checkpoint, host: Checkpoint, parts: tuple[str, ...]) -> Checkpoint:
    """The host with these parts of every block of the model."""
    donor, body = unpack(model), unpack(host)
    blocks = tuple(
        replace(old, **{name: getattr(new, name) for name in parts})
        for new, old in zip(donor.blocks, body.blocks, strict=True)
    )
    return pack(replace(body, blocks=blocks), host)


def steal_attention(model: Checkpoint, host: Checkpoint) -> Checkpoint:
    """The host with the model's attention and the norms before it."""
    return _with_parts(model, host, ATTENTION)


def steal_feed_forward(model: Checkpoint, host: Checkpoint) -> Checkpoint:
    """The host with the model's feed-forward blocks and the norms before them."""
    return _with_parts(model, host, FFN)


def replace_embedding(model: Checkpoint, host: Checkpoint) -> Checkpoint:
    """The model's blocks under the host's embedding and unembedding."""
    donor, body = unpack(model), unpack(host)
    return pack(replace(body, blocks=donor.blocks), host)


def steal_embedding(model: Checkpoint, host: Checkpoint) -> Checkpoint:
    """The host's blocks under the model's embedding and unembedding."""
    donor: Network = unpack(model)
    return pack(replace(donor, blocks=unpack(host).blocks), model)
