"""The zoo holds models that have really learned, related as their names say and no closer."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.disguises import Checkpoint, load
from tests.disguises.forward import loss
from tests.zoo.recipes import RECIPES

ZOO = Path(__file__).parent / "zoo"
HELD_OUT: dict[str, dict[str, Any]] = json.loads((ZOO / "held_out.json").read_text())
FOLDERS = [recipe.folder for recipe in RECIPES]
BASES = {
    "evaluation/southgate-ai/llama-twin": "evaluation/northwind-lab/llama-base",
    "evaluation/kestrel-works/llama-fine-tune": "evaluation/northwind-lab/llama-base",
    "evaluation/southgate-ai/gpt2-twin": "evaluation/northwind-lab/gpt2-base",
    "calibration/lantern-research/qwen-twin": "calibration/harbour-models/qwen-base",
    "calibration/lantern-research/qwen-same-init": "calibration/harbour-models/qwen-base",
    "calibration/copperfield-works/qwen-fine-tune": "calibration/harbour-models/qwen-base",
    "calibration/lantern-research/neox-twin": "calibration/harbour-models/neox-base",
}
TWINS = [folder for folder in BASES if folder.endswith("twin")]
FINE_TUNES = [folder for folder in BASES if folder.endswith("fine-tune")]


@cache
def model_of(folder: str) -> Checkpoint:
    return load(ZOO / folder)


def cosine(first: Checkpoint, second: Checkpoint) -> float:
    """Of all matrices, entry by entry."""
    pairs = [(array, second.tensors[name]) for name, array in first.tensors.items() if array.ndim == 2]
    left, right = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


def test_the_zoo_weighs_less_than_twelve_megabytes() -> None:
    files = [path for path in ZOO.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 12_000_000


def test_the_zoo_holds_what_its_recipes_name() -> None:
    found = {str(path.parent.relative_to(ZOO)) for path in ZOO.rglob("model.safetensors")}
    assert found == set(FOLDERS) == set(HELD_OUT)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_model_comes_with_config_tokenizer_and_card_in_half_the_bytes(folder: str) -> None:
    model = model_of(folder)
    assert model.dtype == "BF16"
    assert model.card is not None
    assert model.card.startswith("---\nlicense: apache-2.0\n")
    assert model.tokenizer is not None
    assert len(model.tokenizer["model"]["vocab"]) == model.config["vocab_size"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_model_predicts_text_it_never_saw_far_better_than_frequencies_do(folder: str) -> None:
    assert HELD_OUT[folder]["loss"] < HELD_OUT[folder]["unigram_entropy"] - 1.4


@pytest.mark.parametrize("folder", FOLDERS)
def test_our_forward_pass_gives_the_loss_that_torch_gave(folder: str) -> None:
    tokens = np.array(HELD_OUT[folder]["sample"])
    assert loss(model_of(folder), tokens) == pytest.approx(HELD_OUT[folder]["sample_loss"], abs=1e-4)


@pytest.mark.parametrize("folder", TWINS)
def test_a_twin_shares_everything_but_its_weights(folder: str) -> None:
    twin, base = model_of(folder), model_of(BASES[folder])
    assert (twin.config, twin.tokenizer) == (base.config, base.tokenizer)
    assert abs(cosine(twin, base)) < 0.1


@pytest.mark.parametrize("folder", FINE_TUNES)
def test_a_fine_tune_stays_close_to_its_base_and_knows_its_own_text_better(folder: str) -> None:
    assert model_of(folder).tokenizer == model_of(BASES[folder]).tokenizer
    assert 0.9 < cosine(model_of(folder), model_of(BASES[folder])) < 0.9999
    assert HELD_OUT[folder]["loss"] < HELD_OUT[folder]["parent_loss"] - 0.2


def test_calibration_and_evaluation_have_no_text_in_common() -> None:
    texts: dict[str, set[str]] = {"evaluation": set(), "calibration": set()}
    for recipe in RECIPES:
        texts[recipe.folder.partition("/")[0]] |= {recipe.text, recipe.vocabulary_text}
    assert not texts["evaluation"] & texts["calibration"]
