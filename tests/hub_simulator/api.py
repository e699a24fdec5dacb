"""The endpoints: /api/... in JSON, /{repo}/resolve/... and the addresses on the CDN in bytes."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.hub_simulator import listing
from tests.hub_simulator.answers import (
    BODY_FAULTS,
    Answer,
    Transmission,
    of_json,
    parse_range,
    rate_limited,
    refusal,
)
from tests.hub_simulator.faults import Asked
from tests.hub_simulator.repository import Commit, HubFile, Repository
from tests.hub_simulator.state import Refused, State

Handler = Callable[[State, Request, str], Awaitable[Answer]]


def application(state: State) -> Starlette:
    """One application for both origins: what is under /cdn/ is asked for at the second one."""
    repo, api = "/{owner}/{name}", "/api/models/{owner}/{name}"
    routes = [
        Route("/_control", _control(state), methods=["GET", "POST"]),
        _route(state, "/api/models", "listing", list_models),
        _route(state, "/api/whoami-v2", "info", whoami),
        _route(state, api, "info", model_info),
        _route(state, api + "/revision/{revision}", "info", model_info),
        _route(state, api + "/tree/{revision}", "tree", tree),
        _route(state, api + "/tree/{revision}/{path:path}", "tree", tree),
        _route(state, api + "/paths-info/{revision}", "tree", paths_info),
        _route(state, api + "/commits/{revision}", "info", commits),
        _route(state, api + "/refs", "info", refs),
        _route(state, repo + "/resolve/{revision}/{path:path}", "resolve", resolve),
        _route(state, "/cdn" + repo + "/{revision}/{path:path}", "cdn", cdn),
    ]
    return Starlette(routes=routes)


def _control(state: State) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            if request.method == "POST":
                state.control.obey(await request.json())
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(state.control.counters())

    return endpoint


def _route(state: State, path: str, on: str, handler: Handler) -> Route:
    async def endpoint(request: Request) -> Any:
        repo = "/".join(request.path_params[key] for key in ("owner", "name") if key in request.path_params)
        authorized = "authorization" in request.headers
        asked = Asked(on, request.method, request.url.path, request.headers.get("range"), authorized)
        state.control.count_request(asked)
        try:
            answer = await _upset(state, on, repo) or await handler(state, request, repo)
        except Refused as refused:
            answer = refused.answer
        fault = state.control.take(BODY_FAULTS, on, repo) if request.method != "HEAD" else None
        if fault is not None and fault.kind == "garbage":
            answer = Answer(200, {"content-type": "application/json"}, b'{"id": [')
        return Transmission(answer, on, state.control, fault)

    return Route(path, endpoint, methods=["GET", "HEAD", "POST"])


async def _upset(state: State, on: str, repo: str) -> Answer | None:
    """An answer before the request was looked at, if a switch says so."""
    fault = state.control.take({"rate_limited", "server_error", "forbidden", "silence"}, on, repo)
    if fault is None:
        return None
    if fault.kind == "silence":
        await asyncio.sleep(fault.seconds)
        return None
    if fault.kind == "rate_limited":
        return rate_limited(fault)
    if fault.kind == "forbidden":
        return Answer(403, {}, b"expired")
    return refusal(fault.status, "", "Internal error")


# --- JSON --------------------------------------------------------------------------------------------


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


def _find(state: State, request: Request, repo: str, fresh: bool = True) -> tuple[Repository, Commit]:
    repository = state.repository(repo, fresh)
    return repository, state.commit(repository, request.path_params.get("revision", "main"))


async def model_info(state: State, request: Request, repo: str) -> Answer:
    repository, commit = _find(state, request, repo)
    entry = listing.model_entry(repository, commit, blobs=request.query_params.get("blobs") == "true")
    if state.control.take({"branch_moved"}, "info", repo):
        entry["sha"] = _other(commit.id)
    return of_json(listing.expanded(entry, request.query_params.getlist("expand")))


def _other(commit: str) -> str:
    return hashlib.sha1(commit.encode()).hexdigest()


async def tree(state: State, request: Request, repo: str) -> Answer:
    repository, commit = _find(state, request, repo)
    query = request.query_params
    entries = listing.tree_entries(
        commit, request.path_params.get("path", ""), query.get("recursive") == "true"
    )
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
    repository, commit = _find(state, request, repo)
    form = parse_qs((await request.body()).decode())
    entries = [_lie(state, repo, entry) for entry in listing.path_entries(commit, form.get("paths", []))]
    if form.get("expand") == ["true"]:
        entries = [listing.with_last_commit(entry, repository, commit) for entry in entries]
    return of_json(entries)


async def commits(state: State, request: Request, repo: str) -> Answer:
    repository, commit = _find(state, request, repo)
    return of_json(listing.commit_entries(repository, commit.id))


async def refs(state: State, request: Request, repo: str) -> Answer:
    return of_json(listing.ref_entries(state.repository(repo)))


# --- bytes -------------------------------------------------------------------------------------------


def _find_file(state: State, request: Request, repo: str) -> tuple[Repository, Commit, HubFile]:
    repository, commit = _find(state, request, repo, fresh=False)
    file = commit.files.get(request.path_params["path"])
    if file is None:
        raise Refused(refusal(404, "EntryNotFound", "Entry not found", x_repo_commit=commit.id))
    return repository, commit, file


async def resolve(state: State, request: Request, repo: str) -> Answer:
    repository, commit, file = _find_file(state, request, repo)
    state.check_access(repository, request.headers.get("authorization"))
    moved = state.control.take({"branch_moved"}, "resolve", repo)
    headers = {"x-repo-commit": _other(commit.id) if moved else commit.id, "accept-ranges": "bytes"}
    if file.sha256 is None:
        answer = _content(state, request, repo, file)
        answer.headers.update(headers)
        return answer
    lie = state.control.take({"lying_size"}, "resolve", repo)
    elsewhere = state.control.take({"elsewhere"}, "resolve", repo)
    headers["x-linked-size"] = str(file.size + (lie.amount if lie else 0))
    headers["x-linked-etag"] = f'"{file.sha256}"'
    true_address = f"{state.cdn_url}/cdn/{repo}/{commit.id}/{quote(file.path)}?signature=loopback"
    headers["location"] = elsewhere.address if elsewhere else true_address
    return Answer(302, headers)


async def cdn(state: State, request: Request, repo: str) -> Answer:
    _, _, file = _find_file(state, request, repo)
    return _content(state, request, repo, file)


def _content(state: State, request: Request, repo: str, file: HubFile) -> Answer:
    """All of a file or the range asked for, with what the switches add."""
    headers = {"etag": f'"{file.etag}"', "content-type": "application/octet-stream", "accept-ranges": "bytes"}
    try:
        span = parse_range(request.headers.get("range"), file.size)
    except ValueError:
        return Answer(416, {"content-range": f"bytes */{file.size}"})
    on = "cdn" if file.sha256 else "resolve"
    if span is None or state.control.take({"whole_file"}, on, repo):
        return Answer(200, headers, (file.location, 0, file.size))
    headers["content-range"] = f"bytes {span[0]}-{span[1] - 1}/{file.size}"
    return Answer(206, headers, (file.location, *span))
