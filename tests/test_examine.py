"""Laws of the cascade: what one subject's look ends in, on the evaluation models and a register of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flows.examine import enrol_fingerprint, examine
from index.build import build_snapshot, open_snapshot
from index.register import Register
from index.snapshot import Snapshot
from index.store import connect, migrate
from scanners.records import Acquittal, Finding, Outcome, Relation, Skipped, Verdict
from scanners.schemes import Schemes
from scanners.sources.folder import FolderSource
from tests.disguises import DISGUISES, Checkpoint, load

ZOO = Path(__file__).parent / "zoo" / "evaluation"
BASE, TWIN = ZOO / "northwind-lab/llama-base", ZOO / "southgate-ai/llama-twin"
FINE_TUNE = ZOO / "kestrel-works/llama-fine-tune"
SCHEMES = Schemes(b"a key of these tests, 32 bytes..")


def snapshot_of(place: Path, *models: tuple[str, str, Path]) -> Snapshot:
    """A snapshot of a register that holds (name, role, folder) each."""
    engine = connect(f"sqlite:///{place / 'register.db'}")
    migrate(engine)
    register = Register(engine)
    for name, role, folder in models:
        source = FolderSource(folder)
        register.add(name, "owner", role, enrol_fingerprint(source.resolve(folder.name), source, SCHEMES))
    build_snapshot(register, place / "snapshots")
    return open_snapshot(place / "snapshots")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshot_of(tmp_path_factory.mktemp("register"), ("base", "protected", BASE))


def look(folder: Path, snapshot: Snapshot, budget: str = "standard") -> Outcome:
    source = FolderSource(folder)
    return examine(source.resolve(folder.name), source, snapshot, SCHEMES, budget)


def disguised(model: Checkpoint, *names: str) -> Checkpoint:
    for name in names:
        model = DISGUISES[name](model)
    return model


def test_the_same_bytes_are_exact_without_reading_a_weight(snapshot: Snapshot) -> None:
    found = look(BASE, snapshot)
    assert isinstance(found, Finding)
    assert (found.verdict, found.relation, found.reference) == (Verdict.EXACT, Relation.EXACT, "base")
    assert found.coverage.bytes_read == 0


def test_a_rotated_copy_without_a_tokenizer_is_found_in_the_anchored_frame(snapshot: Snapshot, tmp_path: Path) -> None:
    hidden = replace(disguised(load(BASE), "all symmetries at once"), tokenizer=None)
    found = look(hidden.save(tmp_path / "hidden"), snapshot)
    assert isinstance(found, Finding)
    assert (found.verdict, found.reference) == (Verdict.STRONG, "base")
    anchored = next(e for e in found.evidence if "anchored frame" in e.test)
    assert anchored.statistic > 0.9 * anchored.sample_size
    assert any("token numbers" in note for note in found.coverage.notes)


@pytest.mark.parametrize("budget", ["quick", "standard", "full"])
def test_every_budget_finds_a_disguised_fine_tune_and_acquits_the_twin(
    snapshot: Snapshot, tmp_path: Path, budget: str
) -> None:
    hidden = disguised(load(FINE_TUNE), "all symmetries at once").save(tmp_path / "hidden")
    found, acquitted = look(hidden, snapshot, budget), look(TWIN, snapshot, budget)
    assert isinstance(found, Finding)
    assert found.verdict is Verdict.STRONG
    assert isinstance(acquitted, Acquittal)
    assert acquitted.best_reference == "base"
    assert 0 < acquitted.error_rate < 1


def test_a_decoy_in_the_root_does_not_hide_the_copy_below(snapshot: Snapshot, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TWIN, tmp_path / "decoy"))
    disguised(load(BASE), "residual stream permuted").save(folder / "checkpoint-100")
    found = look(folder, snapshot)
    assert isinstance(found, Finding)
    assert found.relation is Relation.DISGUISED


def test_an_unreadable_checkpoint_beside_an_innocent_one_is_not_acquitted(snapshot: Snapshot, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TWIN, tmp_path / "half"))
    (folder / "checkpoint-100").mkdir()
    (folder / "checkpoint-100" / "model.safetensors").write_bytes(b"\xff" * 64)
    outcome = look(folder, snapshot)
    assert isinstance(outcome, Skipped)
    assert outcome.reason in {"malformed_header", "truncated", "too_large"}


def test_children_of_a_known_ancestor_are_not_findings_against_its_other_child(tmp_path: Path) -> None:
    tuned = snapshot_of(tmp_path, ("public base", "ancestor", BASE), ("our fine-tune", "protected", FINE_TUNE))
    sibling = disguised(load(BASE), "noise of 20 %").save(tmp_path / "sibling")
    assert isinstance(look(sibling, tuned), Acquittal)
    copy = disguised(load(FINE_TUNE), "all symmetries at once").save(tmp_path / "copy")
    found = look(copy, tuned)
    assert isinstance(found, Finding)
    assert found.reference == "our fine-tune"


def test_what_is_no_transformer_is_skipped_with_its_reason(snapshot: Snapshot, tmp_path: Path) -> None:
    model = load(TWIN)
    some = {name: array for name, array in model.tensors.items() if "norm" in name}
    outcome = look(replace(model, tensors=some).save(tmp_path / "norms"), snapshot)
    assert isinstance(outcome, Skipped)
    assert outcome.reason == "unknown_architecture"
