"""The mathematics of recognition: what is invariant is exactly invariant, what is estimated is unbiased."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scanners.agreement import agreement
from scanners.sketch import (
    RIDGE,
    SKETCH_DIM,
    SPECTRUM_VALUES,
    centred_gram,
    folded,
    generator,
    gram_sketch,
    grid_residual,
    identity_frame,
    product_spectrum,
    spectrum_sketch,
    unit,
    unit_rows,
    whitened,
    whitener,
)

KEY, OTHER = b"a key of sixteen bytes", b"and another key, as long"
WIDTH, ANCHORS, ROWS = 48, 30, 90
Array = NDArray[np.float64]


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def orthogonal(seed: int, size: int) -> Array:
    return np.linalg.qr(normal(seed, size, size))[0]


def permutation(seed: int, size: int) -> Array:
    return np.eye(size)[np.random.default_rng(seed).permutation(size)]


def signs(seed: int, size: int) -> Array:
    return np.diag(np.random.default_rng(seed).choice([-1.0, 1.0], size))


def centred(rows: Array) -> Array:
    return rows - rows.mean(axis=0)


def anchored(matrix: Array, embedding: Array) -> tuple[Array, Array]:
    """Profiles (rows, anchors) and Gram (anchors, anchors), as a fingerprint holds them."""
    frame = centred(embedding)
    return matrix @ frame.T, frame @ frame.T


def by_svd(matrix: Array, embedding: Array) -> Array:
    """W A_w^T by its formula: A_w = U f(S) V^T, f(s) = s / sqrt(s^2 + (r mean s)^2), the mean over all anchors."""
    left, values, right = np.linalg.svd(centred(embedding), full_matrices=False)
    faded = values / np.sqrt(values**2 + (RIDGE * values.sum() / len(embedding)) ** 2)
    faded[values < 1e-6 * values.max()] = 0
    return matrix @ ((left * faded) @ right).T


MAPS = {"rotation": orthogonal, "permutation": permutation, "sign flips": signs}


# --- the anchored frame ------------------------------------------------------------------------------


@pytest.mark.parametrize(("anchors", "width"), [(30, 48), (60, 48), (48, 48), (3, 48)])
def test_whitening_from_inner_products_is_the_formula_by_singular_values(anchors: int, width: int) -> None:
    matrix, embedding = normal(1, ROWS, width), normal(2, anchors, width) * np.exp(normal(3, width))
    profiles, gram = anchored(matrix, embedding)
    expected = by_svd(matrix, embedding)
    assert np.allclose(profiles @ whitener(gram), expected, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("name", MAPS)
def test_a_map_of_the_residual_stream_changes_no_profile(name: str) -> None:
    matrix, embedding, turn = normal(1, ROWS, WIDTH), normal(2, ANCHORS, WIDTH), MAPS[name](3, WIDTH)
    before, after = anchored(matrix, embedding), anchored(matrix @ turn, embedding @ turn)
    assert np.allclose(before[0] @ whitener(before[1]), after[0] @ whitener(after[1]), atol=1e-9)
    assert np.allclose(whitened(*before), whitened(*after), atol=1e-6)


@pytest.mark.parametrize("rows", ["permuted", "rotated", "flipped"])
@pytest.mark.parametrize("name", MAPS)
def test_a_gram_sketch_is_blind_to_maps_of_the_stream_and_of_its_rows(name: str, rows: str) -> None:
    matrix, embedding, turn = normal(1, ROWS, WIDTH), normal(2, ANCHORS, WIDTH), MAPS[name](3, WIDTH)
    inner = {"permuted": permutation, "rotated": orthogonal, "flipped": signs}[rows](4, ROWS)
    slots = np.arange(ANCHORS)
    sketches = []
    for w, e in ((matrix, embedding), (inner @ matrix @ turn, embedding @ turn)):
        profiles, gram = anchored(w, e)
        sketches.append(gram_sketch(profiles @ whitener(gram), slots, 200, KEY))
    assert float(sketches[0] @ sketches[1]) > 1 - 1e-5


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, ANCHORS - 1), min_size=3))
def test_any_subset_of_the_anchors_can_be_whitened_without_their_rows(chosen: set[int]) -> None:
    subset = np.array(sorted(chosen))
    matrix, embedding = normal(1, 20, WIDTH), normal(2, ANCHORS, WIDTH)
    profiles, gram = anchored(matrix, embedding)
    found = profiles[:, subset] @ whitener(gram[np.ix_(subset, subset)])
    assert np.allclose(found, by_svd(matrix, embedding[subset]), atol=1e-8)


def twins_by_meaning() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(profiles, Gram) of two unrelated matrices whose models place their words alike, one of them turned."""
    meaning = normal(1, ANCHORS, 8) @ normal(2, 8, WIDTH) * 3
    mine, theirs = meaning + normal(3, ANCHORS, WIDTH), (meaning + normal(4, ANCHORS, WIDTH)) @ orthogonal(5, WIDTH)
    return anchored(normal(6, ROWS, WIDTH), mine), anchored(normal(7, ROWS, WIDTH), theirs)


