"""The l_2 road: budgets shared by all points or pixels, from diagrams to a radius."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablerank as sr
from stablerank import (
    AlphaPersistence,
    BottleneckBall,
    Budget,
    CubicalPersistence,
    Diagrams,
    Displacement,
    FeatureBall,
    PixelBudget,
    PixelSup,
    RipsPersistence,
    SRNClassifier,
    SRNRegressor,
    WassersteinBall,
)
from stablerank.certify import Certificates, certify
from stablerank.certify.stages import observe_stages
from stablerank.estimators.base import pinned_channels
from stablerank.exceptions import InvalidInputError, NoStabilityTheorem
from stablerank.frozen import Affine, BarFunctions, Deaths, Program, SortTop
from stablerank.metrics import Threat
from stablerank.nn.build import NETWORKS
from stablerank.represent.domain import bar_inputs
from tests.certify.test_checker import confirmed
from tests.estimators.problems import SMALL, bits, rings_and_blobs
from tests.estimators.test_classifier import Unproved

L2 = SMALL | {"norm": 2}
LONG = L2 | {"epochs": 30}


def images(n: int = 24, seed: int = 0) -> tuple[Any, Any]:
    """Noisy images of one (0) or two (1) dark blobs."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((7, 7))
    y = np.arange(n) % 2
    result = []
    for label in y:
        blobs = [(1.5, 1.5)] + [(4.5, 4.5)] * int(label)
        dark = [np.exp(-((rows - a) ** 2 + (columns - b) ** 2)) for a, b in blobs]
        result.append(-4.0 * np.sum(dark, axis=0) + rng.normal(0, 0.05, (7, 7)))
    return np.array(result), y


@pytest.fixture(scope="module")
def clouds_model() -> SRNClassifier:
    return SRNClassifier(**LONG).fit(*rings_and_blobs())


@pytest.fixture(scope="module")
def images_model() -> SRNClassifier:
    return SRNClassifier(CubicalPersistence(), **LONG).fit(*images())


# --- what is trained for, and certified -----------------------------------------------


def test_the_usual_threat_is_an_l2_budget(clouds_model, images_model) -> None:
    clouds, y = rings_and_blobs()
    assert clouds_model.certify(clouds).threat == Budget()
    assert images_model.certify(images()[0]).threat == PixelBudget(2)
    dgms = AlphaPersistence().fit_transform(clouds)
    bars = SRNClassifier("precomputed", **L2).fit(dgms, y)
    assert bars.certify(dgms).threat == WassersteinBall(2)
    ground = bars.certify(dgms, WassersteinBall(2, math.inf)).radius
    assert (ground <= bars.certify(dgms).radius).all()


def test_models_in_l2_learn_and_certify_new_samples(clouds_model, images_model) -> None:
    for model, (X, y) in (
        (clouds_model, rings_and_blobs(40, seed=1)),
        (images_model, images(40, seed=1)),
    ):
        assert model.score(X, y) >= 0.9
        cert = model.certify(X)
        assert np.array_equal(cert.label, model.predict(X))
        assert (cert.radius > 0).mean() > 0.9
        owed = cert.evidence["owed"].max() / cert.evidence["constants"].max()
        assert 0 < owed < 1e-5 * np.median(cert.radius)


