"""The cohort is looked at as a hub's repositories are, and compared with both registered bases."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scanners import fingerprint
from scanners.compare import compare
from scanners.fingerprint import Measurement
from scanners.opening import open_checkpoint, weights_of
from scanners.plan import Budget, first_look
from scanners.records import Comparison, Fingerprint
from scanners.schemes import Schemes
from scanners.sources.folder import FolderSource
from tests.calibration.cohort import Member, ModelSet

SCHEMES = Schemes(b"the key of the calibration set..")
BUDGETS = tuple(Budget)


@dataclass(frozen=True)
class Measured:
    """One member against one registered base under one budget."""

    member: Member
    base: str
    budget: str
    comparison: Comparison
    suspect: Fingerprint

    @property
    def related(self) -> bool:
        return self.member.derived and self.member.family == self.base


def register(folder: Path) -> Fingerprint:
    """The whole fingerprint of one model folder."""
    source = FolderSource(folder)
    return fingerprint.of(source, source.resolve(folder.name), SCHEMES)


def look(folder: Path, budget: Budget) -> Fingerprint:
    """The first look at one model folder under a budget."""
    source = FolderSource(folder)
    revision = source.resolve(folder.name)
    files = source.files(revision)
    checkpoint = open_checkpoint(source, revision, files, weights_of(files)[0])
    measurement = Measurement(checkpoint, SCHEMES, budget.value, thorough=budget is Budget.FULL)
    return measurement.extend(first_look(checkpoint.layout, budget)).fingerprint()


def measure(models: ModelSet, cohort: Iterable[Member], least: Mapping[str, float]) -> Iterator[Measured]:
    """Every member against every base, under every budget, with the similarity asked of agreeing units."""
    registered = {name: register(models.path(path)) for name, path in models.bases.items()}
    for member in cohort:
        with tempfile.TemporaryDirectory() as place:
            folder = member.make().save(Path(place) / "model")
            for budget in BUDGETS:
                suspect = look(folder, budget)
                for base, reference in registered.items():
                    yield Measured(member, base, budget.value, compare(suspect, reference, 0, base, least), suspect)
