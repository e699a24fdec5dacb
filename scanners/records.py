"""The nouns. Frozen, slotted, no input and output; every field with its unit or shape.

They follow the way of the data: a revision, its files, the tensors in them, the ranges read, the
sketches and profiles computed, the candidates they retrieve, the evidence of a comparison, the finding.
Byte ranges are half-open; times are UTC; commits are 40 hexadecimal digits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]


# --- where checkpoints come from ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RepoRevision:
    """One repository, pinned to one commit."""

    source: str  # "hf" or "file"
    repo: str  # "owner/name"; for a folder its path relative to the tree, or its own name
    commit: str  # 40 hexadecimal digits; for a folder a digest of its listing
    last_modified: datetime | None = None
    gated: bool = False
    downloads: int | None = None
    likes: int | None = None
    base_models: tuple[str, ...] = ()  # declared on the model card: a claim, never evidence

    @property
    def uri(self) -> str:
        """The stable name of an artefact: ``hf://owner/name@<commit>``."""
        return f"{self.source}://{self.repo}@{self.commit}"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in a revision, as the listing describes it; nothing of it was read."""

    path: str
    size_bytes: int
    sha256: str | None  # of the content, where the listing knows it


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes ``start`` to ``stop`` (half-open) of one file."""

    path: str
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        return self.stop - self.start


@dataclass(slots=True)
class Usage:
    """What a source was asked for so far: counted where bytes enter, so it cannot be forgotten."""

    requests: int = 0
    bytes_read: int = 0

    def add(self, requests: int, bytes_read: int) -> None:
        self.requests += requests
        self.bytes_read += bytes_read


# --- what a checkpoint holds -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor, by its header entry; offsets are absolute in the file, not relative to the data."""

    name: str
    dtype: str  # as safetensors spells it: "F32", "F16", "BF16", ...
    shape: tuple[int, ...]
    path: str
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class CheckpointManifest:
    """All tensors of one checkpoint, over all its shards."""

    tensors: Mapping[str, TensorInfo]
    files: tuple[RemoteFile, ...]  # the weight files only

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


class Role(StrEnum):
    """What a matrix does in a transformer block. ``IN`` is the one input matrix of an ungated block."""

    EMBEDDING = "embedding"
    UNEMBEDDING = "unembedding"
    Q = "q"
    K = "k"
    V = "v"
    O = "o"  # noqa: E741 - the field's own name for the output projection
    GATE = "gate"
    UP = "up"
    IN = "in"
    DOWN = "down"


# Without telling names, these are easily taken for each other.
MISTAKEN: Mapping[str, str] = {"gate": "up", "up": "gate", "k": "v", "v": "k", "in": "down", "down": "in"}


# --- what is computed --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sketch:
    """One vector under one scheme: what FAISS holds and what a suspect asks with."""

    scheme: str  # every parameter that changes the vector is in this name
    layer: int  # block index, -1 for a whole-model sketch
    role: str  # a Role, or "head"
    part: int  # head number, 0 where there is one part only
    vector: Vector  # (dim,), unit length


@dataclass(frozen=True, slots=True)
class UnitProfiles:
    """The units of one layer (hidden units or heads), each seen through two or more views.

    A view gives each unit one row that no disguise within its frame changes. Rows with the same
    position in two views belong to the same unit.
    """

    frame: str  # "anchored", "identity" or "spectral"
    layer: int
    kind: str  # "units" or "heads"
    views: Mapping[str, NDArray[np.float16]]  # view name -> (units, width)
    units_total: int  # units the layer has; a fingerprint may hold or have read fewer


