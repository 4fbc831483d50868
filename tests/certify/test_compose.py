"""Constants and errors put together: channel by channel, sample by sample."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stablerank import Diagrams
from stablerank.bounds import Bound
from stablerank.certify import certify, compose
from stablerank.exceptions import InvalidInputError, NoStabilityTheorem
from stablerank.frozen import (
    Affine,
    BarFunctions,
    BarInput,
    Concat,
    Program,
    SortTop,
    VectorInput,
)
from stablerank.metrics import (
    Bottleneck,
    BottleneckBall,
    Displacement,
    FeatureBall,
    SortedDeaths,
)

THREAT = Displacement()
HALF = np.array([[[-0.5, 0.5, 0.0]]])


def head(n_channels: int, max_error: float = 0.0) -> Program:
    """Top two half-lives of every channel, then two classes with opposite rows."""
    names = [f"c{i}" for i in range(n_channels)]
    inputs = tuple(
        BarInput(name, 1, "value", None, 0.0, 8.0, 16, max_error) for name in names
    )
    operations, vectors = [], []
    for i in range(n_channels):
        target = n_channels + len(operations)
        operations += [BarFunctions((i,), HALF), SortTop((target,), np.arange(2))]
        vectors.append(target + 1)
    operations.append(Concat(tuple(vectors)))
    rng = np.random.default_rng(0)
    row = rng.normal(size=2 * n_channels)
    last = n_channels + len(operations) - 1
    operations.append(Affine((last,), np.stack([row, -row]), np.zeros(2)))
    return Program(inputs, tuple(operations))


def bounds(*constants, offset=0.0):
    return {
        f"c{i}": [Bound(THREAT, Bottleneck(), constant, "X9", offset=offset)]
        for i, constant in enumerate(constants)
    }


def weight(program: Program) -> np.ndarray:
    return np.abs(program.operations[-1].weight[0] - program.operations[-1].weight[1])


def test_channels_keep_their_own_constants_up_to_the_head() -> None:
    program = head(2)
    pair = float(compose(program, bounds(1.0, 0.1)).constants[0, 1])
    w = weight(program)
    assert pair == pytest.approx(w[:2].sum() + 0.1 * w[2:].sum(), rel=1e-12)
    assert pair < 0.9 * w.sum()  # what the largest constant for all would give


def test_a_constant_by_sample_gives_a_constant_by_sample() -> None:
    program = head(2)
    each = np.array([1.0, 2.0, 0.5])
    found = compose(program, bounds(each, 0.1)).constants
    assert found.shape == (3, 2, 2)
    for i, constant in enumerate(each):
        alone = compose(program, bounds(float(constant), 0.1)).constants
        assert found[i] == pytest.approx(alone, rel=1e-14)


def test_of_several_bounds_of_a_channel_the_best_is_taken() -> None:
    program = head(1)
    known = bounds(3.0)
    known["c0"].append(Bound(THREAT, Bottleneck(), 2.0, "X5"))
    assert np.array_equal(
        compose(program, known).constants, compose(program, bounds(2.0)).constants
    )


def test_a_channel_without_a_bound_has_no_certificate() -> None:
    with pytest.raises(NoStabilityTheorem, match="c1"):
        compose(head(2), bounds(1.0) | {"c1": []})


def test_a_metric_that_no_operation_reads_proves_nothing() -> None:
    only_deaths = {"c0": [Bound(THREAT, SortedDeaths(), 1.0, "H1")]}
    with pytest.raises((NoStabilityTheorem, TypeError)):
        compose(head(1), only_deaths)


def test_the_errors_are_charged_apart_and_together() -> None:
    plain = compose(head(1), bounds(1.0))
    assert plain.engine == plain.approximation == 0.0
    assert 0 < plain.rounding < 1e-12
    rough = compose(head(1, max_error=1e-3), bounds(1.0))
    # At the sample and in the ball: twice, through the same weights.
    expected = 2e-3 * weight(head(1)).sum()
    assert rough.engine == pytest.approx(expected, rel=1e-9)
    offset = compose(head(1), bounds(1.0, offset=0.25))
    assert offset.approximation == pytest.approx(0.25 * weight(head(1)).sum(), rel=1e-9)
    assert (offset.owed >= plain.owed).all()


def test_an_offset_shortens_the_radius_by_what_it_says() -> None:
    program = head(1)
    dgms = Diagrams.from_list([{"c0": [(0.0, 6.0), (0.0, 4.0)]}])
    sure = certify(program, dgms, THREAT, bounds(1.0)).radius[0]
    rough = certify(program, dgms, THREAT, bounds(1.0, offset=0.125)).radius[0]
    assert rough == pytest.approx(sure - 0.125, abs=1e-12)


def test_a_program_on_diagrams_needs_bounds() -> None:
    dgms = Diagrams.from_list([{"c0": [(0.0, 1.0)]}])
    with pytest.raises(InvalidInputError, match="bounds"):
        certify(head(1), dgms, BottleneckBall())


def vector_program(norm: float) -> Program:
    weights = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    return Program((VectorInput(4, norm, 8.0),), (Affine((0,), weights, np.zeros(2)),))


def test_a_ball_of_features_uses_the_dual_norm() -> None:
    x = np.array([[1.0, 1.0, 1.0, 1.0]])
    linf = certify(vector_program(math.inf), x, FeatureBall(math.inf))
    assert linf.radius[0] == pytest.approx(1.0, rel=1e-12)
    l2 = certify(vector_program(2), x, FeatureBall(2))
    assert l2.radius[0] == pytest.approx(2.0, rel=1e-12)
    # An l_2 ball lies in the l_inf ball of the same radius; the converse costs a root.
    assert certify(vector_program(math.inf), x, FeatureBall(2)).radius[0] >= 0.999
    inside = certify(vector_program(2), x, FeatureBall(math.inf)).radius[0]
    assert inside == pytest.approx(1.0, rel=1e-12)


def test_features_have_no_theorem_for_moves_of_points() -> None:
    with pytest.raises(NoStabilityTheorem, match="FeatureBall"):
        certify(vector_program(2), np.ones((1, 4)), Displacement())


def test_the_chain_for_people_ends_in_the_constant_that_was_used() -> None:
    found = compose(head(2), bounds(1.0, 0.1))
    assert float(found.bound.constant) == pytest.approx(
        float(found.output_constants.max()), rel=1e-9
    )
    assert float(found.bound.constant) >= float(found.output_constants.max())
    assert "X9" in found.bound.ledger
