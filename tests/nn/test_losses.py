"""Losses: what they count, what they are blind to, and that they teach.

Every loss is a row in a table.  Values are compared with the formulas of the papers,
written here sample by sample for logits that are 1-Lipschitz one by one (all pairwise
constants 2); that other constants mean what they should is tested by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from stablerank.exceptions import InvalidInputError
from stablerank.nn import (
    EMMA,
    HKR,
    KR,
    CalibratedMargin,
    Hinge,
    LogitAnnealing,
    Loss,
    OffsetCrossEntropy,
    SoftHKR,
    TemperatureCrossEntropy,
    Trades,
    build_network,
    pairwise_radii,
)

LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.3, 0.1]])
TARGET = torch.tensor([0, 2])
CONSTANTS = torch.tensor([[0.0, 2.0, 1.0], [2.0, 0.0, 0.5], [1.0, 0.5, 0.0]])

Row = Sequence[float]


def log_sum(values: Row) -> float:
    return math.log(math.fsum(math.exp(v) for v in values))


def cross_entropy(z: Row, y: int) -> float:
    return log_sum(z) - z[y]


def rivals(z: Row, y: int) -> list[float]:
    return [v for j, v in enumerate(z) if j != y]


def offset_paper(z: Row, y: int) -> float:
    """One wanted radius, 0.5, and temperature 3."""
    return cross_entropy([3 * (v - 2 * 0.5 * (j == y)) / 2 for j, v in enumerate(z)], y)


def temperature_paper(z: Row, y: int) -> float:
    return cross_entropy([4 * v for v in z], y) / 4


def annealing_paper(z: Row, y: int) -> float:
    loss = cross_entropy([(v - 2.0 * (j == y)) / 0.75 for j, v in enumerate(z)], y)
    return (1 - math.exp(-loss)) ** 5 * loss * 0.75


def calibrated_paper(z: Row, y: int) -> float:
    logistic = lambda q: math.log(q / (1 - q))  # noqa: E731
    sigma = 2 * 0.2 / (logistic(1 - 0.1 / 2) - logistic(0.1 / 2))
    moved = [(v - z[y]) / (2 * sigma) for v in z]
    moved = [v + (-0.2 if j == y else 0.2) / sigma for j, v in enumerate(moved)]
    return cross_entropy(moved, y) + 0.01 * 2**2


def hinge_paper(z: Row, y: int) -> float:
    return max(0.0, 1.5 - (z[y] - max(rivals(z, y))))


def emma_paper(z: Row, y: int) -> float:
    moved = []
    for j, v in enumerate(z):
        share = min(max((z[y] - v) / (0.3 * 2), 0.01), 1.0)
        moved.append(v if j == y else v + share * 0.3 * 2)
    return cross_entropy(moved, y)


def trades_paper(z: Row, y: int) -> float:
    c = max(range(len(z)), key=lambda j: z[j])
    extended = [*z, max(v + 0.3 * 2 for v in rivals(z, c))]
    p = [math.exp(v - log_sum(z)) for v in z]
    q = [math.exp(v - log_sum(extended)) for v in z]
    divergence = math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return cross_entropy(z, y) + 2.0 * divergence


def soft_hkr_paper(z: Row, y: int) -> float:
    """The running mean has not moved, so the softmax has the temperature itself."""
    powers = [math.exp(2.0 * v) for v in rivals(z, y)]
    total, cost = math.fsum(powers), 0.0
    for weight, signed in [(total, z[y])] + [
        (w, -v) for w, v in zip(powers, rivals(z, y), strict=True)
    ]:
        cost += weight / total * (0.9 * max(0.0, 0.5 - signed) - 0.1 * signed)
    return cost


@dataclass(frozen=True)
class Case:
    """A loss, its formula, and what it is allowed to look at."""

    make: Callable[[], Loss]
    paper: Callable[[Row, int], float] | None = None
    level: bool = False  # reads the level of the logits
    scale: bool = False  # reads logits and constants apart
    batch: bool = False  # is no mean over samples


CASES = {
    "offset": Case(lambda: OffsetCrossEntropy((0.5,), 3.0), offset_paper),
    "offsets": Case(lambda: OffsetCrossEntropy((0.0, 1.0), 2.0, (0.0, 0.3))),
    "temperature": Case(lambda: TemperatureCrossEntropy(4.0), temperature_paper),
    "annealing": Case(LogitAnnealing, annealing_paper),
    "calibrated": Case(
        lambda: CalibratedMargin(0.2, 0.1, 0.01), calibrated_paper, scale=True
    ),
    "hinge": Case(lambda: Hinge(1.5), hinge_paper),
    "emma": Case(lambda: EMMA(0.3), emma_paper, scale=True),
    "trades": Case(lambda: Trades(0.3, 2.0), trades_paper, scale=True),
    "kr": Case(KR, level=True, batch=True),
    "hkr": Case(lambda: HKR(0.9, 0.5), level=True, batch=True),
    "soft hkr": Case(lambda: SoftHKR(temperature=2.0), soft_hkr_paper, level=True),
}
every_loss = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def batch(n: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets with every class in them, and constants of a metric."""
    draw = torch.Generator().manual_seed(seed)
    z = torch.randn(n, classes, generator=draw, dtype=torch.float64)
    rows = torch.randn(classes, 3, generator=draw, dtype=torch.float64)
    return z, torch.arange(n) % classes, torch.cdist(rows, rows)


