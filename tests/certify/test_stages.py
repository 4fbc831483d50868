"""Stage by stage: points to bars, bars to vectors, vectors to logits.

Distances of bars are exact, over all matchings; values are exact, in fractions; so no
inequality has a tolerance but the errors that the certificate charges.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from stablerank import AlphaPersistence, Displacement, RipsPersistence
from stablerank.certify import certify, compose
from stablerank.frozen import (
    Affine,
    BarFunctions,
    BarInput,
    Concat,
    Deaths,
    GroupSort,
    Program,
    SortTop,
)
from stablerank.metrics import Bottleneck, SortedDeaths
from tests.checks import assert_lipschitz, exact_bottleneck
from tests.frozen.exact import run_exact
from tests.strategies import cloud_pairs, diagrams

LIMIT = 32.0
HALF = [[-0.5, 0.5, 0.0], [0.0, 0.0, 1e3]]
CAPPED = [[-0.5, 0.5, 0.0], [-1.0, 0.0, 2.0]]  # half-life, at most 2 - birth


def network(max_error: float = 0.0) -> Program:
    """H0 by its deaths and H1 by half-lives, free and capped, then a small network."""
    inputs = (
        BarInput("H0", 0, "radius", None, 0.0, LIMIT, 8, max_error, pinned=True),
        BarInput("H1", 1, "radius", None, -LIMIT, LIMIT, 8, max_error),
    )
    rng = np.random.default_rng(5)
    operations = (
        Deaths((0,)),  # register 2
        SortTop((2,), np.arange(3)),
        BarFunctions((1,), np.array([HALF, CAPPED])),  # register 4
        SortTop((4,), np.arange(2)),
        Concat((3, 5)),  # register 6: 3 + 4 features
        Affine((6,), rng.normal(size=(6, 7)), rng.normal(size=6)),
        GroupSort((7,), 2),
        Affine((8,), rng.normal(size=(3, 6)), rng.normal(size=3)),
    )
    return Program(inputs, operations)


FEATURES = 6


def exact_registers(program: Program, bars: dict[str, Any]) -> list[Any]:
    start = []
    for channel in ("H0", "H1"):
        rows = np.clip(bars[channel], -LIMIT, LIMIT).tolist()
        # A bar on the diagonal changes nothing, and says how many functions there are.
        rows = [*rows, (0.0, 0.0)]
        start.append([(Fraction(b), Fraction(d)) for b, d in rows])
    return run_exact(program, start)


@given(cloud_pairs(min_points=2, max_points=5))
def test_points_to_bars(pair: tuple[Any, Any]) -> None:
    for extractor in (AlphaPersistence(precision="exact"), RipsPersistence()):
        dgms = extractor.fit_transform(list(pair))
        size = Displacement().distance_up(*pair)
        owed = [Fraction(e) for e in dgms.error.sum(axis=0).tolist()]
        for c, (name, bounds) in enumerate(
            extractor.bounds(Displacement(), dgms).items()
        ):
            old, new = (_finite(dgms[i][name]) for i in (0, 1))
            for bound in bounds:
                moved = (
                    exact_bottleneck(old, new)
                    if isinstance(bound.target, Bottleneck)
                    else _sorted_gap(old[:, 1], new[:, 1])
                )
                assert isinstance(bound.target, (Bottleneck, SortedDeaths))
                constant = float(np.max(bound.constant))
                assert_lipschitz(moved, size, constant, offset=owed[c])


def _finite(bars: Any) -> Any:
    return bars[np.isfinite(bars[:, 1])]


def _sorted_gap(old: Any, new: Any) -> Fraction:
    n = max(len(old), len(new))
    a, b = (np.sort(np.pad(x, (0, n - len(x))))[::-1] for x in (old, new))
    gaps = (abs(Fraction(s) - Fraction(t)) for s, t in zip(a, b, strict=True))
    return max(gaps, default=Fraction(0))


pinned = st.lists(st.integers(1, 640).map(lambda k: k / 64), max_size=3).map(
    lambda deaths: np.array([(0.0, d) for d in deaths]).reshape(-1, 2)
)


@given(pinned, pinned, diagrams(3), diagrams(3))
@example(
    np.array([[0.0, 1.0]]),
    np.array([[0.0, 2.0]]),
    np.array([[0.0, 2.0]]),
    np.array([[-1.0, 3.0]]),
)
def test_bars_to_features_to_logits(a0: Any, b0: Any, a1: Any, b1: Any) -> None:
    program = network()
    size = max(exact_bottleneck(a0, b0), exact_bottleneck(a1, b1))
    unit = {name: {Bottleneck(): np.asarray(1.0)} for name in ("H0", "H1")}
    constants = program.constants(unit)
    old, new = (
        exact_registers(program, {"H0": x, "H1": y}) for x, y in ((a0, a1), (b0, b1))
    )
    for register in (FEATURES, len(constants) - 1):
        bound = np.asarray(constants[register])
        for i, (s, t) in enumerate(zip(old[register], new[register], strict=True)):
            assert_lipschitz(abs(s - t), size, float(bound[i]))
    # From the features on: by coordinate, and for differences of logits.
    moves = [abs(s - t) for s, t in zip(old[FEATURES], new[FEATURES], strict=True)]
    head = program.after(FEATURES)
    pairs = head.pair_constants(np.ones(7))
    for c in range(3):
        for j in range(3):
            gap = (old[-1][c] - old[-1][j]) - (new[-1][c] - new[-1][j])
            assert_lipschitz(abs(gap), max(moves), float(pairs[c, j]))


def test_the_stages_meet_their_bounds_where_the_ledger_says_that_they_are_sharp() -> (
    None
):
    program = network()
    unit = {name: {Bottleneck(): np.asarray(1.0)} for name in ("H0", "H1")}
    constants = program.constants(unit)[FEATURES]
    # A bar that grows at both ends by 1: its half-life by 1; a death by 2 [R1, R3].
    old = exact_registers(program, {"H0": [[0, 8]], "H1": [[2, 8]]})[FEATURES]
    new = exact_registers(program, {"H0": [[0, 9]], "H1": [[1, 9]]})[FEATURES]
    assert abs(old[3] - new[3]) == 1 == constants[3]
    assert abs(old[0] - new[0]) == 1
    assert constants[0] == 2.0  # in bottleneck distance; 1 by sorted deaths
    deaths = {"H0": {SortedDeaths(): np.asarray(1.0)}, "H1": unit["H1"]}
    assert program.constants(deaths)[FEATURES][0] == 1.0


@given(cloud_pairs(min_points=3, max_points=6), st.floats(0.1, 1.0))
def test_the_whole_chain(pair: tuple[Any, Any], share: float) -> None:
    """No cloud within the radius has another label, and no margin drops faster."""
    x, other = pair
    extractor = AlphaPersistence(precision="exact").fit([x, other])
    clean = extractor.transform([x])
    program = network(max_error=1e-10)
    threat = Displacement()
    bounds = extractor.bounds(threat, clean)
    cert = certify(program, clean, threat, bounds)
    r = float(cert.radius[0])
    moved = threat.project(x, other, share * r) if r > 0 else x
    assert threat.distance_up(x, moved) <= r or r == 0
    logits = program.evaluate(extractor.transform([moved]))[0]
    if r > 0:
        assert logits.argmax() == cert.label[0]
    # Any move whatever: the margin falls by L d + owed at most.
    found = compose(program, bounds)
    far = program.evaluate(extractor.transform([other]))[0]
    size = Fraction(threat.distance_up(x, other))
    start = cert.evidence["logits"][0]
    for c in range(3):
        for j in range(3):
            drop = (Fraction(start[c]) - Fraction(start[j])) - (
                Fraction(far[c]) - Fraction(far[j])
            )
            allowed = Fraction(found.constants[c, j]) * size + Fraction(
                found.owed[c, j]
            )
            assert c == j or abs(drop) <= allowed
    assert math.isfinite(r)
