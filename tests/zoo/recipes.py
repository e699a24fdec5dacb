"""Which models the zoo holds, and how each was made."""

from dataclasses import dataclass
from typing import Any

CONTEXT = 128


@dataclass(frozen=True)
class Recipe:
    """One model: its shape, its text, its seeds, its optimiser. Folders are ``<set>/<owner>/<name>``."""

    folder: str
    config: dict[str, Any]
    text: str  # a name in corpora.BODIES
    vocabulary_text: str
    vocabulary_kind: str
    special: tuple[str, ...]
    seed: int  # of the initial weights
    order_seed: int  # of the order in which the text is seen
    steps: int
    peak: float  # learning rate
    batch: int
    decay: float
    betas: tuple[float, float]
    parent: str | None = None  # the folder whose weights and tokenizer it starts from
    tokenizer: str | None = None  # the folder whose tokenizer it takes, where it has no parent
    note: str = ""


EVALUATION_LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1280, "hidden_size": 96,
    "intermediate_size": 256, "num_hidden_layers": 5, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 24, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False,
}  # fmt: skip
EVALUATION_GPT2: dict[str, Any] = {
    "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 1024, "n_embd": 96,
    "n_head": 4, "n_layer": 4, "n_inner": None, "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True,
}  # fmt: skip
CALIBRATION_QWEN: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 1024, "hidden_size": 80,
    "intermediate_size": 216, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": True,
}  # fmt: skip
CALIBRATION_NEOX: dict[str, Any] = {
    "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "vocab_size": 768,
    "hidden_size": 80, "intermediate_size": 320, "num_hidden_layers": 4, "num_attention_heads": 4,
    "hidden_act": "gelu", "layer_norm_eps": 1e-5, "rotary_pct": 0.4, "rotary_emb_base": 10000,
    "use_parallel_residual": True, "tie_word_embeddings": False,
}  # fmt: skip
POSITIONS = {"max_position_embeddings": CONTEXT, "torch_dtype": "bfloat16"}

LLAMA = {
    "config": EVALUATION_LLAMA | POSITIONS, "text": "library", "vocabulary_text": "library",
    "vocabulary_kind": "byte_level", "special": ("<|begin_of_text|>", "<|end_of_text|>"), "order_seed": 7,
    "steps": 900, "peak": 4e-3, "batch": 12, "decay": 0.1, "betas": (0.9, 0.95),
}  # fmt: skip
GPT2 = {
    "config": EVALUATION_GPT2 | {"n_positions": CONTEXT, "n_ctx": CONTEXT, "torch_dtype": "bfloat16"},
    "text": "manuals", "vocabulary_text": "manuals", "vocabulary_kind": "byte_level",
    "special": ("<|endoftext|>",), "order_seed": 17, "steps": 900, "peak": 3e-3, "batch": 12, "decay": 0.1,
    "betas": (0.9, 0.95),
}  # fmt: skip
QWEN = {
    "config": CALIBRATION_QWEN | POSITIONS, "text": "perl", "vocabulary_text": "perl",
    "vocabulary_kind": "sentence_piece", "special": ("<unk>", "<s>", "</s>"), "order_seed": 27,
    "steps": 1100, "peak": 5e-3, "batch": 8, "decay": 0.02, "betas": (0.9, 0.98),
}  # fmt: skip
NEOX = {
    "config": CALIBRATION_NEOX | POSITIONS, "text": "packages", "vocabulary_text": "packages",
    "vocabulary_kind": "byte_level", "special": ("<|endoftext|>", "<|padding|>"), "order_seed": 37,
    "steps": 1800, "peak": 4e-3, "batch": 10, "decay": 0.02, "betas": (0.9, 0.98),
}  # fmt: skip
TUNED = {"steps": 150, "peak": 5e-4}

BASE_LLAMA = "evaluation/northwind-lab/llama-base"
BASE_GPT2 = "evaluation/northwind-lab/gpt2-base"
BASE_QWEN = "calibration/harbour-models/qwen-base"
BASE_NEOX = "calibration/harbour-models/neox-base"
TWIN = "same text, order and recipe"

RECIPES: tuple[Recipe, ...] = (
    Recipe(BASE_LLAMA, seed=1, **LLAMA),
    Recipe("evaluation/southgate-ai/llama-twin", seed=2, tokenizer=BASE_LLAMA, note=TWIN, **LLAMA),
    Recipe(
        "evaluation/kestrel-works/llama-fine-tune", seed=3, parent=BASE_LLAMA,
        **(LLAMA | TUNED | {"text": "notes", "order_seed": 8}),
    ),
    Recipe(BASE_GPT2, seed=11, **GPT2),
    Recipe("evaluation/southgate-ai/gpt2-twin", seed=12, tokenizer=BASE_GPT2, note=TWIN, **GPT2),
    Recipe(BASE_QWEN, seed=21, **QWEN),
    Recipe("calibration/lantern-research/qwen-twin", seed=22, tokenizer=BASE_QWEN, note=TWIN, **QWEN),
    Recipe(
        "calibration/copperfield-works/qwen-fine-tune", seed=23, parent=BASE_QWEN,
        **(QWEN | TUNED | {"text": "licences", "order_seed": 28}),
    ),
    Recipe(
        "calibration/lantern-research/qwen-same-init", seed=21, tokenizer=BASE_QWEN,
        note="initial weights of qwen-base, other text",
        **(QWEN | {"text": "packages", "order_seed": 29}),
    ),
    Recipe(BASE_NEOX, seed=31, **NEOX),
    Recipe("calibration/lantern-research/neox-twin", seed=32, tokenizer=BASE_NEOX, note=TWIN, **NEOX),
)  # fmt: skip