def twos(classes: int) -> Tensor:
    return 2 - 2 * torch.eye(classes, dtype=torch.float64)


def transport(scores: Tensor, positive: Tensor) -> float:
    return float(scores[positive].mean() - scores[~positive].mean())


PAPERS = {name: case for name, case in CASES.items() if case.paper is not None}


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("case", PAPERS.values(), ids=PAPERS)
def test_with_constants_of_two_values_are_those_of_the_paper(
    case: Case, classes: int
) -> None:
    z, y, _ = batch(10, classes)
    loss = case.make().eval()
    assert case.paper is not None
    expected = [
        case.paper(row, c) for row, c in zip(z.tolist(), y.tolist(), strict=True)
    ]
    # In float32, the buffers of the offset cross-entropy.
    assert float(loss(z, y, twos(classes))) == pytest.approx(np.mean(expected), 1e-6)


def test_hkr_of_two_classes_is_the_binary_one() -> None:
    z, y, constants = batch(9, 2)
    f = (z[:, 1] - z[:, 0]) / constants[0, 1]
    hinge = (0.25 - torch.where(y == 1, f, -f)).clamp_min(0).mean()
    expected = 0.9 * float(hinge) - 0.1 * transport(f, y == 1)
    assert float(HKR(0.9, 0.5)(z, y, constants)) == pytest.approx(expected)


def test_hkr_of_many_classes_is_the_mean_of_one_against_the_rest() -> None:
    z, y, _ = batch(12, 4)
    y[:2] = 3  # classes of unequal size
    expected = 0.0
    for c in range(4):
        signed = torch.where(y == c, z[:, c], -z[:, c])
        hinge = (0.25 - signed).relu() * torch.where(y == c, 3, 1)
        expected += 0.9 * float(hinge.mean()) - 0.1 * transport(z[:, c], y == c)
    assert float(HKR(0.9, 0.5)(z, y, twos(4))) == pytest.approx(expected / 4)
    expected = np.mean([transport(z[:, c], y == c) for c in range(4)])
    assert float(KR()(z, y, twos(4))) == pytest.approx(-expected)


@pytest.mark.parametrize("name", ["offsets", "temperature", "annealing", "hinge"])
def test_only_the_radii_matter(name: str) -> None:
    z, y, constants = batch(8, 4)
    loss = CASES[name].make()
    radii = pairwise_radii(z, y, constants)
    assert torch.allclose(loss(z, y, constants), loss(-2 * radii, y, twos(4)))


def test_constants_enter_emma_trades_and_the_calibrated_margin_pair_by_pair() -> None:
    z, y, constants = batch(8, 4)
    emma = calibrated = trades = 0.0
    slope = 2 * math.log(19) / (2 * 0.2)
    for row, c in zip(z.tolist(), y.tolist(), strict=True):
        moved, energies = [0.0], [0.0]
        pairs = zip(rivals(row, c), rivals(constants[c].tolist(), c), strict=True)
        for v, k in pairs:
            radius = (row[c] - v) / k
            moved.append(v + min(max(radius, 0.003), 0.3) * k - row[c])
            energies.append(slope * (2 * 0.2 - radius))
        emma += log_sum(moved)
        calibrated += log_sum(energies) + 0.01 * float(constants.max()) ** 2
        top = int(np.argmax(row))
        pushed = (np.array(row) + 0.3 * constants[top].numpy()).tolist()
        trades += cross_entropy(row, c)
        trades += 2 * math.log1p(math.exp(max(rivals(pushed, top)) - log_sum(row)))
    for name, value in [("emma", emma), ("calibrated", calibrated), ("trades", trades)]:
        found = float(CASES[name].make()(z, y, constants))
        assert found == pytest.approx(value / 8), name


