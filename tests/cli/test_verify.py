"""`stablerank verify`: the checker from a shell, and the diagrams once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablerank as sr
from stablerank.cli import main
from stablerank.cli.verify import compare, extract_again
from stablerank.exceptions import InvalidInputError
from tests.certify.saved import certified, model
from tests.estimators.problems import rings_and_blobs

CLOUDS = rings_and_blobs(3, seed=2)[0]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model().certify(CLOUDS, sr.Displacement()).save(tmp_path / "cert")
    for i, cloud in enumerate(CLOUDS):
        (tmp_path / "clouds").mkdir(exist_ok=True)
        np.save(tmp_path / f"clouds/{i}.npy", cloud)
    return tmp_path


def test_what_was_saved_is_verified(saved: Path, capsys: Any) -> None:
    assert main(["verify", str(saved / "cert")]) == 0
    said = capsys.readouterr().out
    assert "stand     3" in said
    assert "trusted   bars" in said


def test_what_was_changed_is_refused_with_status_one(saved: Path, capsys: Any) -> None:
    file = saved / "cert/certificates.json"
    file.write_bytes(
        file.read_bytes().replace(b'"kind": "margin"', b'"kind": "Margin"')
    )
    assert main(["verify", str(saved / "cert")]) == 1
    assert capsys.readouterr().out.startswith("REFUSED   changed since")


def test_the_inputs_are_extracted_again_and_agree(saved: Path, capsys: Any) -> None:
    arguments = ["verify", str(saved / "cert"), "--recompute", str(saved / "clouds")]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "again     gudhi alpha in rational arithmetic" in said
    assert said.count("\nagrees") == 3


def test_other_inputs_are_found_out(saved: Path, capsys: Any) -> None:
    np.save(
        saved / "clouds/1.npy",
        CLOUDS[1] + [[1e-6, 0.0]] * np.eye(len(CLOUDS[1]))[:, :1],
    )
    arguments = ["verify", str(saved / "cert"), "--recompute", str(saved / "clouds")]
    assert main(arguments) == 1
    said = capsys.readouterr().out
    assert said.count("\nagrees") == 2
    assert "\nDIFFERS   1.npy: " in said


def test_another_number_of_inputs_is_refused(saved: Path, capsys: Any) -> None:
    (saved / "clouds/2.npy").unlink()
    arguments = ["verify", str(saved / "cert"), "--recompute", str(saved / "clouds")]
    assert main(arguments) == 2
    assert "2 inputs for 3 certificates" in capsys.readouterr().err


ENGINES: list[tuple[Any, str]] = [
    (sr.AlphaPersistence(), "gudhi alpha in rational arithmetic"),
    (sr.AlphaPersistence(precision="exact"), "gudhi alpha in interval arithmetic"),
    (sr.RipsPersistence(), "ripser Rips"),
    (sr.RipsPersistence(engine="ripser"), "gudhi Rips"),
    (
        sr.DTMPersistence(n_neighbors=3, grid=8),
        "gudhi's algorithm for general cubical complexes",
    ),
    (sr.DTMRipsPersistence(n_neighbors=3), "DTMRipsPersistence once more"),
]


@pytest.mark.parametrize(("extractor", "words"), ENGINES, ids=lambda v: str(v)[:24])
def test_another_engine_finds_the_same_bars(extractor: Any, words: str) -> None:
    dgms = extractor.fit_transform(CLOUDS)
    again, engines = extract_again(dgms, CLOUDS)
    assert engines[0].startswith(words)
    assert all(found.agrees for found in compare(dgms, again))


def test_every_part_of_a_union_says_its_engine() -> None:
    union = sr.PersistenceUnion([sr.AlphaPersistence(), ("r", sr.RipsPersistence())])
    dgms = union.fit_transform(CLOUDS)
    again, engines = extract_again(dgms, CLOUDS)
    assert engines == ["alpha: gudhi alpha in rational arithmetic", "r: ripser Rips"]
    assert all(found.agrees for found in compare(dgms, again))


def test_bars_that_differ_by_more_than_their_errors_are_named() -> None:
    dgms = sr.AlphaPersistence().fit_transform(CLOUDS)
    moved = sr.Diagrams(
        np.add(dgms.bars, [0.0, 1e-9]),
        dgms.offsets,
        dgms.channels,
        dgms.degrees,
        error=dgms.error,
    )
    found = compare(dgms, moved)
    assert not any(one.agrees for one in found)
    assert all(0.9e-9 < one.distance < 1.1e-9 for one in found)


def test_bars_of_no_known_origin_are_not_extracted_again(tmp_path: Path) -> None:
    dgms = sr.Diagrams.from_list([{"H1": [(0.0, 1.0)]}])
    threat = sr.BottleneckBall()
    bounds = sr.AlphaPersistence((1,)).bounds(threat, dgms)
    certified(dgms, bounds, threat).save(tmp_path)
    assert main(["verify", str(tmp_path)]) == 0
    with pytest.raises(InvalidInputError, match="do not say where they come from"):
        extract_again(dgms, [None])
