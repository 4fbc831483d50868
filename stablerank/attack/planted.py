"""Nets whose exact radius is known, because an adversary is built into them.

Each is a threshold on a number that some move changes as fast as its theorem allows,
so the certified radius is the exact one up to rounding: no attack succeeds within it,
and a good one does a little beyond.  They test both sides.  A bound that is a hair too
small is broken on them; an attack that finds nothing at 1.5 times the radius is broken
itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.attack.claim import Claim
from stablerank.attack.targets import DiagramTarget, SampleTarget, VectorTarget
from stablerank.bounds import Bound
from stablerank.diagrams import Diagrams
from stablerank.extract.alpha import AlphaPersistence
from stablerank.extract.base import Extractor
from stablerank.extract.cubical import CubicalPersistence
from stablerank.extract.rips import RipsPersistence
from stablerank.frozen import (
    Abs,
    Affine,
    BarFunctions,
    BarInput,
    Concat,
    Contours,
    Deaths,
    Distance,
    Operation,
    Program,
    SortTop,
    Tails,
    VectorInput,
)
from stablerank.metrics import (
    BottleneckBall,
    Budget,
    Displacement,
    FeatureBall,
    PixelSup,
    SinglePoint,
    Threat,
    WassersteinBall,
)

__all__ = ["PLANTED", "Planted"]

Array = NDArray[np.float64]

_TOP = np.array([0])
_HALF_LIFE = np.array([[[-0.5, 0.5, 0.0]]])
#: Frozen limit of engine errors; alpha and Rips stay far below on these clouds.
_ERROR = 1e-10


@dataclass(frozen=True)
class Planted:
    """A frozen program, samples around its threshold, and a threat.

    Parameters
    ----------
    program : Program
        Two outputs or more.
    threat : Threat
        In which the radius is attained.
    samples : sequence
        Clouds, images, rows; of threats on diagrams mappings from channel to bars.
    extractor : Extractor, optional
        None for programs on vectors; for diagrams the one that has their channels.
    """

    program: Program
    threat: Threat
    samples: Sequence[Any]
    extractor: Extractor | None = None

    @cached_property
    def data(self) -> Any:
        """What the program reads: rows, or diagrams."""
        if self.threat.on_diagrams:
            return Diagrams.from_list(list(self.samples))
        if self.extractor is None:
            return np.asarray(self.samples)
        return self.extractor.fit(self.samples).transform(self.samples)

    @property
    def bounds(self) -> Mapping[str, Sequence[Bound]] | None:
        """What the extractor proves under the threat; None for vectors."""
        if self.extractor is None:
            return None
        return self.extractor.bounds(self.threat, self.data)

    @cached_property
    def target(self) -> Any:
        """The net as an attack sees it."""
        if self.threat.on_diagrams:
            return DiagramTarget(self.program, self.data)
        if self.extractor is None:
            return VectorTarget(self.program)
        _ = self.data  # fits the extractor
        return SampleTarget(self.program, self.extractor)

    def claim(self, certificates: Any) -> Claim:
        """What certificates of the samples say, to be attacked.

        Parameters
        ----------
        certificates : Certificates
            Of `data`, under the threat.
        """
        samples = self.target.samples if self.threat.on_diagrams else self.samples
        return Claim.of(certificates, self.target, samples)


def _threshold(register: int, t: float, row: Array | None = None) -> Affine:
    """Class 0 above t, class 1 below."""
    one = np.ones(1) if row is None else row
    return Affine((register,), np.stack([one, -one]), np.array([-t, t]))


def _entry(channel: str, convention: str, pinned: bool = False) -> BarInput:
    degree = int(channel.removeprefix("H"))
    error = 0.0 if convention == "value" else _ERROR
    return BarInput(channel, degree, convention, None, 0.0, 64.0, 64, error, pinned)


def _on_bars(entry: BarInput, first: Operation, t: float) -> Program:
    return Program((entry,), (first, SortTop((1,), _TOP), _threshold(2, t)))


def _gaps() -> list[Array]:
    """Pairs of points and a third one near the second: the largest gap varies."""
    wide = np.linspace(1.0, 3.0, 6)
    return [np.array([[0.0, 0.0], [gap, 0.0], [gap + 0.5, 0.0]]) for gap in wide]


def gap(threat: Threat) -> Planted:
    """Half of the largest gap of a cloud: moves as far as alpha radii can [X5, H1]."""
    entry = _entry("H0", "radius", pinned=True)
    program = _on_bars(entry, Deaths((0,)), 1.0)
    return Planted(program, threat, _gaps(), AlphaPersistence((0,)))


def rips_gap(threat: Threat) -> Planted:
    """The largest gap itself: moves as far as edges can [X3, H1]."""
    entry = _entry("H0", "edge length", pinned=True)
    program = _on_bars(entry, Deaths((0,)), 2.0)
    return Planted(program, threat, _gaps(), RipsPersistence((0,)))


def ring() -> Planted:
    """The radius at which a ring is filled: a tent that rises with the death [X5, R3].

    Moved outwards, all points lie on a circle that is larger by as much.
    """
    angles = 2 * np.pi * np.arange(12) / 12
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    tent = np.array([[[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0]]])
    program = _on_bars(_entry("H1", "radius"), BarFunctions((0,), tent), 0.25)
    clouds = [size * circle for size in (1.1, 1.2, 1.3, 1.4)]
    return Planted(program, Displacement(), clouds, AlphaPersistence((1,)))


def valley() -> Planted:
    """Half the depth of a valley between two peaks: every value counts once [X10]."""
    program = _on_bars(_entry("H0", "value"), BarFunctions((0,), _HALF_LIFE), 0.75)
    depths = np.linspace(1.0, 2.0, 6)
    signals = [np.array([1.0, 8.0, 8.0 - depth, 9.0]) for depth in depths]
    return Planted(program, PixelSup(), signals, CubicalPersistence((0,)))


def _single_bars() -> list[dict[str, Array]]:
    return [{"H1": np.array([[2.0, 2.0 + m]])} for m in np.linspace(1.0, 3.0, 6)]


def half_life() -> Planted:
    """Half the length of a bar, which moves at both ends [R3]."""
    program = _on_bars(_entry("H1", "value"), BarFunctions((0,), _HALF_LIFE), 1.0)
    return Planted(program, BottleneckBall(), _single_bars(), AlphaPersistence((1,)))


def steep_contour() -> Planted:
    """Length of a bar along a contour with slope 3 [R2]."""
    contour = Contours((0,), np.array([[0.0, 32.0]]), np.array([[3.0]]))
    program = _on_bars(_entry("H1", "value"), contour, 6.0)
    return Planted(program, BottleneckBall(), _single_bars(), AlphaPersistence((1,)))


def tails(p: float) -> Planted:
    """Norm of all half-lives, under a Wasserstein budget of the same order [R1]."""
    entry = _entry("H1", "value")
    lengths = BarFunctions((0,), _HALF_LIFE)
    tail = Tails((1,), _TOP, p=p, max_bars=entry.max_bars)
    program = Program((entry,), (lengths, tail, _threshold(2, 1.0)))
    samples = [
        {"H1": np.array([[2.0, 2.0 + a], [3.0, 3.5 + a]])}
        for a in np.linspace(0.2, 1.5, 6)
    ]
    return Planted(program, WassersteinBall(p), samples, AlphaPersistence((1,)))


def two_degrees() -> Planted:
    """Half-lives of two degrees, which move together: their l_2 norm [R8, C3]."""
    entries = _entry("H0", "value"), _entry("H1", "value")
    operations = (
        BarFunctions((0,), _HALF_LIFE),
        SortTop((2,), _TOP, p=2),
        BarFunctions((1,), _HALF_LIFE),
        SortTop((4,), _TOP, p=2),
        Concat((3, 5)),
        _threshold(6, 2.0, np.ones(2)),
    )
    samples = [
        {"H0": np.array([[2.0, 2.0 + a]]), "H1": np.array([[3.0, 3.0 + a]])}
        for a in np.linspace(1.0, 3.0, 6)
    ]
    program = Program(entries, operations)
    return Planted(program, WassersteinBall(2), samples, AlphaPersistence((0, 1)))


def row_sum() -> Planted:
    """A sum of all features, each of which moves [N1]."""
    weight = np.zeros((6, 6))
    weight[0] = (1.0, -1.0, 1.0, 1.0, -1.0, 1.0)
    head = _threshold(1, 0.0, np.eye(6)[0])
    rows = np.linspace(-1.0, 1.0, 6)[:, None] * weight[0]
    operations = (Affine((0,), weight, np.zeros(6)), head)
    program = Program((VectorInput(6, math.inf, 8.0),), operations)
    return Planted(program, FeatureBall(math.inf), list(rows))


def singular_direction() -> Planted:
    """The longest direction of a matrix with many directions almost as long [N6]."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(12, 12)))[0] for _ in range(2))
    weight = left @ np.diag(np.linspace(1.0, 0.8, 12)) @ right
    head = _threshold(1, 0.0, left[:, 0])
    rows = np.linspace(-1.0, 1.0, 6)[:, None] * right[0] + 0.1 * right[1]
    operations = (Affine((0,), weight, np.zeros(12)), head)
    program = Program((VectorInput(12, 2.0, 8.0),), operations)
    return Planted(program, FeatureBall(2), list(rows))


