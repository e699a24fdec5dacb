"""Disguises that leave the function as it is: other weights, the same logits."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.disguises.checkpoint import Array, Checkpoint
from tests.disguises.layouts import pack, unpack
from tests.disguises.network import KEY_HEADS, QUERY_HEADS, UNITS, Block, Network
from tests.disguises.traits import traits_of

Rng = np.random.Generator


def _over_blocks(model: Checkpoint, change: Callable[[Block], Block]) -> Checkpoint:
    return pack(unpack(model).over_blocks(change), model)


def orthogonal(rng: Rng, size: int) -> Array:
    """A random orthogonal matrix, (size, size)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return (q * np.sign(np.diag(r))).astype(np.float32)


def invertible(rng: Rng, size: int) -> Array:
    """A random matrix with singular values between a half and two, (size, size)."""
    values = np.exp(rng.uniform(-np.log(2), np.log(2), size))
    return ((orthogonal(rng, size) * values) @ orthogonal(rng, size)).astype(np.float32)


# --- hidden units ------------------------------------------------------------------------------------


def permute_neurons(model: Checkpoint, seed: int = 1) -> Checkpoint:
    """The hidden units of each block in another order."""
    rng = np.random.default_rng(seed)

    def change(block: Block) -> Block:
        order = rng.permutation(len(block.up))
        return block.mapped(UNITS, lambda array: array[order])

    return _over_blocks(model, change)


def _scaled_units(block: Block, factors: Array) -> Block:
    """Up times a factor a unit, down divided by it: free wherever a gate does the bending."""
    return replace(block, up=block.up * factors[:, None], down=block.down / factors[:, None])


def scale_neurons(model: Checkpoint, seed: int = 2) -> Checkpoint:
    """Each hidden unit of a gated block stronger at its input and weaker at its output, or the reverse."""
    rng = np.random.default_rng(seed)

    def change(block: Block) -> Block:
        return _scaled_units(block, np.exp(rng.uniform(-1, 1, len(block.up))).astype(np.float32))

    return _over_blocks(model, change)


# --- heads -------------------------------------------------------------------------------------------


def permute_heads(model: Checkpoint, seed: int = 3) -> Checkpoint:
    """Key heads in another order with their query heads, and these shuffled among themselves."""
    rng = np.random.default_rng(seed)

    def change(block: Block) -> Block:
        share = len(block.q) // len(block.k)
        keys = rng.permutation(len(block.k))
        queries = np.concatenate([key * share + rng.permutation(share) for key in keys])
        block = block.mapped(QUERY_HEADS, lambda array: array[queries])
        return block.mapped(KEY_HEADS, lambda array: array[keys])

    return _over_blocks(model, change)


def _through(maps: Array, array: Array) -> Array:
    """One (h, h) map a head on (heads, h) biases or (heads, h, d) weights."""
    mapped: Array = np.einsum("nab,nb...->na...", maps, array)
    return mapped


