"""A small tree of repositories that a hub serves and a folder is, alike."""

import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path

DAYS = tuple(datetime(2026, 1, day, 12, tzinfo=UTC) for day in (1, 2, 3))
WEIGHTS = random.Random(0).randbytes(20_000)


def write_tree(root: Path) -> Path:
    """owner/model-1 to owner/model-3, one a day."""
    for number, day in enumerate(DAYS, start=1):
        write_repository(root / "owner" / f"model-{number}", {"model": number}, day)
    return root


def write_repository(folder: Path, config: dict[str, int], day: datetime) -> None:
    contents = {
        "config.json": json.dumps(config).encode(),
        "deep/er/notes one.txt": b"notes",
        "model.safetensors": WEIGHTS,
    }
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (day.timestamp(), day.timestamp()))
