"""Bounds of matrix norms: at least the norm in exact arithmetic, and little more."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from stablerank.exceptions import InvalidInputError, NonFiniteError, ShapeError
from stablerank.frozen import spectral
from stablerank.frozen.audit import (
    audit_spectral_norm,
    audit_spectral_norm_with_balls,
)
from stablerank.frozen.mixed_norms import operator_norm_up
from stablerank.frozen.spectral import (
    Normalised,
    cholesky_norm_up,
    defect_norm_up,
    frobenius_norm_up,
    gram_norm_up,
    schur_norm_up,
    spectral_norm_up,
    spectral_squares_up,
)
from stablerank.rounding import gamma

Array = NDArray[np.float64]

BOUNDS: dict[str, Callable[[Array], float]] = {
    "best": spectral_norm_up,
    "frobenius": frobenius_norm_up,
    "schur": schur_norm_up,
    "defect": defect_norm_up,
    "cholesky": cholesky_norm_up,
    "gram": gram_norm_up,
}


def _gaussian(n: int, rng: np.random.Generator) -> Array:
    return rng.standard_normal((n, n))


def _orthogonal(n: int, rng: np.random.Generator) -> Array:
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def _rank_one(n: int, rng: np.random.Generator) -> Array:
    return np.outer(rng.standard_normal(n), rng.standard_normal(n))


def _hilbert(n: int, rng: np.random.Generator) -> Array:
    return 1 / (1 + np.add.outer(np.arange(n), np.arange(n))) * rng.uniform(0.5, 2)


def _tall(n: int, rng: np.random.Generator) -> Array:
    return rng.standard_normal((2 * n, max(1, n // 3)))


def _wide(n: int, rng: np.random.Generator) -> Array:
    return rng.standard_normal((max(1, n // 4), n))


def _row(n: int, rng: np.random.Generator) -> Array:
    return rng.standard_normal((1, n))


def _dyadic_frame(n: int, rng: np.random.Generator) -> Array:
    return np.eye(n)[rng.permutation(n)] * rng.choice([-2.0, 2.0], n)


def _graded(n: int, rng: np.random.Generator) -> Array:
    return rng.standard_normal((n, n)) * 10.0 ** rng.uniform(-60, 60, (n, 1))


def _tiny(n: int, rng: np.random.Generator) -> Array:
    return rng.standard_normal((n, n)) * 1e-300


def _huge(n: int, rng: np.random.Generator) -> Array:
    return rng.standard_normal((n, n)) * 1e300


def _subnormal(n: int, rng: np.random.Generator) -> Array:
    return rng.integers(-9, 10, (n, n)) * 5e-324


def _float32_orthogonal(n: int, rng: np.random.Generator) -> Array:
    return _orthogonal(n, rng).astype(np.float32).astype(np.float64)


FAMILIES: dict[str, Callable[[int, np.random.Generator], Array]] = {
    f.__name__.strip("_"): f
    for f in (
        *(_gaussian, _orthogonal, _float32_orthogonal, _rank_one, _hilbert, _tall),
        *(_wide, _row, _dyadic_frame, _graded, _tiny, _huge, _subnormal),
    )
}
#: Where the norm has full precision, so that the bound can be tight.
TAME = [name for name in FAMILIES if name != "subnormal"]


def drawn(family: str, n: int, seed: int) -> Array:
    return FAMILIES[family](n, np.random.default_rng([n, seed]))


@pytest.mark.parametrize("bound", list(BOUNDS))
@pytest.mark.parametrize("family", list(FAMILIES))
def test_no_bound_is_below_the_norm_in_exact_arithmetic(
    family: str, bound: str
) -> None:
    for n, seed in ((1, 0), (2, 0), (5, 0), (5, 1), (11, 0)):
        weight = drawn(family, n, seed)
        assert audit_spectral_norm(weight, BOUNDS[bound](weight)), (n, seed)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_best_bound_of_24_rows_holds_in_exact_arithmetic(family: str) -> None:
    weight = drawn(family, 24, 0)
    assert audit_spectral_norm(weight, spectral_norm_up(weight))


@pytest.mark.parametrize("family", TAME)
def test_the_best_bound_is_tight_to_nine_digits(family: str) -> None:
    for n in (3, 16):
        weight = drawn(family, n, 2)
        assert not audit_spectral_norm(weight, spectral_norm_up(weight) * (1 - 1e-9))


@pytest.mark.parametrize("family", ["gaussian", "orthogonal", "hilbert", "tall"])
def test_the_best_bound_is_tight_at_the_size_of_layers(family: str) -> None:
    weight = drawn(family, 300, 0)
    bound, computed = spectral_norm_up(weight), np.linalg.norm(weight, 2)
    assert computed * (1 - 1e-13) <= bound <= computed * (1 + 1e-9)


def test_the_audit_catches_a_singular_value_that_was_rounded_down() -> None:
    # What numpy calls the norm is below it about as often as above.
    weights = [drawn("gaussian", 6, seed) for seed in range(20)]
    passed = [audit_spectral_norm(w, float(np.linalg.norm(w, 2))) for w in weights]
    assert 0 < sum(passed) < len(passed)


def test_the_audit_decides_ties_and_single_ulps() -> None:
    weight = np.array([[3.0, 4.0], [0.0, 0.0]])
    assert audit_spectral_norm(weight, 5.0)
    assert not audit_spectral_norm(weight, np.nextafter(5.0, 0.0))
    assert audit_spectral_norm(np.eye(7), 1.0)
    assert not audit_spectral_norm(np.eye(7), np.nextafter(1.0, 0.0))
    assert audit_spectral_norm(np.zeros((3, 2)), 0.0)
    # A pivot of zero beside a nonzero entry: indefinite.
    assert not audit_spectral_norm(np.array([[1.0, 1.0], [0.0, 1.0]]), 1.0)
    # ... and what is left without its row and column is positive.
    assert not audit_spectral_norm(np.array([[2.0, 1.0], [0.0, 0.0]]), 2.0)
    assert not audit_spectral_norm(np.zeros((3, 2)), -1.0)
    assert audit_spectral_norm(weight, math.inf)
    assert not audit_spectral_norm(weight, math.nan)


def test_exact_norms_have_exact_bounds() -> None:
    assert spectral_norm_up(np.eye(40)[::-1] * 3) == 3.0
    assert spectral_norm_up(np.ones((4, 9))) == 6.0
    assert spectral_norm_up(np.array([[3.0], [4.0]])) == 5.0
    assert spectral_norm_up(np.eye(200)) == 1.0


def test_only_zeros_have_norm_zero() -> None:
    for bound in BOUNDS.values():
        assert bound(np.zeros((3, 2))) == 0.0
        assert bound(np.zeros((0, 2))) == 0.0
        assert bound(np.array([[0.0, 5e-324]])) >= 5e-324
    assert spectral_norm_up(np.array([[0.0, 5e-324]])) == 5e-324


def test_a_norm_past_the_range_is_infinite() -> None:
    largest = np.finfo(np.float64).max
    assert spectral_norm_up(np.array([[largest, largest]])) == math.inf
    assert spectral_norm_up(np.array([[largest]])) == largest


def test_entries_that_underflow_beside_large_ones_are_charged() -> None:
    weight = np.array([[1e300, 0.0], [5e-324, 1e-300]])
    assert Normalised.of(weight).lost > 0
    for bound in BOUNDS.values():
        assert audit_spectral_norm(weight, bound(weight))


def test_a_guess_that_is_too_low_proves_nothing() -> None:
    stack = drawn("gaussian", 5, 0)[None]
    true = np.linalg.norm(stack[0], 2) ** 2
    assert spectral_squares_up(stack, np.array([0.9 * true]))[0] == math.inf
    assert true <= spectral_squares_up(stack, np.array([1.1 * true]))[0] < 1.11 * true


@pytest.mark.parametrize("quality", [0.5, 0.99, 1.01])
def test_the_bound_holds_however_the_factor_was_made(
    quality: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    cholesky = np.linalg.cholesky
    monkeypatch.setattr(np.linalg, "cholesky", lambda a: quality * cholesky(a))
    for family in ("gaussian", "hilbert", "tall", "tiny"):
        weight = drawn(family, 6, 3)
        assert audit_spectral_norm(weight, cholesky_norm_up(weight))


@pytest.mark.parametrize("factor", [0.0, 0.5, 1 - 1e-9, 2.0])
def test_the_bound_holds_however_the_guess_was_made(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    eigvalsh = np.linalg.eigvalsh
    monkeypatch.setattr(np.linalg, "eigvalsh", lambda a: factor * eigvalsh(a))
    for family in ("gaussian", "hilbert", "tall", "tiny"):
        weight = drawn(family, 6, 3)
        assert audit_spectral_norm(weight, spectral_norm_up(weight))
        assert spectral_norm_up(weight) < math.inf


@pytest.mark.parametrize("bound", ["best", "gram", "defect", "cholesky"])
def test_the_bound_holds_for_the_worst_product_that_rounding_allows(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Real products are far better; the proof may not count on it.
    def worst(stack: Array) -> Array:
        size = np.abs(stack)
        lost = 0.99 * gamma(stack.shape[-2]) * (size.swapaxes(-1, -2) @ size)
        return stack.swapaxes(-1, -2) @ stack - lost

    monkeypatch.setattr(spectral, "_gram", worst)
    rng = np.random.default_rng(6)
    for weight in (rng.random((2000, 1)), rng.random((900, 3)), np.eye(900, 3) / 3):
        assert audit_spectral_norm(weight, BOUNDS[bound](weight))


def test_complex_bounds_hold_for_the_real_form() -> None:
    # s(A + iB) is the norm of [[A, -B], [B, A]].
    rng = np.random.default_rng(3)
    for shape in ((4, 4), (6, 2)):
        a, b = rng.standard_normal((2, *shape))
        real = np.block([[a, -b], [b, a]])
        bound = math.sqrt(spectral_squares_up((a + 1j * b)[None])[0])
        assert audit_spectral_norm(real, bound * (1 + 2.0**-52))
        assert not audit_spectral_norm(real, bound * (1 - 1e-9))


def test_gram_iteration_halves_its_slack_with_every_step() -> None:
    weight = np.eye(16)
    bounds = [gram_norm_up(weight, steps) for steps in range(6)]
    for steps, bound in enumerate(bounds):
        assert math.log(bound) == pytest.approx(math.log(16) / 2 ** (steps + 1))


def test_what_is_no_matrix_of_numbers_is_refused() -> None:
    for bound in (*BOUNDS.values(), lambda w: audit_spectral_norm(w, 1.0)):
        with pytest.raises(NonFiniteError, match="NaN"):
            bound(np.array([[1.0, np.nan]]))
        with pytest.raises(ShapeError, match="matrix"):
            bound(np.ones((2, 2, 2)))


# --- mixed norms --------------------------------------------------------------------


def _exact_length(row: Array, order: float) -> Fraction:
    """Norm of a row, squared where the order is 2."""
    values = [abs(Fraction(x)) for x in row.tolist()]
    if order == 2:
        return sum((x * x for x in values), Fraction(0))
    return max(values) if order == math.inf else sum(values, Fraction(0))


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e290])
@pytest.mark.parametrize("order", [1, 2, math.inf])
def test_rows_and_columns_have_exact_norms_rounded_up(
    order: float, scale: float
) -> None:
    weight = np.random.default_rng(4).standard_normal((5, 8)) * scale
    dual = {1: math.inf, 2: 2, math.inf: 1}[order]
    power = 2 if order == 2 else 1
    for bound, lines in (
        (operator_norm_up(weight, 1, order), weight.T),
        (operator_norm_up(weight, dual, math.inf), weight),
    ):
        exact = max(_exact_length(line, order) for line in lines)
        assert Fraction(bound) ** power >= exact
        assert (Fraction(bound) * (1 - Fraction(1, 2**50))) ** power < exact


@pytest.mark.parametrize(("source", "target"), [(math.inf, 2), (2, 1), (math.inf, 1)])
def test_no_vector_is_stretched_more_than_a_mixed_norm(
    source: float, target: float
) -> None:
    rng = np.random.default_rng(5)
    for shape in ((3, 4), (6, 2), (1, 7)):
        weight = rng.standard_normal(shape)
        bound = operator_norm_up(weight, source, target)
        # The maximum of a convex function is at a corner: all signs, on either side.
        signs = np.array(list(np.ndindex(*[2] * max(shape)))) * 2.0 - 1
        x, z = signs[:, : shape[1]], signs[:, : shape[0]]
        if target == 1:
            images = np.linalg.norm(z @ weight, 2 if source == 2 else 1, axis=1)
        else:
            images = np.linalg.norm(x @ weight.T, 2, axis=1)
        assert images.max() <= bound
        assert images.max() >= 0.5 * bound


def test_norms_nobody_proved_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="1, 2 or inf"):
        operator_norm_up(np.eye(2), 3, 2)


# --- 200 bits -----------------------------------------------------------------------

BALL_SIZES = [*range(8, 140, 8), 200, 320, 512]  # 20 matrices a family


@pytest.mark.nightly
@pytest.mark.parametrize("family", TAME)
def test_no_bound_is_below_the_norm_in_ball_arithmetic(family: str) -> None:
    pytest.importorskip("flint", reason="balls come with the extra `audit`")
    for n in BALL_SIZES:
        weight = drawn(family, n, 0)
        bound = spectral_norm_up(weight)
        # A ball cannot prove a tie; one ulp more is no tie.
        assert audit_spectral_norm_with_balls(weight, np.nextafter(bound, math.inf)), n
        short = bound * (1 - 1e-9)
        assert not audit_spectral_norm_with_balls(weight, short), n


@pytest.mark.nightly
def test_balls_prove_nothing_that_is_false() -> None:
    pytest.importorskip("flint", reason="balls come with the extra `audit`")
    for n in (3, 13, 26):
        for family in TAME:
            weight = drawn(family, n, 1)
            bound = spectral_norm_up(weight)
            for factor in (0.5, 1 - 1e-9, 1 - 1e-12, 1.0, 1 + 1e-12, 2.0):
                if audit_spectral_norm_with_balls(weight, bound * factor):
                    assert audit_spectral_norm(weight, bound * factor)
