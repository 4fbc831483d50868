"""What the papers on Lipschitz networks show, on tables that two cores can train.

1. *Dial*: on one network and one set of data, the loss alone moves between accurate
   and robust; temperature and margin are the dials (Béthune et al., 2022).
2. *Boundary*: networks of constant 1 fit any boundary, here two spirals and a Koch
   snowflake, to the last training point, if the loss is sharp enough to ask for it.
3. *Layers*: BRO, Cayley, AOL, SLL for equal processor time, and Logit Annealing
   against the offset cross-entropy that it anneals (Lai et al., 2025).

Pixels are scaled to [0, 1]; radii are l_2, certified from the frozen program.  On
digits dials and rates were chosen on a split of a seed of its own; on the plane, where
training accuracy is the question, width 64 fitted the snowflake in some runs only.

    python benchmarks/toys.py            # about 6 minutes of one core
    python benchmarks/toys.py --quick    # a smoke test
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import common
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.path import Path as Outline
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from stablerank.certify import Certificates, certify
from stablerank.frozen import Program, VectorInput
from stablerank.metrics import FeatureBall
from stablerank.nn import (
    Hinge,
    LogitAnnealing,
    Loss,
    Network,
    TemperatureCrossEntropy,
    build_network,
)
from stablerank.plotting.style import COLOURS, MARKERS
from stablerank.training import Schedule

FIGURE = common.ROOT / "docs" / "figures" / "toys.png"
RADII = (36 / 255, 72 / 255, 108 / 255)
TAUS = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
MARGINS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
LAYERS = ("bro", "cayley", "aol", "sll")
#: Hidden layers on digits, and on the plane.
WIDE, DEEP = (128, 128), (96, 96, 96, 96)
#: A margin of 1, so a radius of 1/2, is wanted; the annealing is that of the paper.
OFFSET, TEMPERATURE, BETA = 1.0, 0.25, 5.0
#: From a loss that wants margins everywhere to one that wants every point.
SHARPNESS = (1.0, 16.0, 1024.0)
#: Steps between two looks at the training accuracy.
LOOK = 25

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


def train(
    network: Network,
    loss: Loss,
    x: Array,
    y: Labels,
    share: Callable[[int], float],
    *,
    seed: int,
    batch: int = 128,
    rate: float = 1e-2,
) -> int:
    """Train until the share of the budget that is used up is 1; the steps taken.

    Parameters
    ----------
    network, loss : Module
        Trained in place; applied to it.
    x : ndarray of shape (n, n_features)
        Inputs.
    y : ndarray of int, shape (n,)
        Classes.
    share : callable
        From the number of steps done to the share of the budget, for the rate.
    seed : int
        Of the batches.
    batch : int
        Samples a step, drawn with replacement; all of them if there are no more.
    rate : float
        Peak of the one-cycle schedule.
    """
    inputs, target = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    schedule = Schedule(learning_rate=rate)
    network.prepare(inputs)
    network.train()
    optimiser = torch.optim.Adam(network.parameters(), betas=schedule.betas, fused=True)
    draw = torch.Generator().manual_seed(seed)
    steps = 0
    while (used := share(steps)) < 1:
        rows = torch.arange(len(x))
        if batch < len(x):
            rows = torch.randint(len(x), (batch,), generator=draw)
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(round(1000 * used), 1000)
        optimiser.zero_grad()
        logits = network(inputs[rows])
        loss(logits, target[rows], network.pair_constants()).backward()
        optimiser.step()
        steps += 1
    network.eval()
    return steps


def seconds_of_processor(budget: float) -> Callable[[int], float]:
    """Budget of processor time, which other jobs on the machine do not use up."""
    start = time.process_time()
    return lambda steps: (time.process_time() - start) / budget


def certificates(network: Network, x: Array) -> Certificates:
    """Certificates of the frozen network in l_2."""
    entry = VectorInput(x.shape[1], 2, float(np.abs(x).max()))
    program = Program((entry,), network.freeze(0))
    return certify(program, x, FeatureBall(2))


def new_network(name: str, n_in: int, n_out: int, hidden: Any, seed: int) -> Network:
    torch.manual_seed(seed)
    return build_network(name, n_in, n_out, hidden=hidden)


def summary(values: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "std": float(np.std(values))}


# Digits ----------------------------------------------------------------------------


def digits(seed: int) -> tuple[Array, Labels, Array, Labels]:
    """Training and test part, 70/30 in every class."""
    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x / 16, y, test_size=0.3, stratify=y, random_state=seed)
    x_train, x_test, y_train, y_test = parts
    return x_train, y_train, x_test, y_test


def dial(seeds: Sequence[int], steps: int) -> dict[str, list[dict[str, Any]]]:
    """Clean accuracy and certified radius along the dials of two losses."""
    losses: dict[str, list[tuple[float, Callable[[], Loss]]]] = {
        "temperature": [(t, lambda t=t: TemperatureCrossEntropy(t)) for t in TAUS],
        "margin": [(m, lambda m=m: Hinge(m)) for m in MARGINS],
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in losses}
    for name, values in losses.items():
        for value, loss in values:
            clean, radius, certified = [], [], []
            for seed in seeds:
                x, y, x_test, y_test = digits(seed)
                network = new_network("bro", 64, 10, WIDE, seed)
                train(network, loss(), x, y, lambda done: done / steps, seed=seed)
                cert = certificates(network, x_test)
                right = cert.label == y_test
                clean.append(float(right.mean()))
                # A wrong answer is worth nothing, however stable.
                radius.append(float((cert.radius * right).mean()))
                certified.append([float(cert.accuracy(y_test, r)) for r in RADII])
            found[name].append(
                {
                    "dial": value,
                    "clean": summary(clean),
                    "mean_radius": summary(radius),
                    "certified": np.mean(certified, axis=0).tolist(),
                }
            )
            print(
                f"  {name:<12}{value:>7g}   clean {100 * np.mean(clean):5.1f} %"
                f"   mean radius {np.mean(radius):.3f}",
                flush=True,
            )
    return found


def layers(seeds: Sequence[int], budget: float) -> dict[str, dict[str, Any]]:
    """Clean and certified accuracy of four layers and two losses at equal time."""
    plain = lambda: LogitAnnealing(OFFSET, TEMPERATURE, beta=0.0)  # noqa: E731
    annealed = lambda: LogitAnnealing(OFFSET, TEMPERATURE, BETA)  # noqa: E731
    contestants = {name: (name, plain) for name in LAYERS}
    contestants["bro, Logit Annealing"] = ("bro", annealed)
    accuracies: dict[str, list[list[float]]] = {name: [] for name in contestants}
    steps: dict[str, list[int]] = {name: [] for name in contestants}
    for seed in seeds:
        x, y, x_test, y_test = digits(seed)
        for name, (layer, loss) in contestants.items():
            network = new_network(layer, 64, 10, WIDE, seed)
            share = seconds_of_processor(budget)
            steps[name].append(train(network, loss(), x, y, share, seed=seed))
            cert = certificates(network, x_test)
            accuracies[name].append(
                [float(cert.accuracy(y_test, r)) for r in (0.0, *RADII)]
            )
    columns = ["clean", *(f"{round(255 * r)}/255" for r in RADII)]
    return {
        name: {
            "accuracy": {
                column: summary([row[i] for row in rows])
                for i, column in enumerate(columns)
            },
            "splits": rows,
            "steps": steps[name],
        }
        for name, rows in accuracies.items()
    }


def print_layers(found: Mapping[str, Mapping[str, Any]]) -> None:
    for name, record in found.items():
        cells = (
            f"{100 * v['mean']:6.1f} ± {100 * v['std']:3.1f}"
            for v in record["accuracy"].values()
        )
        print(
            f"  {name:<22}" + "".join(cells) + f"{np.mean(record['steps']):7.0f} steps"
        )


# The plane -------------------------------------------------------------------------


def spirals(n: int, turns: float = 3.0) -> tuple[Array, Labels]:
    """Two spirals of three turns in the unit disc."""
    rng = np.random.default_rng(0)
    radius, y = np.sqrt(rng.uniform(0.02, 1, n)), np.arange(n) % 2
    angle = 2 * np.pi * turns * radius + np.pi * y
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), y


def koch(order: int = 4) -> NDArray[np.complex128]:
    """Corners of the Koch snowflake in the unit disc, counter-clockwise."""
    corners = np.exp(2j * np.pi * np.arange(3) / 3 + 0.5j * np.pi)
    for _ in range(order):
        side = np.roll(corners, -1) - corners
        third, two = corners + side / 3, corners + 2 * side / 3
        tip = third + side / 3 * np.exp(-1j * np.pi / 3)
        corners = np.stack([corners, third, tip, two], axis=1).ravel()
    return corners


def snowflake(n: int) -> tuple[Array, Labels]:
    """Inside and outside of the snowflake; every second point close to the curve."""
    rng, corners = np.random.default_rng(0), koch()
    start = rng.integers(len(corners), size=n)
    side = np.roll(corners, -1)[start] - corners[start]
    point = corners[start] + rng.uniform(size=n) * side
    point = point + 0.03 * (rng.normal(size=n) + 1j * rng.normal(size=n))
    anywhere = rng.uniform(-1.1, 1.1, n) + 1j * rng.uniform(-1.1, 1.1, n)
    point = np.where(np.arange(n) % 2, anywhere, point)
    x = np.stack([point.real, point.imag], axis=1)
    outline = Outline(np.stack([corners.real, corners.imag], axis=1))
    return x, outline.contains_points(x).astype(np.int64)


SHAPES = {"two spirals": spirals, "Koch snowflake": snowflake}


def boundary(
    n: int, limit: int
) -> tuple[dict[str, dict[str, Any]], dict[str, Network]]:
    """Training accuracy of a 1-Lipschitz network by the sharpness of the loss."""
    found: dict[str, dict[str, Any]] = {}
    sharpest: dict[str, Network] = {}
    for name, shape in SHAPES.items():
        x, y = shape(n)
        gap = float(cdist(x[y == 0], x[y == 1]).min())
        runs = []
        for tau in SHARPNESS:
            network = new_network("bro", 2, 2, DEEP, seed=0)
            share = until_fitted(network, x, y, limit)
            loss = TemperatureCrossEntropy(tau)
            steps = train(network, loss, x, y, share, seed=0, batch=n)
            accuracy = float((certificates(network, x).label == y).mean())
            runs.append({"tau": tau, "steps": steps, "train_accuracy": accuracy})
            print(f"  {name}, tau {tau:g}: {100 * accuracy:.1f} % in {steps} steps")
        found[name] = {"n": n, "smallest_gap": gap, "runs": runs}
        sharpest[name] = network
    return found, sharpest


def until_fitted(
    network: Network, x: Array, y: Labels, limit: int
) -> Callable[[int], float]:
    """Budget of `limit` steps, which ends when every training point is right."""

    def share(steps: int) -> float:
        if steps and steps % LOOK == 0:
            with torch.no_grad():
                guess = network(torch.tensor(x, dtype=torch.float32)).argmax(1)
            if np.array_equal(guess.numpy(), y):
                return 1.0
        return steps / limit

    return share


# Figure ----------------------------------------------------------------------------


def draw(
    dials: Mapping[str, list[dict[str, Any]]],
    networks: Mapping[str, Network],
    n: int,
) -> Any:
    """Draw the dial, then the two boundaries."""
    figure, axes = plt.subplots(
        1, 3, figsize=(13.5, 4.3), layout="constrained", width_ratios=(1.15, 1, 1)
    )
    draw_dial(axes[0], dials)
    for ax, (name, network) in zip(axes[1:], networks.items(), strict=True):
        draw_boundary(ax, network, *SHAPES[name](n))
        ax.set_title(f"constant 1 fits: {name}")
    return figure


def draw_dial(ax: Any, dials: Mapping[str, list[dict[str, Any]]]) -> None:
    """Accuracy against radius, one curve a loss."""
    labels = {"temperature": "cross-entropy, temperature τ", "margin": "hinge, m"}
    # First, middle and last point of each curve, where the other one is not.
    places = {
        "temperature": ("τ", ((8, -4), (-40, -14), (-26, -18))),
        "margin": ("m", ((9, -6), (-6, 9), (-30, -18))),
    }
    for i, (name, points) in enumerate(dials.items()):
        radius = [p["mean_radius"]["mean"] for p in points]
        clean = [100 * p["clean"]["mean"] for p in points]
        style = {"marker": MARKERS[i], "color": COLOURS[i], "label": labels[name]}
        ax.plot(radius, clean, **style)
        symbol, shifts = places[name]
        middle = [p["dial"] for p in points].index({"τ": 4.0, "m": 1.0}[symbol])
        for j, shift in zip((0, middle, -1), shifts, strict=True):
            ax.annotate(
                f"{symbol} = {points[j]['dial']:g}",
                (radius[j], clean[j]),
                textcoords="offset points",
                xytext=shift,
                color=COLOURS[i],
            )
    ax.margins(0.13, 0.08)
    ax.set_xlabel("mean certified radius (l_2, pixels in [0, 1])")
    ax.set_ylabel("clean test accuracy (%)")
    ax.set_title("The loss is the dial between accurate and robust")
    ax.legend(loc="lower left", frameon=False)


def draw_boundary(ax: Any, network: Network, x: Array, y: Labels) -> None:
    """Draw the zero level of a network and the points that it was trained on."""
    side = np.linspace(-1.15, 1.15, 400)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    with torch.no_grad():
        logits = network(torch.tensor(grid, dtype=torch.float32)).numpy()
    level = (logits[:, 1] - logits[:, 0]).reshape(len(side), -1)
    colours = ("#cfe3f1", "#f6d9c4")  # the light ones of the points' colours
    ax.contourf(side, side, level, levels=[-np.inf, 0, np.inf], colors=colours)
    for c in (0, 1):
        ax.scatter(*x[y == c].T, s=3, color=COLOURS[c], marker=MARKERS[c], linewidth=0)
    ax.set_aspect("equal")
    ax.set_xticks([-1, 0, 1])
    ax.set_yticks([-1, 0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "toys.json")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    arguments = parser.parse_args()

    quick = arguments.quick
    torch.set_num_threads(1)  # the matrices are small; more threads would only wait
    dial_seeds, layer_seeds = range(1 if quick else 3), range(1 if quick else 5)
    dial_steps, budget = (20, 0.2) if quick else (400, 3.0)
    points, limit = (100, 50) if quick else (600, 2500)

    start = time.process_time()
    print("dial: one network on digits, two losses")
    dials = dial(dial_seeds, dial_steps)
    print("boundary: training accuracy of networks of constant 1")
    boundaries, networks = boundary(points, limit)
    print(f"layers: {budget:g} s of training each, accuracy at 0, 36, 72, 108 / 255")
    found = layers(layer_seeds, budget)
    print_layers(found)
    seconds = time.process_time() - start

    arguments.figure.parent.mkdir(parents=True, exist_ok=True)
    draw(dials, networks, points).savefig(arguments.figure, dpi=110)
    common.write(
        arguments.out,
        {
            "question": "do the qualitative findings of the papers hold here",
            "settings": {
                "quick": quick,
                "dial_seeds": list(dial_seeds),
                "dial_steps": dial_steps,
                "layer_seeds": list(layer_seeds),
                "processor_seconds_each": budget,
                "offset_temperature_beta": [OFFSET, TEMPERATURE, BETA],
                "hidden": {"digits": WIDE, "plane": DEEP},
                "points": points,
                "limit_of_steps": limit,
            },
            "dial": dials,
            "boundary": boundaries,
            "layers": found,
            "processor_seconds": seconds,
            **common.origin("stablerank", "numpy", "torch", "scikit-learn"),
        },
    )


if __name__ == "__main__":
    main()
