"""What goes over the wire: an answer, and the ways in which sending it can go wrong."""

import asyncio
import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from tests.hub_simulator.faults import Control, Fault

CHUNK_BYTES = 256 * 1024
# (start, stop), half-open; None for a range that cannot be served
Span = tuple[int, int]
BODY_FAULTS = frozenset(
    {"short_range", "long_range", "wrong_content_range", "reset", "slow_drip", "endless_body", "garbage"}
)


@dataclass
class Answer:
    """Status, headers and body; ``body`` is bytes or a span of a file."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | tuple[Path, int, int] = b""

    @property
    def size(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.body[2] - self.body[1]

    def chunks(self, size: int) -> Iterator[bytes]:
        """The first ``size`` bytes of the body, padded with zeros where it has fewer."""
        left = size
        for chunk in self._content():
            yield chunk[:left]
            left -= len(chunk[:left])
        yield bytes(left)

    def _content(self) -> Iterator[bytes]:
        if isinstance(self.body, bytes):
            yield self.body
            return
        path, start, stop = self.body
        with path.open("rb") as stream:
            stream.seek(start)
            while start < stop and (chunk := stream.read(min(CHUNK_BYTES, stop - start))):
                start += len(chunk)
                yield chunk


def of_json(value: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(headers={"content-type": "application/json", **named}, body=json.dumps(value).encode())


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    answer = of_json({"error": message}, x_error_code=code, x_error_message=message, **headers)
    answer.status = status
    return answer


def rate_limited(fault: Fault) -> Answer:
    seconds = max(0, round(fault.seconds))
    limits = {"ratelimit": f'"api";r=0;t={seconds}', "ratelimit_policy": '"fixed window";"api";q=500;w=300'}
    return refusal(429, "", "Too many requests", retry_after=str(seconds), **limits)


def parse_range(header: str | None, size: int) -> Span | None:
    """The span that ``Range: bytes=a-b``, ``a-`` or ``-n`` asks for; the whole file without a header.

    Raises: ValueError for a range that cannot be served.
    """
    if header is None or "," in header or not header.startswith("bytes="):
        return None
    first, _, last = header.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size
    start, stop = int(first), min(int(last) + 1 if last else size, size)
    if start >= stop:
        raise ValueError(header)
    return start, stop


@dataclass
class Transmission:
    """Sends an answer as an ASGI application, truly or with one fault, and counts what it sends."""

    answer: Answer
    on: str
    control: Control
    fault: Fault | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, headers = self._framing()
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.answer.status, "headers": raw})
        if scope["method"] != "HEAD":
            await self._send_body(size, scope, send)
        await send({"type": "http.response.body", "body": b""})

    def _framing(self) -> tuple[int, dict[str, str]]:
        fault, size, headers = self.fault, self.answer.size, dict(self.answer.headers)
        if fault is not None and fault.kind in ("short_range", "long_range"):
            size = max(0, size + (fault.amount if fault.kind == "long_range" else -fault.amount))
        if fault is not None and fault.kind == "wrong_content_range" and "content-range" in headers:
            headers["content-range"] = _shifted(headers["content-range"], fault.amount)
        if fault is None or fault.kind != "endless_body":
            headers["content-length"] = str(size)
        return size, headers

    async def _send_body(self, size: int, scope: Scope, send: Send) -> None:
        kind = self.fault.kind if self.fault else ""
        if kind == "reset":
            await self._send(send, next(self.answer.chunks(size // 2)))
            _reset(scope["transport"])
        elif kind == "slow_drip":
            for byte in b"".join(self.answer.chunks(size)):
                if scope["transport"].is_closing():
                    return
                await self._send(send, bytes([byte]))
                await asyncio.sleep(self.fault.seconds if self.fault else 0)
        elif kind == "endless_body":
            while not scope["transport"].is_closing():
                await self._send(send, bytes(CHUNK_BYTES))
                await asyncio.sleep(0)
        else:
            for chunk in self.answer.chunks(size):
                await self._send(send, chunk)

    async def _send(self, send: Send, chunk: bytes) -> None:
        if chunk:
            self.control.count_bytes(self.on, len(chunk))
            await send({"type": "http.response.body", "body": chunk, "more_body": True})


def _shifted(content_range: str, amount: int) -> str:
    span, _, size = content_range.removeprefix("bytes ").partition("/")
    first, last = (int(number) + amount for number in span.split("-"))
    return f"bytes {first}-{last}/{size}"


def _reset(transport: asyncio.Transport) -> None:
    """Close with RST, as a crashed server or a middlebox does."""
    sock: socket.socket = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
