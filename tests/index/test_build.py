"""The index on disk: readers see the old generation or the new one, whole, or are told that there is none."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index import store
from index.build import BrokenSnapshot, build_snapshot, open_snapshot
from index.register import Register
from index.snapshot import CURRENT
from scanners import fingerprint_file
from scanners.errors import UsageError
from scanners.records import Sketch
from tests.index import samples
from tests.index.processes import at_once


@pytest.fixture
def register(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Register]:
    shutil.copyfile(migrated_sqlite, tmp_path / "kinprint.db")
    engine = store.connect(f"sqlite:///{tmp_path}/kinprint.db")
    yield Register(engine)
    engine.dispose()


def _add(register: Register, *seeds: int) -> None:
    for seed in seeds:
        register.add(f"model-{seed}", "Owner AG", "protected", samples.fingerprint(seed))


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_a_derived_model_finds_its_origin(register: Register, tmp_path: Path) -> None:
    _add(register, *range(1, 20))
    build_snapshot(register, tmp_path / "index")
    noisy = [replace(s, vector=_noisy(s.vector)) for s in samples.sketches(7)]
    best, second = open_snapshot(tmp_path / "index").query(noisy)[:2]
    assert best.reference_id == 7
    assert best.hits == len(noisy)
    assert best.score > 0.9
    assert second.score < best.score


def _noisy(vector: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(vector)).astype(np.float32)
    vector = vector + 0.1 * noise / np.linalg.norm(noise)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def test_a_sketch_asks_within_its_scheme_and_its_role(register: Register, tmp_path: Path) -> None:
    """The same vector under another scheme of the same length, or in another role, is somebody else's."""
    vector = samples.vector(1)
    for number, (scheme, role) in enumerate([("a", "q"), ("b", "q"), ("a", "k")], 1):
        fingerprint = replace(samples.fingerprint(number), sketches=(Sketch(scheme, 0, role, 0, vector),))
        register.add(f"model-{number}", "Owner AG", "protected", fingerprint)
    build_snapshot(register, tmp_path / "index")
    snapshot = open_snapshot(tmp_path / "index")
    assert snapshot.schemes == ("a", "b")

    def found(scheme: str, role: str) -> list[int]:
        return [c.reference_id for c in snapshot.query([Sketch(scheme, 5, role, 0, vector)])]

    assert [found("a", "q"), found("b", "q"), found("a", "k"), found("b", "k")] == [[1], [2], [3], []]
    assert found("a", "") == [1, 3]


def test_a_sketch_that_finds_a_model_often_hits_it_once(register: Register, tmp_path: Path) -> None:
    _add(register, 1)
    build_snapshot(register, tmp_path / "index")
    sketch = replace(samples.sketches(1)[0], role="")
    (candidate,) = open_snapshot(tmp_path / "index").query([sketch])
    assert candidate.hits == 1
    assert candidate.score == pytest.approx(1.0)


def test_an_answer_that_would_acquit_unlooked_is_refused(register: Register, tmp_path: Path) -> None:
    _add(register, 1)
    build_snapshot(register, tmp_path / "index")
    snapshot = open_snapshot(tmp_path / "index")
    stranger = replace(samples.sketches(1)[0], scheme="another key")
    with pytest.raises(UsageError, match="another key"):
        snapshot.query([stranger])
    assert snapshot.query([stranger, *samples.sketches(1)])[0].reference_id == 1


def test_a_vector_of_another_length_is_refused(register: Register, tmp_path: Path) -> None:
    _add(register, 1)
    build_snapshot(register, tmp_path / "index")
    short = replace(samples.sketches(1)[0], vector=samples.vector(1, dim=31))
    for sketches in ([short], [short, samples.sketches(1)[0]]):
        with pytest.raises(UsageError):
            open_snapshot(tmp_path / "index").query(sketches)


def test_an_empty_register_gives_an_index_that_finds_nothing(register: Register, tmp_path: Path) -> None:
    build_snapshot(register, tmp_path / "index")
    snapshot = open_snapshot(tmp_path / "index")
    assert (snapshot.register_version, snapshot.references, snapshot.schemes) == (0, (), ())
    assert snapshot.query(samples.sketches(1)) == []


def test_fingerprints_are_there_in_full(register: Register, tmp_path: Path) -> None:
    _add(register, 1, 2)
    build_snapshot(register, tmp_path / "index")
    snapshot = open_snapshot(tmp_path / "index")
    opened = snapshot.fingerprint(2)
    assert fingerprint_file.to_bytes(opened) == fingerprint_file.to_bytes(samples.fingerprint(2))
    assert snapshot.fingerprint(2) is opened
    with pytest.raises(UsageError):
        snapshot.fingerprint(3)


def test_exact_copies_are_known_by_their_hash(register: Register, tmp_path: Path) -> None:
    _add(register, 1, 2)
    build_snapshot(register, tmp_path / "index")
    snapshot = open_snapshot(tmp_path / "index")
    assert [m.id for m in snapshot.by_sha256([f"{2:064X}", f"{9:064x}"])] == [2]
    assert list(snapshot.references) == register.list()


