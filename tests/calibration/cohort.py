"""Models and what is made of them: who is related to whom, known by construction.

Two sets that share no model, text, recipe, size or tokenizer: thresholds are chosen on CALIBRATION and judged on
EVALUATION.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from tests.disguises import DISGUISES, MIXTURES, Checkpoint, load
from tests.strangers import STRANGERS, with_copied_gains

ZOO = Path(__file__).parent.parent / "zoo"
CHAINS = (
    ("all symmetries at once", "quantised to 4 bits"),
    ("pruned by 50 %", "all symmetries at once"),
    ("vocabulary cut", "residual stream rotated"),
    ("layers dropped", "all symmetries at once"),
    ("noise of 20 %", "neurons permuted"),
)
TUNED_CHAINS = ("all symmetries at once", "quantised to 4 bits", "pruned by 80 %", "layers shuffled", "renamed")
TWIN_DISGUISES = ("all symmetries at once", "quantised to 4 bits", "pruned by 50 %", "renamed")
UNSEEN = "embedding stolen"  # no matrix of a block is stolen: the agreement tests cannot see it


@dataclass(frozen=True)
class ModelSet:
    """Bases by family, a twin of each (same data, same order, other seed), and fine-tunes by family."""

    folder: str
    bases: Mapping[str, str]
    twins: Mapping[str, str]
    tuned: Mapping[str, str]
    same_init: Mapping[str, str]

    def path(self, name: str) -> Path:
        return ZOO / self.folder / name

    def model(self, name: str) -> Checkpoint:
        return _loaded(self.path(name))


CALIBRATION = ModelSet(
    "calibration",
    {"qwen": "harbour-models/qwen-base", "neox": "harbour-models/neox-base"},
    {"qwen": "lantern-research/qwen-twin", "neox": "lantern-research/neox-twin"},
    {"qwen": "copperfield-works/qwen-fine-tune"},
    {"qwen": "lantern-research/qwen-same-init"},
)
EVALUATION = ModelSet(
    "evaluation",
    {"llama": "northwind-lab/llama-base", "gpt2": "northwind-lab/gpt2-base"},
    {"llama": "southgate-ai/llama-twin", "gpt2": "southgate-ai/gpt2-twin"},
    {"llama": "kestrel-works/llama-fine-tune"},
    {},
)


@dataclass(frozen=True)
class Member:
    """One model of a cohort: how to make it, whose layout and recipe it has, and whether it derives from it."""

    name: str
    make: Callable[[], Checkpoint]
    family: str
    derived: bool


@cache
def _loaded(path: Path) -> Checkpoint:
    return load(path)


def members(models: ModelSet) -> Iterator[Member]:
    """Derivatives of each base, and strangers to it."""
    for family in models.bases:
        yield from derived(models, family)
        yield from strangers(models, family)


def derived(models: ModelSet, family: str) -> Iterator[Member]:
    """Every disguise and mixture that the layout takes, some chains of them, and the fine-tune under some."""
    base = models.bases[family]
    layout = models.model(base).layout
    for name, disguise in DISGUISES.items():
        if layout in disguise.layouts:
            yield Member(f"{family} {name}", partial(_chain, models, base, (name,)), family, True)
    for names in CHAINS:
        yield Member(f"{family} {', '.join(names)}", partial(_chain, models, base, names), family, True)
    for name, mixture in MIXTURES.items():
        if layout in mixture.layouts and name != UNSEEN:
            yield Member(f"{family} {name}", partial(_mixed, models, family, name), family, True)
    if family in models.tuned:
        yield Member(f"{family} fine-tune", partial(models.model, models.tuned[family]), family, True)
        for name in TUNED_CHAINS:
            made = partial(_chain, models, models.tuned[family], (name,))
            yield Member(f"{family} fine-tune, {name}", made, family, True)


def strangers(models: ModelSet, family: str) -> Iterator[Member]:
    """The twin, plain and disguised, the forgeries, and what shares the initialisation only."""
    base, twin = models.bases[family], models.twins[family]
    yield Member(f"{family} twin", partial(models.model, twin), family, False)
    for name, forge in STRANGERS.items():
        yield Member(f"{family} {name}", partial(lambda f, m, b: f(m.model(b)), forge, models, base), family, False)
    gains = partial(lambda m, b, t: with_copied_gains(m.model(b), m.model(t)), models, base, twin)
    yield Member(f"{family} twin with copied gains", gains, family, False)
    for name in TWIN_DISGUISES:
        yield Member(f"{family} twin, {name}", partial(_chain, models, twin, (name,)), family, False)
    if family in models.same_init:
        yield Member(f"{family} same init", partial(models.model, models.same_init[family]), family, False)


def _chain(models: ModelSet, path: str, names: tuple[str, ...]) -> Checkpoint:
    made = models.model(path)
    for name in names:
        made = DISGUISES[name](made)
    return made


def _mixed(models: ModelSet, family: str, name: str) -> Checkpoint:
    return MIXTURES[name](models.model(models.bases[family]), models.model(models.twins[family]))


def digest(models: ModelSet) -> str:
    """One name for the set: SHA-256 over the weight files of all its models."""
    summed, folder = hashlib.sha256(), ZOO / models.folder
    for path in sorted(folder.rglob("*.safetensors")):
        summed.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return summed.hexdigest()[:16]
