"""The forward pass, in numpy and in double precision: what proves that a disguise changes nothing."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit, softmax

from tests.disguises.checkpoint import Array, Checkpoint
from tests.disguises.layouts import unpack
from tests.disguises.network import Block, Network
from tests.disguises.traits import Traits, traits_of

Double = NDArray[np.float64]


def logits(model: Checkpoint, tokens: NDArray[np.int64]) -> Double:
    """Of a (time,) sequence: (time, vocabulary). An encoder's states are compared with its embedding."""
    network, traits = unpack(model), traits_of(model)
    states = _embedded(network, traits, tokens)
    for block in network.blocks:
        states = _block(block, traits, states)
    if network.final_gain is not None:
        states = _norm(states, traits, network.final_gain, network.final_shift)
    words = network.embedding if network.unembedding is None else network.unembedding
    return states @ words.T


def loss(model: Checkpoint, tokens: NDArray[np.int64]) -> float:
    """Mean loss in nats of predicting each token of a (time,) sequence from those before it."""
    chances = softmax(logits(model, tokens[:-1]), axis=-1)
    return float(-np.log(chances[np.arange(len(tokens) - 1), tokens[1:]]).mean())


def _embedded(network: Network, traits: Traits, tokens: NDArray[np.int64]) -> Double:
    states = network.embedding[tokens].astype(np.float64)
    if network.positions is not None:
        states = states + network.positions[: len(tokens)]
    if "embeddings.token_type_embeddings.weight" in network.extras:
        states = states + network.extras["embeddings.token_type_embeddings.weight"][0]
    if network.embedding_gain is not None:
        states = _norm(states, traits, network.embedding_gain, network.embedding_shift)
    return states


def _block(block: Block, traits: Traits, states: Double) -> Double:
    if traits.post_norm:
        states = states + _attention(block, traits, states)
        states = _norm(states, traits, block.attention_gain, block.attention_shift)
        states = states + _feed_forward(block, traits, states)
        return _norm(states, traits, block.ffn_gain, block.ffn_shift)
    normed = _norm(states, traits, block.attention_gain, block.attention_shift)
    attended = states + _attention(block, traits, normed)
    before = states if traits.parallel else attended
    return attended + _feed_forward(block, traits, _norm(before, traits, block.ffn_gain, block.ffn_shift))


def _norm(states: Double, traits: Traits, gain: Array, shift: Array | None) -> Double:
    if traits.centred:
        states = states - states.mean(-1, keepdims=True)
    states = states / np.sqrt((states**2).mean(-1, keepdims=True) + traits.epsilon)
    scaled: Double = states * gain + (0.0 if shift is None else shift)
    return scaled


def _attention(block: Block, traits: Traits, states: Double) -> Double:
    query, key, value = (_projected(block, name, states) for name in "qkv")
    query, key = _rotated(query, traits), _rotated(key, traits)
    share = len(query) // len(key)
    key, value = np.repeat(key, share, axis=0), np.repeat(value, share, axis=0)
    scores = query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1])
    if traits.causal:
        scores = np.where(np.tri(len(states), dtype=bool), scores, -np.inf)
    mixed = softmax(scores, axis=-1) @ value
    written: Double = np.einsum("nth,nhd->td", mixed, block.o)
    return written if block.o_bias is None else written + block.o_bias


def _projected(block: Block, name: str, states: Double) -> Double:
    """(heads, time, width of a head)."""
    bias = getattr(block, f"{name}_bias")
    parts: Double = np.einsum("td,nhd->nth", states, getattr(block, name))
    return parts if bias is None else parts + bias[:, None, :]


def _rotated(parts: Double, traits: Traits) -> Double:
    dims = traits.rotary_dims
    if not dims:
        return parts
    rates = traits.rotary_base ** (-np.arange(0, dims, 2) / dims)
    angles = np.tile(np.outer(np.arange(parts.shape[1]), rates), 2)
    first, second = np.split(parts[..., :dims], 2, axis=-1)
    crossed = np.concatenate([-second, first], axis=-1)
    turned = parts[..., :dims] * np.cos(angles) + crossed * np.sin(angles)
    return np.concatenate([turned, parts[..., dims:]], axis=-1)


def _feed_forward(block: Block, traits: Traits, states: Double) -> Double:
    inner = states @ block.up.T
    if block.gate is not None:
        gate = states @ block.gate.T
        return (gate * expit(gate) * inner) @ block.down
    inner = inner if block.up_bias is None else inner + block.up_bias
    written = _gelu(inner, traits.exact_gelu) @ block.down
    return written if block.down_bias is None else written + block.down_bias


def _gelu(inner: Double, exact: bool) -> Double:
    """Of any shape, by the error function or by the approximation that GPT-2 was trained with."""
    bend = erf(inner / np.sqrt(2)) if exact else np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3))
    bent: Double = inner * (1 + bend) / 2
    return bent
