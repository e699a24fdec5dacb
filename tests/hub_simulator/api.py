"""The endpoints, and what goes wrong before any of them is reached."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.hub_simulator import content, models
from tests.hub_simulator.answers import BODY_FAULTS, Answer, Transmission, rate_limited, refusal
from tests.hub_simulator.faults import Asked
from tests.hub_simulator.state import Refused, Renamed, State

Handler = Callable[[State, Request, str], Awaitable[Answer]]


def application(state: State) -> Starlette:
    """One application for both origins: what is under /cdn/ is asked for at the second one."""
    repo, api = "/{owner}/{name}", "/api/models/{owner}/{name}"
    routes = [
        Route("/_control", _control(state), methods=["GET", "POST"]),
        _route(state, "/api/models", "listing", models.list_models),
        _route(state, "/api/whoami-v2", "info", models.whoami),
        _route(state, api, "info", models.model_info),
        _route(state, api + "/revision/{revision}", "info", models.model_info),
        _route(state, api + "/tree/{revision}", "tree", models.tree),
        _route(state, api + "/tree/{revision}/{path:path}", "tree", models.tree),
        _route(state, api + "/paths-info/{revision}", "tree", models.paths_info),
        _route(state, api + "/commits/{revision}", "info", models.commits),
        _route(state, api + "/refs", "info", models.refs),
        _route(state, repo + "/resolve/{revision}/{path:path}", "resolve", content.resolve),
        _route(state, "/cdn" + repo + "/{revision}/{path:path}", "cdn", content.cdn),
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
        arrived = state.control.count_request(asked)
        try:
            answer = await _upset(state, on, repo) or await handler(state, request, repo)
        except Refused as refused:
            answer = refused.answer
        except Renamed as renamed:
            answer = Answer(307, {"location": str(request.url).replace(repo, renamed.now, 1)})
        fault = state.control.take(BODY_FAULTS, on, repo, arrived) if request.method != "HEAD" else None
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
