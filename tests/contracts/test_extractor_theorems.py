"""What every extractor promises about stability: a proved bound, or a refusal.

The last test is the point of the library: no perturbation, however it was found,
moves any diagram by more than any listed bound says.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from stablerank import (
    Bound,
    Diagrams,
    Displacement,
    FeatureBall,
    Hausdorff,
    NoStabilityTheorem,
)
from stablerank.exceptions import IncompatibleDiagramsError, InvalidInputError
from stablerank.metrics import Bottleneck, Threat
from stablerank.rounding import add_up, mul_up
from tests.contracts.extractors import (
    CASES,
    ON_DIAGRAMS,
    THREATS,
    WEIGHTED,
    Case,
    weighted,
)
from tests.contracts.perturbations import measured, moved

each = pytest.mark.parametrize("case", CASES, ids=str)
#: One row a pair of an extractor and a threat that it has theorems for.
proved = pytest.mark.parametrize(
    ("case", "threat"),
    [(case, threat) for case in CASES for threat in case.proved],
    ids=str,
)


def check(bound: Bound, threat: Threat, n_samples: int) -> None:
    """Assert that a bound is finite, about the threat, and cites its theorem."""
    assert bound.source == threat
    assert bound.ledger
    for number in (bound.constant, bound.offset):
        assert np.isfinite(number).all()
        assert np.ndim(number) == 0 or np.shape(number) == (n_samples,)
    text = bound.explain()
    assert all(f"[{link.ledger}]" in text for link in bound.chain)


# --- bounds or reasons ----------------------------------------------------------------


@each
def test_every_proved_threat_has_finite_bounds_with_a_ledger_id(case: Case) -> None:
    extractor, dgms = case.fitted(), case.diagrams
    for threat in (*case.proved, *ON_DIAGRAMS):
        found = extractor.bounds(threat, weighted(threat, dgms, case.X))
        assert tuple(found) == dgms.channels
        for bounds in found.values():
            assert bounds
            for bound in bounds:
                check(bound, threat, len(dgms))


@each
def test_every_other_threat_is_refused_with_reason_and_alternative(case: Case) -> None:
    fresh, fitted = case.make(), case.fitted()
    others = [t for t in THREATS if t not in (*case.proved, *ON_DIAGRAMS)]
    assert len(others) >= 2  # balls of features at least
    for threat in others:
        heavy = weighted(threat, case.diagrams, case.X)
        for ask, arguments in (
            (fresh.bound, (threat,)),
            (fitted.bound, (threat,)),
            (fitted.bounds, (threat, case.diagrams)),
            (fitted.bounds, (threat, heavy)),
        ):
            with pytest.raises(NoStabilityTheorem) as caught:
                ask(*arguments)
            assert caught.value.reason
            assert caught.value.alternative


@each
def test_a_global_bound_is_finite_or_asks_for_samples(case: Case) -> None:
    for extractor in (case.make(), case.fitted()):
        for threat in (*case.proved, *ON_DIAGRAMS):
            if not case.asks_samples(threat):
                bound = extractor.bound(threat)
                check(bound, threat, 0)
                assert bound.is_uniform
                continue
            with pytest.raises(NoStabilityTheorem) as caught:
                extractor.bound(threat)
            assert "bounds(threat, diagrams)" in caught.value.alternative


@each
def test_the_default_threat_has_a_bound(case: Case) -> None:
    threat = case.make().default_threat
    assert (threat in case.proved) == case.certifies
    assert case.make().default_threat == case.fitted().default_threat


@each
def test_a_ball_of_features_is_refused(case: Case) -> None:
    for norm in (2, math.inf):
        with pytest.raises(NoStabilityTheorem, match=r"feature ball.*instead: \w+\("):
            case.make().bound(FeatureBall(norm))


@each
def test_what_is_no_threat_is_refused(case: Case) -> None:
    for wrong in (0.1, "Displacement", Displacement, Bottleneck(), None):
        with pytest.raises(InvalidInputError, match="threat must be a threat"):
            case.make().bound(wrong)
        with pytest.raises(InvalidInputError, match="threat must be a threat"):
            case.fitted().bounds(wrong, case.diagrams)


@each
def test_bounds_check_the_parameters_first(case: Case) -> None:
    extractor = case.make()
    if "homology_dimensions" not in extractor.get_params():
        part = next(n for n in extractor.get_params() if "homology" in n)
        extractor.set_params(**{part: (-1,)})
    else:
        extractor.set_params(homology_dimensions=(-1,))
    for ask in (
        lambda: extractor.bound(ON_DIAGRAMS[0]),
        lambda: extractor.bounds(ON_DIAGRAMS[0], case.diagrams),
        lambda: extractor.estimate_cost(list(case.X)),
    ):
        with pytest.raises(InvalidInputError, match="homology_dimensions"):
            ask()


# --- diagrams and their origin --------------------------------------------------------


@each
def test_diagrams_of_another_extractor_are_refused(case: Case) -> None:
    extractor = case.fitted()
    for other in CASES:
        theirs = other.make()
        if (type(theirs), theirs.spec()["params"]) == (
            type(extractor),
            extractor.spec()["params"],
        ):
            continue
        with pytest.raises(IncompatibleDiagramsError, match="made by"):
            extractor.bounds(extractor.default_threat, other.diagrams)


@each
def test_diagrams_without_an_origin_know_threats_to_diagrams_only(case: Case) -> None:
    lost = case.diagrams.without_source()
    for threat in ON_DIAGRAMS:
        assert case.fitted().bounds(threat, lost).keys() == set(lost.channels)
    with pytest.raises(NoStabilityTheorem, match="where they come from"):
        case.fitted().bounds(case.make().default_threat, lost)


def numbers(found: dict[str, list[Bound]], n: int) -> list[Any]:
    """All constants and offsets, one a sample."""
    return [
        np.broadcast_to(number, n)
        for bounds in found.values()
        for bound in bounds
        for number in (bound.constant, bound.offset)
    ]


@proved
def test_bounds_follow_the_samples_through_slices_and_joins(
    case: Case, threat: Threat
) -> None:
    extractor = case.fitted()
    dgms = weighted(threat, case.diagrams, case.X)
    whole = numbers(extractor.bounds(threat, dgms), len(dgms))
    turned = Diagrams.concat([dgms[2:], dgms[:2]])
    for selected, index in ((dgms[1:], [1, 2]), (turned, [2, 0, 1])):
        part = numbers(extractor.bounds(threat, selected), len(index))
        np.testing.assert_array_equal(part, [values[index] for values in whole])


@pytest.mark.parametrize("case", [c for c in CASES if WEIGHTED in c.proved], ids=str)
def test_weights_come_from_the_samples_and_scale_the_bound(case: Case) -> None:
    extractor = case.fitted()
    for diagrams in (case.diagrams, case.diagrams[1:]):
        with pytest.raises(NoStabilityTheorem, match="with_weights"):
            extractor.bounds(WEIGHTED, diagrams)
    heavy = case.diagrams.with_weights(WEIGHTED, list(case.X))
    plain = extractor.bounds(Displacement(), case.diagrams)
    for channel, bounds in extractor.bounds(WEIGHTED, heavy).items():
        for bound, other in zip(bounds, plain[channel], strict=True):
            assert bound.target == other.target
            # The largest weight is 1.5, so no constant is larger than 1.5 times.
            assert (bound.constant <= mul_up(1.5, other.constant)).all()
            assert (bound.constant > 0).all()


# --- the theorems hold ----------------------------------------------------------------


def largest_share(case: Case, threat: Threat, shrunk: float = 1.0) -> float:
    """Assert all bounds on all perturbations; return the largest share reached.

    `shrunk` multiplies the constants, to see the assertion fail.
    """
    (x, *inputs), dgms = case.attacked
    known = weighted(threat, dgms[:1], [x])
    bounds = case.fitted().bounds(threat, known)
    share, start = 0.0, measured(case, x)
    for i, new in enumerate(inputs, 1):
        end = measured(case, new)
        if np.shape(end) != np.shape(start) and threat != Hausdorff():
            continue
        size = threat.distance_up(start, end)
        if math.isinf(size):
            continue
        for index, channel in enumerate(dgms.channels):
            charged = dgms.error[0, index] + dgms.error[i, index]
            for bound in bounds[channel]:
                constant = shrunk * np.ravel(bound.constant)[0]
                allowed = float(
                    add_up(mul_up(constant, size), np.ravel(bound.offset)[0])
                )
                distance, factor = moved(bound.target, case, i, channel)
                # Distances are rounded a few times, where they are sums and roots.
                slack = 2.0**-52 if bound.target == Bottleneck() else 2.0**-40
                assert distance <= allowed * (1 + slack) + factor * charged, (
                    f"{channel} moved by {distance!r} in {bound.target}; {allowed!r} "
                    f"is allowed for perturbation {i} of size {size!r} {bound.ledger}"
                )
                if size > 0 and constant > 0:
                    share = max(share, distance / (constant * size))
    return share


def can_move(case: Case) -> bool:
    """Whether samples can move; values of bare graphs are functions of the edges."""
    return not isinstance(case.X[0], dict)


@pytest.mark.parametrize(
    ("case", "threat"),
    [(c, t) for c in CASES if can_move(c) for t in c.proved],
    ids=str,
)
def test_no_perturbation_moves_a_diagram_beyond_its_bounds(
    case: Case, threat: Threat
) -> None:
    share = largest_share(case, threat)
    assert share > 0
    if threat == case.make().default_threat:
        assert share >= case.reached


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if can_move(c) and c.proved and c.reached >= 0.99],
    ids=str,
)
def test_a_constant_that_is_too_small_by_two_percent_is_found_out(case: Case) -> None:
    threat = case.make().default_threat
    with pytest.raises(AssertionError, match="moved by"):
        largest_share(case, threat, shrunk=0.98)
