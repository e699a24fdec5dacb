"""Two origins on loopback, the hub and its CDN, served by one event loop in a thread of its own."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.hub_simulator.api import application
from tests.hub_simulator.faults import Control
from tests.hub_simulator.state import TOKEN, State


@dataclass(frozen=True)
class Hub:
    """A running hub: its address, that of its CDN, its switches, and the token for gated repositories."""

    url: str
    cdn_url: str
    control: Control
    token: str


def loopback_socket(port: int = 0) -> socket.socket:
    # Named protocol: without it uvicorn's connections have no TCP_NODELAY and every request costs 40 ms.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def _with_transport(app: ASGIApp) -> ASGIApp:
    """Let answers reach the connection they go out on: only so can one be reset in mid-body."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["transport"] = send.__self__.transport  # type: ignore[attr-defined]
        await app(scope, receive, send)

    return outer


class _Server(uvicorn.Server):
    """Signals belong to whoever started the hub."""

    def install_signal_handlers(self) -> None:
        return


def _server(app: ASGIApp) -> _Server:
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, lifespan="off", http="h11", timeout_graceful_shutdown=1
    )
    return _Server(config)


async def _serve(servers: list[_Server], sockets: list[socket.socket]) -> None:
    pairs = zip(servers, sockets, strict=True)
    await asyncio.gather(*(server.serve(sockets=[sock]) for server, sock in pairs))


@contextmanager
def running_hub(
    root: Path, port: int = 0, token: str = TOKEN, page_size: int = 100, host: str = "127.0.0.1"
) -> Iterator[Hub]:
    """Serve the folder ``root`` until the block ends. Listens on 127.0.0.1 only."""
    state = State(Path(root), token=token, page_size=page_size)
    sockets = [loopback_socket(port), loopback_socket()]
    urls = [f"http://{host}:{sock.getsockname()[1]}" for sock in sockets]
    state.cdn_url = urls[1]
    app = _with_transport(application(state))
    servers = [_server(app), _server(app)]
    thread = threading.Thread(target=asyncio.run, args=(_serve(servers, sockets),), daemon=True)
    # A listening socket takes connections before the loop runs: no waiting, no polling.
    for sock in sockets:
        sock.listen(128)
    thread.start()
    try:
        yield Hub(urls[0], urls[1], state.control, token)
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(timeout=10)
        for sock in sockets:
            sock.close()