def grids(n: int = 24, seed: int = 0) -> tuple[list[Any], Any]:
    """Twelve points on a line each: gaps of 1.0 (0) or 1.2 (1), with noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    steps = (1.0 + 0.2 * label + rng.normal(0, 0.02, 12) for label in y)
    return [np.cumsum(gaps)[:, None] for gaps in steps], y


def test_a_small_change_of_many_bars_counts_more_than_in_the_maximum_norm() -> None:
    clouds, y = grids()
    medians = {}
    for norm in (2, math.inf):
        model = SRNClassifier(**LONG | {"norm": norm}).fit(clouds, y)
        assert model.score(clouds, y) == 1
        medians[norm] = np.median(model.certify(clouds, Budget()).radius)
    assert medians[2] > 1.5 * medians[math.inf]


def test_the_chain_of_a_budget_names_its_theorems(clouds_model, capsys) -> None:
    text = clouds_model.certify(rings_and_blobs()[0]).bound.explain()
    assert capsys.readouterr().out == text + "\n"
    first = text.splitlines()[1]
    assert "x 1.20711" in first  # C_2 / 2
    assert "[H2]" in first
    assert "l_2 distance of sorted deaths" in first
    assert "R8" in text
    assert "l_2 distance of vectors" in text


def test_images_are_bounded_through_w2_or_sorted_lengths(images_model) -> None:
    bound = images_model.certify(images()[0]).bound
    assert bound.chain[0].ledger in ("X11", "H4")
    assert bound.source == PixelBudget(2)


def test_no_stage_uses_more_than_its_bound(clouds_model) -> None:
    clouds, _ = rings_and_blobs(8)
    moved = [1.01 * cloud for cloud in clouds]
    threat, extractor = Budget(), clouds_model.extractor_
    a, b = extractor.transform(clouds), extractor.transform(moved)
    sizes = [threat.distance_up(*pair) for pair in zip(clouds, moved, strict=True)]
    bounds = extractor.bounds(threat, a)
    program = clouds_model.program_
    seen = observe_stages(program, a, b, sizes, threat=threat, bounds=bounds)
    assert np.nanmax(seen.ratios) <= 1
    assert seen.typical["features"] > 0.3


def test_other_threats_pay_for_the_number_of_ranks(clouds_model) -> None:
    clouds, _ = rings_and_blobs()
    budget = clouds_model.certify(clouds)
    every = clouds_model.certify(clouds, Displacement())
    n = max(map(len, clouds))
    # A ball of displacements lies between the budget balls of r and sqrt(n) r.
    assert (every.radius <= budget.radius).all()
    assert (every.radius >= budget.radius / math.sqrt(n)).all()
    assert (every.radius > 0).any()
    inside = clouds_model.certify(clouds, FeatureBall(2))
    assert (inside.radius > 0).any()
    assert (clouds_model.certify(clouds, BottleneckBall()).radius > 0).any()


# --- constants that are attained ------------------------------------------------------


def planted(
    dgms: Diagrams, bounds: Any, threat: Threat, gain: list[float], *, deaths: bool
) -> tuple[Program, Certificates]:
    """One sorted function of one channel against a threshold, along `gain`."""
    inputs = bar_inputs(dgms, pinned_channels(bounds))
    half = BarFunctions((0,), np.array([[[-0.5, 0.5, 0.0]]]))
    rows = np.array([gain, [-g for g in gain]])
    features = [Deaths((0,)) if deaths else half]
    features.append(SortTop((1,), np.arange(len(gain)), 2))
    values = Program(tuple(inputs), tuple(features)).evaluate(dgms)[0]
    # The margin of the sample is 0.2 |rows[0] - rows[1]|, so its distance 0.2 / K.
    shift = 0.2 * np.linalg.norm(gain) - rows[0] @ values
    head = Affine((2,), rows, np.array([shift, -shift]))
    program = Program(tuple(inputs), (*features, head))
    return program, certify(program, dgms, threat, bounds)


def path(gaps: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(gaps)])[:, None]


def case_of_a_path() -> tuple[Any, Any, Threat, list[float], float]:
    """Points of a line move to and fro: gaps grow and shrink by turns [H2, d = 1]."""
    n = 60
    gaps = 4.0 + 0.2 * np.arange(n - 1)  # the moved ones keep their order
    turns = (-1.0) ** np.arange(n)[:, None]
    gain = np.diff(turns, axis=0)[::-1, 0].tolist()  # the longest gap comes first
    cloud = path(gaps)
    return cloud, turns / math.sqrt(n), Budget(), gain, math.sqrt(1 - 1 / n)


def case_of_a_star() -> tuple[Any, Any, Threat, list[float], float]:
    """Three valleys go down while their common pass goes up [H4]."""
    image = np.full((3, 3), 9.0)
    image[1, 1] = 1.0
    image[0, 1], image[1, 0], image[1, 2], image[2, 1] = -9.0, -3.0, -2.0, -1.0
    move = np.array([[0.0, 0, 0], [-1, 3, -1], [0, -1, 0]])
    return image, move / math.sqrt(12), PixelBudget(2), [1.0, 1.0, 1.0], 1.0


CASES: dict[str, tuple[Any, Any, bool]] = {
    "alpha": (case_of_a_path, AlphaPersistence((0,)), True),
    "Rips": (case_of_a_path, RipsPersistence((0,)), True),
    "image": (case_of_a_star, CubicalPersistence((0,)), False),
}


@pytest.mark.parametrize("name", CASES)
def test_the_label_flips_just_beyond_the_radius(name: str) -> None:
    case, extractor, deaths = CASES[name]
    x, move, threat, gain, share = case()
    dgms = extractor.fit_transform([x])
    bounds = extractor.bounds(threat, dgms)
    program, cert = planted(dgms, bounds, threat, gain, deaths=deaths)
    (radius,) = cert.radius
    assert radius > 0
    for sign in (-1.0, 1.0):  # up to orientation, the move leads across the boundary
        inside = x + sign * move * radius * (1 - 1e-9)
        assert threat.distance_up(x, inside) <= radius
        after = program.evaluate(extractor.transform([inside]))
        assert after.argmax() == cert.label[0]
    beyond = [x + s * move * radius * 1.001 / share for s in (-1.0, 1.0)]
    flipped = program.evaluate(extractor.transform(beyond)).argmax(axis=1)
    assert (flipped != cert.label[0]).any()


@pytest.mark.parametrize("q", [2.0, math.inf])
def test_the_radius_in_w2_is_attained_by_bars_that_grow_at_both_ends(q: float) -> None:
    bars = np.array([[1.0, 3.0], [1.0, 4.0], [2.0, 6.0]])
    threat = WassersteinBall(2, q)
    dgms = Diagrams.from_list([{"H1": bars}])
    bounds = {"H1": AlphaPersistence((1,)).bounds(threat, dgms)["H1"]}
    program, cert = planted(dgms, bounds, threat, [1.0, 1.0, 1.0], deaths=False)
    # A bar that loses t at each end moves by t in l_inf, by sqrt(2) t in l_2.
    t = cert.radius[0] / math.sqrt(3) / (math.sqrt(2) if q == 2 else 1.0)
    for share, same in ((1 - 1e-9, True), (1.001, False)):
        moved = [{"H1": bars + share * t * np.array([1.0, -1.0])}]
        label = program.evaluate(Diagrams.from_list(moved)).argmax()
        assert (label == cert.label[0]) == same


# --- attacks --------------------------------------------------------------------------


def attack(
    model: SRNClassifier, X: Any, threat: Threat, radii: Any, steps: int
) -> tuple[int, float]:
    """Descend all margins inside their balls: labels lost, and the best share of it."""
    rng = np.random.default_rng(0)
    margin = np.abs(model.decision_function(X))
    label = model.predict(X)
    best, value = [x.copy() for x in X], margin.copy()
    for _ in range(steps):
        tried = []
        for x, now, r in zip(X, best, radii, strict=True):
            step = rng.normal(size=x.shape) * (rng.random(x.shape) < rng.random())
            far = x + 1.7 * (now - x) + r * step / (np.linalg.norm(step) or 1.0)
            tried.append(threat.project(x, far, r))
        z = model.decision_function(tried)
        found = np.where((z > 0) == (label == 1), np.abs(z), -np.abs(z))
        for i in np.flatnonzero(found < value):
            best[i], value[i] = tried[i], found[i]
    lost = int((model.predict(best) != label).sum())
    return lost, float(np.max(1 - value / margin))


@pytest.mark.parametrize(
    ("threat", "steps"), [(Budget(), 40), (Displacement(), 8)], ids=str
)
def test_no_move_within_the_radius_changes_a_cloud(threat, steps, clouds_model) -> None:
    clouds = rings_and_blobs(8, seed=2)[0]
    radii = clouds_model.certify(clouds, threat).radius
    lost, _ = attack(clouds_model, clouds, threat, radii, steps)
    assert lost == 0
    # The same search is no paper tiger further out.
    assert attack(clouds_model, clouds, threat, 12 * radii, steps)[0] > 0


@pytest.mark.parametrize("threat", [PixelBudget(2), PixelSup()], ids=str)
def test_no_change_within_the_radius_changes_an_image(threat, images_model) -> None:
    X = images(12, seed=2)[0]
    radii = images_model.certify(X, threat).radius
    lost, share = attack(images_model, X, threat, radii, 60)
    assert lost == 0
    assert share > 0.15  # of the margin that the certificate gives away
    assert attack(images_model, X, threat, 30 * radii, 60)[0] > 0


# --- the same promises as in l_inf ----------------------------------------------------


@pytest.mark.parametrize("network", sorted(NETWORKS[2]))
def test_every_l2_network_trains_and_certifies(network: str) -> None:
    clouds, y = rings_and_blobs()
    options = None
    if network == "bronet":  # which would rather have an image than 24 + 2 features
        options = {"image": (13, 2), "channels": 8, "patch": 1, "neck": 1}
    model = SRNClassifier(network=network, network_options=options, **L2)
    cert = model.fit(clouds, y).certify(clouds)
    assert model.score(clouds, y) > 0.5
    assert (cert.radius > 0).any()


def test_the_stdlib_checker_confirms_the_certificates(tmp_path: Path) -> None:
    clouds, y = rings_and_blobs(8)
    model = SRNClassifier(**L2 | {"hidden": (8,)}).fit(clouds, y)
    for k, threat in enumerate([Budget(), Displacement()]):
        verdicts = confirmed(model.certify(clouds[:3], threat), tmp_path / str(k))
        assert any(verdict.claimed > 0 for verdict in verdicts)


def test_a_saved_model_comes_back_with_its_norm(images_model, tmp_path: Path) -> None:
    X, _ = images()
    sr.save(images_model, tmp_path)
    again = sr.load(tmp_path)
    assert (again.norm, again.network) == (2, "auto")
    assert bits(again, X) == bits(images_model, X)


def test_regressors_certify_intervals_under_a_budget() -> None:
    clouds, _ = grids(30)
    sizes = np.array([np.ptp(cloud) for cloud in clouds])
    model = SRNRegressor(**LONG).fit(clouds, sizes)
    cert = model.certify(clouds)
    assert cert.threat == Budget()
    low, high = cert.interval(0.05)
    rng = np.random.default_rng(0)
    for _ in range(10):
        moved = [
            Budget().project(c, c + rng.normal(size=c.shape), 0.05) for c in clouds
        ]
        value = model.predict(moved)
        assert ((low <= value) & (value <= high)).all()


# --- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"norm": 1}, "norm"),
        ({"network": "maxmin"}, "bro, cayley"),
        ({"norm": math.inf, "network": "bro"}, "norm=2"),
        ({"preset": "paper"}, "bounded in l_inf"),
    ],
)
def test_a_choice_of_the_other_norm_is_refused_by_name(options, words) -> None:
    with pytest.raises(ValueError, match=words):
        SRNClassifier(**L2 | options).fit(*rings_and_blobs())


def test_an_extractor_without_a_theorem_certifies_its_bars_in_w2() -> None:
    clouds, y = rings_and_blobs()
    model = SRNClassifier(Unproved(), **L2).fit(clouds, y)
    with pytest.raises(NoStabilityTheorem, match="nobody"):
        model.certify(clouds)
    assert (model.certify(clouds, WassersteinBall(2)).radius > 0).any()


def test_points_of_a_budget_are_not_pixels(clouds_model) -> None:
    with pytest.raises(NoStabilityTheorem, match="norm of the values"):
        clouds_model.certify(rings_and_blobs()[0], PixelBudget())
    with pytest.raises(InvalidInputError, match="hidden"):
        SRNClassifier(norm=2, hidden=(0,)).fit(*rings_and_blobs())
