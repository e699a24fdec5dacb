"""The hub's memory: the folder it serves, the listings it has handed out, who may read what."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.hub_simulator.answers import Answer, refusal
from tests.hub_simulator.faults import Control
from tests.hub_simulator.repository import Commit, Repository, load_repositories, load_repository

TOKEN = "hf_loopback"
FRESH_SECONDS = 1.0


class Refused(Exception):
    """A request that ends in an error answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Renamed(Exception):
    """A request for a name that a repository had before; the hub redirects it."""

    def __init__(self, now: str) -> None:
        super().__init__(now)
        self.now = now


@dataclass
class State:
    """One hub. ``token`` opens gated repositories; ``page_size`` is that of listings and trees."""

    root: Path
    token: str = TOKEN
    page_size: int = 100
    control: Control = field(default_factory=Control)
    cdn_url: str = ""
    _listings: list[list[Repository]] = field(default_factory=list)
    _seen: dict[str, tuple[float, Repository]] = field(default_factory=dict)

    def new_listing(self) -> int:
        """Take stock of the folder; pages of one listing never shift. Gives the number of the listing."""
        self._listings.append(load_repositories(self.root))
        return len(self._listings) - 1

    def listing(self, number: int) -> list[Repository]:
        return self._listings[number]

    def repository(self, repo: str, fresh: bool = True) -> Repository:
        """Raises: Refused where there is no such repository. Ranges may see it as it was a second ago."""
        loaded, known = self._seen.get(repo, (0.0, None))
        if known is not None and not fresh and time.monotonic() - loaded < FRESH_SECONDS:
            return known
        folder = self.root / repo
        if ".." in repo.split("/") or not folder.is_dir():
            raise self._renamed(repo) or Refused(refusal(404, "RepoNotFound", "Repository not found"))
        known = load_repository(folder, repo)
        self._seen[repo] = time.monotonic(), known
        return known

    def _renamed(self, repo: str) -> Renamed | None:
        formerly = ((each.card.get("formerly", ()), each.id) for each in load_repositories(self.root))
        return next((Renamed(now) for names, now in formerly if repo in names), None)

    def commit(self, repository: Repository, revision: str) -> Commit:
        commit = repository.commit(revision)
        if commit is None:
            raise Refused(refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}"))
        return commit

    def check_access(self, repository: Repository, authorization: str | None) -> None:
        """Raises: Refused for files of a gated repository without the right token."""
        if repository.gated is False or authorization == f"Bearer {self.token}":
            return
        status = 401 if authorization is None else 403
        raise Refused(refusal(status, "GatedRepo", f"Access to model {repository.id} is restricted"))