def three_classes() -> Planted:
    """Three logits; the nearest rival is the last [C2]."""
    rows = [np.array([1.0, -4.0, s]) for s in np.linspace(-1.0, 0.9, 6)]
    head = Affine((0,), np.eye(3), np.zeros(3))
    program = Program((VectorInput(3, math.inf, 8.0),), (head,))
    return Planted(program, FeatureBall(math.inf), rows)


def exact_logits() -> Planted:
    """Logits without any rounding: the radius is the largest that is sound [C2, F7].

    At distance exactly 1 they tie, and a tie goes to the other class.
    """
    program = Program((VectorInput(2, math.inf, 8.0),), (Abs((0,)),))
    return Planted(program, FeatureBall(math.inf), [np.array([1.0, 3.0])])


def between_float32() -> Planted:
    """Rows between two numbers of single precision, on the far side of a tie [F1]."""
    step = 2.0**-24  # of single precision below 1
    rows = [np.array([1.0 - share * step]) for share in (0.6, 0.7, 0.9)]
    program = Program((VectorInput(1, math.inf, 8.0),), (_threshold(0, 1.0),))
    return Planted(program, FeatureBall(math.inf), rows)


def spike(width: float = 0.25) -> Planted:
    """One class everywhere, but for a spike around one hidden vector [N3].

    Random moves never meet it: of 16 coordinates all must go the right way.
    """
    rng = np.random.default_rng(1)
    hidden = rng.integers(-64, 64, 16) / 64  # numbers whose differences are exact
    signs = np.where(rng.random((8, 16)) < 0.5, -1.0, 1.0)
    rows = hidden + np.linspace(0.5, 1.375, 8)[:, None] * signs
    operations = (Distance((0,), hidden[None], np.zeros(1)), _threshold(1, width))
    program = Program((VectorInput(16, math.inf, 16.0),), operations)
    return Planted(program, FeatureBall(math.inf), list(rows))


#: By name; each is built anew, so that nothing is cached between two of them.
PLANTED: dict[str, Callable[[], Planted]] = {
    "largest gap, displacement": lambda: gap(Displacement()),
    "largest gap, budget": lambda: gap(Budget()),
    "largest gap, single point": lambda: gap(SinglePoint()),
    "Rips gap, displacement": lambda: rips_gap(Displacement()),
    "Rips gap, budget": lambda: rips_gap(Budget()),
    "Rips gap, single point": lambda: rips_gap(SinglePoint()),
    "filled ring": ring,
    "valley": valley,
    "half-life": half_life,
    "steep contour": steep_contour,
    "sum of all bars": lambda: tails(1.0),
    "norm of all bars": lambda: tails(2.0),
    "two degrees": two_degrees,
    "row sum": row_sum,
    "singular direction": singular_direction,
    "three classes": three_classes,
    "exact logits": exact_logits,
    "between float32": between_float32,
    "hidden spike": spike,
}
