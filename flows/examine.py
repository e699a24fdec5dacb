"""One subject, looked at as far as its budget and its looks call for: the cascade.

Listing (exact hashes) -> headers, tokenizer, anchors -> a first look at a few layers -> retrieval -> the
agreement tests -> for a suspect only, a second look at every layer. It raises nothing but TransientError.
"""

from collections.abc import Sequence

from index.build import Snapshot
from scanners import finding, fingerprint
from scanners.calibration import Calibration, shipped
from scanners.compare import compare
from scanners.errors import CannotLook, TransientError
from scanners.finding import Judgement
from scanners.fingerprint import Measurement
from scanners.opening import open_checkpoint
from scanners.plan import Budget, first_look, second_look
from scanners.records import Coverage, Fingerprint, Outcome, RemoteFile, RepoRevision, Skipped, Verdict
from scanners.schemes import Schemes
from scanners.sources import Source

CANDIDATES = 64


def examine(subject: RepoRevision, source: Source, snapshot: Snapshot, schemes: Schemes, budget: str) -> Outcome:
    """Finding, Acquittal or Skipped for one subject.

    Raises TransientError when the hub would not answer now, for the caller's retries.
    """
    source.usage.requests = source.usage.bytes_read = 0
    try:
        return _examine(subject, source, snapshot, schemes, Budget(budget), shipped())
    except TransientError:
        raise
    except CannotLook as error:
        usage = source.usage
        return Skipped(subject.uri, error.reason.value, error.detail, usage.requests, usage.bytes_read)


def enrol_fingerprint(subject: RepoRevision, source: Source, schemes: Schemes) -> Fingerprint:
    """The whole fingerprint of a model to register; raises CannotLook with the reason."""
    return fingerprint.of(source, subject, schemes)


def _examine(
    subject: RepoRevision,
    source: Source,
    snapshot: Snapshot,
    schemes: Schemes,
    budget: Budget,
    calibration: Calibration,
) -> Outcome:
    files = source.files(subject)
    copied = _copied(files, snapshot)
    if copied is not None:
        coverage = Coverage(
            sum(f.size_bytes for f in files), source.usage.bytes_read, source.usage.requests, 0, (), budget
        )
        name, count = copied
        return finding.exact_finding(subject, name, coverage, count, calibration, schemes.name)
    checkpoint = open_checkpoint(source, subject, files)
    measurement = Measurement(checkpoint, schemes, budget.value, thorough=budget is Budget.FULL)
    suspect = measurement.extend(first_look(checkpoint.layout, budget)).fingerprint()
    best = _best(suspect, snapshot, calibration)
    if best is not None and best.verdict is not Verdict.INDEPENDENT:
        suspect = measurement.extend(second_look(checkpoint.layout, budget)).fingerprint()
        best = _best(suspect, snapshot, calibration)
    if best is None or best.verdict is Verdict.INDEPENDENT:
        return finding.acquittal(subject, best, suspect.coverage, calibration)
    reference = snapshot.fingerprint(best.comparison.reference_id)
    return finding.finding(best, suspect, reference, calibration, schemes.name)


def _copied(files: Sequence[RemoteFile], snapshot: Snapshot) -> tuple[str, int] | None:
    """(name, weight files) of a protected model whose weight files are all here, byte for byte."""
    hashes = {file.sha256 for file in files if file.sha256}
    for model in snapshot.by_sha256(hashes):
        if model.role == "protected" and model.file_sha256 and set(model.file_sha256) <= hashes:
            return model.name, len(model.file_sha256)
    return None


def _best(suspect: Fingerprint, snapshot: Snapshot, calibration: Calibration) -> Judgement | None:
    """The strongest judgement over the retrieved candidates; None where an ancestor explains it as well."""
    references = {model.id: model for model in snapshot.references}
    judged = [
        finding.judge(
            compare(suspect, snapshot.fingerprint(c.reference_id), c.reference_id, references[c.reference_id].name),
            calibration,
            len(references),
        )
        for c in snapshot.query(suspect.sketches, CANDIDATES)
    ]
    protected = finding.strongest([j for j in judged if references[j.comparison.reference_id].role == "protected"])
    ancestor = finding.strongest([j for j in judged if references[j.comparison.reference_id].role == "ancestor"])
    return protected if protected is None else finding.beside_ancestor(protected, ancestor)
