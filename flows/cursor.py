"""Where a night begins: read off the nights that are on record, so there is nothing else to keep in step."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from index.catalog import PASSING, Catalog, Run
from scanners.records import RepoRevision, Skipped

# Listings overlap by this: the time a listing takes, and clocks that disagree. What was looked at before
# is recognised without a request.
OVERLAP = timedelta(hours=6)
_URI = re.compile(r"(?P<source>\w+)://(?P<repo>.+)@(?P<commit>[0-9a-f]{40})")


def since(catalog: Catalog, hub: str) -> datetime | None:
    """The moment from which ``hub`` is to be listed; None before its first whole night.

    A night that was limited, or told where to begin, has not seen everything and does not count.
    """
    for run in _finished_nights(catalog, hub):
        limit = run.parameters["limit"]
        whole = limit is None or catalog.summary(run.id).planned < limit
        if whole and run.parameters["since"] is None:
            return run.started_at - OVERLAP
    return None


def again(catalog: Catalog, hub: str) -> list[RepoRevision]:
    """What the last night could not reach for a reason that may have passed: it is tried once more."""
    run = next(_finished_nights(catalog, hub), None)
    outcomes = catalog.outcomes(run.id) if run else ()
    skipped = (outcome for outcome in outcomes if isinstance(outcome, Skipped) and outcome.reason in PASSING)
    found = (_URI.fullmatch(outcome.source) for outcome in skipped)
    return [RepoRevision(name["source"], name["repo"], name["commit"]) for name in found if name]


def _finished_nights(catalog: Catalog, hub: str) -> Iterator[Run]:
    for run in catalog.runs():
        if run.kind == "nightly" and run.finished_at is not None and run.parameters["hub"] == hub:
            yield run
