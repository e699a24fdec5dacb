"""The same numbers, stored in another way."""

import re
from dataclasses import replace

import numpy as np

from tests.disguises.checkpoint import DTYPES, Checkpoint
from tests.disguises.layouts import pack, unpack

WORDS = {
    "model": "net", "transformer": "net", "gpt_neox": "net", "encoder": "net", "embeddings": "inputs",
    "embed_tokens": "words", "wte": "words", "embed_in": "words", "word_embeddings": "words",
    "wpe": "places", "position_embeddings": "places", "token_type_embeddings": "kinds",
    "lm_head": "readout", "embed_out": "readout", "norm": "closing", "ln_f": "closing",
    "final_layer_norm": "closing", "pooler": "summary", "layers": "stage", "h": "stage", "layer": "stage",
    "input_layernorm": "scale_a", "ln_1": "scale_a", "post_attention_layernorm": "scale_b", "ln_2": "scale_b",
    "LayerNorm": "scale", "self_attn": "mix", "attn": "mix", "attention": "mix", "self": "inner",
    "q_proj": "ask", "query": "ask", "k_proj": "tell", "key": "tell", "v_proj": "carry", "value": "carry",
    "c_attn": "all_three", "query_key_value": "all_three", "o_proj": "leave", "c_proj": "leave",
    "dense": "leave", "mlp": "think", "intermediate": "think", "output": "result", "gate_proj": "open",
    "up_proj": "widen", "c_fc": "widen", "dense_h_to_4h": "widen", "down_proj": "narrow",
    "dense_4h_to_h": "narrow", "weight": "matrix", "bias": "offset",
}  # fmt: skip


def cast(model: Checkpoint, dtype: str) -> Checkpoint:
    """Rounded to a dtype of ``DTYPES`` and stored in it."""
    kind = DTYPES[dtype]
    tensors = {name: array.astype(kind).astype(np.float32) for name, array in model.tensors.items()}
    return replace(model, tensors=tensors, dtype=dtype)


def reshard(model: Checkpoint, shards: int = 3) -> Checkpoint:
    """The same tensors in several files, in another order."""
    names = sorted(model.tensors, key=lambda name: name[::-1])
    return replace(model, tensors={name: model.tensors[name] for name in names}, shards=shards)


def rename(model: Checkpoint) -> Checkpoint:
    """Another naming scheme; only the numbers of the blocks stay. No layout reads it any more."""
    return replace(model, tensors={_renamed(name): array for name, array in model.tensors.items()})


def _renamed(name: str) -> str:
    return re.sub(r"[^.]+", lambda part: WORDS.get(part[0], part[0]), name)


def fuse(model: Checkpoint) -> Checkpoint:
    """Query, key and value in one tensor, gate and up in another, under the names of Phi-3."""
    phi3 = {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"]}
    return pack(unpack(model), replace(model, config=model.config | phi3))


def upcycle(model: Checkpoint) -> Checkpoint:
    """A mixture of four experts, each the dense block, in Mixtral's layout: the same function."""
    mixtral = {
        "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "num_local_experts": 4,
        "num_experts_per_tok": 2,
    }  # fmt: skip
    return pack(unpack(model), replace(model, config=model.config | mixtral))
