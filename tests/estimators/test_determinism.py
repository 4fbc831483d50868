"""The same bytes from the same seed; the same labels however a model is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import stablerank as sr
from stablerank.certify import Certificates
from tests.estimators.problems import SMALL, orbits, rings_and_blobs, table

ROOT = Path(sr.__file__).parents[1]

FIT_AND_SAVE = """
import sys
from pathlib import Path
import numpy as np, torch
torch.set_num_threads(1)
import stablerank as sr
from tests.estimators.problems import SMALL, estimators, rings_and_blobs
out = Path(sys.argv[1])
models = {name: (est.fit(X, y), X) for name, (est, X, y) in estimators().items()}
clouds, y = rings_and_blobs()
names = np.array(["disc", "ring"])[y]
weights = {"ring": 2.0, "disc": 1.0}
paper = sr.SRNClassifier(preset="paper", class_weight=weights, **SMALL)
models["paper"] = paper.fit(clouds, names), clouds
parts = [sr.RipsPersistence(), sr.DTMPersistence(n_neighbors=3, grid=8)]
models["union"] = sr.SRNClassifier(parts, **SMALL).fit(clouds, names), clouds
for name, (model, X) in models.items():
    sr.save(model, out / name)
    cert = model.certify(X)
    if hasattr(cert, "save"):
        cert.save(out / name / "cert")
    else:
        np.savez(out / name / "intervals.npz", *cert.interval(0.01))
"""


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    seeds = ("0", "4711")  # of Python's hashes, so of the order of sets
    started = [
        subprocess.Popen(
            [sys.executable, "-c", FIT_AND_SAVE, tmp_path / seed],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            cwd=ROOT,
        )
        for seed in seeds
    ]
    assert [process.wait() for process in started] == [0, 0]
    found = [
        {
            path.relative_to(tmp_path / seed): path.read_bytes()
            for path in (tmp_path / seed).rglob("*")
            if path.is_file()
        }
        for seed in seeds
    ]
    assert len(found[0]) >= 7 * 3  # model.json, model.safetensors and certificates
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """Loaded models, wide enough for several threads, and what they read."""
    folder = tmp_path_factory.mktemp("saved")
    wide = SMALL | {"hidden": (128, 128)}
    rings, rows, many = rings_and_blobs(40), table(300), orbits(10)
    models = {
        "two classes": (sr.SRNClassifier(**wide), *rings),
        "three classes": (sr.SRNClassifier(**wide), *many),
        "paper": (sr.SRNClassifier(**wide | {"preset": "paper"}), *rings),
        "tails": (sr.SRNClassifier(**wide | {"preset": "paper"}, tail_p=1), *rings),
        "l_inf": (sr.LipschitzClassifier(**wide), *rows),
        "l_2": (sr.LipschitzClassifier(2, **wide), *rows),
    }
    for name, (model, X, y) in models.items():
        sr.save(model.fit(X, y), folder / name)
    return {name: (sr.load(folder / name), X) for name, (_, X, _) in models.items()}


def allowed(cert: Certificates) -> np.ndarray:
    """By how much the rounding that was charged can move a radius, (n,)."""
    constants, owed = cert.evidence["constants"], cert.evidence["owed"]
    pairs = np.where(constants > 0, owed / np.where(constants > 0, constants, 1), 0)
    charged = np.broadcast_to(pairs.max(axis=(-2, -1)), len(cert))
    assert charged.max() < 1e-3 * np.median(cert.radius)  # or it would say nothing
    return charged


def assert_agree(whole: Certificates, other: Certificates, rows: Any) -> None:
    """Assert equal labels wherever there is a radius, and radii within the rounding."""
    sure = (whole.radius[rows] > 0) | (other.radius > 0)
    assert np.array_equal(other.label[sure], whole.label[rows][sure])
    assert (np.abs(other.radius - whole.radius[rows]) <= allowed(whole)[rows]).all()


NAMES = ["two classes", "three classes", "paper", "tails", "l_inf", "l_2"]


@pytest.mark.parametrize("name", NAMES)
def test_threads_change_no_label_and_no_radius_by_more_than_is_charged(
    name: str, saved
) -> None:
    model, X = saved[name]
    whole = model.certify(X)
    assert (whole.radius > 0).mean() > 0.9
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            assert_agree(whole, model.certify(X), slice(None))


@pytest.mark.parametrize("name", NAMES)
def test_batches_change_no_label_and_no_radius_by_more_than_is_charged(
    name: str, saved
) -> None:
    model, X = saved[name]
    whole, n = model.certify(X), len(X)
    for rows in (range(1), range(7), range(3, n), range(n - 1, -1, -1)):
        batch = [X[i] for i in rows]
        assert_agree(whole, model.certify(batch), list(rows))


@pytest.mark.parametrize("name", ["two classes", "paper"])
def test_processes_of_the_extractor_change_nothing(name: str, saved) -> None:
    model, X = saved[name]
    whole = model.certify(X)
    model.extractor_.set_params(n_jobs=2)
    assert np.array_equal(model.certify(X).radius, whole.radius)


@pytest.mark.parametrize("name", ["l_inf", "l_2"])
def test_torch_evaluates_the_program_within_the_rounding(name: str, saved) -> None:
    import torch

    model, X = saved[name]
    here = model.program_.evaluate(X)
    there = model.program_.evaluate(torch.tensor(X)).numpy()
    assert (np.abs(here - there) <= 2 * model.program_.rounding()).all()
    sure = model.certify(X).radius > 0
    assert np.array_equal(here.argmax(axis=1)[sure], there.argmax(axis=1)[sure])
