"""Certificates on disk: what is written is all there is, and comes back as it was."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablerank as sr
from stablerank.bounds import Bound
from stablerank.certify import Certificates, checker
from stablerank.certify.file import spectral_proof
from stablerank.exceptions import FileFormatError, InvalidInputError
from stablerank.metrics import Bottleneck
from tests.certify.saved import TRAINED, model, threshold, trained, vectors
from tests.estimators.problems import halves, rings_and_blobs

FILES = ("certificates.json", "certificates.safetensors")


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


@pytest.mark.parametrize("name", [n for n in TRAINED if n != "weighted"])
def test_what_is_saved_is_loaded_with_all_its_evidence(
    name: str, tmp_path: Path
) -> None:
    clf, X, threat = trained(name)
    cert = clf.certify(X, threat)
    cert.save(tmp_path / "deep" / "cert")
    again = Certificates.load(tmp_path / "deep" / "cert")
    for field in ("label", "radius", "reason", "rival"):
        ours, theirs = getattr(cert, field), getattr(again, field)
        assert ours.tolist() == theirs.tolist()
    assert (again.threat, again.kind, again.alpha) == (threat, "margin", 0.0)
    assert again.bound.ledger == cert.bound.ledger
    for key in ("constants", "owed", "logits"):
        assert np.array_equal(again.evidence[key], cert.evidence[key])
    again.save(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "deep/cert")
    assert again.top(1).radius.tolist() == cert.radius.tolist()


@pytest.mark.parametrize(
    "classes",
    [["a", "b"], np.array(["a", "b"], object), [3, 4], [0.5, 1.5], [True, False]],
)
def test_labels_of_every_type_come_back(classes: Any, tmp_path: Path) -> None:
    from stablerank.certify import certify

    own = vectors(np.eye(2), np.zeros(2), [[1.0, 0.0], [0.0, 2.0]])
    cert = certify(
        own.evidence["program"], own.evidence["data"], own.threat, None, classes
    )
    cert.save(tmp_path)
    again = Certificates.load(tmp_path)
    assert again.label.tolist() == cert.label.tolist() == list(classes)
    assert again.label.dtype.kind == np.asarray(list(classes)).dtype.kind


def test_the_file_says_in_words_what_was_used(tmp_path: Path) -> None:
    threshold().save(tmp_path)
    header = json.loads((tmp_path / FILES[0]).read_bytes())
    assert header["threat"]["class"] == "Displacement"
    assert header["kind"] == "margin"
    assert [b["ledger"] for b in header["bounds"]["H0"]] == ["X5", "H1"]
    assert header["diagrams"]["source"]["spec"]["class"] == "AlphaPersistence"
    assert header["library"] == sr.__version__
    assert set(header["hashes"]) == {"model", "data"}
    assert len(header["sha256"]) == 64


def test_weights_that_are_a_function_are_asked_for(tmp_path: Path) -> None:
    threat = sr.Displacement(weights=halves)
    cert = model().certify(rings_and_blobs(4)[0], threat)
    cert.save(tmp_path)
    with pytest.raises(FileFormatError, match="no file tells which code to run"):
        Certificates.load(tmp_path)
    with pytest.raises(InvalidInputError, match="the certificates are about"):
        Certificates.load(tmp_path, sr.Budget())
    again = Certificates.load(tmp_path, threat)
    assert again.radius.tolist() == cert.radius.tolist()


def test_a_constant_radius_is_infinite_in_the_file_too(tmp_path: Path) -> None:
    cert = vectors(np.ones((2, 1)), [1.0, 0.0], [[1.0]], limit=4.0)
    cert.save(tmp_path)
    assert Certificates.load(tmp_path).radius.tolist() == [math.inf]


def test_certificates_without_evidence_are_not_saved(tmp_path: Path) -> None:
    bound = Bound(sr.Displacement(), Bottleneck(), 1.0, "X5")
    one = np.ones(1)
    bare = Certificates(one, one, np.array([""]), one, bound, sr.Displacement())
    with pytest.raises(
        InvalidInputError, match="carry no bounds, classes, data, program"
    ):
        bare.save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_older_file_is_replaced_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    threshold(0.5).save(tmp_path)
    first = contents(tmp_path)
    threshold(0.75).save(tmp_path)
    assert contents(tmp_path) != first
    assert sorted(p.name for p in tmp_path.iterdir()) == [*FILES, "notes.txt"]
    # Half of one and half of another is neither.
    (tmp_path / FILES[1]).write_bytes(first[1])
    with pytest.raises(FileFormatError, match="changed since"):
        Certificates.load(tmp_path)


def test_no_samples_are_saved_and_loaded(tmp_path: Path) -> None:
    cert = vectors(np.eye(2), np.zeros(2), np.empty((0, 2)))
    cert.save(tmp_path)
    assert len(Certificates.load(tmp_path)) == 0
    assert checker.check(tmp_path)[0] == []


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_is_named(missing: str, tmp_path: Path) -> None:
    threshold().save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileFormatError, match=f"has no {missing}"):
        Certificates.load(tmp_path)


def test_an_unknown_threat_is_refused(tmp_path: Path) -> None:
    threshold().save(tmp_path)
    header, raw = json.loads((tmp_path / FILES[0]).read_bytes()), contents(tmp_path)[1]
    header["threat"]["class"] = "Metric"
    (tmp_path / FILES[0]).write_bytes(checker.sealed(header, raw))
    with pytest.raises(FileFormatError, match="unknown threat 'Metric'"):
        Certificates.load(tmp_path)


def test_steps_of_a_pipeline_have_no_place_in_the_file(tmp_path: Path) -> None:
    cert = vectors(np.eye(2), np.zeros(2), [[1.0, 0.0]])
    moved = replace(cert, evidence={**cert.evidence, "bounds": (cert.bound,)})
    with pytest.raises(InvalidInputError, match="certify its last step"):
        moved.save(tmp_path)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (7, 2), (2, 7)])
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_a_proof_of_a_norm_fits_its_matrix(
    shape: tuple[int, int], scale: float
) -> None:
    w = scale * np.random.default_rng(0).standard_normal(shape)
    t, exponent, factor = spectral_proof(w)
    assert len(factor) == min(shape)
    if min(shape) == 1:  # the Frobenius norm says it all
        assert t == 0
        return
    expected = np.linalg.norm(w / scale, 2)
    assert math.sqrt(t) * math.ldexp(1.0, exponent) / scale == pytest.approx(expected)


def test_a_zero_matrix_has_norm_zero() -> None:
    t, _, factor = spectral_proof(np.zeros((2, 3)))
    assert t == 0
    assert not factor.any()
