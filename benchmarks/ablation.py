"""What each idea of the main job brings: one change at a time to its default.

    python benchmarks/ablation.py --n-per-class 300     # some minutes on two cores
    python benchmarks/ablation.py --only "as it is" "ranks: even"

On orbits of a seed of their own, so that nothing here can be chosen on those of
`benchmarks/orbit5k.py`. Every variant sees the same diagrams and splits; the table
holds means over splits, in per cent, and what differs from the first row by less than
its spread over splits says nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch
from joblib import Parallel, delayed
from torch import Tensor

from stablerank.certify import certify
from stablerank.cli.orbit5k import RADII, orbit_extractor
from stablerank.datasets import orbit5k, orbit_split
from stablerank.diagrams import Diagrams
from stablerank.estimators.base import frozen_features, pinned_channels
from stablerank.estimators.encoders import bank_encoder
from stablerank.estimators.learning import learn_classifier
from stablerank.estimators.presets import PRESETS, Preset
from stablerank.frozen import Program
from stablerank.metrics import Displacement
from stablerank.nn import Network, build_network
from stablerank.represent.bank import Block, FixedBank, design_bank
from stablerank.represent.domain import bar_inputs

DATA_SEED = 20260103
BALANCED = PRESETS["balanced"]


@dataclass(frozen=True)
class Variant:
    """One model: what is read, how, and how it is trained."""

    channels: tuple[str, ...] = ("alpha", "k5", "k20", "k50")
    functions: tuple[str, ...] = ("death", "half", "tent")
    size: str = "default"
    even_ranks: bool = False
    learnable: bool = False
    noise: float = 0.0
    network: str = "maxmin"
    hidden: tuple[int, ...] = (256, 256)
    preset: Preset = field(default_factory=lambda: BALANCED)


def _loss(*offsets: float, **options: Any) -> Preset:
    exponents = (0.0,) * len(offsets)
    return replace(BALANCED, offsets=offsets, exponents=exponents, **options)


VARIANTS = {
    "as it is": Variant(),
    "channels: alpha alone": Variant(channels=("alpha",)),
    "channels: DTM alone": Variant(channels=("k5", "k20", "k50")),
    "channels: DTM k = 20 alone": Variant(channels=("k20",)),
    "bank: without tents": Variant(functions=("death", "half")),
    "bank: without half-lives": Variant(functions=("death", "tent")),
    "bank: half as many ranks and levels": Variant(size="small"),
    "bank: twice as many": Variant(size="large"),
    "bank: learnable": Variant(learnable=True),
    "bank: learnable, 10 epochs": Variant(
        learnable=True,
        preset=replace(BALANCED, schedule=replace(BALANCED.schedule, epochs=10)),
    ),
    "bank: fixed, 10 epochs": Variant(
        preset=replace(BALANCED, schedule=replace(BALANCED.schedule, epochs=10)),
    ),
    "ranks: even": Variant(even_ranks=True),
    "loss: cross-entropy alone": Variant(preset=_loss(0.0)),
    "loss: one wanted radius, 1": Variant(preset=_loss(1.0)),
    "loss: one wanted radius, 3": Variant(preset=_loss(3.0)),
    "loss: half the temperature": Variant(
        preset=replace(BALANCED, temperature=BALANCED.temperature / 2)
    ),
    "loss: twice the temperature": Variant(
        preset=replace(BALANCED, temperature=BALANCED.temperature * 2)
    ),
    "loss: giving up hopeless samples, q = 0.2": Variant(
        preset=replace(BALANCED, exponents=(0.2,) * len(BALANCED.offsets))
    ),
    "augmentation: noise of half a margin unit": Variant(noise=0.5),
    "augmentation: noise of two margin units": Variant(noise=2.0),
    "training: averaged weights": Variant(
        preset=replace(BALANCED, schedule=replace(BALANCED.schedule, average=0.99))
    ),
    "training: half the epochs": Variant(
        preset=replace(BALANCED, schedule=replace(BALANCED.schedule, epochs=30))
    ),
    "network: one hidden layer": Variant(hidden=(256,)),
    "network: three hidden layers": Variant(hidden=(256, 256, 256)),
    "network: hidden layers of 512": Variant(hidden=(512, 512)),
    "network: sortnet, 10 epochs": Variant(
        network="sortnet",
        preset=replace(BALANCED, schedule=replace(BALANCED.schedule, epochs=10)),
    ),
}


class Noisy(torch.nn.Module):
    """A network that sees its training batches, and only these, through noise."""

    def __init__(self, network: Network, size: float) -> None:
        super().__init__()
        self.network, self.size = network, size

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    def forward(self, x: Tensor) -> Tensor:
        """Logits; of moved inputs where gradients are taken."""
        if torch.is_grad_enabled():
            # Uniform over the box: what a perturbation of that size can reach.
            x = x + self.size * (2 * torch.rand_like(x) - 1)
        return self.network(x)


def bank_of(variant: Variant, train: Diagrams, pinned: Sequence[str]) -> FixedBank:
    """Bank of the variant, designed on training diagrams."""
    bank = design_bank(train, pinned, size=variant.size)
    blocks = [b for b in bank.blocks if b.function in variant.functions]
    if variant.even_ranks:
        blocks = [replace(b, ranks=_evenly(b)) for b in blocks]
    return FixedBank(tuple(blocks))


def _evenly(block: Block) -> tuple[int, ...]:
    ranks = np.rint(np.linspace(0, block.ranks[-1], len(block.ranks)))
    return tuple(np.unique(ranks.astype(int)).tolist())


def accuracies(
    variant: Variant, diagrams: Diagrams, y: np.ndarray, extractor: Any, seed: int
) -> list[float]:
    """Share right, then right and certified at each radius, on the test part."""
    torch.set_num_threads(1)
    names = [c for c in diagrams.channels if _family(c) in variant.channels]
    diagrams = diagrams.select(names)
    rows, test = orbit_split(y, seed)
    train = diagrams[rows]
    bounds = {n: extractor.bounds(Displacement(), diagrams)[n] for n in names}
    pinned = pinned_channels(bounds)
    bank = bank_of(variant, train, pinned)
    inputs = [i for i in bar_inputs(train, pinned) if i.channel in bank.channels]
    body = bank.operations(inputs)
    features = frozen_features(train, inputs, body, bank.feature_names(), bounds)
    encoder = bank_encoder(bank, inputs, train) if variant.learnable else None

    def build(n_in: int, n_out: int) -> Any:
        network = build_network(variant.network, n_in, n_out, variant.hidden)
        return Noisy(network, variant.noise) if variant.noise else network

    learned = learn_classifier(
        features.values,
        features.constants,
        y[rows],
        build=build,
        preset=variant.preset,
        radii=None,
        sample_weight=np.ones(len(rows)),
        validation_fraction=0.1,
        seed=seed,
        device="cpu",
        progress=False,
        checkpoint=None,
        encoder=encoder,
    )
    if encoder is not None:
        body = encoder.representation.freeze(inputs)
    operations = (*body, *learned.operations(features.register))
    program = Program(tuple(inputs), operations)
    certificates = certify(program, diagrams[test], Displacement(), bounds)
    return [float(a) for a in certificates.accuracy(y[test], [0.0, *RADII])]


def _family(channel: str) -> str:
    """Which of "alpha", "k5", ... a channel such as "dtm/k5/H0" belongs to."""
    parts = channel.split("/")
    return parts[0] if parts[0] == "alpha" else parts[-2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--n-per-class", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=[*VARIANTS], metavar="NAME")
    parser.add_argument("--n-jobs", type=int, default=-1)
    parser.add_argument("--cache", default=".stablerank_cache")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "ablation.json")
    arguments = parser.parse_args()
    clouds, y = orbit5k(DATA_SEED, arguments.n_per_class)
    extractor = orbit_extractor().set_params(
        n_jobs=arguments.n_jobs, progress=True, memory=arguments.cache
    )
    diagrams = extractor.fit_transform(clouds)
    rows: dict[str, Any] = {}
    record = {
        "question": "what each idea brings on ORBIT5K, one change at a time",
        "settings": {
            "data_seed": DATA_SEED,
            "n_per_class": arguments.n_per_class,
            "split_seeds": list(range(arguments.seeds)),
            "columns": ["clean", *RADII],
            "preset": repr(BALANCED),
        },
        "rows": rows,
        **common.origin("stablerank", "numpy", "torch", "gudhi"),
    }
    columns = ("clean", *RADII)
    print(f"{'':<44}" + "".join(f"{c:>9}" for c in columns) + f"{'seconds':>9}")
    for name in arguments.only or VARIANTS:
        start = time.perf_counter()
        runs = Parallel(n_jobs=arguments.n_jobs)(
            delayed(accuracies)(VARIANTS[name], diagrams, y, extractor, seed)
            for seed in range(arguments.seeds)
        )
        seconds = time.perf_counter() - start
        mean = np.mean(runs, axis=0)
        rows[name] = {"mean": mean.tolist(), "splits": runs, "seconds": seconds}
        cells = "".join(f"{100 * a:>9.1f}" for a in mean)
        print(f"{name:<44}{cells}{seconds:>9.0f}", flush=True)
        common.keep(arguments.out, record)  # an interrupted run keeps its rows
    common.write(arguments.out, record)


if __name__ == "__main__":
    main()
