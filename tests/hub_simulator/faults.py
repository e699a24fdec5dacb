"""The switches: what the hub does wrong, to whom, how often; and the counters of what it was asked."""

import fnmatch
import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass, fields
from typing import Any

KINDS = frozenset(
    {
        "rate_limited",  # 429 with RateLimit headers and Retry-After (seconds)
        "server_error",  # an answer 5xx (status)
        "forbidden",  # an answer 403, as an expired signed address gives
        "short_range",  # fewer bytes than asked (amount), everything else as if complete
        "long_range",  # more bytes than asked (amount)
        "whole_file",  # 200 and all of the file for a range
        "wrong_content_range",  # the right number of bytes, said to be from elsewhere (amount)
        "reset",  # the connection dies in mid-body
        "slow_drip",  # one byte every so many seconds (seconds)
        "silence",  # no answer for so long (seconds)
        "branch_moved",  # the answer speaks of another commit than the one asked for
        "lying_size",  # a size that is wrong by so much (amount), in listings and headers
        "lying_sha256",  # a sha256 that is not that of the content
        "endless_body",  # a body that never ends
        "garbage",  # 200 and something that is no JSON
        "elsewhere",  # the next page or the file is said to be at another address (address)
    }
)


@dataclass
class Fault:
    """One switch that is on. ``on`` is a kind of request: listing, info, tree, resolve, cdn, api or any."""

    kind: str
    repo: str = "*"
    on: str = "any"
    times: int | None = None  # None: until switched off
    amount: int = 1
    seconds: float = 0.05
    status: int = 503
    address: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such misbehaviour: {self.kind}; there are {', '.join(sorted(KINDS))}")

    def concerns(self, on: str, repo: str) -> bool:
        where = self.on in ("any", on) or (self.on == "api" and on not in ("resolve", "cdn"))
        return where and self.times != 0 and fnmatch.fnmatch(repo, self.repo)


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    on: str
    method: str
    path: str
    range: str | None
    authorized: bool


class Control:
    """Thread-safe: tests switch from their own thread while the server runs in another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._requests: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._arrived = 0  # requests so far, never set back
        self._since: dict[int, int] = {}  # id of a switch -> requests that had arrived before it
        self.asked: deque[Asked] = deque(maxlen=10_000)

    def misbehave(self, kind: str, **options: Any) -> Fault:
        """Switch ``kind`` on. Raises: ValueError, TypeError for an unknown kind or option."""
        fault = Fault(kind, **options)
        with self._lock:
            self._faults.append(fault)
            self._since[id(fault)] = self._arrived
        return fault

    def behave(self) -> None:
        with self._lock:
            self._faults.clear()

    def reset_counters(self) -> None:
        with self._lock:
            self._requests.clear()
            self._bytes.clear()
            self.asked.clear()

    def take(self, kinds: frozenset[str] | set[str], on: str, repo: str, arrived: int | None = None) -> Fault | None:
        """The first switch of one of ``kinds`` that concerns this request; uses up one of its times.

        A request that ``arrived`` before a switch, and slept since, is not upset by it.
        """
        with self._lock:
            for fault in self._faults:
                late = arrived is not None and arrived <= self._since[id(fault)]
                if fault.kind in kinds and fault.concerns(on, repo) and not late:
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault
        return None

    def count_request(self, asked: Asked) -> int:
        """Counts it; returns its number since the start."""
        with self._lock:
            self._requests[asked.on] += 1
            self.asked.append(asked)
            self._arrived += 1
            return self._arrived

    def count_bytes(self, on: str, size: int) -> None:
        with self._lock:
            self._bytes[on] += size

    @property
    def requests(self) -> int:
        return sum(self.counters()["requests"].values())

    @property
    def bytes_sent(self) -> int:
        return sum(self.counters()["bytes"].values())

    def counters(self) -> dict[str, Any]:
        """Requests and body bytes by kind, and the switches that are on, as JSON types."""
        with self._lock:
            return {
                "requests": dict(self._requests),
                "bytes": dict(self._bytes),
                "authorized_on_cdn": sum(asked.on == "cdn" and asked.authorized for asked in self.asked),
                "faults": [asdict(fault) for fault in self._faults if fault.times != 0],
            }

    def obey(self, orders: dict[str, Any]) -> None:
        """What POST /_control does: {"misbehave": {...}}, {"behave": true}, {"reset_counters": true}."""
        if orders.get("behave"):
            self.behave()
        if orders.get("reset_counters"):
            self.reset_counters()
        if fault := orders.get("misbehave"):
            known = {name.name for name in fields(Fault)}
            self.misbehave(**{name: value for name, value in fault.items() if name in known})