def _shared(maps: Array, block: Block) -> Array:
    """The maps of the key heads, repeated for the query heads that look at them."""
    return np.repeat(maps, len(block.q) // len(block.k), axis=0)


def _inverse(maps: Array) -> Array:
    return np.linalg.inv(maps).swapaxes(1, 2)


def map_values(model: Checkpoint, seed: int = 4) -> Checkpoint:
    """What a head carries, in another basis: any invertible map after v, its inverse before o."""
    rng = np.random.default_rng(seed)

    def change(block: Block) -> Block:
        maps = np.stack([invertible(rng, block.k.shape[1]) for _ in block.k])
        block = block.mapped(("v", "v_bias"), lambda array: _through(maps, array))
        return block.mapped(("o",), lambda array: _through(_shared(_inverse(maps), block), array))

    return _over_blocks(model, change)


def _commuting(rng: Rng, size: int, rotary: int) -> Array:
    """A (size, size) map of a query that commutes with rotary positions; any map where there are none."""
    half, matrix = rotary // 2, np.zeros((size, size), dtype=np.float32)
    angle, factor = rng.uniform(0, 2 * np.pi, half), np.exp(rng.uniform(-0.7, 0.7, half))
    first, second = np.arange(half), np.arange(half) + half
    matrix[first, first] = matrix[second, second] = factor * np.cos(angle)
    matrix[second, first] = factor * np.sin(angle)
    matrix[first, second] = -matrix[second, first]
    matrix[rotary:, rotary:] = invertible(rng, size - rotary)
    return matrix


def map_queries(model: Checkpoint, seed: int = 5) -> Checkpoint:
    """Queries and keys in another basis: turned and stretched pair by pair under rotary positions."""
    rng, rotary = np.random.default_rng(seed), traits_of(model).rotary_dims

    def change(block: Block) -> Block:
        maps = np.stack([_commuting(rng, block.k.shape[1], rotary) for _ in block.k])
        block = block.mapped(("q", "q_bias"), lambda array: _through(_shared(maps, block), array))
        return block.mapped(("k", "k_bias"), lambda array: _through(_inverse(maps), array))

    return _over_blocks(model, change)


# --- the residual stream -----------------------------------------------------------------------------


def permute_residual(model: Checkpoint, seed: int = 6) -> Checkpoint:
    """The coordinates of the residual stream in another order, from the embedding to the end."""
    order = np.random.default_rng(seed).permutation(unpack(model).width)
    return pack(unpack(model).over_residual(lambda array: array[..., order]), model)


def flip_signs(model: Checkpoint, seed: int = 7) -> Checkpoint:
    """Signs of hidden units and of value channels; of residual coordinates where no norm takes a mean."""
    rng, network = np.random.default_rng(seed), unpack(model)
    if not traits_of(model).centred:
        signs = _signs(rng, network.width)
        network = _but_gains(network, lambda array: array * signs)

    def change(block: Block) -> Block:
        if block.gate is not None:
            block = _scaled_units(block, _signs(rng, len(block.up)))
        flips = _signs(rng, block.v[..., 0].size).reshape(block.v.shape[:2])
        block = block.mapped(("v", "v_bias"), lambda array: (array.T * flips.T).T)
        return replace(block, o=block.o * _shared(flips, block)[..., None])

    return pack(network.over_blocks(change), model)


def _signs(rng: Rng, size: int) -> Array:
    return rng.choice(np.array([-1, 1], dtype=np.float32), size)


def _but_gains(network: Network, change: Callable[[Array], Array]) -> Network:
    """``change`` along the residual axis of everything that a map of that space moves."""
    moved = network.over_residual(change)
    blocks = tuple(
        replace(new, attention_gain=old.attention_gain, ffn_gain=old.ffn_gain)
        for new, old in zip(moved.blocks, network.blocks, strict=True)
    )
    return replace(moved, blocks=blocks, final_gain=network.final_gain)


def _folded(network: Network) -> Network:
    """Gains of one: each norm's gain moves into the matrices that read it, its shift is divided by it."""

    def change(block: Block) -> Block:
        attention, ffn = block.attention_gain, block.ffn_gain
        block = block.mapped(("q", "k", "v"), lambda array: array * attention)
        block = block.mapped(("gate", "up"), lambda array: array * ffn)
        block = block.mapped(("attention_shift",), lambda array: array / attention)
        block = block.mapped(("ffn_shift",), lambda array: array / ffn)
        return block.mapped(("attention_gain", "ffn_gain"), np.ones_like)

    network = network.over_blocks(change).untied
    assert network.final_gain is not None
    assert network.unembedding is not None
    shift = None if network.final_shift is None else network.final_shift / network.final_gain
    return replace(
        network,
        unembedding=network.unembedding * network.final_gain,
        final_gain=np.ones_like(network.final_gain),
        final_shift=shift,
    )


def fold_gains(model: Checkpoint) -> Checkpoint:
    """All norm gains one; a tied embedding is stored twice for it."""
    return pack(_folded(unpack(model)), model)


def _rotation(rng: Rng, width: int, centred: bool) -> Array:
    """Orthogonal, (width, width); with LayerNorm one that keeps the vector of ones, so that means stay."""
    if not centred:
        return orthogonal(rng, width)
    frame = rng.standard_normal((width, width))
    frame[:, 0] = 1
    basis = np.linalg.qr(frame)[0].astype(np.float32)
    turn = np.eye(width, dtype=np.float32)
    turn[1:, 1:] = orthogonal(rng, width - 1)
    return (basis @ turn @ basis.T).astype(np.float32)


def rotate_residual(model: Checkpoint, seed: int = 8) -> Checkpoint:
    """Gains folded, then the whole residual stream turned, embeddings included."""
    network = _folded(unpack(model))
    turn = _rotation(np.random.default_rng(seed), network.width, traits_of(model).centred)
    return pack(_but_gains(network, lambda array: array @ turn.T), model)


def all_at_once(model: Checkpoint) -> Checkpoint:
    """Every symmetry that the layout has, one after the other."""
    gated = unpack(model).blocks[0].gate is not None
    residual = permute_residual if traits_of(model).post_norm else rotate_residual
    model = scale_neurons(model) if gated else model
    for disguise in (permute_neurons, permute_heads, map_values, map_queries, flip_signs, residual):
        model = disguise(model)
    return model
