"""One generation of the index on disk, opened: who is near, and what the near ones look like in full.

Nothing of it changes once it is there. Vectors and fingerprints are mapped into memory, so the workers of
one machine share its pages.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class _Part:
    index: FaissIndex
    owners: NDArray[np.int64]  # (n,): model ids


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
        scores: dict[int, list[float]] = {}
        for number, similarities in enumerate(self._ask(sketches, k)):
            del number
            for owner, score in similarities.items():
                scores.setdefault(owner, []).append(score)
        found = [Candidate(owner, min(1.0, max(hits)), len(hits)) for owner, hits in scores.items()]
        return sorted(found, key=lambda c: (-c.score, -c.hits, c.reference_id))

