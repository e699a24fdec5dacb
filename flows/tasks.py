"""What Ray runs: each function one call, on one subject.

They are plain functions: `flows.fan_out` hands them to Ray. Errors travel typed (scanners.errors); only a
TransientError is worth a retry, and the task that meets a worker's death is tried again by Ray.
"""

from functools import lru_cache

from flows.examine import enrol_fingerprint, examine
from flows.places import HUB
from flows.settings import Settings
from flows.wiring import open_source, snapshot_at
from scanners.records import Fingerprint, Outcome, RepoRevision
from scanners.schemes import Schemes
from scanners.sources import Source

_sources: dict[tuple[str, str], Source] = {}  # by root and hub: a source keeps its connections
_snapshot = lru_cache(maxsize=1)(snapshot_at)  # memory-mapped, once for each worker process


def examine_one(
    subject: RepoRevision, root: str, snapshot: str, schemes: Schemes, budget: str, settings: Settings
) -> Outcome:
    """Look at one revision against the snapshot at a path; raises TransientError when a retry may help."""
    return examine(subject, _source(settings, root), _snapshot(snapshot), schemes, budget)


def enrol_one(subject: RepoRevision, root: str, schemes: Schemes, settings: Settings) -> Fingerprint:
    """The whole fingerprint of one revision, for the register; raises CannotLook."""
    return enrol_fingerprint(subject, open_source(settings, root), schemes)


def _source(settings: Settings, root: str) -> Source:
    """The source at a root; a hub's is opened once for each worker process, a folder's may have changed."""
    key = (root, settings.hf_endpoint)
    if root != HUB:
        return open_source(settings, root)
    if key not in _sources:
        _sources[key] = open_source(settings, root)
    return _sources[key]
