"""The agreement test: its rook numbers are exact, its p-values valid, its sums of any size."""

from itertools import combinations, pairwise, permutations
from math import comb, factorial, log, log10
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import gammaln

from scanners.agreement import MOST_HITS, Matching, agreement, log10_tail, nearest, rook_numbers
from scanners.plan import HELD_UNITS
from scanners.sketch import unit_rows

choices = st.integers(1, 6).flatmap(
    lambda m: st.tuples(*[st.lists(st.integers(0, 4), min_size=m, max_size=m) for _ in range(2)])
)


def rooks_by_hand(first: list[int], second: list[int], placed: int) -> int:
    """Ways to place so many rooks on the cells first[i] == second[k], no two in a row or column."""
    cells = [(i, k) for i, a in enumerate(first) for k, b in enumerate(second) if a == b]
    return sum(
        len({i for i, _ in chosen}) == len({k for _, k in chosen}) == placed for chosen in combinations(cells, placed)
    )


def hits(first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
    return int((first == second).sum())


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.lists(st.integers(0, 3), min_size=4, max_size=4) for _ in range(2)]))
def test_rook_numbers_are_those_counted_by_hand(matchings: tuple[list[int], list[int]]) -> None:
    first, second = matchings
    assert rook_numbers(first, second, 4) == [rooks_by_hand(first, second, placed) for placed in range(5)]


@settings(max_examples=60, deadline=None)
@given(choices)
def test_the_bound_is_never_below_the_exact_probability_over_all_orders(matchings: tuple[list[int], list[int]]) -> None:
    first, second = np.array(matchings[0]), matchings[1]
    counts = [hits(first, np.array(order)) for order in permutations(second)]
    for least in range(1, len(first) + 1):
        exact = sum(count >= least for count in counts) / len(counts)
        bound = log10_tail(matchings[0], second, least)
        assert bound <= 0
        assert exact <= 10**bound * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(choices)
def test_the_bound_is_the_mean_number_of_ways_to_choose_that_many_hits(
    matchings: tuple[list[int], list[int]],
) -> None:
    first, second = np.array(matchings[0]), matchings[1]
    counts = [hits(first, np.array(order)) for order in permutations(second)]
    for least in range(1, len(first) + 1):
        mean = sum(comb(count, least) for count in counts) / len(counts)
        bound = 10 ** log10_tail(matchings[0], second, least)
        assert bound == pytest.approx(min(mean, 1.0), rel=1e-9, abs=1e-300)


def simulated(rng: np.random.Generator, units: int, registered: int, hubs: int, pull: float) -> list[float]:
    """log10 p of many pairs of matchings in random order; a share ``pull`` of either goes to a few hubs."""
    found = []
    for _ in range(400):
        first, second = (
            np.where(rng.random(units) < pull, rng.integers(0, max(hubs, 1), units), rng.integers(0, registered, units))
            for _ in range(2)
        )
        second = rng.permutation(second)
        found.append(log10_tail(first.tolist(), second.tolist(), hits(first, second)))
    return found


@pytest.mark.parametrize(("hubs", "pull"), [(0, 0.0), (4, 0.2), (2, 0.5), (20, 0.9)])
@pytest.mark.parametrize(("units", "registered"), [(64, 256), (128, 128)])
def test_p_values_are_valid_for_independent_matchings_hubs_or_not(
    hubs: int, pull: float, units: int, registered: int
) -> None:
    found = np.array(simulated(np.random.default_rng(5), units, registered, hubs, pull))
    for alpha in (0.5, 0.2, 0.05, 0.01):
        spread = 3 * np.sqrt(alpha * (1 - alpha) / len(found))
        assert (found <= log10(alpha)).mean() <= alpha + spread


def test_a_matching_by_chance_of_gaussian_profiles_is_no_evidence() -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        mine = tuple(unit_rows(rng.standard_normal((64, 40))) for _ in range(2))
        theirs = tuple(unit_rows(rng.standard_normal((256, 40))) for _ in range(2))
        assert agreement(mine, theirs).log10_p > -4


