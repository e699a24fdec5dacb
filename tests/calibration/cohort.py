"""The calibration models and what is made of them: who is related to whom, known by construction.

Nothing under tests/zoo/evaluation enters here: thresholds are chosen on these models and judged on those.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from tests.disguises import DISGUISES, MIXTURES, Checkpoint, load
from tests.strangers import STRANGERS, with_copied_gains

ZOO = Path(__file__).parent.parent / "zoo" / "calibration"
BASES = {"qwen": "harbour-models/qwen-base", "neox": "harbour-models/neox-base"}
TWINS = {"qwen": "lantern-research/qwen-twin", "neox": "lantern-research/neox-twin"}
FINE_TUNE = "copperfield-works/qwen-fine-tune"
SAME_INIT = "lantern-research/qwen-same-init"
CHAINS = (
    ("all symmetries at once", "quantised to 4 bits"),
    ("pruned by 50 %", "all symmetries at once"),
    ("vocabulary cut", "residual stream rotated"),
    ("layers dropped", "all symmetries at once"),
    ("noise of 20 %", "neurons permuted"),
)


@dataclass(frozen=True)
class Member:
    """One model of the cohort: how to make it, and the family of the base it derives from, or None."""

    name: str
    make: Callable[[], Checkpoint]
    family: str  # whose layout and recipe it has
    derived: bool


@cache
def model(path: str) -> Checkpoint:
    """A calibration model by its place under the zoo."""
    return load(ZOO / path)


def members() -> Iterator[Member]:
    """Everything the detector is calibrated on: derivatives of each base, and strangers to it."""
    for family in BASES:
        yield from _derived(family)
        yield from _strangers(family)
    yield Member("fine-tune", partial(model, FINE_TUNE), "qwen", True)
    for name in ("all symmetries at once", "quantised to 4 bits", "pruned by 80 %", "layers shuffled", "renamed"):
        yield Member(f"fine-tune, {name}", partial(_chain, FINE_TUNE, (name,)), "qwen", True)


def _derived(family: str) -> Iterator[Member]:
    layout = model(BASES[family]).layout
    for name, disguise in DISGUISES.items():
        if layout in disguise.layouts:
            yield Member(f"{family} {name}", partial(_chain, BASES[family], (name,)), family, True)
    for names in CHAINS:
        yield Member(f"{family} {', '.join(names)}", partial(_chain, BASES[family], names), family, True)
    for name, mixture in MIXTURES.items():
        if layout in mixture.layouts and name != "embedding stolen":  # nothing but the direct channel sees that
            made = partial(lambda m, f: m(model(BASES[f]), model(TWINS[f])), mixture, family)
            yield Member(f"{family} {name}", made, family, True)


def _strangers(family: str) -> Iterator[Member]:
    yield Member(f"{family} twin", partial(model, TWINS[family]), family, False)
    for name, forge in STRANGERS.items():
        yield Member(f"{family} {name}", partial(lambda f, b: f(model(b)), forge, BASES[family]), family, False)
    gains = partial(lambda f: with_copied_gains(model(BASES[f]), model(TWINS[f])), family)
    yield Member(f"{family} twin with copied gains", gains, family, False)
    for name in ("all symmetries at once", "quantised to 4 bits", "pruned by 50 %", "renamed"):
        yield Member(f"{family} twin, {name}", partial(_chain, TWINS[family], (name,)), family, False)


def _chain(path: str, names: tuple[str, ...]) -> Checkpoint:
    made = model(path)
    for name in names:
        made = DISGUISES[name](made)
    return made


def digest() -> str:
    """One name for the set: SHA-256 over the weight files of all calibration models."""
    summed = hashlib.sha256()
    for path in sorted(ZOO.rglob("*.safetensors")):
        summed.update(path.relative_to(ZOO).as_posix().encode() + b"\0" + path.read_bytes())
    return summed.hexdigest()[:16]
