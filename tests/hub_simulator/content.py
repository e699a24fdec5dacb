"""What is asked in bytes: addresses under /resolve/, and those on the CDN they lead to."""

from urllib.parse import quote

from starlette.requests import Request

from tests.hub_simulator.answers import Answer, parse_range, refusal
from tests.hub_simulator.models import find, other_commit
from tests.hub_simulator.repository import Commit, HubFile, Repository
from tests.hub_simulator.state import Refused, State


def _find_file(state: State, request: Request, repo: str) -> tuple[Repository, Commit, HubFile]:
    repository, commit = find(state, request, repo, fresh=False)
    file = commit.files.get(request.path_params["path"])
    if file is None:
        raise Refused(refusal(404, "EntryNotFound", "Entry not found", x_repo_commit=commit.id))
    return repository, commit, file


async def resolve(state: State, request: Request, repo: str) -> Answer:
    repository, commit, file = _find_file(state, request, repo)
    state.check_access(repository, request.headers.get("authorization"))
    moved = state.control.take({"branch_moved"}, "resolve", repo)
    headers = {"x-repo-commit": other_commit(commit.id) if moved else commit.id, "accept-ranges": "bytes"}
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
