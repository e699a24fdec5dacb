"""Settings become concrete parts here and nowhere else: sources, register, catalogue, cases, snapshot."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from flows import places
from flows.settings import Settings
from index.build import Snapshot, build_snapshot, open_snapshot
from index.cases import Cases
from index.catalog import Catalog
from index.ledger import Ledger
from index.register import Register
from index.store import connect, migrate
from scanners.errors import CannotLook, UsageError
from scanners.records import Finding, Outcome, RepoRevision
from scanners.schemes import Schemes
from scanners.sources import Source
from scanners.sources.folder import FolderSource
from scanners.sources.huggingface import HuggingFaceSource

WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".ckpt")


def open_source(settings: Settings, root: str) -> Source:
    """The source at a root: ``hf://`` for the hub, ``file:///folder`` for a repository or a tree of them."""
    folder = places.Place(root).folder
    if folder is not None:
        return FolderSource(folder)
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    return HuggingFaceSource(settings.hf_endpoint, token, timeout_seconds=settings.request_timeout_seconds)


def revisions_at(settings: Settings, place: places.Place) -> list[RepoRevision]:
    """What a SOURCE argument names: one pinned repository, or every repository of a folder."""
    source = open_source(settings, place.root)
    if place.repo is not None:
        return [source.resolve(place.repo, place.revision)]
    return list(source.revisions())


def weight_hashes(settings: Settings, root: str, subject: RepoRevision) -> list[str]:
    """The SHA-256 of each weight file, as far as the listing knows them; empty where it does not answer."""
    try:
        files = open_source(settings, root).files(subject)
    except CannotLook:
        return []
    return [file.sha256 for file in files if file.sha256 and file.path.endswith(WEIGHTS)]


def snapshot_at(generation: str) -> Snapshot:
    """The index whose generation has this folder, memory-mapped; the newest if it has been replaced."""
    return open_snapshot(Path(generation).parent)


@dataclass(frozen=True)
class Home:
    """The parts that share one database."""

    settings: Settings

    @cached_property
    def engine(self) -> Engine:
        self.settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = connect(self.settings.database)
        migrate(engine)
        return engine

    @cached_property
    def register(self) -> Register:
        return Register(self.engine)

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog(self.engine)

    @cached_property
    def cases(self) -> Cases:
        return Cases(self.engine)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.engine)

    @cached_property
    def schemes(self) -> Schemes:
        """The sketch schemes under this deployment's key."""
        return Schemes(self.settings.key_bytes())

    def outcomes(self, run_id: int) -> list[Outcome]:
        """Everything a run recorded."""
        return list(self.catalog.outcomes(run_id))

    def case_ids(self, outcomes: Iterable[Outcome]) -> dict[str, int]:
        """The case of each finding, by the uri of its subject."""
        wanted = {outcome.subject.uri for outcome in outcomes if isinstance(outcome, Finding)}
        cases = self.cases.list() if wanted else []
        uris = ((finding.subject.uri, case.id) for case in cases for finding in case.findings)
        return {uri: case_id for uri, case_id in uris if uri in wanted}

    def snapshot(self) -> str:
        """The folder of the index over the register as it is now, built if it is not there yet."""
        if not self.register.list():
            raise UsageError("nothing is registered yet: kinprint register SOURCE --name NAME")
        return str(build_snapshot(self.register, self.settings.snapshots))