@every_loss
def test_scaling_logits_and_constants_together_changes_nothing(case: Case) -> None:
    z, y, constants = batch(8, 4)
    loss = case.make().eval()
    same = torch.allclose(loss(7 * z, y, 7 * constants), loss(z, y, constants))
    assert same != case.scale


@every_loss
@pytest.mark.parametrize("classes", [2, 4])
def test_only_differences_of_logits_matter_but_for_one_class_against_the_rest(
    case: Case, classes: int
) -> None:
    z, y, constants = batch(9, classes)
    loss = case.make().eval()
    moved = z + torch.arange(9, dtype=torch.float64).square()[:, None]
    same = torch.allclose(loss(moved, y, constants), loss(z, y, constants))
    binary = classes == 2 and isinstance(loss, HKR)
    assert same == (binary or not case.level)


@every_loss
def test_a_weight_of_two_is_a_sample_seen_twice(case: Case) -> None:
    z, y, constants = batch(9, 3)
    loss = case.make().eval()
    weight = torch.ones(9, dtype=torch.float64)
    weight[4] = 2
    twice = torch.cat([torch.arange(9), torch.tensor([4])])
    expected = loss(z[twice], y[twice], constants)
    assert torch.allclose(loss(z, y, constants, weight * 9 / 10), expected)
    assert not torch.allclose(loss(z, y, constants), expected)


@every_loss
def test_a_sample_of_weight_zero_is_not_there(case: Case) -> None:
    z, y, constants = batch(6, 3)
    loss = case.make().eval()
    weight = torch.tensor([1.2, 1.2, 1.2, 1.2, 1.2, 0.0], dtype=torch.float64)
    expected = loss(z[:5], y[:5], constants)
    assert torch.allclose(loss(z, y, constants, weight), expected)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_loss_of_a_batch_is_one_number_and_the_mean_over_its_samples(
    case: Case, dtype: torch.dtype
) -> None:
    z, y, constants = batch(8, 4)
    loss = case.make().eval()
    z, constants = z.to(dtype), constants.to(dtype)
    whole = loss(z, y, constants)
    assert whole.shape == ()
    assert whole.dtype == dtype
    each = [loss(z[i : i + 1], y[i : i + 1], constants) for i in range(8)]
    assert torch.allclose(whole, torch.stack(each).mean()) != case.batch


HARD = {
    "ties": lambda: (torch.zeros(6, 3), torch.ones(3, 3)),
    "huge margins": lambda: (1e6 * torch.eye(3)[[0, 1, 2, 1, 2, 0]], torch.ones(3, 3)),
    "equal rows": lambda: (torch.randn(6, 3), torch.zeros(3, 3)),
    "equal rows and ties": lambda: (torch.zeros(6, 3), torch.zeros(3, 3)),
}


@every_loss
@pytest.mark.parametrize("hard", HARD.values(), ids=HARD)
def test_gradients_stay_finite(
    case: Case, hard: Callable[[], tuple[Tensor, Tensor]]
) -> None:
    torch.manual_seed(0)
    z, constants = hard()
    constants = constants * (1 - torch.eye(3))
    loss, y = case.make(), torch.tensor([0, 1, 2, 0, 1, 2])
    z.requires_grad_()
    constants.requires_grad_()
    value = loss(z, y, constants)
    value.backward()
    assert value.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()
    assert constants.grad is None or constants.grad.isfinite().all()


@every_loss
def test_classes_that_the_batch_lacks_do_no_harm(case: Case) -> None:
    z, _, constants = batch(4, 3)
    z.requires_grad_()
    value = case.make()(z, torch.ones(4, dtype=torch.int64), constants)
    value.backward()
    assert value.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()


def blobs(classes: int) -> tuple[Tensor, Tensor]:
    """Points around the corners of a regular polygon, well apart."""
    draw = torch.Generator().manual_seed(1)
    y = torch.arange(90) % classes
    angle = 2 * math.pi * y / classes
    corner = 2 * torch.stack([angle.cos(), angle.sin()], dim=1)
    return corner + 0.3 * torch.randn(90, 2, generator=draw), y


@every_loss
@pytest.mark.parametrize("classes", [2, 4])
def test_a_small_network_learns_to_separate_what_is_separable(
    case: Case, classes: int
) -> None:
    torch.manual_seed(0)
    x, y = blobs(classes)
    network, loss = build_network("bro", 2, classes, hidden=(8,)), case.make()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
    values = []
    for _ in range(60):
        optimiser.zero_grad()
        value = loss(network(x), y, network.pair_constants())
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    assert values[-1] < values[0]
    # Transport alone does not say where the boundary is.
    assert (network(x).argmax(1) == y).float().mean() > 0.9


