"""Three small decoders whose parameters bear the names and shapes that published checkpoints give them.

Read them for what the tensors mean: tests/disguises/forward.py computes the same in numpy.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Config = dict[str, Any]


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention of (batch, heads, time, width) arrays; returns (batch, time, heads * width)."""
    mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    return mixed.transpose(1, 2).flatten(2)


def _rotate(states: Tensor, base: float, dims: int) -> Tensor:
    """Rotary positions on the first ``dims`` of the last axis, in halves."""
    turned, passed = states[..., :dims], states[..., dims:]
    rates = base ** (-torch.arange(0, dims, 2) / dims)
    angles = torch.outer(torch.arange(states.shape[-2]), rates).repeat(1, 2)
    first, second = turned.chunk(2, dim=-1)
    turned = turned * angles.cos() + torch.cat((-second, first), dim=-1) * angles.sin()
    return torch.cat((turned, passed), dim=-1)


class Conv1D(nn.Module):
    """GPT-2's linear map, stored as (in, out)."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, columns))
        self.bias = nn.Parameter(torch.zeros(columns))

    def forward(self, states: Tensor) -> Tensor:
        return states @ self.weight + self.bias


class LlamaBlock(nn.Module):
    """Grouped-query attention and a gated block; with Qwen2's biases where the config has them."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, hidden = config["hidden_size"], config["intermediate_size"]
        self.heads, self.groups = config["num_attention_heads"], config["num_key_value_heads"]
        self.base, self.head = config["rope_theta"], width // self.heads
        biased, inner = config["model_type"] == "qwen2", self.groups * self.head
        self.input_layernorm = nn.RMSNorm(width, eps=config["rms_norm_eps"])
        self.self_attn = nn.ModuleDict({
            "q_proj": nn.Linear(width, width, bias=biased),
            "k_proj": nn.Linear(width, inner, bias=biased),
            "v_proj": nn.Linear(width, inner, bias=biased),
            "o_proj": nn.Linear(width, width, bias=False),
        })  # fmt: skip
        self.post_attention_layernorm = nn.RMSNorm(width, eps=config["rms_norm_eps"])
        self.mlp = nn.ModuleDict({
            "gate_proj": nn.Linear(width, hidden, bias=False),
            "up_proj": nn.Linear(width, hidden, bias=False),
            "down_proj": nn.Linear(hidden, width, bias=False),
        })  # fmt: skip

    def attention(self, states: Tensor) -> Tensor:
        parts = (self.self_attn[name](states) for name in ("q_proj", "k_proj", "v_proj"))
        query, key, value = (part.unflatten(-1, (-1, self.head)).transpose(1, 2) for part in parts)
        query, key = _rotate(query, self.base, self.head), _rotate(key, self.base, self.head)
        share = self.heads // self.groups
        key, value = key.repeat_interleave(share, dim=1), value.repeat_interleave(share, dim=1)
        return self.self_attn["o_proj"](_attend(query, key, value))

    def forward(self, states: Tensor) -> Tensor:
        states = states + self.attention(self.input_layernorm(states))
        normed = self.post_attention_layernorm(states)
        gated = functional.silu(self.mlp["gate_proj"](normed)) * self.mlp["up_proj"](normed)
        return states + self.mlp["down_proj"](gated)


class Llama(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, vocabulary = config["hidden_size"], config["vocab_size"]
        self.model = nn.ModuleDict({
            "embed_tokens": nn.Embedding(vocabulary, width),
            "layers": nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"])),
            "norm": nn.RMSNorm(width, eps=config["rms_norm_eps"]),
        })  # fmt: skip
        self.lm_head = None if config["tie_word_embeddings"] else nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        states = self.model["embed_tokens"](tokens)
        for block in self.model["layers"]:
            states = block(states)
        head = self.lm_head or self.model["embed_tokens"]
        return functional.linear(self.model["norm"](states), head.weight)


class Gpt2Block(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, self.heads = config["n_embd"], config["n_head"]
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.ModuleDict({"c_attn": Conv1D(width, 3 * width), "c_proj": Conv1D(width, width)})
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": Conv1D(width, 4 * width), "c_proj": Conv1D(4 * width, width)})

    def forward(self, states: Tensor) -> Tensor:
        parts = self.attn["c_attn"](self.ln_1(states)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        states = states + self.attn["c_proj"](_attend(query, key, value))
        inner = functional.gelu(self.mlp["c_fc"](self.ln_2(states)), approximate="tanh")
        return states + self.mlp["c_proj"](inner)


class Gpt2(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config["n_embd"]
        self.wte = nn.Embedding(config["vocab_size"], width)
        self.wpe = nn.Embedding(config["n_positions"], width)
        self.h = nn.ModuleList(Gpt2Block(config) for _ in range(config["n_layer"]))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        states = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.h:
            states = block(states)
        return functional.linear(self.ln_f(states), self.wte.weight)


class NeoXBlock(nn.Module):
    """Attention and block side by side; query, key and value interleaved head by head."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, hidden = config["hidden_size"], config["intermediate_size"]
        self.heads, self.base = config["num_attention_heads"], config["rotary_emb_base"]
        self.dims = int(width // self.heads * config["rotary_pct"])
        self.input_layernorm, self.post_attention_layernorm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.ModuleDict({
            "query_key_value": nn.Linear(width, 3 * width), "dense": nn.Linear(width, width)
        })  # fmt: skip
        self.mlp = nn.ModuleDict({
            "dense_h_to_4h": nn.Linear(width, hidden), "dense_4h_to_h": nn.Linear(hidden, width)
        })  # fmt: skip

    def forward(self, states: Tensor) -> Tensor:
        fused = self.attention["query_key_value"](self.input_layernorm(states))
        query, key, value = fused.unflatten(-1, (self.heads, -1)).transpose(1, 2).chunk(3, dim=-1)
        query, key = _rotate(query, self.base, self.dims), _rotate(key, self.base, self.dims)
        attended = self.attention["dense"](_attend(query, key, value))
        inner = functional.gelu(self.mlp["dense_h_to_4h"](self.post_attention_layernorm(states)))
        return states + attended + self.mlp["dense_4h_to_h"](inner)


class NeoX(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, vocabulary = config["hidden_size"], config["vocab_size"]
        self.gpt_neox = nn.ModuleDict({
            "embed_in": nn.Embedding(vocabulary, width),
            "layers": nn.ModuleList(NeoXBlock(config) for _ in range(config["num_hidden_layers"])),
            "final_layer_norm": nn.LayerNorm(width),
        })  # fmt: skip
        self.embed_out = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        states = self.gpt_neox["embed_in"](tokens)
        for block in self.gpt_neox["layers"]:
            states = block(states)
        return self.embed_out(self.gpt_neox["final_layer_norm"](states))


NETWORKS = {"llama": Llama, "qwen2": Llama, "gpt2": Gpt2, "gpt_neox": NeoX}


def build(config: Config) -> nn.Module:
    """A network of the config's ``model_type``, matrices drawn with deviation 0.02 from torch's seed."""
    network = NETWORKS[config["model_type"]](config)
    for parameter in network.parameters():
        if parameter.dim() == 2:
            nn.init.normal_(parameter, std=0.02)
    return network