def test_whitening_takes_out_most_of_what_the_geometry_of_words_shares() -> None:
    """The trap of the plain Gram: all models of a language place their words alike."""
    slots, twins = np.arange(ANCHORS), twins_by_meaning()
    plain = [gram_sketch(profiles, slots, 200, KEY) for profiles, _ in twins]
    clean = [gram_sketch(profiles @ whitener(gram), slots, 200, KEY) for profiles, gram in twins]
    assert float(plain[0] @ plain[1]) > 0.8
    assert float(clean[0] @ clean[1]) < 0.5


def test_units_of_strangers_agree_by_chance_only_although_their_words_have_one_geometry() -> None:
    (_, mine), (_, theirs) = twins_by_meaning()
    frames = [np.linalg.cholesky(gram + 1e-6 * np.eye(ANCHORS)) for gram in (mine, theirs)]
    views = [
        [whitened(normal(seed + side, ROWS, ANCHORS) @ frame.T, gram) for seed in (20, 30)]
        for side, (frame, gram) in enumerate(zip(frames, (mine, theirs), strict=True))
    ]
    assert agreement((views[0][0], views[0][1]), (views[1][0], views[1][1])).log10_p > -3


def test_a_gram_is_centred_over_both_axes() -> None:
    gram = centred_gram(normal(1, 9, 9))
    assert np.allclose(gram.sum(axis=0), 0)
    assert np.allclose(gram.sum(axis=1), 0)


def test_models_with_different_tokenizers_meet_on_the_anchors_they_share() -> None:
    matrix, embedding = normal(1, ROWS, WIDTH), normal(2, 200, WIDTH)
    sketches = []
    for slots in (np.arange(0, 190), np.arange(10, 200)):
        profiles, gram = anchored(matrix, embedding[slots])
        sketches.append(gram_sketch(profiles @ whitener(gram), slots, 200, KEY))
    assert float(sketches[0] @ sketches[1]) > 0.5


# --- folding -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cosine", [0.0, 0.3, 0.8, -0.5])
def test_folded_sketches_estimate_the_cosine_without_bias_within_one_over_root_dim(cosine: float) -> None:
    errors = []
    for seed in range(200):
        first, other = centred(normal(seed, 3000)), centred(normal(1000 + seed, 3000))
        other -= (other @ first) / (first @ first) * first
        second = cosine * unit(first) + np.sqrt(1 - cosine**2) * unit(other)
        key = f"key number {seed:010d}".encode()
        errors.append(float(folded(first, key, "x") @ folded(second, key, "x")) - cosine)
    deviation = float(np.std(errors))
    assert abs(np.mean(errors)) < 4 * deviation / np.sqrt(len(errors)) + 1e-3
    assert deviation < 1.3 / np.sqrt(SKETCH_DIM)


