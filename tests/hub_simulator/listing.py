"""What the hub says about its repositories, in the words its client understands."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tests.hub_simulator.repository import Commit, HubFile, Repository


def timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def cursor(state: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(state).encode()).decode()


def read_cursor(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text))


def _tags(card: Mapping[str, Any]) -> list[str]:
    """As on the hub, the declared base models are among the tags."""
    declared = card.get("card_data", {}).get("base_model", [])
    bases = [declared] if isinstance(declared, str) else declared
    return [*card.get("tags", []), *(f"base_model:{base}" for base in bases)]


def model_entry(repository: Repository, commit: Commit, blobs: bool = False) -> dict[str, Any]:
    """One model, as /api/models and /api/models/{id} describe it."""
    card = repository.card
    return {
        "id": repository.id,
        "modelId": repository.id,
        "author": repository.id.partition("/")[0],
        "sha": commit.id,
        "lastModified": timestamp(repository.last_modified),
        "createdAt": timestamp(repository.last_modified),
        "private": False,
        "disabled": False,
        "gated": repository.gated,
        "downloads": card.get("downloads", 0),
        "likes": card.get("likes", 0),
        "tags": _tags(card),
        "cardData": card.get("card_data", {}),
        "siblings": [_sibling(file, blobs) for file in commit.files.values()],
    }


def expanded(entry: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Only what ``expand`` asked for, and the id."""
    return {name: value for name, value in entry.items() if name in {"id", *names}} if names else entry


def _sibling(file: HubFile, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": file.path}
    entry: dict[str, Any] = {"rfilename": file.path, "size": file.size, "blobId": file.blob_id}
    if file.sha256:
        entry["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return entry


def file_entry(file: HubFile) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": file.path, "size": file.size, "oid": file.blob_id}
    if file.sha256:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return entry


def _folders(paths: Iterable[str]) -> set[str]:
    return {"/".join(path.split("/")[:depth]) for path in paths for depth in range(1, path.count("/") + 1)}


def folder_entry(path: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1(path.encode()).hexdigest()}


def tree_entries(commit: Commit, under: str, recursive: bool) -> list[dict[str, Any]]:
    """Files and folders under ``under`` ("" for the root), in the order of their paths."""
    prefix = f"{under}/" if under else ""
    inside = {path: file for path, file in commit.files.items() if path.startswith(prefix)}
    entries = [folder_entry(path) for path in _folders(inside) if path.startswith(prefix)]
    entries += [file_entry(file) for file in inside.values()]
    direct = (entry for entry in entries if recursive or "/" not in entry["path"].removeprefix(prefix))
    return sorted(direct, key=lambda entry: str(entry["path"]))


def path_entries(commit: Commit, paths: list[str]) -> list[dict[str, Any]]:
    folders = _folders(commit.files)
    files = [file_entry(commit.files[path]) for path in paths if path in commit.files]
    return files + [folder_entry(path) for path in paths if path in folders]


def with_last_commit(entry: dict[str, Any], repository: Repository, commit: Commit) -> dict[str, Any]:
    """What ``expand=True`` adds to a tree."""
    last = {"id": commit.id, "title": "Upload", "date": timestamp(repository.last_modified)}
    safe = {"status": "safe", "avScan": None, "pickleImportScan": None}
    return {**entry, "lastCommit": last, "securityFileStatus": safe}


def commit_entries(repository: Repository, revision: str) -> list[dict[str, Any]]:
    when = timestamp(repository.last_modified)
    person = [{"user": repository.id.partition("/")[0]}]
    chain = repository.history(revision)
    return [{"id": c.id, "title": "Upload", "message": "", "authors": person, "date": when} for c in chain]


def ref_entries(repository: Repository) -> dict[str, Any]:
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": chain[0].id}
        for name, chain in repository.branches.items()
    ]
    return {"branches": branches, "converts": [], "tags": [], "pullRequests": []}
