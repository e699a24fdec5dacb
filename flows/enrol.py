"""A model enters the register: its whole fingerprint, and a new snapshot of the index."""

from prefect import flow

from flows.cluster import session
from flows.fan_out import whole_fingerprint
from flows.places import parse
from flows.settings import Role, Settings
from flows.wiring import Home, revisions_at
from scanners.errors import UsageError
from scanners.records import RepoRevision


@flow(name="enrol")
def enrol(source: str, name: str, owner: str = "", role: Role = "protected") -> int:
    """Register one model under a name; returns its id. Raises CannotLook and UsageError."""
    home = Home(Settings())
    place = parse(source)
    subject = _only(source, revisions_at(home.settings, place))
    with session(home.settings):
        fingerprint = whole_fingerprint(subject, place.root, home.schemes, home.settings)
    model = home.register.add(name, owner or home.settings.actor, role, fingerprint)
    home.snapshot()
    return model.id


def _only(source: str, subjects: list[RepoRevision]) -> RepoRevision:
    if len(subjects) != 1:
        raise UsageError(f"{source} holds {len(subjects)} repositories; one model is registered at a time")
    return subjects[0]