def test_folded_sketches_have_unit_length_and_forget_scale_and_mean() -> None:
    values = normal(1, 5000)
    sketch = folded(values, KEY, "x")
    assert sketch.shape == (SKETCH_DIM,)
    assert sketch.dtype == np.float32
    assert np.linalg.norm(sketch) == pytest.approx(1, abs=1e-5)
    assert np.allclose(folded(7 * values + 3, KEY, "x"), sketch, atol=1e-4)


def test_another_key_or_another_label_gives_an_unrelated_sketch() -> None:
    values = normal(1, 5000)
    sketch = folded(values, KEY, "x")
    assert abs(float(sketch @ folded(values, OTHER, "x"))) < 5 / np.sqrt(SKETCH_DIM)
    assert abs(float(sketch @ folded(values, KEY, "y"))) < 5 / np.sqrt(SKETCH_DIM)
    slots, frame = np.arange(ANCHORS), normal(2, ROWS, ANCHORS)
    mine, theirs = (gram_sketch(frame, slots, 200, key) for key in (KEY, OTHER))
    assert abs(float(mine @ theirs)) < 5 / np.sqrt(SKETCH_DIM)
    assert not np.array_equal(identity_frame(WIDTH, KEY), identity_frame(WIDTH, OTHER))


def test_one_key_gives_the_same_numbers_again() -> None:
    assert np.array_equal(generator(KEY, "x").random(5), generator(KEY, "x").random(5))
    assert np.array_equal(folded(normal(1, 999), KEY, "x"), folded(normal(1, 999), KEY, "x"))
    assert np.array_equal(identity_frame(WIDTH, KEY), identity_frame(WIDTH, KEY))


def test_the_identity_frame_keeps_the_cosines_of_rows() -> None:
    rows = normal(1, 40, 2000)
    rows[20:] = rows[:20] + 0.5 * rows[20:]
    seen = unit_rows(rows @ identity_frame(2000, KEY))
    exact = unit_rows(rows)
    errors = (seen @ seen.T - exact @ exact.T)[np.triu_indices(40, 1)]
    assert abs(errors.mean()) < 0.02
    assert errors.std() < 1.3 / np.sqrt(128)


# --- spectra -----------------------------------------------------------------------------------------


def spectrum(left: Array, right: Array) -> NDArray[np.float32]:
    return product_spectrum(left @ left.T, right @ right.T)


@pytest.mark.parametrize("head", [24, 32, 64, 128])
def test_a_spectrum_is_that_of_the_product(head: int) -> None:
    left, right = normal(1, head, 200), normal(2, head, 200)
    values = np.linalg.svd(left.T @ right, compute_uv=False)[:SPECTRUM_VALUES]
    assert np.allclose(spectrum(left, right), np.log(values / values.mean()), atol=1e-4)


@pytest.mark.parametrize("name", MAPS)
def test_a_spectrum_is_blind_to_maps_of_the_stream(name: str) -> None:
    left, right, turn = normal(1, 32, WIDTH), normal(2, 32, WIDTH), MAPS[name](3, WIDTH)
    assert np.allclose(spectrum(left, right), spectrum(left @ turn, right @ turn), atol=1e-4)


def test_a_spectrum_is_blind_to_any_invertible_map_between_value_and_output() -> None:
    output, value = normal(1, 24, 96), normal(2, 24, 96)
    change = normal(3, 24, 24)
    assert np.allclose(spectrum(output, value), spectrum(np.linalg.inv(change).T @ output, change @ value), atol=1e-4)


def test_a_spectrum_is_blind_to_maps_that_commute_with_rotary_positions() -> None:
    query, key = normal(1, 24, 96), normal(2, 24, 96)
    rng = np.random.default_rng(3)
    angle, factor, turn = rng.uniform(0, 6, 12), np.exp(rng.uniform(-1, 1, 12)), np.zeros((24, 24))
    first, second = np.arange(12), np.arange(12) + 12
    turn[first, first] = turn[second, second] = factor * np.cos(angle)
    turn[second, first], turn[first, second] = factor * np.sin(angle), -factor * np.sin(angle)
    assert np.allclose(spectrum(query, key), spectrum(turn @ query, np.linalg.inv(turn).T @ key), atol=1e-4)


