"""What the tests of the measuring part share: models of the evaluation zoo, looked at and judged.

``register`` and ``look`` read a folder as a scan does, ``judged`` compares and judges with the shipped
calibration. The evaluation models are never used for thresholds.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from scanners import fingerprint
from scanners.calibration import shipped
from scanners.compare import compare
from scanners.finding import Judgement, judge, strongest
from scanners.fingerprint import Measurement
from scanners.opening import Checkpoint as Opened
from scanners.opening import open_checkpoint, weights_of
from scanners.plan import Budget, first_look
from scanners.records import Fingerprint, Relation
from scanners.relation import relation
from scanners.schemes import Schemes
from scanners.sources.folder import FolderSource
from tests.disguises import Checkpoint, load

ZOO = Path(__file__).parent.parent / "zoo"
EVALUATION = ZOO / "evaluation"
BASES = {"llama": "northwind-lab/llama-base", "gpt2": "northwind-lab/gpt2-base"}
TWINS = {"llama": "southgate-ai/llama-twin", "gpt2": "southgate-ai/gpt2-twin"}
FINE_TUNE = "kestrel-works/llama-fine-tune"
SCHEMES = Schemes(b"a key that only these tests know")

Save = Callable[[Checkpoint], Path]


@pytest.fixture(autouse=True, scope="session")
def one_blas_thread() -> Iterator[None]:
    """Small matrices on a busy machine are much quicker so, and sums come in one order."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a checkpoint into a new folder of the test's own."""
    folders = (tmp_path / str(number) / "model" for number in range(1000))
    return lambda model: model.save(next(folders))


@cache
def model(path: str) -> Checkpoint:
    """A model of the evaluation zoo; no test writes into it."""
    return load(EVALUATION / path)


@cache
def registered() -> Mapping[str, Fingerprint]:
    """Both bases of the evaluation zoo as the register holds them."""
    return {name: register(EVALUATION / path) for name, path in BASES.items()}


def opened(folder: Path) -> Opened:
    """The checkpoint in a folder, understood but not measured."""
    source = FolderSource(folder)
    revision = source.resolve(folder.name)
    files = source.files(revision)
    return open_checkpoint(source, revision, files, weights_of(files)[0])


def register(folder: Path, schemes: Schemes = SCHEMES) -> Fingerprint:
    """The whole fingerprint of the model in a folder."""
    source = FolderSource(folder)
    return fingerprint.of(source, source.resolve(folder.name), schemes)


def look(folder: Path, budget: Budget, schemes: Schemes = SCHEMES) -> Fingerprint:
    """The first look at the model in a folder."""
    checkpoint = opened(folder)
    measurement = Measurement(checkpoint, schemes, budget.value, thorough=budget is Budget.FULL)
    return measurement.extend(first_look(checkpoint.layout, budget)).fingerprint()


def judged(suspect: Fingerprint, references: Mapping[str, Fingerprint]) -> dict[str, Judgement]:
    """The judgement on each registered model, corrected for their number."""
    calibration = shipped()
    compared = {
        name: compare(suspect, r, i, name, calibration.similarity) for i, (name, r) in enumerate(references.items())
    }
    return {name: judge(comparison, calibration, len(references)) for name, comparison in compared.items()}


def best(suspect: Fingerprint, references: Mapping[str, Fingerprint]) -> Judgement:
    """The strongest of the judgements."""
    found = strongest(list(judged(suspect, references).values()))
    assert found is not None
    return found


def relation_of(judgement: Judgement, suspect: Fingerprint, references: Mapping[str, Fingerprint]) -> Relation:
    return relation(judgement.comparison, suspect, references[judgement.comparison.reference])


def layer_map(judgement: Judgement) -> dict[int, int]:
    """Suspect layer -> registered layer."""
    return {line.suspect_layer: line.reference_layer for line in judgement.comparison.layer_map}


def log10_p(judgement: Judgement) -> float:
    """The weaker of the exact and the calibrated p-value, as the verdict takes it."""
    return max(judgement.log10_exact, judgement.log10_calibrated)
