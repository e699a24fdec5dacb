"""What can go wrong while a checkpoint is read, as one tree.

    KinprintError
    ├── UsageError            the caller asked for something that cannot be (exit code 4)
    └── CannotLook            a subject could not be looked at; carries a Reason
        ├── SourceError       the hub or the folder would not give it
        │   └── TransientError    ... and may give it later: the only error that is retried
        └── FormatError       the bytes are not what they claim to be

Every foreign exception is turned into one of these where it enters; nothing else leaves `scanners`.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a subject, or a part of it, was not looked at. Stored, counted and shown."""

    GATED = "gated"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    UNSUPPORTED_FORMAT = "unsupported_format"
    UNSUPPORTED_DTYPE = "unsupported_dtype"
    UNKNOWN_ARCHITECTURE = "unknown_architecture"
    MALFORMED_HEADER = "malformed_header"
    MALFORMED_INDEX = "malformed_index"
    MALFORMED_TOKENIZER = "malformed_tokenizer"
    TRUNCATED = "truncated"
    HASH_MISMATCH = "hash_mismatch"
    SIZE_MISMATCH = "size_mismatch"
    NOT_FINITE = "not_finite"
    EMPTY_TENSOR = "empty_tensor"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    CONNECTION = "connection"
    RANGE_IGNORED = "range_ignored"
    REVISION_MOVED = "revision_moved"
    PICKLE_ONLY = "pickle_only"
    NO_WEIGHTS = "no_weights"
    BUDGET_TOO_SMALL = "budget_too_small"
    WORKER_DIED = "worker_died"
    INTERNAL = "internal"


# Nothing that could be anybody's weights lies behind these: they leave a run complete.
HARMLESS = frozenset({Reason.NO_WEIGHTS})


class KinprintError(Exception):
    """The root of the tree."""


class UsageError(KinprintError):
    """The caller asked for something that cannot be."""


class CannotLook(KinprintError):
    """A subject could not be looked at, for a reason that is counted and shown."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["CannotLook"], tuple[Reason, str]]:
        """Ray carries errors between processes; two arguments must survive the way."""
        return type(self), (self.reason, self.detail)


class SourceError(CannotLook):
    """The hub or the folder would not give it."""


class TransientError(SourceError):
    """The hub would not give it now; the same request may succeed later."""

    def __init__(self, reason: Reason, detail: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason, detail)
        self.retry_after_seconds = retry_after_seconds


class FormatError(CannotLook):
    """The bytes are not what they claim to be."""