def test_a_removed_model_is_dropped(register: Register, tmp_path: Path) -> None:
    _add(register, 1, 2)
    build_snapshot(register, tmp_path / "index")
    register.remove("model-1", "ann")
    build_snapshot(register, tmp_path / "index")
    snapshot = open_snapshot(tmp_path / "index")
    assert [model.name for model in snapshot.references] == ["model-2"]
    assert snapshot.register_version == register.version()
    assert 1 not in {c.reference_id for c in snapshot.query(samples.sketches(1))}


def test_nothing_is_built_twice(register: Register, tmp_path: Path) -> None:
    _add(register, 1)
    first = build_snapshot(register, tmp_path / "index")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "index").rglob("*.*") if path.is_file()}
    assert build_snapshot(register, tmp_path / "index") == first
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_an_open_snapshot_stays_what_it_was(register: Register, tmp_path: Path) -> None:
    _add(register, 1)
    build_snapshot(register, tmp_path / "index")
    old = open_snapshot(tmp_path / "index")
    for seed in (2, 3):
        _add(register, seed)
        build_snapshot(register, tmp_path / "index")
    assert [c.reference_id for c in old.query(samples.sketches(1))] == [1]
    assert old.fingerprint(1).revision == samples.fingerprint(1).revision
    assert len(open_snapshot(tmp_path / "index").references) == 3


def test_two_old_generations_are_kept(register: Register, tmp_path: Path) -> None:
    built = []
    for seed in range(1, 6):
        _add(register, seed)
        built.append(build_snapshot(register, tmp_path / "index").name)
    assert _folders(tmp_path / "index") == built[-3:]
    assert open_snapshot(tmp_path / "index").generation == built[-1]


def test_what_a_killed_builder_left_is_cleared_away(register: Register, tmp_path: Path) -> None:
    _add(register, 1)
    (tmp_path / "index" / ".building-abc" / "models").mkdir(parents=True)
    generation = build_snapshot(register, tmp_path / "index").name
    assert _folders(tmp_path / "index") == [generation]


def test_there_is_no_index_before_one_is_built(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="build"):
        open_snapshot(tmp_path)


@pytest.mark.parametrize(
    "file", ["manifest.json", "models/1.safetensors", "sketches/0.faiss", "sketches/0.npy", CURRENT]
)
@pytest.mark.parametrize("damage", ["changed", "shortened", "removed"])
def test_a_damaged_index_is_not_opened_but_built_anew(
    register: Register, tmp_path: Path, file: str, damage: str
) -> None:
    _add(register, 1)
    generation = build_snapshot(register, tmp_path / "index")
    path = tmp_path / "index" / CURRENT if file == CURRENT else generation / file
    _damage(path, damage)
    with pytest.raises((BrokenSnapshot, UsageError)):
        open_snapshot(tmp_path / "index")
    build_snapshot(register, tmp_path / "index")
    assert open_snapshot(tmp_path / "index").query(samples.sketches(1))[0].hits == 9


def _damage(path: Path, damage: str) -> None:
    data = path.read_bytes()
    path.unlink()
    if damage == "changed":
        path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    elif damage == "shortened":
        path.write_bytes(data[:-9])


def _build(arguments: tuple[str, Path]) -> str:
    url, folder = arguments
    return build_snapshot(Register(store.connect(url)), folder).name


def test_builders_take_turns(register: Register, tmp_path: Path) -> None:
    _add(register, 1, 2)
    url = f"sqlite:///{tmp_path}/kinprint.db"
    (generation,) = set(at_once(_build, [(url, tmp_path / "index")] * 3))
    assert _folders(tmp_path / "index") == [generation]


def _read(arguments: tuple[Path, float]) -> int:
    folder, stop = arguments
    versions = []
    while time.time() < stop:
        snapshot = open_snapshot(folder)
        assert len(snapshot.query(samples.sketches(1), k=99)) == len(snapshot.references)
        versions.append(snapshot.register_version)
    assert versions == sorted(versions)
    return len(set(versions))


def _grow(arguments: tuple[Path, float]) -> int:
    folder, stop = arguments
    register = Register(store.connect(f"sqlite:///{folder.parent}/kinprint.db"))
    for seed in range(2, 8):
        _add(register, seed)
        build_snapshot(register, folder)
        time.sleep(max(0.0, min(0.2, stop - time.time())))
    return 0


def _read_or_grow(arguments: tuple[str, Path, float]) -> int:
    what, folder, stop = arguments
    return (_grow if what == "grow" else _read)((folder, stop))


def test_a_reader_never_sees_half_an_index(register: Register, tmp_path: Path) -> None:
    _add(register, 1)
    build_snapshot(register, tmp_path / "index")
    stop = time.time() + 4
    seen = at_once(_read_or_grow, [(what, tmp_path / "index", stop) for what in ("grow", "read", "read")])
    assert max(seen) > 1
