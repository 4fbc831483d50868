"""Twelve bugs that certificates have had elsewhere, each made here and caught.

A bug is a patch; the check that is named beside it passes without the patch and fails
with it. Checks that catch nothing are worth nothing.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from stablerank import RipsPersistence
from stablerank.attack import PLANTED, Claim, Planted, VectorTarget
from stablerank.bounds import Bound
from stablerank.certify import certify, margin_radii
from stablerank.exceptions import UncertifiableLayerError
from stablerank.extract import alpha, distance_bounds, rips
from stablerank.frozen import (
    Affine,
    BarInput,
    Concat,
    Contours,
    Deaths,
    Operation,
    Program,
    SortTop,
    base,
    layers,
)
from stablerank.metrics import Budget, Displacement, FeatureBall, MatrixSup
from stablerank.nn import freeze
from tests.checks import assert_sound
from tests.soundness.planted import check_sound, check_tight

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Check:
    """What must notice a bug."""

    name: str
    run: Callable[[], None]


def sound(name: str) -> Check:
    return Check(f"no flip within: {name}", lambda: check_sound(PLANTED[name]()))


def tight(name: str) -> Check:
    return Check(f"flips beyond: {name}", lambda: check_tight(PLANTED[name](), 1.5))


# --- one constant for another ---------------------------------------------------------


def edges_move_by(constants: dict[type, float]) -> Patch:
    """Replace the constants of distances under threats on points."""

    def patch(to: pytest.MonkeyPatch) -> None:
        right = distance_bounds.distance_bound

        def wrong(threat: Any, source: Any) -> Bound | None:
            if type(threat) in constants:
                return Bound(threat, MatrixSup(), constants[type(threat)], "X3")
            return right(threat, source)

        to.setattr(distance_bounds, "distance_bound", wrong)

    return patch


def radii_move_by_twice_as_much(to: pytest.MonkeyPatch) -> None:
    to.setitem(alpha._CONSTANTS, Displacement, (2.0, "edges move by 2 e"))


def squared_radii(to: pytest.MonkeyPatch) -> None:
    right = alpha.alpha_persistence
    to.setattr(alpha, "alpha_persistence", lambda *a: [b**2 for b in right(*a)])


def slope_dropped(to: pytest.MonkeyPatch) -> None:
    right = Contours.constant

    def wrong(self: Contours, *constants: Any, norms: tuple[float, ...]) -> Any:
        flat = replace(self, slopes=np.ones_like(self.slopes))
        return right(flat, *constants, norms=norms)

    to.setattr(Contours, "constant", wrong)


# --- norms ----------------------------------------------------------------------------


def power_iteration(to: pytest.MonkeyPatch) -> None:
    def wrong(weight: np.ndarray) -> float:
        x = np.random.default_rng(0).normal(size=weight.shape[1])
        for _ in range(5):
            x = weight.T @ (weight @ x)
            x /= np.linalg.norm(x)
        return float(np.linalg.norm(weight @ x))

    to.setattr(layers, "spectral_norm_up", wrong)


def column_sums(to: pytest.MonkeyPatch) -> None:
    def wrong(weight: np.ndarray, x: np.ndarray) -> np.ndarray:
        square = weight.shape[0] == weight.shape[1]
        return base.matvec_up(weight.T if square else weight, x)

    to.setattr(layers, "matvec_up", wrong)


def largest_degree(to: pytest.MonkeyPatch) -> None:
    def wrong(self: Concat, values: list[np.ndarray], norm: float) -> np.ndarray:
        joined = np.concatenate(values, axis=-1)
        return joined if math.isinf(norm) else joined.max(axis=-1, keepdims=True)

    to.setattr(Concat, "_join", wrong)


# --- margins --------------------------------------------------------------------------


def margins(change: Callable[[np.ndarray, Any, Any], Any]) -> Patch:
    def patch(to: pytest.MonkeyPatch) -> None:
        to.setattr("stablerank.certify.programs.margin_radii", change)

    return patch


def reached_counts_as_kept(logits: np.ndarray, constants: Any, owed: Any) -> Any:
    """The radius at which a rival arrives, in place of one below it."""
    found = margin_radii(logits, constants, owed)
    return replace(found, radius=np.nextafter(found.radius, np.inf))


def last_class_forgotten(logits: np.ndarray, constants: Any, owed: Any) -> Any:
    unseen = np.array(logits)
    unseen[:, -1] = np.where(unseen.argmax(axis=1) < 2, -1e6, unseen[:, -1])
    return margin_radii(unseen, constants, owed)


# --- evaluation -----------------------------------------------------------------------


def single_precision(to: pytest.MonkeyPatch) -> None:
    right = Affine.evaluate

    def wrong(self: Affine, xp: Any, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return right(self, xp, x.float().double())
        return right(self, xp, x.astype(np.float32).astype(np.float64))

    to.setattr(Affine, "evaluate", wrong)


def infinite_bars_dropped(to: pytest.MonkeyPatch) -> None:
    right = rips.settle

    def wrong(raw: np.ndarray, threshold: float | None) -> Any:
        return right(raw[np.isfinite(raw[:, 1])], threshold)

    to.setattr(rips, "settle", wrong)


def truncated() -> None:
    """Deaths up to a threshold, where the last class is alive in every cloud [X18]."""
    entry = BarInput("H0", 0, "edge length", None, 0.0, 4.0, 4, 1e-10, pinned=True)
    head = Affine((2,), np.array([[1.0], [-1.0]]), np.array([-0.5, 0.5]))
    operations = (Deaths((0,)), SortTop((1,), np.array([0])), head)
    clouds = [np.array([[0.0, 0.0], [gap, 0.0]]) for gap in (0.9, 0.99)]
    extractor = RipsPersistence((0,), threshold=1.0)
    net = Planted(Program((entry,), operations), Displacement(), clouds, extractor)
    check_sound(net)


# --- layers that nobody knows ---------------------------------------------------------


class Triple(nn.Module):
    """A user's layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * x