def offset_loss(
    offsets: tuple[float, ...], temperature: float, q: float = 0.0
) -> float:
    module = OffsetCrossEntropy(offsets, temperature, q)
    return float(module(LOGITS, TARGET, CONSTANTS))


def test_radii_are_margins_over_the_constants_of_the_pair() -> None:
    expected = [[0.0, 0.75, 3.0], [0.1, -0.4, 0.0]]
    found = pairwise_radii(LOGITS, TARGET, CONSTANTS)
    assert torch.allclose(found, torch.tensor(expected))


def test_offset_cross_entropy_is_its_formula() -> None:
    radii, total = pairwise_radii(LOGITS, TARGET, CONSTANTS), 0.0
    for offset in (0.5, 1.0):
        for row, y in zip(radii.tolist(), TARGET.tolist(), strict=True):
            energies = torch.tensor([3.0 * (offset - r) for r in rivals(row, y)])
            total += float(energies.exp().sum().log1p())
    assert offset_loss((0.5, 1.0), 3.0) == pytest.approx(total / 4)


def test_without_offset_and_constants_it_is_the_cross_entropy() -> None:
    ones = torch.ones(3, 3)
    found = OffsetCrossEntropy((0.0,), 1.0)(LOGITS, TARGET, ones)
    assert torch.allclose(found, torch.nn.functional.cross_entropy(LOGITS, TARGET))


def test_larger_exponents_give_up_on_hopeless_samples() -> None:
    def gradient(q: float) -> Tensor:
        logits = torch.tensor([[-20.0, 20.0]], requires_grad=True)
        unit = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
        OffsetCrossEntropy((0.0,), 1.0, q)(logits, torch.tensor([0]), unit).backward()
        assert logits.grad is not None
        return logits.grad.abs().max()

    assert gradient(0.0) > 0.4
    assert gradient(0.5) < 1e-4
    assert offset_loss((1.0,), 3.0, q=1e-6) == pytest.approx(
        offset_loss((1.0,), 3.0), rel=1e-3
    )


def test_annealing_without_beta_is_the_offset_cross_entropy() -> None:
    z, y, constants = batch(8, 4)
    annealed = LogitAnnealing(offset=1.0, temperature=0.5, beta=0.0)
    plain = OffsetCrossEntropy((0.5,), temperature=4.0)
    expected = 0.5 * plain(z, y, constants)
    assert torch.allclose(annealed(z, y, constants), expected)


def test_a_small_temperature_dial_pulls_all_samples_alike() -> None:
    def pulls(tau: float) -> Tensor:
        z = torch.tensor([[8.0, 0.0], [0.1, 0.0], [0.0, 8.0]], requires_grad=True)
        constants, y = twos(2).float(), torch.zeros(3, dtype=torch.int64)
        TemperatureCrossEntropy(tau)(z, y, constants).backward()
        assert z.grad is not None
        return -3 * z.grad[:, 0]

    assert torch.allclose(pulls(1e-3), torch.tensor(0.5), atol=0.01)
    expected = torch.tensor([0.0, 0.0, 1.0])
    assert torch.allclose(pulls(1e3), expected, atol=0.01)


def test_slack_is_the_probability_left_at_the_edges_of_the_calibrated_margin() -> None:
    p, epsilon, y = 0.1, 0.2, torch.tensor([0])
    module = CalibratedMargin(epsilon, p)
    for radius, probability in [(epsilon, p / 2), (3 * epsilon, 1 - p / 2)]:
        z = torch.tensor([[2 * radius, 0.0]], dtype=torch.float64)
        assert math.exp(-module(z, y, twos(2))) == pytest.approx(probability)


def test_only_the_penalty_of_the_calibrated_margin_shrinks_the_constants() -> None:
    constants = CONSTANTS.clone().requires_grad_()
    CalibratedMargin(0.2, lambda_=0.5)(LOGITS, TARGET, constants).backward()
    # The largest constant, 2, stands twice: each takes half of 2 * 0.5 * 2.
    expected = torch.zeros(3, 3).index_put(
        (torch.tensor([0, 1]), torch.tensor([1, 0])), torch.tensor(1.0)
    )
    assert constants.grad is not None
    assert torch.equal(constants.grad, expected)


def test_emma_pushes_a_rival_that_is_near_as_if_it_had_drawn_level() -> None:
    def pull(radius: float) -> float:
        z = torch.tensor([[2 * radius, 0.0]], requires_grad=True)
        EMMA(0.5)(z, torch.tensor([0]), twos(2).float()).backward()
        assert z.grad is not None
        return -float(z.grad[0, 0])

    assert pull(0.1) == pytest.approx(0.5)
    assert pull(0.5) == pytest.approx(0.5)
    assert pull(2.0) < 0.05
    assert pull(-2.0) > 0.95


