"""However a tensor is stored and in whatever pieces it is read, the same fingerprint comes out."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from scanners import reading
from scanners.errors import CannotLook, FormatError, Reason
from scanners.measuring import Frames, PartSums, stream
from scanners.plan import Budget
from scanners.reading import TensorReader
from scanners.records import Fingerprint, TensorInfo, Verdict
from scanners.roles import MatrixPart
from scanners.sketch import identity_frame
from scanners.sources.folder import FolderSource
from tests.disguises import DISGUISES, Checkpoint, load
from tests.disguises.layouts import unpack
from tests.scanners.conftest import BASES, SCHEMES, ZOO, Save, best, look, model, opened, register, registered

NEOX = ZOO / "calibration/harbour-models/neox-base"
MODELS: dict[str, Callable[[], Checkpoint]] = {
    "llama": lambda: model(BASES["llama"]),
    "gpt2": lambda: model(BASES["gpt2"]),
    "neox": lambda: load(NEOX),
    "fused": lambda: DISGUISES["fused"](model(BASES["llama"])),
    "experts": lambda: DISGUISES["upcycled to experts"](model(BASES["llama"])),
}


def assert_alike(one: Fingerprint, other: Fingerprint) -> None:
    """The same sketches and profiles, up to the rounding of half precision."""
    sketches = {(s.layer, s.role, s.part, s.scheme): s.vector for s in other.sketches}
    assert sketches.keys() == {(s.layer, s.role, s.part, s.scheme) for s in one.sketches}
    for s in one.sketches:
        assert float(s.vector @ sketches[s.layer, s.role, s.part, s.scheme]) > 1 - 1e-4, (s.layer, s.role)
    profiles = {(p.frame, p.layer): p for p in other.profiles}
    assert profiles.keys() == {(p.frame, p.layer) for p in one.profiles}
    for p in one.profiles:
        for view, rows in p.views.items():
            assert np.allclose(rows, profiles[p.frame, p.layer].views[view], atol=4e-3), (p.frame, p.layer, view)
        assert p.units_total == profiles[p.frame, p.layer].units_total


# --- pieces ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_bytes", [1, 5000])
@pytest.mark.parametrize("name", MODELS)
def test_measuring_by_pieces_is_measuring_whole(
    name: str, chunk_bytes: int, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(MODELS[name]())
    whole = register(folder)
    monkeypatch.setattr(reading, "CHUNK_BYTES", chunk_bytes)
    assert_alike(register(folder), whole)


def test_pieces_are_whole_rows_in_order(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = opened(save(model(BASES["llama"])))
    tensor = checkpoint.manifest.tensors["model.layers.0.mlp.up_proj.weight"]
    whole = checkpoint.reader.rows(tensor, 0, 256)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 7 * 96 * 2)
    pieces = list(checkpoint.reader.chunks(tensor, 10, 101))
    assert [at for at, _ in pieces] == list(range(10, 101, 7))
    assert np.array_equal(np.concatenate([rows for _, rows in pieces]), whole[10:101])


def sums_of(folder: Path, shape: tuple[int, int], residual_axis: int) -> tuple[TensorReader, PartSums]:
    """One large matrix in a folder of its own, ready to stream."""
    source = FolderSource(folder)
    revision = source.resolve(folder.name)
    size = (folder / "model.safetensors").stat().st_size
    tensor = TensorInfo("w", "F32", shape, "model.safetensors", size - 4 * shape[0] * shape[1], size)
    units, width = shape[1 - residual_axis], shape[residual_axis]
    part = MatrixPart(tensor, residual_axis, ((0, units),))
    frames = Frames.of(None, identity_frame(width, SCHEMES.key))
    return TensorReader(source, revision), PartSums(part, frames, SCHEMES.key, (0, units))


@pytest.mark.parametrize("residual_axis", [0, 1])
def test_memory_depends_on_the_pieces_and_not_on_the_tensor(
    residual_axis: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (4096, 2048)
    save_file({"w": np.ones(shape, np.float32)}, tmp_path / "model.safetensors")
    reader, sums = sums_of(tmp_path, shape, residual_axis)
    reader.source.files(reader.revision)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 1 << 20)
    tracemalloc.start()
    stream(reader, [sums])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sums.values == 4096 * 2048
    assert peak < 12 << 20, f"{peak >> 20} MiB for a tensor of 32"


# --- storage orders ----------------------------------------------------------------------------------


def as_linear(gpt2: Checkpoint) -> Checkpoint:
    """A GPT-2 whose layers are stored (out, in) and unfused, under names of the Llama line."""
    network = unpack(gpt2)
    tensors = {"model.embed_tokens.weight": network.embedding}
    for i, block in enumerate(network.blocks):
        prefix = f"model.layers.{i}."
        tensors |= {
            f"{prefix}self_attn.{name}_proj.weight": getattr(block, name).reshape(-1, network.width) for name in "qkv"
        }
        tensors |= {
            prefix + "self_attn.o_proj.weight": block.o.reshape(-1, network.width).T,
            prefix + "mlp.fc1.weight": block.up,
            prefix + "mlp.fc2.weight": block.down.T,
            prefix + "input_layernorm.weight": block.attention_gain,
            prefix + "input_layernorm.bias": block.attention_shift,
            prefix + "post_attention_layernorm.weight": block.ffn_gain,
            prefix + "post_attention_layernorm.bias": block.ffn_shift,
        }
    return replace(gpt2, tensors=tensors, config={"model_type": "phi", "num_attention_heads": 4})


def test_both_storage_orders_give_the_same_fingerprint(save: Save) -> None:
    assert_alike(register(save(as_linear(model(BASES["gpt2"])))), register(save(model(BASES["gpt2"]))))


def test_a_fused_checkpoint_has_the_fingerprint_of_its_parts(save: Save) -> None:
    assert_alike(register(save(MODELS["fused"]())), register(save(MODELS["llama"]())))


def test_shards_and_their_order_change_nothing(save: Save) -> None:
    assert_alike(register(save(DISGUISES["sharded"](MODELS["llama"]()))), register(save(MODELS["llama"]())))


# --- what is read ------------------------------------------------------------------------------------


def test_each_budget_reads_less_than_the_next_and_says_so() -> None:
    found = [look(ZOO / "evaluation" / BASES["llama"], budget).coverage for budget in Budget]
    assert [c.budget for c in found] == ["quick", "standard", "full"]
    assert found[0].bytes_read < found[1].bytes_read < found[2].bytes_read <= found[0].bytes_total
    assert all(c.requests > 0 for c in found)
    assert found[2].layers_read == tuple(range(5))


# --- numbers that are none ---------------------------------------------------------------------------


def damaged(share: float, value: float, seed: int = 1) -> Checkpoint:
    """The Llama base with a share of each matrix of its blocks put to one value."""
    rng = np.random.default_rng(seed)
    base = model(BASES["llama"])
    tensors = {
        name: np.where(rng.random(array.shape) < share, np.float32(value), array) if "_proj" in name else array
        for name, array in base.tensors.items()
    }
    return replace(base, tensors=tensors)


@pytest.mark.parametrize("budget", Budget)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_single_values_that_are_not_finite_are_read_as_zero_and_noted(value: float, budget: Budget, save: Save) -> None:
    suspect = look(save(damaged(0.002, value)), budget)
    assert any("not finite" in note for note in suspect.coverage.notes)
    assert all(np.isfinite(s.vector).all() for s in suspect.sketches)
    assert all(np.isfinite(rows).all() for p in suspect.profiles for rows in p.views.values())
    found = best(suspect, registered())
    assert (found.verdict, found.comparison.reference) == (Verdict.STRONG, "llama")


def test_a_value_near_the_largest_there_is_breaks_nothing(save: Save) -> None:
    suspect = look(save(damaged(0.002, 3e38)), Budget.STANDARD)
    assert all(np.isfinite(s.vector).all() for s in suspect.sketches)
    assert best(suspect, registered()).verdict is Verdict.STRONG


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_more_than_one_percent_that_is_not_finite_is_refused(value: float, save: Save) -> None:
    with pytest.raises(FormatError) as caught:
        look(save(damaged(0.05, value)), Budget.STANDARD)
    assert caught.value.reason is Reason.NOT_FINITE


def test_a_checkpoint_of_zeros_is_measured_and_is_nobodys_copy(save: Save) -> None:
    base = model(BASES["llama"])
    zeros = replace(base, tensors={name: np.zeros_like(array) for name, array in base.tensors.items()})
    suspect = look(save(zeros), Budget.STANDARD)
    assert all(np.isfinite(s.vector).all() for s in suspect.sketches)
    assert best(suspect, registered()).verdict is Verdict.INDEPENDENT


def test_a_checkpoint_whose_units_are_all_one_is_nobodys_copy(save: Save) -> None:
    base = model(BASES["llama"])
    same = {name: np.broadcast_to(array[:1], array.shape).copy() for name, array in base.tensors.items()}
    suspect = look(save(replace(base, tensors=same)), Budget.STANDARD)
    assert best(suspect, registered()).verdict is Verdict.INDEPENDENT


# --- claims that lie ---------------------------------------------------------------------------------

CLAIMS = ("num_attention_heads", "num_key_value_heads", "head_dim", "n_head")


@pytest.mark.parametrize("heads", [1, 2, 3, 5, 8, 96, 288, 65536])
@pytest.mark.parametrize("name", ["llama", "gpt2", "neox", "fused"])
def test_a_lying_number_of_heads_does_not_hide_a_copy_nor_break_the_measurement(
    name: str, heads: int, save: Save
) -> None:
    honest = MODELS[name]()
    folder = save(replace(honest, config=honest.config | dict.fromkeys(CLAIMS, heads)))
    reference = register(NEOX) if name == "neox" else registered()["gpt2" if name == "gpt2" else "llama"]
    try:
        suspect = look(folder, Budget.STANDARD)
    except CannotLook as error:
        pytest.fail(f"a claim made it unreadable: {error}")
    assert best(suspect, {"base": reference}).verdict is Verdict.STRONG
