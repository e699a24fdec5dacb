"""The real client, unmodified, against the simulator: whatever it can ask, it gets a hub's answer."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from safetensors.numpy import save_file

from tests.hub_simulator import Hub, running_hub


def write_repository(folder: Path, seed: int, **card: object) -> Path:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    save_file({"a": generator.standard_normal((16, 8), np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"seed": seed}))
    (folder / "sub").mkdir()
    (folder / "sub" / "with space.txt").write_text("read me")
    (folder / ".hub.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    for day in range(1, 8):
        write_repository(root / "owner" / f"model-{day}", day, last_modified=f"2026-01-0{day}T00:00:00Z")
    write_repository(root / "owner" / "gated", 9, gated=True, last_modified="2025-01-01T00:00:00Z")
    old = write_repository(root / "other" / "history", 10, card_data={"base_model": "owner/model-1"})
    write_repository(old / ".hub" / "history" / "1", 11)
    write_repository(old / ".hub" / "branches" / "dev", 12)
    return root


@pytest.fixture(scope="module")
def running(root: Path) -> Iterator[Hub]:
    with running_hub(root, page_size=3) as hub:
        yield hub


@pytest.fixture
def hub(running: Hub) -> Hub:
    running.control.behave()
    running.control.reset_counters()
    return running


@pytest.fixture
def api(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.url, token=False)


def test_the_listing_comes_newest_first_over_all_its_pages(api: HfApi, hub: Hub) -> None:
    models = list(api.list_models(sort="last_modified", expand=["sha", "lastModified", "gated", "tags"]))
    assert [model.id for model in models[1:]] == [
        *(f"owner/model-{d}" for d in range(7, 0, -1)),
        "owner/gated",
    ]
    assert models[0].tags == ["base_model:owner/model-1"]
    assert models[-1].gated == "auto"
    assert all(len(model.sha or "") == 40 for model in models)
    assert hub.control.counters()["requests"] == {"listing": 3}


def test_expanding_gives_nothing_else(api: HfApi) -> None:
    model = next(iter(api.list_models(expand=["sha"])))
    assert (model.siblings, model.last_modified) == (None, None)


def test_a_limit_asks_for_no_more(api: HfApi, hub: Hub) -> None:
    assert len(list(api.list_models(limit=2))) == 2
    assert hub.control.requests == 1


def test_model_info_pins_a_commit_and_that_commit_can_be_asked_for(api: HfApi) -> None:
    info = api.model_info("owner/model-1", files_metadata=True)
    again = api.model_info("owner/model-1", revision=info.sha)
    weights = next(s for s in info.siblings or () if s.rfilename == "model.safetensors")
    assert again.sha == info.sha
    assert weights.lfs is not None
    assert weights.size == weights.lfs.size


def test_the_tree_names_every_file_with_its_size_and_sha256(api: HfApi, root: Path) -> None:
    entries = {entry.path: entry for entry in api.list_repo_tree("owner/model-1", recursive=True)}
    assert set(entries) == {"config.json", "model.safetensors", "sub", "sub/with space.txt"}
    content = (root / "owner/model-1/model.safetensors").read_bytes()
    weights = entries["model.safetensors"]
    assert isinstance(weights, RepoFile)
    assert weights.lfs is not None
    assert (weights.lfs.sha256, weights.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert [e.path for e in api.list_repo_tree("owner/model-1", "sub")] == ["sub/with space.txt"]
    assert [e.path for e in api.list_repo_tree("owner/model-1", expand=True)][-1] == "sub"


def test_paths_info_gives_what_exists(api: HfApi) -> None:
    found = api.get_paths_info("owner/model-1", ["config.json", "sub", "missing"], expand=True)
    assert [entry.path for entry in found] == ["config.json", "sub"]


def test_a_history_and_a_branch_can_be_asked_for(api: HfApi) -> None:
    commits = [commit.commit_id for commit in api.list_repo_commits("other/history")]
    branches = {ref.name: ref.target_commit for ref in api.list_repo_refs("other/history").branches}
    seeds = {}
    for revision in (*commits, "dev"):
        address = hf_hub_url("other/history", "config.json", revision=revision, endpoint=api.endpoint)
        seeds[revision] = httpx2.get(address).json()["seed"]
    assert branches["main"] == commits[0]
    assert list(seeds.values()) == [10, 11, 12]


def test_a_commit_is_a_function_of_the_content(root: Path, tmp_path: Path) -> None:
    write_repository(tmp_path / "owner" / "model-1", 1)
    with running_hub(root) as one, running_hub(tmp_path) as two:
        shas = [HfApi(endpoint=hub.url, token=False).model_info("owner/model-1").sha for hub in (one, two)]
    assert shas[0] == shas[1]


def test_files_can_be_asked_for_by_name(api: HfApi) -> None:
    assert api.file_exists("owner/model-1", "sub/with space.txt")
    assert not api.file_exists("owner/model-1", ".hub.json")


def test_downloads_are_the_files(hub: Hub, root: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"endpoint": hub.url, "token": False}
    for name in ("config.json", "model.safetensors"):
        path = hf_hub_download("owner/model-2", name, cache_dir=tmp_path / "cache", **options)
        assert Path(path).read_bytes() == (root / "owner/model-2" / name).read_bytes()
    snapshot = Path(snapshot_download("owner/model-3", local_dir=tmp_path / "local", **options))
    assert (snapshot / "sub/with space.txt").read_text() == "read me"


def test_the_client_reads_safetensors_headers(api: HfApi) -> None:
    metadata = api.get_safetensors_metadata("owner/model-1")
    assert metadata.files_metadata["model.safetensors"].tensors["a"].shape == [16, 8]


def test_the_client_reads_as_from_a_file_system(hub: Hub, root: Path) -> None:
    system = HfFileSystem(endpoint=hub.url, token=False, skip_instance_cache=True)
    with system.open("owner/model-1/model.safetensors", "rb", block_size=64) as stream:
        stream.seek(10)
        assert stream.read(100) == (root / "owner/model-1/model.safetensors").read_bytes()[10:110]


def test_gated_files_open_with_the_token_only_and_the_storage_never_sees_it(hub: Hub, tmp_path: Path) -> None:
    ask: dict[str, Any] = {"repo_id": "owner/gated", "filename": "model.safetensors", "endpoint": hub.url}
    with pytest.raises(GatedRepoError):
        hf_hub_download(**ask, token=False, cache_dir=tmp_path)
    with pytest.raises(GatedRepoError):
        hf_hub_download(**ask, token="hf_wrong", cache_dir=tmp_path)
    assert Path(hf_hub_download(**ask, token=hub.token, cache_dir=tmp_path)).is_file()
    assert hub.control.counters()["authorized_on_cdn"] == 0
    assert HfApi(endpoint=hub.url).whoami(token=hub.token)["name"] == "loopback"


def test_what_is_not_there_is_named(api: HfApi) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("owner/missing")
    with pytest.raises(RevisionNotFoundError):
        api.model_info("owner/model-1", revision="missing")
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download("owner/model-1", "missing")
    with pytest.raises(HfHubHTTPError):
        api.whoami(token="hf_wrong")


def test_the_client_waits_out_a_rate_limit(api: HfApi, hub: Hub) -> None:
    hub.control.misbehave("rate_limited", on="listing", times=1, seconds=0)
    assert len(list(api.list_models())) == 9
