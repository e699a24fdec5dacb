"""Where each layout keeps the parts of a network: data, nothing else."""

from typing import Any

Places = tuple[tuple[str, str, str], ...]  # field of Block or Network, tensor name, how the array is turned

_LLAMA_COMMON: Places = (
    ("attention_gain", "input_layernorm.weight", ""),
    ("o", "self_attn.o_proj.weight", "turned heads"),
    ("ffn_gain", "post_attention_layernorm.weight", ""),
)
_LLAMA_ATTENTION: Places = (
    ("q", "self_attn.q_proj.weight", "heads"), ("q_bias", "self_attn.q_proj.bias", "heads"),
    ("k", "self_attn.k_proj.weight", "keys"), ("k_bias", "self_attn.k_proj.bias", "keys"),
    ("v", "self_attn.v_proj.weight", "keys"), ("v_bias", "self_attn.v_proj.bias", "keys"),
)  # fmt: skip
_LLAMA_FFN: Places = (
    ("gate", "mlp.gate_proj.weight", ""), ("up", "mlp.up_proj.weight", ""),
    ("down", "mlp.down_proj.weight", "turned"),
)  # fmt: skip

BLOCK: dict[str, Places] = {
    "llama": _LLAMA_COMMON + _LLAMA_ATTENTION + _LLAMA_FFN,
    "phi3": (*_LLAMA_COMMON, _LLAMA_FFN[-1]),
    "mixtral": _LLAMA_COMMON + _LLAMA_ATTENTION,
    "gpt2": (
        ("attention_gain", "ln_1.weight", ""), ("attention_shift", "ln_1.bias", ""),
        ("o", "attn.c_proj.weight", "heads"), ("o_bias", "attn.c_proj.bias", ""),
        ("ffn_gain", "ln_2.weight", ""), ("ffn_shift", "ln_2.bias", ""),
        ("up", "mlp.c_fc.weight", "turned"), ("up_bias", "mlp.c_fc.bias", ""),
        ("down", "mlp.c_proj.weight", ""), ("down_bias", "mlp.c_proj.bias", ""),
    ),
    "neox": (
        ("attention_gain", "input_layernorm.weight", ""), ("attention_shift", "input_layernorm.bias", ""),
        ("o", "attention.dense.weight", "turned heads"), ("o_bias", "attention.dense.bias", ""),
        ("ffn_gain", "post_attention_layernorm.weight", ""),
        ("ffn_shift", "post_attention_layernorm.bias", ""),
        ("up", "mlp.dense_h_to_4h.weight", ""), ("up_bias", "mlp.dense_h_to_4h.bias", ""),
        ("down", "mlp.dense_4h_to_h.weight", "turned"), ("down_bias", "mlp.dense_4h_to_h.bias", ""),
    ),
    "bert": (
        ("attention_gain", "attention.output.LayerNorm.weight", ""),
        ("attention_shift", "attention.output.LayerNorm.bias", ""),
        ("q", "attention.self.query.weight", "heads"), ("q_bias", "attention.self.query.bias", "heads"),
        ("k", "attention.self.key.weight", "heads"), ("k_bias", "attention.self.key.bias", "heads"),
        ("v", "attention.self.value.weight", "heads"), ("v_bias", "attention.self.value.bias", "heads"),
        ("o", "attention.output.dense.weight", "turned heads"),
        ("o_bias", "attention.output.dense.bias", ""),
        ("ffn_gain", "output.LayerNorm.weight", ""), ("ffn_shift", "output.LayerNorm.bias", ""),
        ("up", "intermediate.dense.weight", ""), ("up_bias", "intermediate.dense.bias", ""),
        ("down", "output.dense.weight", "turned"), ("down_bias", "output.dense.bias", ""),
    ),
}  # fmt: skip

_LLAMA_OUTER = {
    "embedding": "model.embed_tokens.weight", "unembedding": "lm_head.weight",
    "final_gain": "model.norm.weight",
}  # fmt: skip

OUTER: dict[str, dict[str, str]] = {
    "llama": _LLAMA_OUTER,
    "phi3": _LLAMA_OUTER,
    "mixtral": _LLAMA_OUTER,
    "gpt2": {
        "embedding": "wte.weight", "unembedding": "lm_head.weight", "positions": "wpe.weight",
        "final_gain": "ln_f.weight", "final_shift": "ln_f.bias",
    },
    "neox": {
        "embedding": "gpt_neox.embed_in.weight", "unembedding": "embed_out.weight",
        "final_gain": "gpt_neox.final_layer_norm.weight", "final_shift": "gpt_neox.final_layer_norm.bias",
    },
    "bert": {
        "embedding": "embeddings.word_embeddings.weight",
        "positions": "embeddings.position_embeddings.weight",
        "embedding_gain": "embeddings.LayerNorm.weight", "embedding_shift": "embeddings.LayerNorm.bias",
    },
}  # fmt: skip

EXTRAS = ("embeddings.token_type_embeddings.weight", "pooler.dense.weight")
UNTOUCHED = ("pooler.dense.bias",)
BLOCKS = {
    "llama": "model.layers", "phi3": "model.layers", "mixtral": "model.layers", "gpt2": "h",
    "neox": "gpt_neox.layers", "bert": "encoder.layer",
}  # fmt: skip


def size_names(config: dict[str, Any]) -> tuple[str, str, str]:
    """What this config calls the numbers of blocks, of hidden units and of words."""
    if config["model_type"] == "gpt2":
        return "n_layer", "n_inner", "vocab_size"
    return "num_hidden_layers", "intermediate_size", "vocab_size"
