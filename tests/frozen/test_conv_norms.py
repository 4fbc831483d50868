"""Norms of convolutions: against the matrix of a small image, in exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stablerank.exceptions import InvalidInputError, NonFiniteError, ShapeError
from stablerank.frozen.audit import audit_spectral_norm
from stablerank.frozen.conv_norms import (
    conv_inf_norm_up,
    conv_norm_up,
    gram_conv_norm_up,
    taps_of,
)
from stablerank.frozen.symbols import Symbol, _wave, schur_test_up
from stablerank.rounding import UNIT_ROUNDOFF

Array = NDArray[np.float64]


def unrolled(
    kernel: Array,
    shape: tuple[int, ...],
    padding: str = "zeros",
    *,
    stride: int = 1,
    groups: int = 1,
    pad: int | None = None,
) -> Array:
    """Matrix of a convolution on images of this shape: its entries are taps.

    Zeros go round the image to a depth of `pad` (by default as many as keep its size);
    circular convolutions start at the first pixel and have one output a pixel.
    """
    n_out, n_in, *sides = kernel.shape
    before = 0 if padding == "circular" else (sides[0] - 1) // 2 if pad is None else pad
    counts = []
    for n, k in zip(shape, sides, strict=True):
        end = n if padding == "circular" else n + 2 * before - k + 1
        counts.append(range(0, end, stride))
    pixels = {p: i for i, p in enumerate(np.ndindex(*shape))}
    n_channels = n_in * groups
    rows = []
    for place in np.ndindex(*map(len, counts)):
        for out in range(n_out):
            row = np.zeros((n_channels, len(pixels)))
            first = out // (n_out // groups) * n_in
            for tap in np.ndindex(*sides):
                q = tuple(
                    c[x] + t - before
                    for c, x, t in zip(counts, place, tap, strict=True)
                )
                if padding == "circular":
                    q = tuple(a % n for a, n in zip(q, shape, strict=True))
                if q in pixels:
                    values = kernel[(out, slice(None), *tap)]
                    row[first : first + n_in, pixels[q]] += values
            rows.append(row.ravel())
    return np.array(rows)


def dyadic_kernel(seed: int, *shape: int) -> Array:
    """Draw multiples of 1/8, which add up without rounding where they wrap round."""
    return np.random.default_rng(seed).integers(-8, 9, shape) / 8


#: kernel shape, image, options
CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((1, 1, 3), (7,), {}),
    ((2, 3, 2), (5,), {}),
    ((3, 2, 4), (6,), {"pad": 3}),
    ((1, 1, 3, 3), (4, 5), {}),
    ((2, 2, 3, 3), (3, 3), {}),
    ((2, 1, 1, 3), (3, 4), {"pad": 0}),
    ((1, 1, 2, 2, 2), (2, 3, 2), {"pad": 1}),
    ((3, 2, 1, 1), (3, 3), {}),
    ((2, 2, 3, 3), (4, 4), {"stride": 2}),
    ((4, 1, 2, 2), (4, 4), {"stride": 2, "pad": 0}),
    ((2, 1, 3), (8,), {"stride": 3, "pad": 2}),
    ((4, 2, 3), (6,), {"groups": 2}),
    ((3, 1, 3, 3), (3, 3), {"groups": 3}),
    ((2, 1, 3), (7,), {"groups": 2, "stride": 2}),
    ((1, 1, 3), (7,), {"padding": "circular"}),
    ((2, 3, 2), (5,), {"padding": "circular"}),
    ((2, 2, 3, 3), (3, 4), {"padding": "circular"}),
    ((1, 1, 5), (3,), {"padding": "circular"}),
    ((2, 2, 2), (6,), {"padding": "circular", "stride": 2}),
    ((1, 1, 2), (3,), {"padding": "circular", "stride": 2}),
    ((2, 1, 3, 3), (4, 3), {"padding": "circular", "stride": 2}),
    ((2, 1, 3), (6,), {"padding": "circular", "groups": 2}),
]

#: Tori with as many pixels as whole strides: there the bound is the norm.
CLOSED = [
    i
    for i, (_, image, options) in enumerate(CASES)
    if options.get("padding") == "circular"
    and all(n % options.get("stride", 1) == 0 for n in image)
]


def bounds_of(kernel: Array, shape: tuple[int, ...], **options: Any) -> list[float]:
    """Every bound that holds for these images: with and without their size."""
    options = {"padding": "zeros", **options}
    options.pop("pad", None)
    bounds = [
        conv_norm_up(kernel, **options),
        conv_norm_up(kernel, input_shape=shape, **options),
    ]
    if options.pop("padding") == "zeros":
        bounds += [gram_conv_norm_up(kernel, steps, **options) for steps in range(3)]
    return bounds


@pytest.mark.parametrize("case", range(len(CASES)))
def test_no_bound_is_below_the_norm_of_the_unrolled_matrix(case: int) -> None:
    shape, image, options = CASES[case]
    for seed in range(3):
        kernel = dyadic_kernel(seed, *shape)
        matrix = unrolled(kernel, image, **options)
        for bound in bounds_of(kernel, image, **options):
            assert audit_spectral_norm(matrix, bound)


@pytest.mark.parametrize("case", CLOSED)
def test_a_torus_of_known_size_has_its_own_norm(case: int) -> None:
    shape, image, options = CASES[case]
    kernel = dyadic_kernel(7, *shape)
    true = np.linalg.norm(unrolled(kernel, image, **options), 2)
    assert true <= conv_norm_up(kernel, input_shape=image, **options) * (1 + 1e-14)
    assert conv_norm_up(kernel, input_shape=image, **options) <= true * (1 + 1e-9)


@pytest.mark.parametrize("scale", [1e-300, 1e300, 5e-324])
def test_the_bounds_hold_at_the_ends_of_the_range(scale: float) -> None:
    kernel = dyadic_kernel(3, 2, 1, 3) * 8 * scale
    for padding in ("zeros", "circular"):
        matrix = unrolled(kernel, (4,), padding)
        for bound in bounds_of(kernel, (4,), padding=padding):
            assert audit_spectral_norm(matrix, bound)
            assert bound <= 40 * scale


def test_zero_padding_can_exceed_the_fft_at_the_size_of_the_image() -> None:
    # On three pixels the FFT sees the frequencies 0 and 1/3; the worst is 1/2.
    kernel = np.array([[[-2.0, 1.0, -2.0]]])
    circular = conv_norm_up(kernel, padding="circular", input_shape=(3,))
    assert circular == pytest.approx(3.0, rel=1e-9)
    padded = unrolled(kernel, (3,))
    assert np.linalg.norm(padded, 2) > 1.27 * circular  # the trap: 1 + sqrt(8)
    assert audit_spectral_norm(padded, conv_norm_up(kernel, padding="zeros"))
    # The size of the image must not be read with zeros.
    assert audit_spectral_norm(
        padded, conv_norm_up(kernel, padding="zeros", input_shape=(3,))
    )


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_an_image_among_zeros_has_room_on_a_larger_torus(n: int, stride: int) -> None:
    gained = 0
    for seed, (shape, image) in enumerate(
        [((1, 1, 2), (n,)), ((2, 1, 3), (n,)), ((1, 2, 2, 3), (n, 2))]
    ):
        kernel = dyadic_kernel(seed, *shape)
        # All outputs that any number of zeros can lead to.
        matrix = unrolled(kernel, image, stride=stride, pad=max(shape[2:]) - 1)
        known = conv_norm_up(kernel, padding="zeros", stride=stride, input_shape=image)
        assert audit_spectral_norm(matrix, known)
        unknown = conv_norm_up(kernel, padding="zeros", stride=stride)
        assert known <= unknown * (1 + 1e-12)
        gained += known < 0.999 * unknown
    assert gained or stride > 1  # a stride leaves one tap, which has no waves


def test_a_torus_of_the_size_of_the_image_would_miss_the_worst_wave() -> None:
    difference = np.array([[[1.0, -1.0]]])
    matrix = unrolled(difference, (1,), pad=1)
    assert np.linalg.norm(matrix, 2) > 1.4
    bound = conv_norm_up(difference, padding="zeros", input_shape=(1,))
    assert audit_spectral_norm(matrix, bound)
    assert conv_norm_up(difference, padding="circular", input_shape=(1,)) < 1e-9


def test_many_channels_have_tight_bounds_on_a_known_image() -> None:
    kernel = np.random.default_rng(0).standard_normal((160, 160, 3, 3)) / 40
    bound = conv_norm_up(kernel, padding="zeros", input_shape=(4, 4))
    waves = np.fft.fft2(kernel, (6, 6), axes=(2, 3)).transpose(2, 3, 0, 1)
    norm = np.sqrt(np.linalg.eigvalsh(waves.conj().swapaxes(2, 3) @ waves).max())
    assert norm * (1 - 1e-12) <= bound <= norm * (1 + 1e-9)


def test_strides_of_a_torus_that_do_not_close_are_not_folded() -> None:
    # Outputs 0 and 2 of three share pixel 0: sqrt(3), more than the sqrt(2) of phases.
    kernel = np.ones((1, 1, 2))
    matrix = unrolled(kernel, (3,), "circular", stride=2)
    assert np.linalg.norm(matrix, 2) == pytest.approx(math.sqrt(3))
    for shape in ((3,), None):
        bound = conv_norm_up(kernel, padding="circular", stride=2, input_shape=shape)
        assert audit_spectral_norm(matrix, bound)
    assert conv_norm_up(kernel, padding="zeros", stride=2) < 1.415


def test_a_large_image_attains_the_bound() -> None:
    for seed in range(3):
        kernel = np.random.default_rng(seed).standard_normal((3, 2, 3))
        norm = np.linalg.norm(unrolled(kernel, (100,)), 2)
        assert 0.995 < norm / conv_norm_up(kernel, padding="zeros") <= 1


def test_patches_and_orthonormal_taps_have_their_exact_norm() -> None:
    patches = np.random.default_rng(0).standard_normal((6, 2, 3, 3))
    bound = conv_norm_up(patches, padding="zeros", stride=3)
    norm = np.linalg.norm(patches.reshape(6, -1), 2)
    assert norm <= bound * (1 + 1e-14) <= norm * (1 + 1e-9)
    # Each channel moves its own way: a permutation of the pixels.
    moves = np.zeros((9, 9, 3, 3))
    for i, tap in enumerate(np.ndindex(3, 3)):
        moves[(i, i, *tap)] = 1.0
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((9, 9)))[0]
    turned = np.einsum("ij,jkxy->ikxy", rotation, moves)
    assert 1 <= conv_norm_up(turned, padding="zeros") < 1 + 1e-12
    assert gram_conv_norm_up(turned, 1) < 1 + 1e-12


def test_only_zeros_have_norm_zero() -> None:
    assert conv_norm_up(np.zeros((2, 2, 3)), padding="zeros") == 0
    assert gram_conv_norm_up(np.zeros((2, 2, 3))) == 0
    assert conv_inf_norm_up(np.zeros((2, 2, 3))) == 0
    speck = np.zeros((1, 1, 3))
    speck[0, 0, 1] = 5e-324
    assert conv_norm_up(speck, padding="zeros") > 0


@pytest.mark.parametrize("stride", [1, 2])
def test_the_largest_sum_of_an_output_is_the_norm_in_l_inf(stride: int) -> None:
    kernel = np.random.default_rng(2).standard_normal((3, 2, 3)) * 1e-10
    rows = np.abs(unrolled(kernel, (6,), stride=stride)).tolist()
    exact = max(sum(map(Fraction, row), Fraction(0)) for row in rows)
    bound = Fraction(conv_inf_norm_up(kernel))
    assert exact <= bound < exact * (1 + Fraction(1, 2**50))


@pytest.mark.parametrize(
    ("kernel", "options", "word"),
    [
        (np.ones((2, 2)), {"padding": "zeros"}, "kernel"),
        (np.ones((2, 2, 3)), {"padding": "reflect"}, "reflect"),
        (np.ones((2, 2, 3)), {"padding": "zeros", "stride": 0}, "stride"),
        (np.ones((2, 2, 3)), {"padding": "circular", "stride": 0}, "stride"),
        (np.ones((2, 2, 3)), {"padding": "zeros", "groups": 3}, "groups"),
        (np.ones((2, 2, 3)), {"padding": "circular", "input_shape": (4, 4)}, "axis"),
    ],
)
def test_what_is_no_convolution_is_refused(
    kernel: Array, options: dict[str, Any], word: str
) -> None:
    with pytest.raises((InvalidInputError, ShapeError), match=word):
        conv_norm_up(kernel, **options)


def test_kernels_with_nan_are_refused() -> None:
    for bound in (conv_inf_norm_up, gram_conv_norm_up):
        with pytest.raises(NonFiniteError, match="NaN"):
            bound(np.full((1, 1, 3), np.nan))


# --- the symbol ---------------------------------------------------------------------


def turning_kernel(angle: float, taps: list[tuple[int, ...]]) -> Array:
    """Rotations: s(K(w)) is |sum_t e^(i (t angle - t . w))|, largest at the angle.

    With two taps it is 2 cos of half the distance, for which the inequality between
    the centre of a cell and its corners is an equality.
    """
    sides = np.max(taps, axis=0) + 1
    kernel = np.zeros((2, 2, *sides))
    for t in taps:
        c, s = math.cos(sum(t) * angle), math.sin(sum(t) * angle)
        kernel[(slice(None), slice(None), *t)] = [[c, -s], [s, c]]
    return kernel


#: taps, and the angle at which the first cells have their common corner
CORNERS = [
    ([(0,), (1,)], math.pi / 2),
    ([(0, 0), (0, 1)], math.pi / 2),
    ([(0, 0), (0, 1), (1, 0), (1, 1)], math.pi / 4),
]


@pytest.mark.parametrize("case", range(len(CORNERS)))
def test_the_inequality_of_cells_is_attained_at_their_corners(case: int) -> None:
    taps, corner = CORNERS[case]
    for angle in (corner, corner + 1e-4, corner - 1e-4):
        symbol = Symbol(taps_of(turning_kernel(angle, taps)))
        coarse = symbol.supremum_up(0)  # nothing is cut
        assert coarse >= len(taps)
        if angle == corner:
            # A cosine that is a hair larger would put the bound below the truth.
            assert coarse <= len(taps) * (1 + 1e-12)
            centres = symbol._norms(symbol._cover(0)).max()
            assert centres < 0.9 * len(taps)


@pytest.mark.parametrize("cuts", [0, 1, 2])
def test_the_inequality_of_one_cell_is_attained_at_its_corner(cuts: int) -> None:
    # Along the diagonal both half widths count in full: no product of cosines.
    taps = [(0, 0), (1, 1)]
    cells = Symbol(taps_of(turning_kernel(0.0, taps)))._cover(0)
    for _ in range(cuts):
        cells = cells.cut()
    for i in range(0, len(cells.positions), 5):
        corner = 2 * math.pi * (cells.positions[i] + cells.widths / 2) / cells.turn
        symbol = Symbol(taps_of(turning_kernel(corner.sum() / 2, taps)))
        centre = symbol._norms(cells.keep(np.arange(len(cells.positions)) == i))
        assert centre[0] / cells.cosine == pytest.approx(2.0, rel=1e-12)


@given(
    st.floats(-math.pi, math.pi),
    st.sampled_from([(0, 1), (1, 0), (1, 1), (2, 1), (0, 3)]),
    st.sampled_from([0, 200, 2000]),
)
def test_no_maximum_hides_between_the_centres(
    angle: float, step: tuple[int, int], budget: int
) -> None:
    kernel = turning_kernel(angle / sum(step), [(0, 0), step])
    bound = Symbol(taps_of(kernel)).supremum_up(budget)
    assert bound >= 2 * (1 - 1e-15)  # the kernel's cosines are rounded
    if budget == 2000:
        assert bound <= 2.002


@pytest.mark.parametrize("shape", [(1, 1, 3, 3), (4, 3, 3, 3), (3, 5, 4), (2, 2, 2, 5)])
def test_the_supremum_is_found_to_three_digits(shape: tuple[int, ...]) -> None:
    for seed in range(3):
        kernel = np.random.default_rng(seed).standard_normal(shape)
        grid = (180,) * (len(shape) - 2)
        waves = np.fft.fftn(kernel, grid, axes=range(2, len(shape)))
        waves = np.moveaxis(waves, (0, 1), (-2, -1))
        below = np.linalg.svd(waves, compute_uv=False).max()
        assert below <= conv_norm_up(kernel, padding="zeros") <= below * 1.001


def test_an_exhausted_budget_costs_tightness_only() -> None:
    symbol = Symbol(taps_of(np.random.default_rng(3).standard_normal((4, 4, 3, 3))))
    bounds = [symbol.supremum_up(budget) for budget in (0, 300, 5000)]
    assert bounds[0] >= bounds[1] >= bounds[2] > 0.85 * bounds[0]
    assert symbol.supremum_up(5000, known=1.0) == 1.0


def test_the_symbol_is_within_its_stated_error() -> None:
    # At quarters of a turn the waves are 1, -i, -1 and i: exact in rationals.
    powers = [(1, 0), (0, -1), (-1, 0), (0, 1)]
    kernel = np.random.default_rng(4).standard_normal((2, 2, 5, 3))
    symbol = Symbol(taps_of(kernel))
    worst = 0.0
    for p in np.ndindex(4, 4):
        computed = symbol.at(np.array([p]), 4)[0]
        error = np.zeros((2, 2))
        for i, j in np.ndindex(2, 2):
            parts = [Fraction(0), Fraction(0)]
            for t in np.ndindex(5, 3):
                wave = powers[(p[0] * t[0] + p[1] * t[1]) % 4]
                for part in (0, 1):
                    parts[part] += wave[part] * Fraction(kernel[(i, j, *t)])
            gaps = (
                Fraction(computed[i, j].real) - parts[0],
                Fraction(computed[i, j].imag) - parts[1],
            )
            error[i, j] = math.hypot(*map(float, gaps))
        worst = max(worst, float(np.linalg.norm(error)))
    assert 0 < worst <= symbol.error < 1e-12


def test_waves_are_correct_to_half_a_digit() -> None:
    for p in range(-7, 40):
        c, s = _wave(p, 33)
        assert abs(c - math.cos(2 * math.pi * p / 33)) < 1e-14
        assert abs(s - math.sin(2 * math.pi * p / 33)) < 1e-14
        # A point of the circle, up to 2u in each product.
        assert abs(Fraction(c) ** 2 + Fraction(s) ** 2 - 1) <= 4 * UNIT_ROUNDOFF
    assert _wave(1, 6)[0] == pytest.approx(0.5, abs=UNIT_ROUNDOFF)
    assert abs(Fraction(_wave(1, 8)[0]) ** 2 - Fraction(1, 2)) <= 2 * UNIT_ROUNDOFF
    assert _wave(1, 4)[0] == pytest.approx(0.0, abs=1e-40)
    assert _wave(0, 5) == (1.0, 0.0)


def test_schurs_test_is_the_norm_of_a_positive_matrix() -> None:
    rng = np.random.default_rng(5)
    for shape in ((3, 3), (6, 2), (1, 4)):
        matrix = rng.random(shape)
        matrix[:, 0] *= rng.integers(0, 2)  # sometimes a column of zeros
        bound = schur_test_up(matrix[None])
        assert audit_spectral_norm(matrix, bound)
        assert bound <= np.linalg.norm(matrix, 2) * (1 + 1e-5)
    assert 0 <= schur_test_up(np.zeros((1, 2, 2))) < 1e-100