def test_a_narrow_head_has_a_spectrum_of_the_same_length() -> None:
    found = spectrum(normal(1, 8, 40), normal(2, 8, 40))
    assert found.shape == (SPECTRUM_VALUES,)
    assert np.isfinite(found).all()


def test_different_heads_have_different_spectrum_sketches() -> None:
    sketches = [
        spectrum_sketch(
            spectrum(normal(2 * i, 24, 60), normal(2 * i + 1, 24, 60)),
            spectrum(normal(90 + i, 24, 60), normal(190 + i, 24, 60)),
            KEY,
        )
        for i in range(3)
    ]
    assert all(np.linalg.norm(s) == pytest.approx(1, abs=1e-5) for s in sketches)
    assert np.abs(sketches[0] - sketches[1]).max() > 1e-3


# --- grids -------------------------------------------------------------------------------------------


def on_grid(values: Array, bits: int, size: int, symmetric: bool) -> NDArray[np.float32]:
    """Rounded to a usual grid: steps of the largest value, or of the range, of each group."""
    groups = values.reshape(-1, size)
    levels = 2 ** (bits - 1) - 1 if symmetric else 2**bits - 1
    span = np.abs(groups).max(axis=1, keepdims=True) if symmetric else np.ptp(groups, axis=1, keepdims=True)
    step = span / levels
    return (np.round(groups / step) * step).reshape(values.shape).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("size", [32, 64, 128])
def test_values_on_a_grid_have_next_to_no_residual(bits: int, size: int) -> None:
    assert grid_residual(on_grid(normal(1, 64, 256), bits, size, symmetric=True)) < 0.02


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_values_off_any_grid_have_a_residual_of_a_quarter(dtype: type) -> None:
    block = normal(1, 64, 256).astype(dtype).astype(np.float32)
    assert grid_residual(block) == pytest.approx(0.25, abs=0.03)


# --- nothing breaks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5])
def test_constant_input_breaks_nothing(value: float) -> None:
    flat = np.full((ROWS, ANCHORS), value)
    for found in (
        folded(flat, KEY, "x"),
        unit(flat[0]),
        unit_rows(flat),
        whitener(np.full((ANCHORS, ANCHORS), value)),
        whitened(flat, np.full((ANCHORS, ANCHORS), value)),
        gram_sketch(flat, np.arange(ANCHORS), 200, KEY),
        product_spectrum(np.full((24, 24), value), np.full((24, 24), value)),
        spectrum_sketch(np.full(24, value, np.float32), np.full(24, value, np.float32), KEY),
    ):
        assert np.isfinite(found).all()
    assert 0 <= grid_residual(flat.astype(np.float32)) <= 0.25


def test_zero_sketches_resemble_nothing() -> None:
    zero = folded(np.zeros(5000), KEY, "x")
    assert not zero.any()
    assert float(zero @ folded(normal(1, 5000), KEY, "x")) == 0.0


def test_repeated_anchors_are_whitened_without_noise() -> None:
    """Half of the rows twice: directions that are not there stay at zero."""
    embedding = np.concatenate([normal(1, 15, WIDTH)] * 2)
    matrix = normal(2, ROWS, WIDTH)
    profiles, gram = anchored(matrix, embedding)
    assert np.abs(profiles @ whitener(gram)).max() < 10 * np.abs(matrix).max()


def test_small_and_large_numbers_give_the_same_frame() -> None:
    matrix, embedding = normal(1, ROWS, WIDTH), normal(2, ANCHORS, WIDTH)
    views = [whitened(*anchored(matrix * scale, embedding * scale)) for scale in (1e-6, 1.0, 1e6)]
    assert np.allclose(views[0], views[1], atol=1e-5)
    assert np.allclose(views[2], views[1], atol=1e-5)
