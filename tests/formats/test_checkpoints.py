"""Which files of a repository are its checkpoint, and what is read of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from scanners.errors import FormatError, Reason
from scanners.formats.checkpoints import checkpoints
from scanners.formats.manifest import read_checkpoint, read_manifest
from scanners.records import CheckpointManifest, RemoteFile
from scanners.sources.folder import FolderSource

SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def save(path: Path, *names: str, size: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ones((size, 2), np.float32) for name in names}, path)


def manifest_of(folder: Path) -> CheckpointManifest:
    (folder / "README.md").write_text("a model")
    source = FolderSource(folder.parent)
    revision = source.resolve(folder.name)
    return read_manifest(source, revision, source.files(revision))


def paths(manifest: CheckpointManifest) -> list[str]:
    return [file.path for file in manifest.files]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tree" / "model"


def listed(*names: str) -> list[RemoteFile]:
    return [RemoteFile(name, 1000, None) for name in names]


def test_a_single_file_is_a_checkpoint(folder: Path) -> None:
    save(folder / "model.safetensors", "a", "b")
    manifest = manifest_of(folder)
    assert paths(manifest) == ["model.safetensors"]
    assert manifest.tensors["b"].shape == (4, 2)


def test_shards_are_one_checkpoint_by_their_index(folder: Path) -> None:
    save(folder / SHARDS[0], "a")
    save(folder / SHARDS[1], "b")
    index = {"metadata": {"total_size": 64}, "weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    manifest = manifest_of(folder)
    assert paths(manifest) == SHARDS
    assert {name: tensor.path for name, tensor in manifest.tensors.items()} == index["weight_map"]


def test_shards_without_an_index_are_one_checkpoint_too(folder: Path) -> None:
    save(folder / SHARDS[0], "a")
    save(folder / SHARDS[1], "b")
    assert set(manifest_of(folder).tensors) == {"a", "b"}


def test_a_missing_shard_does_not_hide_the_others(folder: Path) -> None:
    save(folder / SHARDS[1], "b")
    assert set(manifest_of(folder).tensors) == {"b"}


def test_shards_that_the_index_leaves_out_are_looked_at(folder: Path) -> None:
    save(folder / SHARDS[0], "a")
    save(folder / SHARDS[1], "b")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": SHARDS[0]}}))
    assert set(manifest_of(folder).tensors) == {"a", "b"}


def test_an_index_may_name_files_as_it_likes(folder: Path) -> None:
    save(folder / "first.safetensors", "a")
    save(folder / "parts" / "second.safetensors", "b")
    weight_map = {"a": "first.safetensors", "b": "parts/second.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert paths(manifest_of(folder)) == ["first.safetensors", "parts/second.safetensors"]


def test_one_tensor_in_two_shards_without_an_index_is_refused(folder: Path) -> None:
    for shard in SHARDS:
        save(folder / shard, "a")
    with pytest.raises(FormatError) as caught:
        manifest_of(folder)
    assert caught.value.reason is Reason.MALFORMED_INDEX


def test_the_root_comes_before_folders_and_the_largest_folder_first(folder: Path) -> None:
    save(folder / "unet" / "diffusion_pytorch_model.safetensors", "u", size=400)
    save(folder / "text_encoder" / "model.safetensors", "t", size=40)
    assert set(manifest_of(folder).tensors) == {"u"}
    save(folder / "adapter_model.safetensors", "r")
    assert set(manifest_of(folder).tensors) == {"r"}


def test_every_other_checkpoint_of_a_repository_can_be_read_as_well(folder: Path) -> None:
    save(folder / "model.safetensors", "a")
    save(folder / "decoy" / "hidden.safetensors", "b")
    source = FolderSource(folder)
    revision = source.resolve(folder.name)
    files = source.files(revision)
    found = [read_checkpoint(source, revision, files, each).tensors for each in checkpoints(files)]
    assert [set(tensors) for tensors in found] == [{"a"}, {"b"}]


def test_model_safetensors_comes_before_variants_and_shards() -> None:
    files = listed("model.fp16.safetensors", *SHARDS, "model.safetensors", "consolidated.safetensors")
    names = [checkpoint.files[0].path for checkpoint in checkpoints(files)]
    assert names == ["model.safetensors", SHARDS[0], "consolidated.safetensors", "model.fp16.safetensors"]


def test_no_file_is_left_out_of_the_checkpoints() -> None:
    files = listed("a.safetensors", "B.SAFETENSORS", "x/a.safetensors", *SHARDS, "x/y/model-1-of-3.safetensors")
    assert {file for checkpoint in checkpoints(files) for file in checkpoint.files} == set(files)
