"""A loss of one's own in the classifiers: used as it is, never changed."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import Tensor

from stablerank import LipschitzClassifier, SRNClassifier, load, save
from stablerank.estimators.learning import _description
from stablerank.estimators.presets import PRESETS
from stablerank.exceptions import FileFormatError
from stablerank.nn import (
    EMMA,
    HKR,
    Hinge,
    LogitAnnealing,
    Loss,
    OffsetCrossEntropy,
    SoftHKR,
    TemperatureCrossEntropy,
)
from tests.estimators.problems import (
    SMALL,
    bits,
    fitted_after_an_interruption,
    rings_and_blobs,
    table,
)

LOSSES: dict[str, Loss] = {
    "temperature": TemperatureCrossEntropy(4.0),
    "annealing": LogitAnnealing(),
    "hinge": Hinge(2.0),
    "EMMA": EMMA(1.0),
    "HKR": HKR(0.9),
    "SoftHKR": SoftHKR(),
}


def models(loss: Loss | None) -> list[tuple[Any, Any, Any]]:
    return [
        (SRNClassifier(loss=loss, **SMALL), *rings_and_blobs()),
        (LipschitzClassifier(loss=loss, **SMALL), *table()),
    ]


@pytest.mark.parametrize("name", LOSSES)
def test_any_loss_trains_both_classifiers(name: str) -> None:
    for model, X, y in models(LOSSES[name]):
        fitted = clone(model).set_params(epochs=25).fit(X, y)
        assert fitted.score(X, y) > 0.85
        assert (fitted.certify(X).radius > 0).mean() > 0.85


def test_none_is_the_loss_of_the_preset() -> None:
    preset = PRESETS["balanced"]
    usual = OffsetCrossEntropy(preset.offsets, preset.temperature, preset.exponents)
    for (one, X, y), (two, _, _) in zip(models(None), models(usual), strict=True):
        assert bits(one.fit(X, y), X) == bits(two.fit(X, y), X)


def test_radii_of_a_loss_are_in_margin_units() -> None:
    X, y = table(200)
    wide, near = (
        LipschitzClassifier(loss=Hinge(2 * radius), **SMALL | {"epochs": 40}).fit(X, y)
        for radius in (3.0, 0.3)
    )
    assert wide.unit_ == near.unit_
    # The hinge leaves alone what has its margin.
    medians = [np.median(m.certify(X).radius) / m.unit_ for m in (wide, near)]
    assert medians[0] > 1.5 * medians[1]


# --- the object that was given --------------------------------------------------------


def test_the_loss_is_copied_and_never_changed() -> None:
    loss = SoftHKR()
    before = copy.deepcopy(loss.state_dict())
    for model, X, y in models(loss):
        model.fit(X, y)
        assert model.get_params()["loss"] is loss
    after = loss.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[k], before[k]) for k in before)


def test_clones_and_pickles_hold_a_loss_of_the_same_dials(tmp_path: Path) -> None:
    for model, X, y in models(SoftHKR(alpha=0.7)):
        other = clone(model)
        assert other.loss is not model.loss
        assert other.loss.alpha == 0.7
        said = bits(model.fit(X, y), X)
        assert bits(other.fit(X, y), X) == said
        assert bits(pickle.loads(pickle.dumps(model)), X) == said
        save(model, tmp_path / type(model).__name__)
        loaded = load(tmp_path / type(model).__name__)
        assert bits(loaded, X) == said
        assert loaded.loss is None  # only training needs it


@pytest.mark.parametrize("cls", [SRNClassifier, LipschitzClassifier])
@pytest.mark.parametrize("wrong", ["hinge", Hinge, torch.nn.CrossEntropyLoss()])
def test_what_is_no_loss_of_ours_is_refused(cls: Any, wrong: Any) -> None:
    with pytest.raises(ValueError, match="'loss' parameter"):
        cls(loss=wrong, **SMALL).fit(*table())


# --- checkpoints ----------------------------------------------------------------------


def test_the_state_of_a_loss_is_part_of_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds, y = rings_and_blobs()
    # A margin far below the scores, or the running mean would count for nothing.
    loss = SoftHKR(min_margin=0.01, temperature=100.0)
    options = SMALL | {"epochs": 12, "loss": loss}
    three = np.arange(len(y)) % 3  # with two classes there is one rival
    whole = SRNClassifier(**options).fit(clouds, three)
    model = SRNClassifier(**options, checkpoint=tmp_path / "fit.safetensors")
    fitted_after_an_interruption(model, clouds, three, monkeypatch)
    assert bits(model, clouds) == bits(whole, clouds)


def test_a_checkpoint_of_another_loss_is_refused(tmp_path: Path) -> None:
    clouds, y = rings_and_blobs()
    options = SMALL | {"epochs": 2, "checkpoint": tmp_path / "fit.safetensors"}
    SRNClassifier(loss=Hinge(1.0), **options).fit(clouds, y)
    for other in (Hinge(2.0), LogitAnnealing(), None):
        with pytest.raises(FileFormatError, match="another training run"):
            SRNClassifier(loss=other, **options).fit(clouds, y)


class Sum(Loss):
    """Two losses, one of them with a state."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.one, self.two = Hinge(1.0), SoftHKR()

    def _costs(self, z: Tensor, y: Tensor, pairs: Tensor, weight: Tensor) -> Tensor:
        costs = [own._costs(z, y, pairs, weight) for own in (self.one, self.two)]
        return self.share * costs[0] + (1 - self.share) * costs[1]


def test_every_dial_and_state_of_a_loss_tells_it_from_others() -> None:
    loss = Sum(0.5)
    assert repr(_description(loss)) == repr(_description(copy.deepcopy(loss)))
    assert repr(_description(loss)) == repr(_description(copy.deepcopy(loss).eval()))
    dial, part, state = (copy.deepcopy(loss) for _ in range(3))
    dial.share, part.one.min_margin = 0.6, 2.0
    state.two.mean_score += 1
    said = [repr(_description(own)) for own in (loss, dial, part, state)]
    assert len(set(said)) == 4
