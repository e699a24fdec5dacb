"""What Ray runs: each function one call, on one subject.

They are plain functions: `flows.fan_out` hands them to Ray. Errors travel typed (scanners.errors); only a
TransientError is worth a retry, and the task that meets a worker's death is tried again by Ray.
"""

from functools import lru_cache

from flows.examine import enrol_fingerprint, examine
from flows.settings import Settings
from flows.wiring import open_source, snapshot_at
from scanners.records import Fingerprint, Outcome, RepoRevision
from scanners.schemes import Schemes

_snapshot = lru_cache(maxsize=1)(snapshot_at)  # memory-mapped, once for each worker process


def examine_one(
    subject: RepoRevision, root: str, snapshot: str, schemes: Schemes, budget: str, settings: Settings
) -> Outcome:
    """Look at one revision against the snapshot at a path; raises TransientError when a retry may help."""
    return examine(subject, open_source(settings, root), _snapshot(snapshot), schemes, budget)


def enrol_one(subject: RepoRevision, root: str, schemes: Schemes, settings: Settings) -> Fingerprint:
    """The whole fingerprint of one revision, for the register; raises CannotLook."""
    return enrol_fingerprint(subject, open_source(settings, root), schemes)
