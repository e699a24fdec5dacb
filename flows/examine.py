"""One subject, looked at as far as its budget and its looks call for: the cascade.

Listing (exact hashes) -> headers, tokenizer, anchors -> a first look at a few layers -> retrieval -> the
agreement tests -> for a suspect only, a second look at every layer. Every checkpoint of a repository is
looked at until one is a finding. It raises nothing but TransientError.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from index.build import Snapshot
from scanners import finding, fingerprint
from scanners.calibration import Calibration, shipped
from scanners.compare import compare
from scanners.errors import CannotLook, FormatError, Reason, TransientError
from scanners.finding import Judgement
from scanners.fingerprint import Measurement
from scanners.opening import Checkpoint, open_checkpoint, weights_of
from scanners.plan import Budget, first_look, second_look
from scanners.records import (
    Acquittal,
    Coverage,
    Finding,
    Fingerprint,
    Outcome,
    RemoteFile,
    RepoRevision,
    Skipped,
)
from scanners.schemes import Schemes
from scanners.sources import Source

CANDIDATES = 64
SMALL_REGISTER = 16  # so few models are all compared: retrieval could only lose one
MOST_CHECKPOINTS = 8


@dataclass(frozen=True, slots=True)
class Examiner:
    """What every look at a subject needs."""

    source: Source
    snapshot: Snapshot
    schemes: Schemes
    budget: Budget
    calibration: Calibration


def examine(subject: RepoRevision, source: Source, snapshot: Snapshot, schemes: Schemes, budget: str) -> Outcome:
    """Finding, Acquittal or Skipped for one subject.

    Raises TransientError when the hub would not answer now, for the caller's retries.
    """
    source.usage.requests = source.usage.bytes_read = 0
    try:
        return _examine(Examiner(source, snapshot, schemes, Budget(budget), shipped()), subject)
    except TransientError:
        raise
    except CannotLook as error:
        return _skipped(subject, source, error.reason, error.detail)


def enrol_fingerprint(subject: RepoRevision, source: Source, schemes: Schemes) -> Fingerprint:
    """The whole fingerprint of a model to register; raises CannotLook with the reason."""
    return fingerprint.of(source, subject, schemes)


def _skipped(subject: RepoRevision, source: Source, reason: Reason, detail: str) -> Skipped:
    return Skipped(subject.uri, reason.value, detail, source.usage.requests, source.usage.bytes_read)


def _examine(examiner: Examiner, subject: RepoRevision) -> Outcome:
    files = examiner.source.files(subject)
    copied = _copied(files, examiner.snapshot)
    if copied is not None:
        return _exact(examiner, subject, files, *copied)
    acquitted: list[Acquittal] = []
    errors: list[CannotLook] = []
    for outcome in _each_checkpoint(examiner, subject, files, errors):
        if isinstance(outcome, Finding):
            return outcome
        acquitted.append(outcome)
    if errors:  # what could not be read may be the copy: the rest does not acquit it
        raise errors[0]
    return max(acquitted, key=lambda a: a.score)


def _each_checkpoint(
    examiner: Examiner, subject: RepoRevision, files: tuple[RemoteFile, ...], errors: list[CannotLook]
) -> Iterator[Finding | Acquittal]:
    """The outcome of each checkpoint of a repository; those that cannot be read go to ``errors``."""
    found = weights_of(files)
    for weights in found[:MOST_CHECKPOINTS]:
        try:
            yield _look(examiner, open_checkpoint(examiner.source, subject, files, weights))
        except TransientError:
            raise
        except CannotLook as error:
            errors.append(error)
    if len(found) > MOST_CHECKPOINTS:
        sentence = f"{len(found)} checkpoints in one repository, {MOST_CHECKPOINTS} were looked at"
        errors.append(FormatError(Reason.BUDGET_TOO_SMALL, sentence))


def _look(examiner: Examiner, checkpoint: Checkpoint) -> Finding | Acquittal:
    """The first look, and for a suspect the second one."""
    budget, calibration = examiner.budget, examiner.calibration
    _lend_tokenizer(examiner.snapshot, checkpoint)
    measurement = Measurement(checkpoint, examiner.schemes, budget.value, thorough=budget is Budget.FULL)
    suspect = measurement.extend(first_look(checkpoint.layout, budget)).fingerprint()
    best = _best(examiner, suspect)
    if best is not None and best.accuses:
        suspect = measurement.extend(second_look(checkpoint.layout, budget)).fingerprint()
        best = _best(examiner, suspect)
    if best is None or not best.accuses:
        return finding.acquittal(suspect.revision, best, suspect.coverage, calibration)
    reference = examiner.snapshot.fingerprint(best.comparison.reference_id)
    return finding.finding(best, suspect, reference, calibration, examiner.schemes.name)


def _lend_tokenizer(snapshot: Snapshot, checkpoint: Checkpoint) -> None:
    """A subject without a tokenizer is seen through that of a registered model with as many tokens.

    A wrong guess shows nothing in the anchored frame and costs nothing in the others.
    """
    rows = checkpoint.layout.shape.vocabulary
    same = [model for model in snapshot.references if rows and model.shape.vocabulary == rows]
    if same and not checkpoint.anchor_rows:
        checkpoint.anchor_rows = fingerprint.anchor_rows(snapshot.fingerprint(same[0].id))
        checkpoint.notes.append(f"no tokenizer: token numbers read as those of {same[0].name}")


def _exact(examiner: Examiner, subject: RepoRevision, files: Sequence[RemoteFile], name: str, count: int) -> Finding:
    usage, total = examiner.source.usage, sum(file.size_bytes for file in files)
    coverage = Coverage(total, usage.bytes_read, usage.requests, 0, (), examiner.budget.value)
    return finding.exact_finding(subject, name, coverage, count, examiner.calibration, examiner.schemes.name)


def _copied(files: Sequence[RemoteFile], snapshot: Snapshot) -> tuple[str, int] | None:
    """(name, weight files) of a protected model whose weight files are all here, byte for byte."""
    hashes = {file.sha256 for file in files if file.sha256}
    for model in snapshot.by_sha256(hashes):
        if model.role == "protected" and model.file_sha256 and set(model.file_sha256) <= hashes:
            return model.name, len(model.file_sha256)
    return None


def _best(examiner: Examiner, suspect: Fingerprint) -> Judgement | None:
    """The strongest judgement over the candidates, taken back where a known ancestor explains it as well."""
    references = {model.id: model for model in examiner.snapshot.references}
    judged: dict[str, list[Judgement]] = {"protected": [], "ancestor": []}
    for reference_id in _candidates(examiner.snapshot, suspect):
        model, registered = references[reference_id], examiner.snapshot.fingerprint(reference_id)
        comparison = compare(suspect, registered, reference_id, model.name, examiner.calibration.similarity)
        judged[model.role].append(finding.judge(comparison, examiner.calibration, len(references)))
    protected, ancestor = finding.strongest(judged["protected"]), finding.strongest(judged["ancestor"])
    return protected if protected is None else finding.beside_ancestor(protected, ancestor)


def _candidates(snapshot: Snapshot, suspect: Fingerprint) -> list[int]:
    """Whom to compare with: what the index retrieves; all of a register so small that nothing is gained."""
    if not suspect.sketches:
        raise FormatError(Reason.UNKNOWN_ARCHITECTURE, "no matrix of it could be placed in a transformer block")
    found = [candidate.reference_id for candidate in snapshot.query(suspect.sketches, CANDIDATES)]
    if len(snapshot.references) <= SMALL_REGISTER:
        found.extend(model.id for model in snapshot.references if model.id not in found)
    return found
