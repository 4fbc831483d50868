"""What the soundness benchmark attacks: models on all kinds of data, and planted nets.

Short orbits, shapes in space and images through extractors; bars themselves; rows
through every network there is; programs that nobody trained.  "Thin" samples lie on the
way to another label and are only just certified: their margin is hardly more than what
rounding is charged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import stablerank as sr
from stablerank.attack import (
    PLANTED,
    Claim,
    DiagramTarget,
    SampleTarget,
    Target,
    VectorTarget,
    barely_certified,
    random_bar_program,
    random_diagrams,
    random_program,
)
from stablerank.certify import Certificates, certify
from stablerank.metrics import Threat
from stablerank.nn.build import NETWORKS

SEED = 20260105


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    orbits: int  # a class, in each of three parts
    shapes: int  # a class
    images: int
    rows: int  # of each network
    programs: int
    inputs: int  # of each random program
    thin: int  # slow attacks a case, and samples that are only just certified
    beyond: int  # samples a case that are attacked beyond their radius
    epochs: int


FULL = Sizes(200, 40, 1400, 500, 60, 60, 20, 40, 20)
QUICK = Sizes(4, 2, 40, 30, 6, 10, 4, 10, 3)


@dataclass(frozen=True)
class Case:
    """A claim of certificates, and where it belongs in the tables."""

    group: str
    name: str
    claim: Claim
    #: Whether moves beyond the radius say something of the model.
    ordinary: bool = True


def cases(sizes: Sizes) -> Iterator[Case]:
    """All of them, one after the other, so that few are held at a time."""
    yield from orbit_cases(sizes)
    yield from shape_cases(sizes)
    yield from image_cases(sizes)
    yield from row_cases(sizes)
    yield from program_cases(sizes)


def model_case(
    group: str, name: str, clf: Any, samples: Sequence[Any], threat: Threat
) -> Case:
    """A classifier on raw samples."""
    cert = clf.certify(samples, threat)
    target = SampleTarget(clf.program_, clf.extractor_)
    return Case(group, name, claim_of(clf, cert, target, samples))


def claim_of(clf: Any, cert: Certificates, target: Target, samples: Any) -> Claim:
    """What a classifier says, asked as users ask it."""
    return Claim.of(cert, target, samples, predict=clf.predict, classes=clf.classes_)


def bar_case(group: str, name: str, clf: Any, dgms: Any, threat: Threat) -> Case:
    """A classifier on diagrams, whose bars move."""
    target = DiagramTarget(clf.program_, dgms)
    claim = Claim.of(
        clf.certify(dgms, threat),
        target,
        target.samples,
        predict=lambda samples: clf.predict(target.diagrams(samples)),
        classes=clf.classes_,
    )
    return Case(group, name, claim)


def orbit_cases(sizes: Sizes) -> Iterator[Case]:
    """Short orbits of ORBIT5K's five classes: points, distances, bars."""
    n, group = sizes.orbits, "ORBIT5K"
    train, y = sr.datasets.orbit5k(SEED, max(n // 4, 6), n_points=60)
    clouds, _ = sr.datasets.orbit5k(SEED + 1, n, n_points=60)
    clouds = list(clouds[np.random.default_rng(SEED).permutation(len(clouds))])
    options = {"hidden": (64,), "epochs": sizes.epochs, "random_state": 0}
    alpha = sr.SRNClassifier(**options).fit(train, y)
    half, most = len(clouds) // 2, len(clouds) * 3 // 4
    yield model_case(group, "alpha", alpha, clouds[:half], sr.Displacement())
    yield model_case(group, "alpha", alpha, clouds[half:most], sr.Budget())
    yield model_case(group, "alpha", alpha, clouds[most:], sr.SinglePoint())
    rips = sr.SRNClassifier(sr.RipsPersistence(), **options).fit(train, y)
    yield model_case(group, "Rips", rips, clouds[: half // 2], sr.Displacement())
    bars, _ = sr.datasets.orbit5k(SEED + 2, n, n_points=60)
    dgms = alpha.extractor_.transform(bars)
    yield bar_case(group, "bars", alpha, dgms, sr.BottleneckBall())
    for p in (1, 2):
        paper = sr.SRNClassifier(preset="paper", tail_p=p, **options).fit(train, y)
        some = dgms[p - 1 :: 4]
        yield bar_case(group, "tails of bars", paper, some, sr.WassersteinBall(p))
    yield from thin_cases(group, "alpha, thin", alpha, clouds, sizes)


def shape_cases(sizes: Sizes) -> Iterator[Case]:
    """Clouds in space."""
    train, y = sr.datasets.shapes(
        seed=SEED, n_per_class=max(sizes.shapes // 2, 4), n_points=60
    )
    clouds, _ = sr.datasets.shapes(seed=SEED + 1, n_per_class=sizes.shapes, n_points=60)
    clf = sr.SRNClassifier(hidden=(64,), epochs=sizes.epochs, random_state=0)
    clf.fit(train, y)
    yield model_case("shapes", "alpha", clf, list(clouds), sr.Displacement())


def image_cases(sizes: Sizes) -> Iterator[Case]:
    """Digits as images, through cubical persistence."""
    images, y = shuffled_digits()
    n = sizes.images
    options = {"hidden": (64,), "epochs": sizes.epochs, "random_state": 0}
    clf = sr.SRNClassifier(sr.CubicalPersistence(), **options)
    clf.fit(images[-max(n // 4, 60) :], y[-max(n // 4, 60) :])
    first, second = list(images[: n // 2]), list(images[n // 2 : n])
    yield model_case("digits", "cubical", clf, first, sr.PixelSup())
    yield model_case("digits", "cubical", clf, second, sr.PixelBudget(2))


def row_cases(sizes: Sizes) -> Iterator[Case]:
    """Digits as rows of a table, through every network there is."""
    images, y = shuffled_digits()
    rows, n = images.reshape(len(images), -1), sizes.rows
    for norm, networks in NETWORKS.items():
        for network in networks:
            clf = sr.LipschitzClassifier(
                norm, network, hidden=(32,), epochs=sizes.epochs, random_state=0
            ).fit(rows[n:][:600], y[n:][:600])
            yield row_case("digits", network, clf, rows[:n])
            yield from thin_cases("digits", f"{network}, thin", clf, rows[:n], sizes)


def row_case(group: str, name: str, clf: Any, rows: Any) -> Case:
    """A classifier on rows."""
    target = VectorTarget(clf.program_)
    return Case(group, name, claim_of(clf, clf.certify(rows), target, list(rows)))


def thin_cases(
    group: str, name: str, clf: Any, samples: Sequence[Any], sizes: Sizes
) -> Iterator[Case]:
    """Samples on the way to another label that are only just certified."""
    cert = clf.certify(samples)
    own = cert.label[int(cert.radius.argmax())]
    start = np.flatnonzero((cert.radius > 0) & (cert.label == own))[: sizes.thin]
    end = np.flatnonzero(cert.label != own)[: len(start)]

    def holds(some: list[Any]) -> Any:
        found = clf.certify(np.array(some))
        return (found.radius > 0) & (found.label == own)

    sure, other = ([samples[i] for i in rows] for rows in (start[: len(end)], end))
    edge = barely_certified(holds, sure, other)
    if not edge:
        return
    if getattr(clf, "extractor_", None) is None:
        case = row_case(group, name, clf, np.array(edge))
    else:
        case = model_case(group, name, clf, edge, cert.threat)
    yield replace(case, ordinary=False)


def program_cases(sizes: Sizes) -> Iterator[Case]:
    """Programs that nobody trained, on vectors and on bars."""
    for seed in range(sizes.programs):
        rng = np.random.default_rng([SEED, seed])
        norm = (math.inf, 2.0)[seed % 2]
        program = random_program(rng, norm, depth=1 + seed % 5)
        # An l_2 ball may also enter an l_inf program.
        ball = sr.FeatureBall(2.0 if seed % 3 == 0 else norm)
        rows = rng.uniform(-4, 4, (sizes.inputs, 12))
        cert = certify(program, rows, ball)
        claim = Claim.of(cert, VectorTarget(program), list(rows))
        yield Case("random programs", f"vectors, l_{ball.norm:g}", claim)
    for seed in range(sizes.programs // 4):
        rng = np.random.default_rng([SEED, seed, 1])
        program, dgms = random_bar_program(rng), random_diagrams(rng, sizes.inputs)
        threat = sr.BottleneckBall()
        bounds = sr.AlphaPersistence().bounds(threat, dgms)
        target = DiagramTarget(program, dgms)
        cert = certify(program, dgms, threat, bounds)
        claim = Claim.of(cert, target, target.samples)
        yield Case("random programs", "bars", claim)


def shuffled_digits() -> tuple[Any, Any]:
    images, y = sr.datasets.digits()
    order = np.random.default_rng(SEED).permutation(len(y))
    return images[order], y[order]


def planted_cases() -> Iterator[Case]:
    """Nets whose exact radius is known."""
    for name, build in PLANTED.items():
        net = build()
        cert = certify(net.program, net.data, net.threat, net.bounds)
        yield Case("planted", name, net.claim(cert))
