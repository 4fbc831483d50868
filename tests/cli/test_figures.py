"""`stablerank certify --plot`: certified and attacked shares, and the waterfall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

import stablerank as sr
from stablerank.cli import main
from stablerank.cli.moves import first_flips, seen_stages
from stablerank.exceptions import InvalidInputError
from tests.estimators.problems import SMALL, rings_and_blobs


@pytest.fixture(scope="module")
def clf() -> sr.SRNClassifier:
    return sr.SRNClassifier(**SMALL).fit(*rings_and_blobs(24))


@pytest.fixture
def files(clf: sr.SRNClassifier, tmp_path: Path) -> list[str]:
    clouds, y = rings_and_blobs(8, seed=3)
    arrays = {f"c{i}": cloud for i, cloud in enumerate(clouds)}
    np.savez(tmp_path / "new.npz", labels=y, **arrays)
    sr.save(clf, tmp_path / "model")
    return [str(tmp_path / "model"), str(tmp_path / "new.npz")]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Axes of the figures that are written."""
    axes: list[Any] = []
    write = plt.Figure.savefig

    def keep(figure: Any, *args: Any, **kwargs: Any) -> None:
        axes.extend(figure.axes)
        write(figure, *args, **kwargs)

    monkeypatch.setattr(plt.Figure, "savefig", keep)
    return axes


@pytest.mark.parametrize("moves", [0, 2])
def test_the_curve_shows_attacks_if_moves_are_tried(
    files: list[str], tmp_path: Path, drawn: list[Any], moves: int
) -> None:
    plot = tmp_path / "deep" / "curve.png"
    options = ["--plot", str(plot), "--moves", str(moves), "--n-jobs", "1"]
    assert main(["certify", *files, *options]) == 0
    assert plot.stat().st_size > 5000
    assert len(drawn[0].lines) == (3 if moves else 1)


def test_the_waterfall_needs_no_more_than_its_name(
    files: list[str], tmp_path: Path, drawn: list[Any], capsys: Any
) -> None:
    plot = tmp_path / "losses.png"
    options = ["--plot", str(plot), "--figure", "waterfall", "--n-jobs", "1"]
    assert main(["certify", *files, *options]) == 0
    assert plot.stat().st_size > 5000
    assert "loses most of the radius" in drawn[0].get_title()
    assert f"Figure: {plot}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "threat", [sr.Displacement(), sr.SinglePoint(), sr.Budget()], ids=str
)
def test_flips_are_beyond_the_radius(clf: sr.SRNClassifier, threat: Any) -> None:
    clouds, _ = rings_and_blobs(4, seed=3)
    cert = clf.certify(clouds, threat)
    found = first_flips(clf, clouds, cert, tries=1)
    assert (found > cert.radius).all()
    if threat == sr.Displacement():  # the gradient finds some, or it is none
        assert np.isfinite(found).any()


def test_what_is_seen_of_a_stage_is_part_of_its_bound(clf: sr.SRNClassifier) -> None:
    clouds, _ = rings_and_blobs(4, seed=3)
    seen = seen_stages(clf, clouds, clf.certify(clouds), tries=2)
    assert (seen.ratios[:, :3] <= 1 + 1e-9).all()
    assert seen.typical["network"] > 0


@pytest.mark.parametrize("threat", ["bottleneck", "wasserstein-1"])
def test_moves_of_points_say_nothing_of_threats_to_bars(
    files: list[str], tmp_path: Path, threat: str, capsys: Any
) -> None:
    options = ["--plot", str(tmp_path / "c.png"), "--moves", "2", "--threat", threat]
    assert main(["certify", *files, *options, "--n-jobs", "1"]) == 2
    assert "leave out --moves" in capsys.readouterr().err


def test_a_negative_number_of_moves_is_refused(files: list[str], capsys: Any) -> None:
    assert main(["certify", *files, "--moves", "-1"]) == 2
    assert "--moves needs a number >= 0" in capsys.readouterr().err


def test_clouds_without_a_radius_have_no_waterfall(clf: sr.SRNClassifier) -> None:
    clouds, _ = rings_and_blobs(4, seed=3)
    cert = clf.certify(clouds).abstain(below=np.inf)
    with pytest.raises(InvalidInputError, match="positive radius"):
        seen_stages(clf, clouds, cert, tries=1)
    assert np.isinf(first_flips(clf, clouds, cert, tries=1)).all()
