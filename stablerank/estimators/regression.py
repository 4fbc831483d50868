"""Learning a regression with a chosen Lipschitz constant.

The network's outputs are 1-Lipschitz in the scaled features; a frozen gain g turns
them into predictions,

    y = centre + spread * g * f(x),     |y - y'| <= spread * g * |features - features'|,

so g is the constant per margin unit, and the dial between fit and stability.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stablerank.estimators.encoders import RowEncoder, scaled_rows
from stablerank.estimators.learning import split_validation
from stablerank.frozen import Affine, Diagonal, Operation
from stablerank.nn import Network
from stablerank.training import History, Schedule, fit

__all__ = ["LearnedRegression", "learn_regression"]

Array = NDArray[np.float64]

#: Gains tried when the constant is free, in target spreads per feature spread.
_GAINS = (1.0, 4.0, 16.0)
#: Share of the epochs spent on each trial gain; after a quarter, luck still decides.
_TRIAL = 0.5
#: A validation error this much above the best, in variances of the target, is as good.
_AS_GOOD = 1e-2
#: Samples that a network is prepared with.
_SAMPLE = 400


@dataclass(frozen=True)
class LearnedRegression:
    """A trained network, its scaling, and the gain to the target."""

    scaling: Diagonal
    network: Network
    gain: Array  # (n_targets,), target units per output unit
    centre: Array  # (n_targets,)
    history: History

    def operations(self, register: int) -> tuple[Operation, ...]:
        """Operations that read the features from `register`."""
        scaling = Diagonal((register,), self.scaling.scale, self.scaling.shift)
        *hidden, head = self.network.freeze(register + 1)
        assert isinstance(head, Affine)
        # The gain is folded into the head.
        weight = head.weight * self.gain[:, None]
        bias = head.bias * self.gain + self.centre
        return (scaling, *hidden, replace(head, weight=weight, bias=bias))


def learn_regression(
    features: Array,
    constants: Array,
    target: Array,
    *,
    build: Callable[[int, int], Network],
    norm: float = math.inf,
    lipschitz: str | float,
    schedule: Schedule,
    validation_fraction: float,
    seed: int,
    progress: bool,
    encoder: RowEncoder | None = None,
) -> LearnedRegression:
    """Train on standardised targets, choosing the gain on the validation part.

    The interval of a prediction is as wide as the gain, so of all gains that learn the
    target as well, the smallest is taken.

    Parameters
    ----------
    features, constants
        As in `learn_classifier`.
    target : ndarray of shape (n, n_targets)
        Real numbers.
    build : callable
        (n_features, n_targets) -> Network.
    norm : float
        In which the features move, and the network must be bounded: inf or 2.
    lipschitz : "auto" or float
        "auto" chooses the smallest gain whose validation error is as good as any; a
        float caps the constant, in target units per unit of the threat.
    schedule, validation_fraction, seed, progress
        As in `learn_classifier`.
    encoder : RowEncoder, optional
        As in `learn_classifier`; the gain is chosen before it is trained.
    """
    per_unit = np.where(constants > 0, constants, 1.0)
    # Rows, not labels, are split: nothing to stratify.
    train, valid = split_validation(
        target[:, 0], validation_fraction, seed, stratify=False
    )
    centre = np.median(features[train], axis=0)
    moved = (features - centre) / per_unit
    spread = moved[train].std(axis=0)
    # One scale for all features, or their common constant 1 would be lost.
    unit = float(np.quantile(spread[spread > 0], 0.9)) if (spread > 0).any() else 1.0
    middle, width = target[train].mean(axis=0), target[train].std(axis=0)
    width = np.where(width > 0, width, 1.0)
    scaling = Diagonal((0,), 1 / (per_unit * unit), -centre / (per_unit * unit))
    x = torch.tensor(moved / unit, dtype=torch.float32)
    y = torch.tensor((target - middle) / width, dtype=torch.float32)
    rows, kept = torch.as_tensor(train), torch.as_tensor(valid)

    def run(
        gain: float, epochs: int, encoder: RowEncoder | None = None
    ) -> tuple[float, Network, History]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build(x.shape[1], y.shape[1]).with_head("projected")
        network.check_norm(norm)
        network.prepare(x[rows[:: -(-len(rows) // _SAMPLE)]])
        steepness = gain / network.hidden_constant

        inputs = scaled_rows(x, encoder, scaling)

        def error(index: Tensor) -> Tensor:
            y_hat = steepness * network(inputs(index))
            return torch.nn.functional.mse_loss(y_hat, y[index])

        def step(batch: Tensor) -> Tensor:
            return error(rows[batch])

        def score() -> float:
            with torch.no_grad():
                return -float(error(kept))

        plan = replace(schedule, epochs=epochs).for_size(len(train))
        history = fit(
            network if encoder is None else torch.nn.ModuleList([encoder, network]),
            step,
            score,
            len(train),
            plan,
            seed=seed,
            on_epoch=network.set_progress,
            progress=progress,
        )
        return max(history.score), network, history

    if isinstance(lipschitz, str):
        trial = max(1, round(schedule.epochs * _TRIAL))
        scores = {gain: run(gain, trial)[0] for gain in _GAINS}
        worst = max(scores.values()) - _AS_GOOD  # scores are -errors
        gain = min(g for g, score in scores.items() if score >= worst)
        gains = np.full(len(width), gain)
    else:
        # constant = width * gain / unit for every target; the cap binds the widest.
        gain = lipschitz * unit / float(width.max())
        gains = np.full(len(width), gain)
    _, network, history = run(float(gain), schedule.epochs, encoder)
    steepness = gains / network.hidden_constant * width
    return LearnedRegression(scaling, network, steepness, middle, history)
