"""Functions of bars that are trained along with the network."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

import stablerank as sr
from stablerank import (
    AlphaPersistence,
    Displacement,
    SRNClassifier,
    SRNRegressor,
)
from stablerank.attack import Claim, SampleTarget
from stablerank.estimators.classifier import chosen_preset
from stablerank.estimators.encoders import BankEncoder, RowEncoder, bank_encoder
from stablerank.estimators.presets import PRESETS
from stablerank.exceptions import FileFormatError, InvalidInputError
from stablerank.extract import Extractor
from stablerank.frozen import BarFunctions
from stablerank.represent import bar_inputs, design_bank
from tests.certify.test_checker import confirmed
from tests.checks import assert_sound
from tests.estimators.problems import (
    SMALL,
    bits,
    fitted_after_an_interruption,
    rings_and_blobs,
)

LEARNED = SMALL | {"representation": "learned bank"}
LONG = LEARNED | {"epochs": 30}


@pytest.fixture(scope="module")
def fitted() -> SRNClassifier:
    return SRNClassifier(**LONG).fit(*rings_and_blobs())


def functions(model: Any) -> list[np.ndarray]:
    own = [op for op in model.program_.operations if isinstance(op, BarFunctions)]
    return [op.forms for op in own]


def encoder_of(diagrams: Any) -> BankEncoder:
    inputs = bar_inputs(diagrams, ["H0"])
    return bank_encoder(design_bank(diagrams, ["H0"]), inputs, diagrams)


# --- the model ------------------------------------------------------------------------


def test_the_functions_move_and_the_model_certifies_new_clouds(fitted) -> None:
    clouds, y = rings_and_blobs(40, seed=1)
    fixed = SRNClassifier(**SMALL).fit(*rings_and_blobs())
    assert fitted.feature_names_ == fixed.feature_names_
    assert fitted.unit_ == fixed.unit_  # the scale is that of the bank as it starts
    for before, after in zip(functions(fixed), functions(fitted), strict=True):
        assert np.abs(after[:, 1:] - before[:, -after.shape[1] + 1 :]).max() > 1e-3
    cert = fitted.certify(clouds)
    assert np.array_equal(cert.label, fitted.predict(clouds))
    assert cert.accuracy(y, [0.0, 0.02]).min() > 0.8


def test_the_checker_confirms_every_certificate(fitted, tmp_path: Path) -> None:
    cert = fitted.certify(rings_and_blobs(6, seed=1)[0])
    assert (cert.radius > 0).all()
    confirmed(cert, tmp_path)


def test_no_move_of_points_within_the_radius_changes_a_label(fitted) -> None:
    clouds, _ = rings_and_blobs(4, seed=1)
    cert = fitted.certify(clouds, Displacement())
    assert cert.coverage() == 1
    target = SampleTarget(fitted.program_, fitted.extractor_)
    assert_sound(
        Claim.of(
            cert,
            target,
            clouds,
            predict=fitted.predict,
            classes=fitted.classes_,
        )
    )


def test_other_threats_are_certified_as_with_the_fixed_bank(fitted) -> None:
    clouds, _ = rings_and_blobs()
    many = fitted.certify_many(clouds, [Displacement(), sr.Budget(), sr.SinglePoint()])
    small, larger, largest = (cert.radius for cert in many.values())
    assert ((small <= larger) & (larger <= largest)).all()


def test_a_bank_is_learned_on_bars_alone() -> None:
    clouds, y = rings_and_blobs()
    dgms = AlphaPersistence().fit_transform(clouds).without_source()
    clf = SRNClassifier("precomputed", **LEARNED).fit(dgms, y)
    assert (clf.certify(dgms).radius > 0).any()


def test_a_regressor_learns_its_bank_too() -> None:
    clouds, _ = rings_and_blobs()
    sizes = np.linspace(1, 2, len(clouds))
    scaled = [s * c for s, c in zip(sizes, clouds, strict=True)]
    fixed, learned = (
        SRNRegressor(representation=name, **SMALL | {"epochs": 30}).fit(scaled, sizes)
        for name in ("bank", "learned bank")
    )
    # Gains are steps of four: the same one was chosen, on the bank before training.
    constants = [model.certify(scaled).constant for model in (learned, fixed)]
    assert constants[0] == pytest.approx(constants[1], rel=0.2)
    assert learned.score(scaled, sizes) > 0.8
    assert not np.array_equal(functions(learned)[0], functions(fixed)[0])


def test_a_preset_with_a_learned_bank_reads_the_fixed_one_in_l2() -> None:
    learned = replace(PRESETS["robust"], representation="learned bank")
    with patch.dict(PRESETS, robust=learned):
        names = [chosen_preset("robust", 3, norm=n).representation for n in (2, inf)]
        assert names == ["bank", "learned bank"]
        assert chosen_preset("robust", 3, "bank").representation == "bank"


# --- how it is trained ----------------------------------------------------------------


def test_bars_are_looked_for_once_between_two_validations() -> None:
    clouds, y = rings_and_blobs()
    encoder = encoder_of(AlphaPersistence().fit_transform(clouds))
    searched: list[list[int]] = []
    find = encoder._find

    def counted(rows: torch.Tensor) -> Any:
        searched.append(rows.tolist())
        return find(rows)

    encoder._find = counted  # type: ignore[method-assign]
    every = torch.arange(len(y))
    encoder(every[:4])
    encoder(every[2:6])
    assert searched == [[0, 1, 2, 3], [4, 5]]
    encoder.train()  # already: nothing is forgotten
    encoder(every[:6])
    assert len(searched) == 2
    encoder.eval()
    encoder(every[:2])
    encoder(every[:2])
    assert searched[2:] == [[0, 1], [0, 1]]
    encoder.train()
    encoder(every[:1])
    assert searched[4:] == [[0]]


def test_evaluation_looks_for_the_bars_of_the_functions_as_they_are() -> None:
    dgms = AlphaPersistence().fit_transform(rings_and_blobs()[0])
    encoder = encoder_of(dgms)
    exact = RowEncoder(encoder.bank, dgms)
    rows = torch.tensor([3, 1, 8])
    assert torch.equal(encoder(rows), exact(rows))
    with torch.no_grad():
        for parameter in encoder.parameters():
            wave = torch.arange(17.0 * parameter.numel())[::17].sin()
            parameter.add_(0.5 * wave.view_as(parameter))
    assert not torch.equal(encoder(rows), exact(rows))
    encoder.eval()
    assert torch.equal(encoder(rows), exact(rows))


def test_an_interrupted_fit_goes_on_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds, y = rings_and_blobs()
    options = LEARNED | {"epochs": 12}
    whole = SRNClassifier(**options).fit(clouds, y)
    model = SRNClassifier(**options, checkpoint=tmp_path / "fit.safetensors")
    fitted_after_an_interruption(model, clouds, y, monkeypatch)
    assert bits(model, clouds) == bits(whole, clouds)


def test_a_checkpoint_of_other_bars_is_refused(tmp_path: Path) -> None:
    clouds, y = rings_and_blobs()
    dgms = AlphaPersistence().fit_transform(clouds).without_source()
    options = LEARNED | {"checkpoint": tmp_path / "fit.safetensors"}
    SRNClassifier("precomputed", **options).fit(dgms, y)
    # A bar that no function of the fixed bank sees yet.
    bars = [[d["H0"], np.r_[d["H1"], [[0.5, 0.5]]]] for d in dgms]
    other = sr.Diagrams.from_list(bars, convention="radius")
    with pytest.raises(FileFormatError, match="another training run"):
        SRNClassifier("precomputed", **options).fit(other, y)


# --- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize("cls", [SRNClassifier, SRNRegressor])
def test_l2_is_refused_by_name_before_the_extraction(
    cls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extracted(*args: Any) -> None:
        raise AssertionError("extracted before the options were read")

    monkeypatch.setattr(Extractor, "transform", extracted)
    clouds, y = rings_and_blobs()
    with pytest.raises(InvalidInputError, match="'learned bank' with norm=2"):
        cls(norm=2, **LEARNED).fit(clouds, y)
    with pytest.raises(ValueError, match="'representation' parameter"):
        cls(**LEARNED | {"representation": "learned"}).fit(clouds, y)


def test_a_mixture_may_be_read_by_any_network_of_its_norm() -> None:
    clouds, y = rings_and_blobs()
    clf = SRNClassifier(representation="mixture", **SMALL).fit(clouds, y)
    assert "contour" in clf.feature_names_[-1]
    with pytest.raises(InvalidInputError, match=r"'mixture'.* with norm=2"):
        SRNClassifier(representation="mixture", norm=2, **SMALL).fit(clouds, y)
