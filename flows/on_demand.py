"""Sources that somebody named, looked at now."""

from collections.abc import Iterable
from dataclasses import dataclass

from prefect import flow

from flows.audit import carry_out, order
from flows.places import Place, parse
from flows.settings import Budget, Settings
from flows.wiring import Home, revisions_at
from scanners.errors import CannotLook
from scanners.records import RepoRevision, Skipped


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan did: the runs on record, and the sources that never became a pinned revision."""

    runs: tuple[int, ...]
    unresolved: tuple[Skipped, ...]


@flow(name="scan", persist_result=False)
def scan(sources: list[str], budget: Budget | None = None) -> Scanned:
    """Scan every source named, one run for each root they lie under."""
    home = Home(Settings())
    found: dict[str, dict[RepoRevision, None]] = {}
    unresolved = []
    for place in [parse(source) for source in sources]:
        try:
            found.setdefault(place.root, {}).update(dict.fromkeys(revisions_at(home.settings, place)))
        except CannotLook as error:
            unresolved.append(_unresolved(place, error))
    runs = [scan_root(home, root, subjects, budget) for root, subjects in found.items() if subjects]
    return Scanned(tuple(runs), tuple(unresolved))


def scan_root(home: Home, root: str, subjects: Iterable[RepoRevision], budget: Budget | None) -> int:
    """One run over the named revisions under one root; an interrupted one over the same is carried on."""
    planned = sorted(subjects, key=lambda subject: subject.uri)
    what = order(home, "scan", root, budget, subjects=[subject.uri for subject in planned])
    run_id = home.catalog.unfinished_run(what.kind, what.parameters)
    if run_id is None:
        run_id = home.catalog.start_run(what.kind, what.parameters, planned)
    carry_out(home, run_id, what)
    return run_id


def _unresolved(place: Place, error: CannotLook) -> Skipped:
    name = place.root if place.repo is None else f"{place.root}{place.repo}"
    return Skipped(name, error.reason.value, error.detail)