def test_if_no_hinge_is_left_every_radius_is_half_the_margin() -> None:
    draw = torch.Generator().manual_seed(0)
    for _ in range(200):
        rows = torch.randn(4, 3, generator=draw)
        constants = torch.cdist(rows, rows)
        # Signs as they should be, sizes as small as the hinge allows.
        z = 2 * torch.eye(4) - 1 + 0.3 * torch.randn(4, 4, generator=draw)
        z = z.abs().clamp_min(1.0) * z.sign() * 0.5 * constants.max() / 2
        y = torch.arange(4)
        if float(HKR(1.0, min_margin=0.999)(z, y, constants)) == 0:
            radii = pairwise_radii(z, y, constants).masked_fill(torch.eye(4) == 1, 9)
            assert radii.min() >= 0.499
            assert float(Hinge(min_margin=0.998)(z, y, constants)) == 0


def test_transport_by_a_lipschitz_score_is_at_most_the_wasserstein_distance() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=300), torch.arange(300) % 2
    x[1::2] = 2 * x[1::2] + 3
    distance = wasserstein_distance(x[::2], x[1::2])
    points = torch.tensor(x)[:, None]
    for seed in range(10):
        torch.manual_seed(seed)
        network = build_network("bro", 1, 2, hidden=(8, 8)).double()
        found = -float(KR()(network(points), y, network.pair_constants()).detach())
        assert found <= distance
    # A shift is transported by the identity, which attains the distance.
    shifted = torch.tensor(np.concatenate([x[::2], x[::2] + 1.5]))
    z = torch.stack([0 * shifted, shifted], dim=1)
    value = KR()(z, torch.arange(300) // 150, torch.ones(2, 2, dtype=torch.float64))
    assert -float(value) == pytest.approx(1.5)


def test_the_softmax_of_soft_hkr_follows_the_size_of_the_scores_in_training() -> None:
    module = SoftHKR(alpha_mean=0.5)
    z, y, constants = 20 * batch(8, 4)[0], *batch(8, 4)[1:]
    size = float((2 * z / constants.max()).abs().mean())
    module.eval()(z, y, constants)
    assert float(module.mean_score) == 1.0
    module.train()(z, y, constants)
    assert float(module.mean_score) == pytest.approx((1 + size) / 2)
    other = SoftHKR(alpha_mean=0.5)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.eval()(z, y, constants), module.eval()(z, y, constants))


@pytest.mark.parametrize(
    "bad",
    [
        ((), 1.0, 0.0),
        ((0.0, 1.0), 1.0, (0.0,)),
        ((0.0,), 0.0, 0.0),
        ((-1.0,), 1.0, 0.0),
        ((0.0,), 1.0, -0.1),
    ],
)
def test_wrong_offsets_are_refused(
    bad: tuple[tuple[float, ...], float, float],
) -> None:
    with pytest.raises(InvalidInputError):
        OffsetCrossEntropy(*bad)


@pytest.mark.parametrize(
    ("kind", "dials"),
    [
        (TemperatureCrossEntropy, {"tau": 0.0}),
        (LogitAnnealing, {"offset": -1.0}),
        (LogitAnnealing, {"temperature": 0.0}),
        (LogitAnnealing, {"beta": -1.0}),
        (CalibratedMargin, {"epsilon": 0.0}),
        (CalibratedMargin, {"p": 1.0}),
        (CalibratedMargin, {"lambda_": -1.0}),
        (Hinge, {"min_margin": -1.0}),
        (EMMA, {"epsilon": math.nan}),
        (Trades, {"epsilon": math.inf}),
        (Trades, {"lambda_kl": -1.0}),
        (HKR, {"alpha": 1.5}),
        (HKR, {"min_margin": -1.0}),
        (SoftHKR, {"alpha": -0.1}),
        (SoftHKR, {"min_margin": 0.0}),
        (SoftHKR, {"alpha_mean": 2.0}),
        (SoftHKR, {"temperature": -1.0}),
    ],
)
def test_wrong_dials_are_named(kind: type[Loss], dials: dict[str, Any]) -> None:
    (name,) = dials
    needed = {
        CalibratedMargin: {"epsilon": 0.1},
        Trades: {"epsilon": 0.1},
        HKR: {"alpha": 0.5},
    }
    with pytest.raises(InvalidInputError, match=f"{name} lies in"):
        kind(**(needed.get(kind, {}) | dials))
