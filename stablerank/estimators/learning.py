"""From a feature matrix to a trained network and its frozen operations.

Shared by all classifiers: the margin unit, the split, the loss, the calibration.
Features are divided by their own constant, so that every coordinate moves by at most
the size of the perturbation, and by the margin unit, so that radii near 1 are the
ones that matter.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.model_selection import train_test_split
from torch import Tensor

from stablerank.estimators.encoders import RowEncoder, scaled_rows
from stablerank.estimators.presets import Preset
from stablerank.frozen import Diagonal, Operation
from stablerank.nn import Loss, Network, OffsetCrossEntropy, pairwise_radii
from stablerank.training import History, fit

__all__ = [
    "Learned",
    "learn_classifier",
    "margin_unit",
    "split_validation",
]

Array = NDArray[np.float64]

#: Samples looked at when the margin unit is measured and the network prepared.
_SAMPLE = 400
#: Share of the typical half gap between classes that counts as one margin unit.
_UNIT_SHARE = 0.22


@dataclass(frozen=True)
class Learned:
    """A trained network in float64 operations, and what was found on the way."""

    scaling: Diagonal
    network: Network
    unit: float
    inverse_temperature: float
    history: History

    def operations(self, register: int) -> tuple[Operation, ...]:
        """Operations that read the features from `register`."""
        scaling = Diagonal((register,), self.scaling.scale, self.scaling.shift)
        return (scaling, *self.network.freeze(register + 1))


def margin_unit(
    features: Array, target: NDArray[Any], seed: int, norm: float = math.inf
) -> float:
    """Scale of the radii that this data can have at all.

    A share of the median, over samples, of half the distance to the nearest
    sample of another class: no 1-Lipschitz classifier that gets both right can
    certify more than that half.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
        Divided by their constants.
    target : ndarray of shape (n,)
        Classes.
    seed : int
        Of the subsample that is looked at.
    norm : float
        Of the distances: inf or 2.

    Examples
    --------
    >>> margin_unit(np.array([[0.0], [2.0]]), np.array([0, 1]), seed=0)
    0.22
    """
    rng = np.random.default_rng(seed)
    some = rng.permutation(len(features))[:_SAMPLE]
    x, y = features[some], target[some]
    gaps = []
    for i in range(len(x)):
        others = x[y != y[i]]
        if len(others):
            gaps.append(np.linalg.norm(others - x[i], norm, axis=1).min() / 2)
    positive = [gap for gap in gaps if gap > 0]
    if not positive:
        lengths = np.linalg.norm(x - np.median(x, axis=0), norm, axis=1)
        spread = float(lengths.max(initial=0.0))
        return spread * _UNIT_SHARE or 1.0
    return float(np.median(positive)) * _UNIT_SHARE


def split_validation(
    target: NDArray[Any], fraction: float, seed: int, stratify: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training and validation rows; too small data validates on itself.

    Examples
    --------
    >>> train, valid = split_validation(np.repeat([0, 1], 50), 0.1, 0, True)
    >>> len(train), len(valid)
    (90, 10)
    """
    rows = np.arange(len(target))
    n_valid = round(fraction * len(target))
    counts = np.unique(target, return_counts=True)[1] if stratify else np.array([2])
    if fraction == 0 or counts.min() < 2 or n_valid < (len(counts) if stratify else 1):
        return rows, rows
    labels = target if stratify else None
    train, valid = train_test_split(
        rows, test_size=n_valid, random_state=seed, stratify=labels
    )
    return np.sort(train), np.sort(valid)