@pytest.mark.parametrize(("units", "single", "agreeing"), [(10, 10, 3), (64, 20, 5), (128, 128, 7), (688, 600, 9)])
def test_single_cells_give_the_closed_form(units: int, single: int, agreeing: int) -> None:
    first = list(range(units))
    second = [*range(single), *range(units, 2 * units - single)]
    expected = comb(single, agreeing) * factorial(units - agreeing) / factorial(units) if units < 150 else None
    log = log10(comb(single, agreeing)) - sum(log10(units - i) for i in range(agreeing))
    assert log10_tail(first, second, agreeing) == pytest.approx(log, abs=1e-6)
    if expected:
        assert 10**log == pytest.approx(expected, rel=1e-9)


def test_a_whole_permutation_that_agrees_has_the_tail_of_fixed_points() -> None:
    units = list(range(200))
    assert log10_tail(units, units, 12) == pytest.approx(-log10(factorial(12)), abs=1e-6)


def test_more_agreement_is_never_less_surprising() -> None:
    rng = np.random.default_rng(7)
    first, second = rng.integers(0, 30, (2, 64)).tolist()
    tails = [log10_tail(first, second, agreeing) for agreeing in range(0, 40)]
    assert tails[0] == 0.0
    assert all(a >= b - 1e-9 for a, b in pairwise(tails))


@pytest.mark.parametrize("groups", [4096, 1000, 64])
def test_a_layer_of_any_size_and_any_hubs_has_a_finite_p_value_soon(groups: int) -> None:
    units = (np.arange(HELD_UNITS) % groups).tolist()
    started = perf_counter()
    tail = log10_tail(units, units, HELD_UNITS)
    assert perf_counter() - started < 20
    assert np.isfinite(tail)
    assert tail <= 0


def test_beyond_the_hits_that_are_counted_the_bound_is_that_of_fewer() -> None:
    units = list(range(1000))
    assert log10_tail(units, units, 1000) == log10_tail(units, units, MOST_HITS)
    assert log10_tail(units, units, MOST_HITS) == pytest.approx(-gammaln(MOST_HITS + 1) / log(10), rel=1e-6)


def test_a_single_hub_that_takes_all_is_no_evidence() -> None:
    assert log10_tail([3] * 500, [3] * 500, 500) == pytest.approx(0.0, abs=1e-6)


def test_a_hub_pays_for_its_hits() -> None:
    plain = log10_tail(list(range(100)), list(range(100)), 8)
    hub = log10_tail([0] * 30 + list(range(1, 71)), [0] * 30 + list(range(1, 71)), 8)
    assert hub > plain


def test_nearest_is_blind_to_a_flipped_sign() -> None:
    rows = unit_rows(np.random.default_rng(8).standard_normal((20, 9)))
    best, cosine = nearest(-rows, rows)
    assert best.tolist() == list(range(20))
    assert np.allclose(cosine, 1, atol=1e-6)


def test_copied_units_agree_in_any_order() -> None:
    rng = np.random.default_rng(9)
    views = [unit_rows(rng.standard_normal((256, 50))) for _ in range(2)]
    order = rng.permutation(256)[:64]
    found = agreement((views[0][order], views[1][order]), (views[0], views[1]))
    assert (found.agreeing, found.units) == (64, 64)
    assert found.similarity == pytest.approx(1, abs=1e-5)
    assert found.log10_p < -80


@settings(max_examples=60, deadline=None)
@given(choices, st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_a_higher_least_similarity_only_lowers_the_count_and_raises_the_p_value(
    matchings: tuple[list[int], list[int]], least: float, seed: int
) -> None:
    first, second = (np.array(chosen) for chosen in matchings)
    cosines = np.random.default_rng(seed).random((2, len(first))).astype(np.float32)
    free = Matching.of((first, cosines[0]), (second, cosines[1]))
    strict = Matching.of((first, cosines[0]), (second, cosines[1]), least)
    assert strict.agreeing <= free.agreeing == hits(first, second)
    assert strict.test().log10_p >= free.test().log10_p - 1e-9
    assert strict.agreeing == 0 or strict.similarity >= least - 1e-6


def test_no_agreeing_unit_is_no_evidence_at_all() -> None:
    found = Matching(np.arange(5), np.arange(5) + 5, np.ones(5, np.float32)).test()
    assert (found.agreeing, found.log10_p, found.similarity) == (0, 0.0, 0.0)
