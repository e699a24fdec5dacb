"""One generation of the index on disk, opened: who is near, and what the near ones look like in full.

Nothing of it changes once it is there. Vectors and fingerprints are mapped into memory, so the workers of
one machine share its pages.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.faiss_index import BrokenIndex, FaissIndex
from index.register import RegisteredModel
from index.search import NO_ID
from scanners import codec, fingerprint_file
from scanners.errors import FormatError, KinprintError, UsageError
from scanners.records import Candidate, Fingerprint, Sketch

FORMAT = 1
CURRENT = "CURRENT"
MANIFEST = "manifest.json"
_CHECKED_UP_TO = 16 * 2**20  # bytes; the hash of a larger file is checked when it is built only
_CACHED = 64  # opened fingerprints


class BrokenSnapshot(KinprintError):
    """What lies on disk is not what was built."""


@dataclass(frozen=True, slots=True)
class IndexPart:
    """The index of one role under one scheme. Row i of ``keys`` is what the vector of id i belongs to."""

    scheme: str
    role: str
    file: str  # of FAISS
    keys: str  # .npy, int64 (n, 3): model id, layer, part


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation consists of; its own hash stands in the file that names the current one."""

    format: int
    register_version: int
    content: str  # digest of the models' fingerprints
    references: tuple[RegisteredModel, ...]
    parts: tuple[IndexPart, ...]
    sha256: Mapping[str, str]  # path in the folder -> of the file
    size_bytes: Mapping[str, int]


class Snapshot:
    """A generation of the index. Made by ``open_snapshot``."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.generation = folder.name
        self.register_version = manifest.register_version
        self.schemes = tuple(sorted({part.scheme for part in manifest.parts}))
        self.references = manifest.references
        self._folder = folder
        self._parts = {(p.scheme, p.role): _open_part(folder, p) for p in manifest.parts}
        self._by_sha256 = _owners_of_files(manifest.references)
        self._open = lru_cache(_CACHED)(fingerprint_file.open_file)

    def query(self, sketches: Sequence[Sketch], k: int = 10) -> list[Candidate]:
        """The registered models near these sketches, the nearest first.

        A sketch asks for its ``k`` nearest vectors under its own scheme, among those of its own role (of
        all roles if it has none). What it finds counts once for each model.

        Raises:
            UsageError: no sketch is of a scheme that anything is registered under (an answer would acquit
                without having looked), or a vector has not the length of its scheme's.
        """
        if sketches and self.references and not {s.scheme for s in sketches} & set(self.schemes):
            raise UsageError(f"nothing is registered under {sketches[0].scheme!r}; build the index anew")
        best: dict[int, float] = {}
        hits: dict[int, set[int]] = {}
        for asker, owner, score in self._ask(sketches, k):
            best[owner] = max(score, best.get(owner, -1.0))
            hits.setdefault(owner, set()).add(asker)
        found = [Candidate(owner, min(1.0, best[owner]), len(hits[owner])) for owner in best]
        return sorted(found, key=lambda c: (-c.score, -c.hits, c.reference_id))

    def fingerprint(self, reference_id: int) -> Fingerprint:
        """The fingerprint of a registered model, its arrays mapped into memory.

        Raises:
            UsageError: this generation holds no such model.
            BrokenSnapshot: its file is gone or is not what was built.
        """
        if reference_id not in {model.id for model in self.references}:
            raise UsageError(f"generation {self.generation} holds no model {reference_id}")
        path = self._folder / model_file(reference_id)
        try:
            return self._open(path)
        except (OSError, FormatError) as error:
            raise BrokenSnapshot(f"{path}: {error}; open the current generation") from error

    def by_sha256(self, hashes: Iterable[str]) -> list[RegisteredModel]:
        """The registered models that have a weight file with one of these hashes."""
        found = {owner.id: owner for h in hashes for owner in self._by_sha256.get(h.lower(), ())}
        return [found[model_id] for model_id in sorted(found)]

    def _ask(self, sketches: Sequence[Sketch], k: int) -> Iterator[tuple[int, int, float]]:
        """The sketch's position, model and similarity, for every vector that is found."""
        for (scheme, role), part in self._parts.items():
            asking = [n for n, s in enumerate(sketches) if s.scheme == scheme and s.role in (role, "")]
            if asking:
                found = part.ask(_stacked([sketches[n].vector for n in asking], scheme), k)
                yield from ((asking[row], owner, score) for row, owner, score in found)


@dataclass(frozen=True, slots=True)
class _Part:
    index: FaissIndex
    owners: NDArray[np.int64]  # (n,): model ids

    def ask(self, queries: NDArray[np.float32], k: int) -> Iterator[tuple[int, int, float]]:
        """Row of the query, model and similarity."""
        scores, ids = self.index.search(queries, k)
        for row, column in zip(*np.nonzero(ids != NO_ID), strict=True):
            yield int(row), int(self.owners[ids[row, column]]), float(scores[row, column])


def _stacked(vectors: list[NDArray[np.float32]], scheme: str) -> NDArray[np.float32]:
    if len({vector.shape for vector in vectors}) > 1:
        raise UsageError(f"vectors of {scheme!r} differ in length")
    return np.stack(vectors)


# --- opening -----------------------------------------------------------------------------------------


def open_snapshot(folder: Path) -> Snapshot:
    """The current generation, checked as far as that is quick: all sizes, the hashes of small files.

    Raises:
        UsageError: nothing was ever built there.
        BrokenSnapshot: what lies there is not what was built.
    """
    try:
        generation, manifest = read_current(folder)
        return Snapshot(folder / generation, manifest)
    except (OSError, ValueError, FormatError, BrokenIndex) as error:
        raise BrokenSnapshot(f"the index in {folder} cannot be opened: {error}") from error


def read_current(folder: Path) -> tuple[str, Manifest]:
    """The name and the manifest of the current generation; errors as in ``open_snapshot``."""
    pointer = folder / CURRENT
    if not pointer.exists():
        raise UsageError(f"there is no index in {folder}: build one")
    generation, _, expected = pointer.read_text("ascii").strip().partition(" ")
    text = (folder / generation / MANIFEST).read_bytes()
    if hashlib.sha256(text).hexdigest() != expected:
        raise BrokenSnapshot(f"the manifest of generation {generation} was changed")
    manifest = codec.loads(Manifest, text)
    _check_files(folder / generation, manifest)
    return generation, manifest


def model_file(model_id: int) -> str:
    """Where in a generation a model's fingerprint lies."""
    return f"models/{model_id}.safetensors"


def _check_files(folder: Path, manifest: Manifest) -> None:
    for name, size in manifest.size_bytes.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise BrokenSnapshot(f"{path} is missing or has another size")
        if size <= _CHECKED_UP_TO and sha256_of(path) != manifest.sha256[name]:
            raise BrokenSnapshot(f"{path} was changed")


def sha256_of(path: Path) -> str:
    """The hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_part(folder: Path, part: IndexPart) -> _Part:
    keys = np.load(folder / part.keys, mmap_mode="r", allow_pickle=False)
    return _Part(FaissIndex.open(folder / part.file), keys[:, 0])


def _owners_of_files(models: Iterable[RegisteredModel]) -> dict[str, list[RegisteredModel]]:
    owners: dict[str, list[RegisteredModel]] = {}
    for model in models:
        for sha256 in model.file_sha256:
            owners.setdefault(sha256, []).append(model)
    return owners
