"""What is asked in JSON: the listing, one model, its tree, its history, who is asking."""

import hashlib
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request

from tests.hub_simulator import listing
from tests.hub_simulator.answers import Answer, of_json, refusal
from tests.hub_simulator.repository import Commit, Repository
from tests.hub_simulator.state import Refused, State


def find(state: State, request: Request, repo: str, fresh: bool = True) -> tuple[Repository, Commit]:
    """The repository and the commit that a request names. Raises: Refused."""
    repository = state.repository(repo, fresh)
    return repository, state.commit(repository, request.path_params.get("revision", "main"))


def other_commit(commit: str) -> str:
    return hashlib.sha1(commit.encode()).hexdigest()


async def list_models(state: State, request: Request, _: str) -> Answer:
    query = request.query_params
    number, start = listing.read_cursor(query["cursor"]) if "cursor" in query else (state.new_listing(), 0)
    stop = start + min(int(query.get("limit", state.page_size)), state.page_size)
    names = query.getlist("expand")
    page = state.listing(number)[start:stop]
    entries = [listing.expanded(listing.model_entry(each, each.head), names) for each in page]
    more = stop < len(state.listing(number))
    return of_json(entries, **_next_link(state, request, [number, stop] if more else None))


def _next_link(state: State, request: Request, position: Any) -> dict[str, str]:
    if position is None:
        return {}
    query = [pair for pair in request.query_params.multi_items() if pair[0] != "cursor"]
    address = str(request.url.replace(query=urlencode([*query, ("cursor", listing.cursor(position))])))
    if fault := state.control.take({"elsewhere"}, "listing", ""):
        address = fault.address
    return {"link": f'<{address}>; rel="next"'}


async def whoami(state: State, request: Request, _: str) -> Answer:
    if request.headers.get("authorization") != f"Bearer {state.token}":
        return refusal(401, "", "Invalid credentials in Authorization header")
    token = {"displayName": "loopback", "role": "read"}
    return of_json({"type": "user", "name": "loopback", "orgs": [], "auth": {"accessToken": token}})


async def model_info(state: State, request: Request, repo: str) -> Answer:
    repository, commit = find(state, request, repo)
    entry = listing.model_entry(repository, commit, blobs=request.query_params.get("blobs") == "true")
    if state.control.take({"branch_moved"}, "info", repo):
        entry["sha"] = other_commit(commit.id)
    return of_json(listing.expanded(entry, request.query_params.getlist("expand")))


async def tree(state: State, request: Request, repo: str) -> Answer:
    repository, commit = find(state, request, repo)
    query = request.query_params
    entries = listing.tree_entries(commit, request.path_params.get("path", ""), query.get("recursive") == "true")
    if not entries and request.path_params.get("path"):
        raise Refused(refusal(404, "EntryNotFound", "Entry not found"))
    start = listing.read_cursor(query["cursor"]) if "cursor" in query else 0
    stop = start + state.page_size
    page = [_lie(state, repo, entry) for entry in entries[start:stop]]
    if query.get("expand") == "true":
        page = [listing.with_last_commit(entry, repository, commit) for entry in page]
    return of_json(page, **_next_link(state, request, stop if stop < len(entries) else None))


def _lie(state: State, repo: str, entry: dict[str, Any]) -> dict[str, Any]:
    if entry["type"] == "file" and (fault := state.control.take({"lying_size"}, "tree", repo)):
        entry["size"] += fault.amount
        entry.get("lfs", entry)["size"] = entry["size"]
    if "lfs" in entry and state.control.take({"lying_sha256"}, "tree", repo):
        entry["lfs"]["oid"] = hashlib.sha256(entry["path"].encode()).hexdigest()
    return entry


async def paths_info(state: State, request: Request, repo: str) -> Answer:
    repository, commit = find(state, request, repo)
    form = parse_qs((await request.body()).decode())
    entries = [_lie(state, repo, entry) for entry in listing.path_entries(commit, form.get("paths", []))]
    if form.get("expand") == ["true"]:
        entries = [listing.with_last_commit(entry, repository, commit) for entry in entries]
    return of_json(entries)


async def commits(state: State, request: Request, repo: str) -> Answer:
    repository, commit = find(state, request, repo)
    return of_json(listing.commit_entries(repository, commit.id))


async def refs(state: State, request: Request, repo: str) -> Answer:
    return of_json(listing.ref_entries(state.repository(repo)))
