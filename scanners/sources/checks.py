"""What is checked of every range and every commit, wherever it comes from."""

import re

from scanners.errors import Reason, SourceError, UsageError
from scanners.records import ByteRange

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_commit(name: object) -> bool:
    return isinstance(name, str) and _COMMIT.fullmatch(name) is not None


def is_sha256(name: object) -> bool:
    return isinstance(name, str) and _SHA256.fullmatch(name) is not None


def check_span(span: ByteRange) -> None:
    """Raises: UsageError for a range that is none."""
    if not 0 <= span.start <= span.stop:
        raise UsageError(f"{span.start} to {span.stop} is no range of bytes")


def check_inside(span: ByteRange, size_bytes: int) -> None:
    """Raises: SourceError where the range ends after the file does."""
    if span.stop > size_bytes:
        sentence = f"{span.path} ends at byte {size_bytes}, but bytes up to {span.stop} were asked for"
        raise SourceError(Reason.TRUNCATED, sentence)


def leaves_repository(path: str) -> bool:
    """Whether a path in a listing could name anything but a file inside the repository."""
    parts = path.split("/")
    return not path or "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in parts)
