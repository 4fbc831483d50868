"""Steps of scikit-learn: never stretched beyond their constants, as executed."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

from stablerank.certify import VectorMoves
from stablerank.certify.preprocessing import AffineStep, affine_step
from stablerank.exceptions import NonFiniteError, UncertifiableLayerError
from stablerank.metrics import FeatureBall
from tests.checks import assert_lipschitz, exact_square

STEPS: dict[str, Callable[[], Any]] = {
    "standard": StandardScaler,
    "standard, centre only": lambda: StandardScaler(with_std=False),
    "standard, scale only": lambda: StandardScaler(with_mean=False),
    "robust": RobustScaler,
    "robust, scale only": lambda: RobustScaler(with_centering=False),
    "robust, unit variance": lambda: RobustScaler(unit_variance=True),
    "max abs": MaxAbsScaler,
    "max abs, clipped": lambda: MaxAbsScaler(clip=True),
    "min max": lambda: MinMaxScaler((-2, 5)),
    "min max, clipped": lambda: MinMaxScaler(clip=True),
    "pca": lambda: PCA(3, random_state=0),
    "pca, all": lambda: PCA(random_state=0),
    "pca, whitened": lambda: PCA(3, whiten=True, random_state=0),
}


def rows(n: int = 60, seed: int = 0) -> np.ndarray:
    """Columns of very different sizes, far from 0, and correlated."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, 5)) @ rng.normal(size=(5, 5))
    return mixed * [1e-3, 1.0, 40.0, 1.0, 1e4] + [7.0, -3.0, 0.0, 1e5, 1e4]


def fitted(name: str) -> tuple[Any, AffineStep]:
    step = STEPS[name]().fit(rows())
    known = affine_step(name, step)
    assert known is not None
    return step, known


def perturbed(x: np.ndarray, norm: float, size: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    step = rng.choice([-1.0, 1.0], x.shape)
    if seed % 2:
        step = rng.normal(size=x.shape)
    if seed % 3 == 0:
        step *= rng.random(x.shape) < 0.3
    return np.array(
        [
            FeatureBall(norm).project(a, b, size)
            for a, b in zip(x, x + size * step, strict=True)
        ]
    )


@pytest.mark.parametrize("size", [1e-12, 1e-3, 10.0])
@pytest.mark.parametrize("name", list(STEPS))
def test_no_coordinate_moves_beyond_its_constant_and_offset(
    name: str, size: float
) -> None:
    step, known = fitted(name)
    x = rows(12, seed=1)
    start = VectorMoves.ball(FeatureBall(math.inf), 5)[0]
    moves = known.moves(name, x, start)
    before = step.transform(x)
    offset = np.broadcast_to(moves.offsets["rounding"], before.shape)
    for seed in range(4):
        moved = perturbed(x, math.inf, size, seed)
        after = step.transform(moved)
        for i in range(len(x)):
            distance = FeatureBall(math.inf).distance_up(x[i], moved[i])
            for j in range(before.shape[1]):
                gap = abs(Fraction(before[i, j]) - Fraction(after[i, j]))
                assert_lipschitz(
                    gap, distance, moves.constant[j], offset=float(offset[i, j])
                )


@pytest.mark.parametrize("size", [1e-12, 1e-3, 10.0])
@pytest.mark.parametrize("name", list(STEPS))
def test_no_row_moves_beyond_its_l2_constant_and_offset(name: str, size: float) -> None:
    step, known = fitted(name)
    x = rows(12, seed=1)
    moves = known.moves(name, x, VectorMoves.ball(FeatureBall(2), 5)[0])
    before = step.transform(x)
    offset = np.broadcast_to(moves.offsets["rounding"], (len(x), 1))
    for seed in range(4):
        moved = perturbed(x, 2, size, seed)
        after = step.transform(moved)
        for i in range(len(x)):
            distance = Fraction(FeatureBall(2).distance_up(x[i], moved[i]))
            allowed = Fraction(moves.constant[0]) * distance + Fraction(offset[i, 0])
            assert exact_square(before[i], after[i]) <= allowed**2


@pytest.mark.parametrize("norm", [2, math.inf])
@pytest.mark.parametrize("name", list(STEPS))
def test_the_constant_is_attained_up_to_rounding(name: str, norm: float) -> None:
    """A constant a hair smaller would be wrong: the worst direction reaches it."""
    x = rows().mean(axis=0, keepdims=True)  # where nothing is clipped
    step, known = fitted(name)
    moves = known.moves(name, x, VectorMoves.ball(FeatureBall(norm), 5)[0])
    # The computed map is affine: its matrix, column by column.
    unit = 2.0**-12
    base = step.transform(x)
    columns = [(step.transform(x + unit * row) - base)[0] / unit for row in np.eye(5)]
    matrix = np.array(columns).T
    if math.isinf(norm):
        reached = np.abs(matrix).sum(axis=1)
        assert (reached >= moves.constant * (1 - 1e-6)).all()
    else:
        assert np.linalg.norm(matrix, 2) >= moves.constant[0] * (1 - 1e-6)


def test_offsets_grow_with_the_constants_of_later_steps() -> None:
    _, known = fitted("standard")
    x = rows(3)
    start = VectorMoves.ball(FeatureBall(math.inf), 5)[0]
    exact = known.moves("scale", x, start)
    rough = known.moves(
        "scale",
        x,
        VectorMoves(math.inf, start.constant, start.chain, {"engine": np.full(5, 0.5)}),
    )
    assert rough.offsets["engine"] == pytest.approx(0.5 * exact.constant, rel=1e-12)
    assert np.array_equal(rough.offsets["rounding"], exact.offsets["rounding"])


def test_rounding_is_charged_in_proportion_to_the_clean_input() -> None:
    _, known = fitted("standard")
    start = VectorMoves.ball(FeatureBall(math.inf), 5)[0]
    near, far = (
        known.moves("scale", x, start).offsets["rounding"]
        for x in (np.zeros((1, 5)), np.full((1, 5), 1e12))
    )
    assert (far > 100 * near).all()


@pytest.mark.parametrize("step", [None, "passthrough", FunctionTransformer()])
def test_what_does_nothing_has_no_bound_to_add(step: Any) -> None:
    assert affine_step("nothing", step) is None


class Doubled(StandardScaler):
    def transform(self, X: Any, copy: Any = None) -> Any:
        return 2 * super().transform(X)


FOREIGN = {
    "a normaliser": Normalizer(),
    "a power": PowerTransformer(),
    "a function": FunctionTransformer(np.log1p),
    "another projection": TruncatedSVD(),
    "a subclass, which may compute anything": Doubled(),
    "no estimator": object(),
}


@pytest.mark.parametrize("name", list(FOREIGN))
def test_a_step_without_a_theorem_is_refused_by_its_name(name: str) -> None:
    step = FOREIGN[name]
    if hasattr(step, "fit"):
        step.fit(np.abs(rows()))
    with pytest.raises(UncertifiableLayerError, match="step 'odd'"):
        affine_step("odd", step)


def test_numbers_that_the_bounds_do_not_cover_are_refused() -> None:
    single = PCA(2).fit(rows().astype(np.float32))
    with pytest.raises(UncertifiableLayerError, match="float32"):
        affine_step("pca", single)
    broken = StandardScaler().fit(rows())
    broken.mean_[2] = np.nan
    with pytest.raises(NonFiniteError, match="step 'scale'"):
        affine_step("scale", broken)
    by_zero = StandardScaler().fit(rows())
    by_zero.scale_[2] = 0.0
    with pytest.raises(NonFiniteError, match="divides by 0"):
        affine_step("scale", by_zero)