@dataclass(frozen=True, eq=False)
class _Tripled(Operation):
    """What a trusting freeze would write for it: constant 1."""

    kind: ClassVar[str] = "Tripled, in a test"

    def evaluate(self, xp: Any, x: Any) -> Any:
        return 3 * x

    norm = width = lambda self, *values: values[0]
    constant = range = lambda self, *values, norms: values[0]


def taken_as_one(to: pytest.MonkeyPatch) -> None:
    def trust(written: Any, name: str, module: nn.Module) -> None:
        written.operations.append(_Tripled((written.register,)))

    to.setitem(sys.modules[freeze.__module__]._RULES, Triple, trust)


def unknown_layer() -> None:
    """A layer without a known constant is refused, or its certificate holds."""
    linear = nn.Linear(2, 2).double()
    with torch.no_grad():
        linear.weight.copy_(torch.eye(2))
        linear.bias.copy_(torch.tensor([0.0, 0.5]))
    try:
        program = freeze(nn.Sequential(linear, Triple()).eval(), math.inf, limit=8.0)
    except UncertifiableLayerError:
        return
    rows, ball = [np.array([1.0, 0.0])], FeatureBall(math.inf)
    cert = certify(program, rows, ball)
    assert_sound(Claim.of(cert, VectorTarget(program), rows))


# --- the list -------------------------------------------------------------------------


@dataclass(frozen=True)
class Bug:
    """A patch, and the check that must notice it."""

    name: str
    patch: Patch
    check: Check


UNKNOWN = Check("a layer that nobody knows", unknown_layer)
TRUNCATED = Check("no flip within: bars cut at a threshold", truncated)

#: The first has two faces: too small a constant, and one that throws half away.
BUGS = [
    [
        Bug(
            "e for 2e",
            edges_move_by({Displacement: 1.0}),
            sound("Rips gap, displacement"),
        ),
        Bug(
            "2e for e", radii_move_by_twice_as_much, tight("largest gap, displacement")
        ),
    ],
    [Bug("squared alpha", squared_radii, sound("largest gap, displacement"))],
    [Bug("power iteration", power_iteration, sound("singular direction"))],
    [Bug("<= for <", margins(reached_counts_as_kept), sound("exact logits"))],
    [
        Bug(
            "a class dropped from the margin",
            margins(last_class_forgotten),
            sound("three classes"),
        )
    ],
    [Bug("a contour's slope dropped", slope_dropped, sound("steep contour"))],
    [Bug("sqrt 2 missing", edges_move_by({Budget: 1.0}), sound("Rips gap, budget"))],
    [Bug("float32 cast", single_precision, sound("between float32"))],
    [Bug("max over the wrong axis", column_sums, sound("row sum"))],
    [Bug("unknown layer taken as 1", taken_as_one, UNKNOWN)],
    [Bug("infinite bars dropped", infinite_bars_dropped, TRUNCATED)],
    [
        Bug(
            "degrees combined with the wrong norm",
            largest_degree,
            sound("two degrees"),
        )
    ],
]


def is_killed(bug: Bug) -> bool:
    """Whether the check passes as things are, and fails with the bug."""
    bug.check.run()
    with pytest.MonkeyPatch.context() as to:
        bug.patch(to)
        try:
            bug.check.run()
        except AssertionError:
            return True
    return False


def test_every_bug_of_the_list_is_killed() -> None:
    alive = []
    for bug in BUGS:
        missed = [face.name for face in bug if not is_killed(face)]
        for face in bug:
            verdict = "alive after" if face.name in missed else "killed by"
            print(f"{face.name:<40} {verdict} '{face.check.name}'")
        alive += missed[:1]
    report = f"{len(BUGS) - len(alive)}/12 killed"
    print(report)
    assert report == "12/12 killed", f"{report}; still alive: {alive}"
