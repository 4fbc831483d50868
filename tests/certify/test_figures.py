"""Figures of certificates: attacked accuracy above certified, and where radii go."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from stablerank import AlphaPersistence, Budget, Diagrams, Displacement
from stablerank.bounds import Bound
from stablerank.certify import Certificates, StageRatios, certify, observe_stages
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.frozen import (
    Affine,
    BarFunctions,
    BarInput,
    Concat,
    Deaths,
    Program,
    SortTop,
)
from stablerank.metrics import Bottleneck, BottleneckBall

THREAT = Displacement()


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def certificates(radius: list[float], label: list[int]) -> Certificates:
    r, names = np.array(radius), np.array(label)
    bound = Bound(THREAT, Bottleneck(), 1.0, "X5")
    reason = np.where(r > 0, "", "tie")
    return Certificates(names, r, reason, 1 - names, bound, THREAT)


# --- attacked -------------------------------------------------------------------------


def test_what_is_attacked_lies_between_clean_and_certified() -> None:
    cert = certificates([0.1, 0.2, 0.3, 0.0], [0, 0, 1, 1])
    ax = cert.plot([0, 0, 1, 0], attacked=[0.2, math.inf, 0.4, 0.05])
    clean, attacked, certified = ax.lines
    assert set(clean.get_ydata()) == {75.0}
    assert list(attacked.get_xdata())[:3] == [0.0, 0.2, 0.4]
    # The fourth is wrong to begin with, and counts in no curve.
    assert list(attacked.get_ydata()) == [75.0, 50.0, 25.0, 25.0]
    assert attacked.get_drawstyle() == "steps-post"
    assert list(certified.get_ydata())[:5] == [75.0, 75.0, 50.0, 25.0, 0.0]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == [
        "clean",
        "attacked",
        "certified",
    ]
    assert ax.get_title() == "At radius 0.2: 50.0% for certain, 50.0% under attack"
    assert ax.get_ylabel() == "right (%)"


def test_attacked_shares_without_labels_count_every_sample() -> None:
    cert = certificates([0.1, 0.2], [0, 1])
    ax = cert.plot(attacked=[math.inf, math.inf])
    assert set(ax.lines[1].get_ydata()) == {100.0}
    assert ax.get_ylabel() == "keeps its label (%)"


def test_a_flip_within_a_radius_is_not_drawn_but_reported() -> None:
    cert = certificates([0.1, 0.2], [0, 1])
    with pytest.raises(InvalidInputError, match=r"sample 1 .* please report"):
        cert.plot(attacked=[math.inf, 0.2])
    cert.plot(attacked=[math.inf, math.nextafter(0.2, 1.0)])


@pytest.mark.parametrize("bad", [[0.1], [0.5, math.nan], [-1.0, 0.5]])
def test_attacked_sizes_are_one_number_a_sample(bad: list[float]) -> None:
    with pytest.raises((ShapeError, InvalidInputError), match="attacked"):
        certificates([0.1, 0.2], [0, 1]).plot(attacked=bad)


def test_other_kinds_of_figures_are_refused() -> None:
    cert = certificates([0.1, 0.2], [0, 1])
    with pytest.raises(InvalidInputError, match="'curve' or 'waterfall'"):
        cert.plot(kind="pie")
    with pytest.raises(InvalidInputError, match="observe_stages"):
        cert.plot(kind="waterfall")


# --- stages ---------------------------------------------------------------------------

HALF = np.array([[[-0.5, 0.5, 0.0]]])


def threshold(slack: float = 1.0) -> Program:
    """Largest death against 1, then `slack` times too large a network."""
    entry = BarInput("H0", 0, "radius", None, 0.0, 64.0, 64, 1e-10, pinned=True)
    gain = np.array([[1.0], [-1.0]])
    # Two opposite copies, which cancel, but not in the bound.
    waste = Affine((2,), np.array([[1.0], [1.0], [1.0]]), np.zeros(3))
    extra = (slack - 1) / 2
    head = Affine((3,), gain * [[1.0, extra, -extra]], np.array([-1.0, 1.0]))
    top = SortTop((1,), np.array([0]))
    return Program((entry,), (Deaths((0,)), top, waste, head))


def pairs() -> tuple[list[Any], list[Any]]:
    clean = [np.array([[0.0, 0.0], [gap, 0.0]]) for gap in (3.0, 4.0, 5.0)]
    moved = [x + np.array([[0.25, 0.0], [-0.25, 0.0]]) for x in clean]
    return clean, moved


def observed(program: Program, clean: Any, moved: Any) -> StageRatios:
    alpha = AlphaPersistence((0,))
    a, b = (alpha.fit_transform(x) for x in (clean, moved))
    sizes = [THREAT.distance_up(*pair) for pair in zip(clean, moved, strict=True)]
    bounds = alpha.bounds(THREAT, a)
    return observe_stages(program, a, b, sizes, threat=THREAT, bounds=bounds)


def test_a_chain_that_is_attained_uses_all_of_every_bound() -> None:
    seen = observed(threshold(), *pairs())
    assert seen.ratios == pytest.approx(np.ones((3, 4)), abs=1e-8)
    assert (seen.ratios[:, :3] <= 1 + 1e-9).all()


def test_what_a_stage_wastes_is_seen_in_that_stage() -> None:
    seen = observed(threshold(slack=5.0), *pairs())
    assert seen.typical["network"] == pytest.approx(1 / 5, rel=1e-6)
    assert seen.typical["extraction"] == pytest.approx(1.0, rel=1e-6)
    clean, _ = pairs()
    turned = [x @ np.array([[0.8, 0.6], [-0.6, 0.8]]) for x in clean]  # no bar moves
    still = observed(threshold(), clean, turned)
    assert (still.ratios[:, 0] < 1e-6).all()


def test_stages_multiply_to_what_is_seen_of_the_whole() -> None:
    clean, moved = pairs()
    seen = observed(threshold(slack=3.0), clean, moved)
    product = np.prod(seen.ratios[:, :3], axis=1)
    # The margin falls by 2 * 0.25 of the 3 * 2 * 0.25 that are allowed.
    assert product == pytest.approx(np.full(3, 1 / 3), rel=1e-6)


def test_stages_are_measured_in_every_metric_that_a_bound_ends_in() -> None:
    entry = (
        BarInput("H0", 0, "radius", None, 0.0, 64.0, 64, 1e-9, pinned=True),
        BarInput("H1", 1, "radius", None, 0.0, 64.0, 64, 1e-9),
    )
    ops = (
        Deaths((0,)),
        SortTop((2,), np.arange(2)),
        BarFunctions((1,), HALF),
        SortTop((4,), np.arange(1)),
        Concat((3, 5)),
        Affine((6,), np.array([[1.0, 0.5, 2.0], [0.0, 0.0, 0.0]]), np.zeros(2)),
    )
    rng = np.random.default_rng(0)
    clean = [rng.random((12, 2)) for _ in range(4)]
    moved = [x + 0.01 * rng.normal(size=x.shape) for x in clean]
    alpha = AlphaPersistence()
    a, b = (alpha.fit_transform(x) for x in (clean, moved))
    threat = Budget()
    sizes = [threat.distance_up(*pair) for pair in zip(clean, moved, strict=True)]
    bounds = alpha.bounds(threat, a)
    program = Program(entry, ops)
    seen = observe_stages(program, a, b, sizes, threat=threat, bounds=bounds)
    assert (seen.ratios[:, :3] <= 1 + 1e-9).all()
    assert (seen.ratios[:, :2] > 0).all()


def test_pairs_that_do_not_differ_or_do_not_match_are_refused() -> None:
    dgms = Diagrams.from_list([{"H0": [(0.0, 4.0)]}])
    known = {
        "threat": BottleneckBall(),
        "bounds": {"H0": [Bound(BottleneckBall(), Bottleneck(), 1.0, "C1")]},
    }
    with pytest.raises(InvalidInputError, match="differ"):
        observe_stages(threshold(), dgms, dgms, [0.0], **known)
    with pytest.raises(ShapeError, match="every pair"):
        observe_stages(threshold(), dgms, dgms, [1.0, 1.0], **known)


# --- waterfall ------------------------------------------------------------------------


def test_the_waterfall_ends_at_the_certified_radius() -> None:
    clean, moved = pairs()
    program = threshold(slack=5.0)
    seen = observed(program, clean, moved)
    alpha = AlphaPersistence((0,))
    dgms = alpha.fit_transform(clean)
    cert = certify(program, dgms, THREAT, alpha.bounds(THREAT, dgms))
    ax = cert.plot(kind="waterfall", stages=seen)
    bars = [(p.get_y(), p.get_y() + p.get_height()) for p in ax.patches]
    (_, start), *steps, (_, end) = bars
    assert end == pytest.approx(np.median(cert.radius), rel=1e-9)
    assert steps[-1][0] == pytest.approx(end, rel=1e-6)
    assert start == pytest.approx(5 * end, rel=1e-6)
    for (low, _), (_, high) in pairwise(steps):
        assert low == pytest.approx(high, rel=1e-9)
    names = [tick.get_text() for tick in ax.get_xticklabels()]
    assert names[1:] == ["extraction", "features", "network", "rounding", "certified"]
    assert ax.get_title() == "The network loses most of the radius: a factor 5"
    assert "displacement" in ax.get_ylabel()
    assert ax.get_yscale() == "log"


def test_nothing_certified_gives_no_waterfall() -> None:
    stages = StageRatios(np.ones((1, 4)), np.zeros(1), THREAT)
    with pytest.raises(InvalidInputError, match="no pair is certified"):
        certificates([0.1], [0]).plot(kind="waterfall", stages=stages)
    still = StageRatios(np.array([[1.0, 1.0, 0.0, 1.0]]), np.ones(1), THREAT)
    with pytest.raises(InvalidInputError, match="other moves"):
        certificates([0.1], [0]).plot(kind="waterfall", stages=still)
