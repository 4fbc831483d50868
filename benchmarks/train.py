"""Does provable stability cost training time? Our network against a free one.

The opponent is a DeepSet on bars in the manner of PersLay: a small network on every
bar, sums over bars, a small network on the sums. It has no Lipschitz constant, so no
certificate. Both see the same alpha diagrams of ORBIT5K and the same split; timed are
one epoch, interleaved, and the time to a given test accuracy.

    python benchmarks/train.py            # 200 orbits a class, about 4 minutes
    python benchmarks/train.py --quick    # a smoke test
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from common import RESULTS, interleaved, origin, ratio, write
from torch import Tensor, nn

from stablerank import AlphaPersistence, Displacement, datasets
from stablerank.diagrams import Diagrams
from stablerank.estimators.base import bank_features
from stablerank.estimators.learning import margin_unit
from stablerank.estimators.presets import PRESETS
from stablerank.nn import OffsetCrossEntropy, build_network

SEED = 20260102
BATCH = 250


class DeepSet(nn.Module):
    """Sum over bars of a small network, one for each channel; then a small network."""

    def __init__(self, n_channels: int, n_classes: int, width: int = 64) -> None:
        super().__init__()
        self.bars = nn.ModuleList(
            nn.Sequential(
                nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
            )
            for _ in range(n_channels)
        )
        self.head = nn.Sequential(
            nn.Linear(n_channels * width, width), nn.ReLU(), nn.Linear(width, n_classes)
        )

    def forward(self, blocks: list[Tensor], masks: list[Tensor]) -> Tensor:
        """Logits from padded bars (n, longest, 2) and their masks (n, longest, 1)."""
        sums = [
            (net(block) * mask).sum(dim=1) / 100
            for net, block, mask in zip(self.bars, blocks, masks, strict=True)
        ]
        return self.head(torch.cat(sums, dim=1))


def padded(diagrams: Diagrams, longest: int) -> tuple[list[Tensor], list[Tensor]]:
    """Longest bars of every channel, birth and length in units of the mean death."""
    blocks, masks = [], []
    for channel in diagrams.channels:
        block = np.zeros((len(diagrams), longest, 2), np.float32)
        mask = np.zeros((len(diagrams), longest, 1), np.float32)
        for i, diagram in enumerate(diagrams):
            bars = diagram[channel]
            bars = bars[np.isfinite(bars[:, 1])]
            kept = bars[np.argsort(bars[:, 0] - bars[:, 1], kind="stable")[:longest]]
            block[i, : len(kept)] = np.stack([kept[:, 0], kept[:, 1] - kept[:, 0]], 1)
            mask[i, : len(kept)] = 1
        blocks.append(torch.tensor(block / block[..., 1].max()))
        masks.append(torch.tensor(mask))
    return blocks, masks


class Contestant:
    """A model that trains for an epoch at a time."""

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Tensor], Tensor],
        accuracy: Callable[[], float],
        n_train: int,
        rate: float,
    ) -> None:
        self.loss, self.accuracy, self.n_train = loss, accuracy, n_train
        self.optimiser = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
        self.order = torch.Generator().manual_seed(0)

    def epoch(self) -> None:
        """One pass over the training part."""
        for batch in torch.randperm(self.n_train, generator=self.order).split(BATCH):
            self.optimiser.zero_grad()
            self.loss(batch).backward()
            self.optimiser.step()

    def until(self, wanted: float, limit: float) -> dict[str, Any]:
        """Train until the test accuracy is reached, or the seconds are used up."""
        spent, epochs, best = 0.0, 0, 0.0
        while best < wanted and spent < limit:
            start = time.perf_counter()
            self.epoch()
            spent += time.perf_counter() - start
            epochs += 1
            best = max(best, self.accuracy())
        reached = best >= wanted
        return {"reached": reached, "seconds": spent, "epochs": epochs, "best": best}


def contestants(n_per_class: int, longest: int) -> Iterator[tuple[str, Contestant]]:
    """Our network and the opponent, on the same data, freshly initialised."""
    clouds, y = datasets.orbit5k(n_per_class=n_per_class, seed=SEED)
    extractor = AlphaPersistence(n_jobs=2, progress=True)
    diagrams = extractor.fit_transform(clouds)
    train, test = datasets.orbit_split(y, 0)
    target = torch.tensor(y)
    own = target[torch.as_tensor(train)]

    bounds = extractor.bounds(Displacement(), diagrams)
    _, features = bank_features(diagrams, train, bounds)
    unit = margin_unit(features.values[train], y[train], 0)
    centre = np.median(features.values[train], axis=0)
    x = torch.tensor((features.values - centre) / unit, dtype=torch.float32)
    preset = PRESETS["accurate"]
    torch.manual_seed(0)
    network = build_network("maxmin", x.shape[1], 5)
    offsets = OffsetCrossEntropy(preset.offsets, preset.temperature, preset.exponents)
    x_train, x_test = x[torch.as_tensor(train)], x[torch.as_tensor(test)]

    def our_loss(batch: Tensor) -> Tensor:
        logits = network(x_train[batch])
        return offsets(logits, own[batch], network.pair_constants())

    def our_accuracy() -> float:
        with torch.no_grad():
            guess = network(x_test).argmax(1)
        return float((guess == target[torch.as_tensor(test)]).float().mean())

    rate = preset.schedule.learning_rate
    yield "stablerank", Contestant(network, our_loss, our_accuracy, len(train), rate)

    blocks, masks = padded(diagrams, longest)
    deep = DeepSet(len(blocks), 5)
    cross_entropy = nn.CrossEntropyLoss()
    rows, others = torch.as_tensor(train), torch.as_tensor(test)

    def pick(tables: list[Tensor], index: Tensor) -> list[Tensor]:
        return [table[index] for table in tables]

    def free_loss(batch: Tensor) -> Tensor:
        index = rows[batch]
        return cross_entropy(deep(pick(blocks, index), pick(masks, index)), own[batch])

    def free_accuracy() -> float:
        with torch.no_grad():
            guess = deep(pick(blocks, others), pick(masks, others)).argmax(1)
        return float((guess == target[others]).float().mean())

    yield (
        "DeepSet (PersLay style)",
        Contestant(deep, free_loss, free_accuracy, len(train), 3e-3),
    )


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    size, longest, rounds, limit = (
        (10, 100, 2, 2.0) if args.quick else (200, 500, 7, 60.0)
    )
    wanted = 0.5 if args.quick else 0.8
    pair = dict(contestants(size, longest))
    ours, other = pair
    seconds = interleaved({k: c.epoch for k, c in pair.items()}, rounds)
    speed = ratio(seconds, ours, other)
    fresh = dict(contestants(size, longest))
    reached = {name: c.until(wanted, limit) for name, c in fresh.items()}
    print(f"one epoch: {ours} takes {speed:.2f} x the time of {other}")
    for name, row in reached.items():
        word = "reached" if row["reached"] else "did not reach"
        print(
            f"{name} {word} {wanted:.0%} in {row['epochs']} epochs, "
            f"{row['seconds']:.1f} s (best {row['best']:.1%})"
        )
    if not args.quick:
        result = {
            "epoch_seconds": seconds,
            "epoch_ratio": speed,
            "wanted_accuracy": wanted,
            "to_accuracy": reached,
            "orbits_per_class": size,
            "bars_kept_by_the_deepset": longest,
            "threads": args.threads,
            **origin("stablerank", "torch", "numpy"),
        }
        write(RESULTS / "train.json", result)


if __name__ == "__main__":
    main()
