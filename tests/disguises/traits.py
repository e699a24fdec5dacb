"""What a layout computes beyond its matrices."""

from dataclasses import dataclass
from typing import Any

from tests.disguises.checkpoint import Checkpoint


@dataclass(frozen=True)
class Traits:
    centred: bool  # LayerNorm, else RMSNorm
    epsilon: float
    rotary_dims: int = 0  # of each head, from the first on
    rotary_base: float = 0.0
    parallel: bool = False  # attention and feed-forward block side by side
    post_norm: bool = False  # norms after the sum, as in BERT
    causal: bool = True
    exact_gelu: bool = True  # else the tanh approximation; no matter where there is a gate


def _llama(config: dict[str, Any]) -> Traits:
    head = config["hidden_size"] // config["num_attention_heads"]
    return Traits(False, config["rms_norm_eps"], config.get("head_dim", head), config["rope_theta"])


def _gpt2(config: dict[str, Any]) -> Traits:
    return Traits(True, config["layer_norm_epsilon"], exact_gelu=False)


def _neox(config: dict[str, Any]) -> Traits:
    head = config["hidden_size"] // config["num_attention_heads"]
    dims, base = int(head * config["rotary_pct"]), config["rotary_emb_base"]
    return Traits(True, config["layer_norm_eps"], dims, base, parallel=config["use_parallel_residual"])


def _bert(config: dict[str, Any]) -> Traits:
    return Traits(True, config["layer_norm_eps"], post_norm=True, causal=False)


def traits_of(model: Checkpoint) -> Traits:
    """Read from the config, which in these tests tells the truth."""
    makers = {"gpt2": _gpt2, "neox": _neox, "bert": _bert}
    return makers.get(model.layout, _llama)(model.config)
