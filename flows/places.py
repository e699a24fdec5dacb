"""What a SOURCE argument names: ``hf://owner/name[@revision]``, ``file:///folder`` or a bare folder."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scanners.errors import UsageError

HUB = "hf://"
_ON_HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+|[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """A root that a source can be opened on, and perhaps one repository within it."""

    root: str  # "hf://" or "file:///absolute/folder"
    repo: str | None = None
    revision: str | None = None

    @property
    def folder(self) -> Path | None:
        """The local folder of a ``file://`` root; None on a hub."""
        return None if self.root == HUB else Path(unquote(urlsplit(self.root).path))


def parse(text: str) -> Place:
    """The place that a SOURCE argument names; raises UsageError for what names none."""
    if text.startswith(HUB):
        return _on_hub(text)
    folder = Path(unquote(urlsplit(text).path)) if text.startswith("file://") else Path(text)
    if not text or not folder.is_dir():
        raise UsageError(f"{text}: no such folder (a repository on a hub is written hf://owner/name)")
    return Place(folder.resolve().as_uri())


def _on_hub(text: str) -> Place:
    found = _ON_HUB.fullmatch(text)
    if found is None:
        raise UsageError(f"{text}: not hf://owner/name or hf://owner/name@revision")
    return Place(HUB, found["repo"], found["revision"])
