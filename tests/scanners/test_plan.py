"""What is read follows from the layout, the budget and the key; caps are kept whatever is asked."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanners.layout import understand
from scanners.plan import (
    BLOCK_ROWS,
    Budget,
    Scope,
    block_start,
    everything,
    first_look,
    row_runs,
    second_look,
    spread,
    unit_roles,
    unit_rows,
)
from scanners.records import Role
from scanners.roles import Hints, Layout
from tests.scanners.test_layout import LLAMA, LLAMA_OUTER, in_layers, llama, manifest

KEY, OTHER = b"a key of sixteen bytes", b"and another key, as long"


def layout(layers: int) -> Layout:
    return understand(manifest(in_layers("model.layers.", LLAMA, LLAMA_OUTER, layers)), Hints(heads=8))


# --- scopes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2, 5, 32, 126])
def test_each_budget_reads_more_than_the_one_before(layers: int) -> None:
    quick, standard, full = (first_look(layout(layers), budget) for budget in Budget)
    assert len(quick.unit_layers) == min(2, layers)
    assert len(standard.unit_layers) == min(16, layers)
    assert quick.rows is not None
    assert standard.rows is not None
    assert quick.rows < standard.rows
    assert quick.attention_layers == ()
    assert standard.attention_layers
    assert full == everything(layout(layers)) == Scope(tuple(range(layers)), None, (), tuple(range(layers)))


def test_the_standard_budget_reads_heads_of_enough_layers_for_thirty_two_of_them() -> None:
    found = layout(32)
    assert len(first_look(found, Budget.STANDARD).attention_layers) * found.shape.heads >= 32


@pytest.mark.parametrize("budget", [Budget.STANDARD, Budget.FULL])
def test_a_suspect_is_read_in_every_layer(budget: Budget) -> None:
    second = second_look(layout(40), budget)
    assert second.unit_layers == second.attention_layers == tuple(range(40))


def test_a_quick_suspect_gets_the_standard_look_at_the_rows_it_was_read_by() -> None:
    first, second = first_look(layout(40), Budget.QUICK), second_look(layout(40), Budget.QUICK)
    wide = first_look(layout(40), Budget.STANDARD)
    assert (second.unit_layers, second.attention_layers) == (wide.unit_layers, wide.attention_layers)
    assert second.rows == first.rows
    assert not set(second.without(first).unit_layers) & set(first.unit_layers)


def test_what_was_read_is_not_read_again() -> None:
    found = layout(40)
    first, second = first_look(found, Budget.STANDARD), second_look(found, Budget.STANDARD)
    rest = second.without(first)
    assert not set(rest.unit_layers) & set(first.unit_layers)
    assert not set(rest.attention_layers) & set(first.attention_layers)
    assert first.without(first) == Scope((), first.rows, (), ())


def test_more_rows_are_read_anew() -> None:
    few, many = Scope((1, 2), 64, (), ()), Scope((1, 2), 128, (), ())
    assert many.without(few).unit_layers == (1, 2)
    assert few.without(many).unit_layers == ()
    assert Scope((1,), None, (), ()).without(many).unit_layers == (1,)


@given(st.integers(1, 300), st.integers(1, 40))
def test_spread_layers_are_different_ordered_and_there(layers: int, count: int) -> None:
    found = spread(layers, count)
    assert len(found) == min(layers, count)
    assert list(found) == sorted(set(found))
    assert 0 <= found[0] <= found[-1] < layers


@given(st.integers(4, 300), st.integers(2, 16))
def test_spread_layers_leave_no_wide_gap_and_the_first_layer_out(layers: int, count: int) -> None:
    found = spread(layers, count)
    if count < layers / 2:
        assert 0 not in found
        assert max(b - a for a, b in itertools.pairwise(found)) <= layers / count + 1


# --- rows --------------------------------------------------------------------------------------------


@given(st.binary(min_size=16, max_size=32), st.integers(1, 20000))
def test_the_fixed_block_lies_within_the_matrix(key: bytes, units: int) -> None:
    start = block_start(key, units)
    assert 0 <= start <= max(units - BLOCK_ROWS, 0)
    assert start == block_start(key, units)


def test_the_fixed_block_is_known_to_the_holder_of_the_key_only() -> None:
    sizes = range(1000, 1200)
    assert len({block_start(KEY, units) for units in sizes}) > 100
    assert sum(block_start(KEY, units) == block_start(OTHER, units) for units in sizes) < 5


@given(st.integers(1, 20000), st.sampled_from([BLOCK_ROWS, 2 * BLOCK_ROWS, 256, None]))
def test_the_rows_that_are_read_hold_the_fixed_block(units: int, rows: int | None) -> None:
    start, stop = unit_rows(KEY, units, rows)
    assert 0 <= start < stop <= units
    assert stop - start == min(units, rows or units)
    block = block_start(KEY, units)
    assert start <= block
    assert min(block + BLOCK_ROWS, units) <= stop


def test_a_gated_block_is_seen_by_its_two_inputs_an_ungated_one_by_input_and_output() -> None:
    assert unit_roles(layout(1).blocks[0]) == (Role.GATE, Role.UP)
    ungated = understand(
        manifest(llama({"mlp.fc1.weight": (160, 64)}, ("mlp.gate_proj.weight", "mlp.up_proj.weight"))), Hints()
    )
    assert unit_roles(ungated.blocks[0]) == (Role.IN, Role.DOWN)


def test_one_view_alone_is_none() -> None:
    alone = understand(manifest(llama(without=("mlp.up_proj.weight", "mlp.down_proj.weight"))), Hints())
    assert unit_roles(alone.blocks[0]) == ()


rows = st.lists(st.integers(0, 50000), max_size=80, unique=True)


@settings(max_examples=200, deadline=None)
@given(rows, st.integers(1, 9000), st.integers(1, 20), st.integers(0, 1 << 22))
def test_runs_of_rows_keep_both_caps(wanted: list[int], row_bytes: int, max_runs: int, max_bytes: int) -> None:
    runs = row_runs(wanted, row_bytes, max_runs, max_bytes)
    assert len(runs) <= max_runs
    assert sum(stop - start for start, stop in runs) * row_bytes <= max_bytes
    assert all(start < stop for start, stop in runs)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(runs))


@settings(max_examples=100, deadline=None)
@given(rows.filter(bool))
def test_without_caps_every_row_is_caught(wanted: list[int]) -> None:
    runs = row_runs(wanted, 1, len(wanted), 1 << 30)
    assert all(any(start <= row < stop for start, stop in runs) for row in wanted)


def test_neighbours_are_read_in_one_run() -> None:
    assert row_runs([5, 6, 7, 9, 4000], 100, 1, 10_000) == [(5, 10)]
    assert row_runs(list(range(100)), 10, 4, 10_000) == [(0, 100)]


def test_nothing_wanted_or_nothing_allowed_is_nothing_read() -> None:
    assert row_runs([], 8, 4, 1000) == []
    assert row_runs([1, 2], 8, 4, 7) == []