def learn_classifier(
    features: Array,
    constants: Array,
    target: NDArray[np.int64],
    *,
    build: Callable[[int, int], Network],
    norm: float = math.inf,
    preset: Preset,
    radii: Sequence[float] | None,
    sample_weight: Array,
    validation_fraction: float,
    seed: int,
    device: str,
    progress: bool,
    checkpoint: Any,
    encoder: RowEncoder | None = None,
    loss: Loss | None = None,
) -> Learned:
    """Train a network on features whose constants are known.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
        From the frozen representation.
    constants : ndarray of shape (n_features,)
        How far each feature moves per unit of the threat; 0 for constant features.
    target : ndarray of int, shape (n,)
        Classes 0, 1, ....
    build : callable
        (n_features, n_classes) -> Network.
    norm : float
        In which the features move, and the network must be bounded: inf or 2.
    preset : Preset
        Loss and schedule.
    radii : sequence of float, optional
        Wanted radii in units of the threat, in place of the preset's.
    sample_weight : ndarray of shape (n,)
        Class weights, mean 1.
    validation_fraction : float
        Share kept out of training for every choice.
    seed : int
        Initial weights, split and order of the batches.
    device : str
        Of torch.
    progress : bool
        Show a bar.
    checkpoint : path, optional
        See `training.fit`.
    encoder : RowEncoder, optional
        A representation that is trained along with the network; `features` are then
        what it gave before training, which sets the scale.
    loss : Loss, optional
        In place of the preset's; radii are in margin units. It is copied: a loss may
        have a state, which then is part of the checkpoint.
    """
    per_unit = np.where(constants > 0, constants, 1.0)
    train, valid = split_validation(target, validation_fraction, seed, stratify=True)
    centre = np.median(features[train], axis=0)
    moved = (features - centre) / per_unit
    if radii is None:
        unit = margin_unit(moved[train], target[train], seed, norm)
        offsets = preset.offsets
    else:
        unit = max(radii) / max(preset.offsets) or 1.0
        offsets = tuple(r / unit for r in radii)
    exponents = (
        preset.exponents if radii is None else preset.exponents[:1] * len(offsets)
    )
    scaling = Diagonal((0,), 1 / (per_unit * unit), -centre / (per_unit * unit))
    n_classes = int(target.max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(features.shape[1], n_classes).to(device)
    network.check_norm(norm)
    x = torch.tensor(moved / unit, dtype=torch.float32, device=device)
    y = torch.tensor(target, device=device)
    weight = torch.tensor(sample_weight, dtype=torch.float32, device=device)
    if loss is None:
        loss = OffsetCrossEntropy(offsets, preset.temperature, exponents)
    loss = copy.deepcopy(loss)
    rows, kept = (
        torch.as_tensor(train, device=device),
        torch.as_tensor(valid, device=device),
    )
    network.prepare(x[rows[:: -(-len(rows) // _SAMPLE)]])
    learned = [network] if encoder is None else [encoder, network]
    model = torch.nn.ModuleList([*learned, loss]).to(device)
    inputs = scaled_rows(x, encoder, scaling)

    def step(batch: Tensor) -> Tensor:
        own = rows[batch.to(device)]
        logits = network(inputs(own))
        return loss(logits, y[own], network.pair_constants(), weight[own])

    def score() -> float:
        with torch.no_grad():
            logits = network(inputs(kept))
            r = _smallest_radius(logits, y[kept], network.pair_constants())
        return float(np.mean([(r > o).double().mean().item() for o in offsets]))

    history = fit(
        model,
        step,
        score,
        len(train),
        preset.schedule.for_size(len(train)),
        seed=seed,
        on_epoch=network.set_progress,
        progress=progress,
        checkpoint=checkpoint,
        task=_digest(
            [moved / unit, target, sample_weight],
            [validation_fraction, offsets, preset, _description(loss)],
            encoder,
        ),
    )
    with torch.no_grad():
        logits = network(inputs(kept)).double().cpu().numpy()
    model.to("cpu")
    beta = _calibrate(logits, target[valid])
    return Learned(scaling, network, unit, beta, history)


def _digest(
    arrays: list[NDArray[Any]], settings: list[Any], encoder: RowEncoder | None
) -> str:
    """Digest of everything that the loss and the score depend on."""
    sha = hashlib.sha256(repr(settings).encode())
    for array in arrays:
        sha.update(np.ascontiguousarray(array).tobytes())
    if encoder is not None:
        sha.update(encoder.digest())
    return sha.hexdigest()


def _description(loss: Loss) -> list[Any]:
    """Class, dials and state of a loss and of all that it is made of."""
    return [
        [
            name,
            type(part).__module__,
            type(part).__qualname__,
            sorted(
                (k, v) for k, v in vars(part).items() if k[0] != "_" and k != "training"
            ),
            [(k, v.tolist()) for k, v in part.state_dict().items()],
        ]
        for name, part in loss.named_modules()
    ]


def _smallest_radius(logits: Tensor, target: Tensor, constants: Tensor) -> Tensor:
    radii = pairwise_radii(logits, target, constants)
    own = torch.nn.functional.one_hot(target, logits.shape[1]).bool()
    return radii.masked_fill(own, math.inf).amin(dim=1)


def _calibrate(logits: Array, target: NDArray[np.int64]) -> float:
    """Inverse temperature that maximises the likelihood on the validation part."""
    spread = float(logits.std()) or 1.0

    def loss(log_beta: float) -> float:
        z = logits * math.exp(log_beta)
        top = z.max(axis=1)
        total = np.log(np.exp(z - top[:, None]).sum(axis=1)) + top
        return float((total - z[np.arange(len(z)), target]).mean())

    middle = -math.log(spread)
    found = minimize_scalar(loss, bounds=(middle - 6, middle + 6), method="bounded")
    return float(math.exp(found.x))