@dataclass(frozen=True, slots=True)
class AnchorGeometry:
    """Inner products of the anchor tokens' embedding rows: what whitens a profile, without the rows."""

    slots: NDArray[np.int16]  # (anchors,) positions in the fixed anchor list, ascending
    gram: Matrix  # (anchors, anchors), centred embeddings' inner products


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a transformer, as found in its tensors (never as its config claims)."""

    family: str  # name of the architecture file, or "unknown"
    layers: int
    width: int  # of the residual stream
    hidden: int  # units in a feed-forward block, 0 if unknown
    heads: int
    kv_heads: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of a checkpoint was read, and what it cost."""

    bytes_total: int
    bytes_read: int
    requests: int
    layers_total: int
    layers_read: tuple[int, ...]
    budget: str
    notes: tuple[str, ...] = ()  # what was skipped inside a readable checkpoint, and why


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Everything computed from one revision (or from the parts of it that were read)."""

    revision: RepoRevision
    shape: Shape
    sketches: tuple[Sketch, ...]
    profiles: tuple[UnitProfiles, ...]
    anchors: AnchorGeometry | None  # None: no tokenizer, or no token embedding
    file_sha256: tuple[str, ...]  # of the weight files, where known
    coverage: Coverage
    facts: Mapping[str, str] = field(default_factory=dict)  # e.g. tokenizer digest, dtypes, anchor count


# --- what comparing yields ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """A registered model that retrieval brought up: a hint, never a claim."""

    reference_id: int
    score: float  # best similarity over the queried sketches, in [-1, 1]
    hits: int  # how many of the queried sketches found it


class Verdict(StrEnum):
    """What a scan says of a subject; the order is that of strength."""

    EXACT = "exact"
    STRONG = "strong"
    SUSPECTED = "suspected"
    WEAK = "weak"
    INDEPENDENT = "independent"
    INCOMPLETE = "incomplete"


class Relation(StrEnum):
    """How a subject relates to its reference, as far as known. Direction is never inferred."""

    EXACT = "exact"
    REFORMATTED = "reformatted"
    QUANTISED = "quantised"
    FINE_TUNED = "fine_tuned"
    MERGED = "merged"
    PRUNED = "pruned"
    DEPTH_EDITED = "depth_edited"
    VOCABULARY_EDITED = "vocabulary_edited"
    DISGUISED = "disguised"
    PARTIAL = "partial"
    SAME_INIT = "same_init"
    SHARED_ANCESTOR = "shared_ancestor"
    RELATED = "related"  # related, but how is not known from what was read
    INDEPENDENT = "independent"


@dataclass(frozen=True, slots=True)
class LayerMatch:
    """One line of a layer map: this suspect layer agrees best with that registered layer."""

    suspect_layer: int
    reference_layer: int
    score: float  # share of units that agree, in [0, 1]
    frame: str = "anchored"  # in which the two agree best
    similarity: float = 1.0  # median cosine of the agreeing units


@dataclass(frozen=True, slots=True)
class Evidence:
    """One statistic of one comparison, with its null beside it."""

    test: str  # e.g. "units agreement, anchored frame"
    statistic: float
    sample_size: int
    null: str  # the null distribution in words
    log10_p: float  # of the statistic under the null, corrected for the comparisons made
    detail: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that comparing one subject with one reference yielded."""

    reference_id: int
    reference: str
    evidence: tuple[Evidence, ...]
    layer_map: tuple[LayerMatch, ...]
    score: float  # in [0, 1]: mean share of agreeing units over the layers read
    log10_p: float  # of the strongest test, corrected


@dataclass(frozen=True, slots=True)
class Finding:
    """A subject resembles a reference, because of these. It says nothing of who copied whom."""

    subject: RepoRevision
    reference: str
    verdict: Verdict
    relation: Relation
    score: float
    error_rate: float  # probability that an unrelated model looks like this; what it rests on is in evidence
    layer_map: tuple[LayerMatch, ...]
    evidence: tuple[Evidence, ...]
    coverage: Coverage
    thresholds: str  # digest of the calibration set the thresholds were chosen on
    schemes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Acquittal:
    """A subject's weights look independent of every registered model's, as far as they were read."""

    subject: RepoRevision
    best_reference: str | None
    score: float
    error_rate: float  # probability that a derived model looks like this, upper confidence bound
    coverage: Coverage
    relation: Relation = Relation.INDEPENDENT  # or SAME_INIT: numbers in common that training has not moved


@dataclass(frozen=True, slots=True)
class Skipped:
    """A subject that was not looked at, and why. Absence has a type, a reason and a count."""

    source: str
    reason: str
    detail: str
    requests: int = 0
    bytes_read: int = 0


Outcome = Finding | Acquittal | Skipped
