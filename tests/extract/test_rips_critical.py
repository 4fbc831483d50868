"""Rips persistence: the edges behind the bars, gradients and cocycles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stablerank.exceptions import EngineError, InvalidInputError
from stablerank.extract import RipsPersistence
from stablerank.extract.engines import ripser
from stablerank.extract.geometry import distance_matrix
from tests.extract.rips_cases import polygon, random_cloud, random_matrix

SQUARE = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])

# --- edges -------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["gudhi", "ripser"])
@pytest.mark.parametrize("kind", ["uniform", "lattice", "duplicates"])
def test_critical_edges_have_the_values_of_the_ends(engine: Any, kind: str) -> None:
    rng = np.random.default_rng(14)
    for threshold in (None, 0.8):
        cloud = random_cloud(rng, 25, 2, kind)
        extractor = RipsPersistence(
            (0, 1), engine=engine, critical=True, threshold=threshold
        )
        dgms = extractor.fit_transform([cloud])
        matrix = distance_matrix(cloud)
        for bar, ends in zip(dgms.bars, dgms.critical, strict=True):
            for value, (u, v) in zip(bar, ends, strict=True):
                if u >= 0:
                    assert matrix[u, v] == value
                else:
                    assert value in (0.0, threshold)
        assert (dgms.critical[:, 1] >= 0).all() or threshold is not None


def test_critical_edges_of_landmarks_are_numbered_as_in_the_cloud() -> None:
    cloud = polygon(np.random.default_rng(15), 60, 2)
    dgms = RipsPersistence(n_landmarks=20, critical=True).fit_transform([cloud])
    matrix = distance_matrix(cloud)
    u, v = dgms.critical[:, 1].T
    assert matrix[u, v].tolist() == dgms.bars[:, 1].tolist()
    assert max(u.max(), v.max()) > 20


def test_edges_that_single_precision_cannot_number_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ripser, "EXACT_INTEGERS", 5)
    with pytest.raises(EngineError, match="4 points have more") as refusal:
        RipsPersistence(engine="ripser", critical=True).fit_transform([SQUARE])
    assert "critical=False" in str(refusal.value)
    RipsPersistence(engine="ripser").fit_transform([SQUARE])


# --- gradients ---------------------------------------------------------------------


def derivative(function: Any, x: np.ndarray, direction: np.ndarray) -> float:
    step = 1e-6
    return (function(x + step * direction) - function(x - step * direction)) / (
        2 * step
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"engine": "ripser"}, {"threshold": 0.9}, {"n_landmarks": 12}],
    ids=str,
)
def test_pullback_to_points_is_the_derivative(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(16)
    cloud = polygon(rng, 16, 2)
    extractor = RipsPersistence((0, 1), critical=True, **options).fit([cloud])
    dgms = extractor.transform([cloud])
    weights = rng.normal(size=dgms.bars.shape)
    (grad,) = extractor.pullback([cloud], dgms, weights)

    def score(x: np.ndarray) -> float:
        return float((weights * extractor.transform([x]).bars).sum())

    for _ in range(4):
        direction = rng.normal(size=cloud.shape)
        expected = derivative(score, cloud, direction)
        assert (grad * direction).sum() == pytest.approx(expected, abs=1e-7)
    np.testing.assert_allclose(grad.sum(axis=0), 0, atol=1e-12)  # translations


def test_pullback_to_a_matrix_is_symmetric_and_the_derivative() -> None:
    rng = np.random.default_rng(17)
    matrix = random_matrix(rng, 9)
    extractor = RipsPersistence((0, 1), metric="precomputed", critical=True)
    dgms = extractor.fit_transform([matrix])
    weights = rng.normal(size=dgms.bars.shape)
    (grad,) = extractor.pullback([matrix], dgms, weights)
    assert (grad == grad.T).all()
    direction = random_matrix(rng, 9) - 0.5 * (1 - np.eye(9))

    def score(x: np.ndarray) -> float:
        return float((weights * extractor.transform([x]).bars).sum())

    expected = derivative(score, matrix, direction)
    assert (grad * direction).sum() == pytest.approx(expected, abs=1e-7)


# --- cocycles ----------------------------------------------------------------------


def coboundary_vanishes(
    cocycle: np.ndarray, matrix: np.ndarray, value: float, p: int
) -> bool:
    """Whether the values on edges add to 0 around every triangle up to `value`."""
    n = len(matrix)
    on_edge = np.zeros((n, n), np.int64)
    for u, v, c in cocycle:
        on_edge[u, v], on_edge[v, u] = c, -c
    total = on_edge[:, :, None] + on_edge[None] - on_edge[:, None, :]
    there = matrix <= value
    present = there[:, :, None] & there[None] & there[:, None, :]
    return not (total[present] % p).any()


@pytest.mark.parametrize("critical", [False, True])
@pytest.mark.parametrize("threshold", [None, 1.2])
def test_cocycles_live_as_long_as_their_bars(
    critical: bool, threshold: float | None
) -> None:
    cloud = np.concatenate([polygon(np.random.default_rng(18), 14, 2), 3 + SQUARE])
    matrix = distance_matrix(cloud)
    extractor = RipsPersistence(
        engine="ripser", coefficient=3, threshold=threshold, critical=critical
    )
    dgms = extractor.fit_transform([cloud])
    (cocycles,) = extractor.cocycles([cloud])
    assert list(cocycles) == ["H1"]
    bars = dgms[0]["H1"]
    assert len(cocycles["H1"]) == len(bars) >= 2
    for (birth, death), cocycle in zip(bars, cocycles["H1"], strict=True):
        slack = 2.0**-20
        assert coboundary_vanishes(cocycle, matrix, death * (1 - slack), p=3)
        # It holds the edge of its birth, and is no cocycle where its bar has died.
        lengths = matrix[cocycle[:, 0], cocycle[:, 1]]
        assert np.isclose(lengths, birth, rtol=slack).any()
        if death != threshold:
            assert not coboundary_vanishes(cocycle, matrix, death * (1 + slack), p=3)


def test_cocycles_need_ripser() -> None:
    with pytest.raises(InvalidInputError, match='engine="ripser"'):
        RipsPersistence().cocycles([SQUARE])
