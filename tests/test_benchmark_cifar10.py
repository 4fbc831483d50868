"""The recipe for CIFAR-10: what it reads, what it refuses, and one step of it all."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from stablerank.exceptions import CostLimitError, InvalidInputError
from tests.scripts import ROOT, benchmark_script
from tests.two_processes import torchrun

N = 12  # images in a file
CUDA = pytest.param(
    "cuda",
    marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
)
DEVICES = ["cpu", CUDA]


@pytest.fixture
def cifar10(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark_script("cifar10", monkeypatch)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark_script("cifar10_data", monkeypatch)


def content(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "data": rng.integers(0, 256, (N, 3072), dtype=np.uint8),
        "labels": rng.integers(0, 10, N).tolist(),
    }


@pytest.fixture
def folder(reader: ModuleType, tmp_path: Path) -> Path:
    """Random images in torchvision's layout."""
    place = tmp_path / reader.FOLDER
    place.mkdir()
    for seed, name in enumerate((*reader.TRAIN, *reader.TEST)):
        (place / name).write_bytes(pickle.dumps(content(seed)))
    return tmp_path


# --- reading --------------------------------------------------------------------------


def test_files_are_read_in_their_order(reader: ModuleType, folder: Path) -> None:
    for given in (folder, folder / reader.FOLDER):
        train, test = reader.read(given)
        expected = [content(seed) for seed in range(5)]
        assert np.array_equal(
            train.images, np.concatenate([e["data"] for e in expected])
        )
        assert train.labels.tolist() == [y for e in expected for y in e["labels"]]
        assert np.array_equal(test.images, content(5)["data"])
    assert train.digest() != test.digest()


class Python2(pickle._Pickler):  # type: ignore[name-defined]
    """Writes strings as Python 2 did, and arrays as its numpy did."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_str(self, obj: str | bytes) -> None:
        raw = obj.encode() if isinstance(obj, str) else obj
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)

    dispatch[bytes] = dispatch[str] = save_str


def test_pickles_of_python_2_are_read(reader: ModuleType, tmp_path: Path) -> None:
    file = io.BytesIO()
    Python2(file, protocol=2).dump({**content(0), "batch_label": "training batch 1"})
    old = file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core" in old
    (tmp_path / "data_batch_1").write_bytes(old)
    part = reader.read_file(tmp_path / "data_batch_1")
    assert np.array_equal(part.images, content(0)["data"])
    assert part.labels.tolist() == content(0)["labels"]


def test_missing_files_are_named(reader: ModuleType, folder: Path) -> None:
    (folder / reader.FOLDER / "data_batch_3").unlink()
    with pytest.raises(InvalidInputError, match=r"has no data_batch_3; unpack https"):
        reader.read(folder)
    with pytest.raises(InvalidInputError, match=r"no data_batch_1, .*test_batch; unp"):
        reader.read(folder / "elsewhere")


GOOD = pickle.dumps(content(0))


class Runs:
    """A pickle that does something when it is loaded."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call = call, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "damaged"),
        (b"not a pickle", "damaged"),
        (GOOD[: len(GOOD) // 2], "damaged"),
        (GOOD[:-1], "damaged"),
        (pickle.dumps([1, 2]), "a list in place of a dict"),
        (pickle.dumps({}), "no array 'data' and list 'labels'"),
        (pickle.dumps(content(0) | {"labels": [1]}), "not uint8 of shape \\(1, 3072"),
        (pickle.dumps(content(0) | {"data": np.zeros((N, 3072))}), "'data' is float64"),
        (pickle.dumps(content(0) | {"labels": [0] * (N - 1) + [10]}), "10 of image 11"),
        (pickle.dumps(content(0) | {"labels": [0.5] * N}), "0.5 of image 0"),
        (
            pickle.dumps({"data": np.zeros((0, 3072), np.uint8), "labels": []}),
            "has no images",
        ),
        (pickle.dumps(Runs(eval, "1 + 1")), "builtins.eval, which no array needs"),
        (pickle.dumps(Runs(np.load, "x", None, True)), "numpy.load"),
        (pickle.dumps(np.float64(1.0)), "multiarray.scalar"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(
    raw: bytes, words: str, reader: ModuleType, tmp_path: Path
) -> None:
    file = tmp_path / "data_batch_2"
    file.write_bytes(raw)
    with pytest.raises(InvalidInputError, match=words) as caught:
        reader.read_file(file)
    assert "data_batch_2" in str(caught.value)
    assert "unpack" in str(caught.value)


def test_a_pickle_that_runs_something_does_not_run(
    reader: ModuleType, tmp_path: Path
) -> None:
    sign, file = tmp_path / "sign", tmp_path / "data_batch_1"
    for call in (Runs(os.mkdir, str(sign)), {"data": Runs(os.mkdir, str(sign))}):
        file.write_bytes(pickle.dumps(call))
        pickle.loads(pickle.dumps(call))  # it is one that does
        sign.rmdir()
        with pytest.raises(InvalidInputError, match="mkdir, which no array needs"):
            reader.read_file(file)
        assert not sign.exists()


def test_files_that_are_far_too_large_are_not_loaded(
    reader: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LARGEST_FILE", 1000)
    (tmp_path / "test_batch").write_bytes(GOOD)
    with pytest.raises(InvalidInputError, match="than 1000; unpack"):
        reader.read_file(tmp_path / "test_batch")


# --- augmentation ---------------------------------------------------------------------


def test_augmented_images_are_crops_of_the_padded_ones(cifar10: ModuleType) -> None:
    torch.manual_seed(0)
    images = torch.from_numpy(content(0)["data"]).clamp_min(1)
    found = cifar10.augmented(images, crop=4).view(N, 3, 32, 32)
    padded = torch.nn.functional.pad(
        cifar10.scaled(images).view(N, 3, 32, 32), (4,) * 4
    )
    places = set()
    for i in range(N):
        hits = [
            (top, left, flipped)
            for top in range(9)
            for left in range(9)
            for flipped in (False, True)
            if torch.equal(
                found[i].flip(2) if flipped else found[i],
                padded[i, :, top : top + 32, left : left + 32],
            )
        ]
        assert len(hits) == 1
        places.add(hits[0])
    assert len(places) > N / 2
    assert len({flipped for *_, flipped in places}) == 2


def test_without_crops_only_mirrors_are_left(cifar10: ModuleType) -> None:
    images = torch.from_numpy(content(0)["data"])
    found = cifar10.augmented(images, crop=0).view(N, 3, 32, 32)
    whole = cifar10.scaled(images).view(N, 3, 32, 32)
    for one, original in zip(found, whole, strict=True):
        assert torch.equal(one, original) or torch.equal(one, original.flip(2))


# --- the whole way --------------------------------------------------------------------


def check(record: dict[str, Any], processes: int) -> None:
    accuracy = list(record["accuracy"].values())
    assert list(record["accuracy"]) == ["clean", "36/255", "72/255", "108/255"]
    assert accuracy == sorted(accuracy, reverse=True)
    assert 0 <= accuracy[-1] <= accuracy[0] <= 1
    assert record["processes"] == processes
    assert record["n_test"] == N
    assert record["variant"] == "quick"
    assert record["history"]["epoch"] == [1]
    # The layers are contractions; the damping of BRO may leave them a little below 1.
    assert 0.99 < record["rehearsal"]["constant"] < 1 + 1e-6
    assert {"machine", "versions", "commit", "seconds"} <= record.keys()


@pytest.mark.parametrize("device", DEVICES)
def test_the_recipe_runs_in_one_process(
    device: str, cifar10: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "cifar10.json"
    options = ["--data", str(folder), "--quick", "--device", device, "--out", str(file)]
    checkpoint = ["--checkpoint", str(folder / "run")]
    records = []
    for _ in range(2):  # the second time from the checkpoint
        cifar10.main([*options, *checkpoint])
        records.append(json.loads(file.read_text()))
        check(records[-1], processes=1)
    assert records[0]["accuracy"] == records[1]["accuracy"]
    assert "clean" in capsys.readouterr().out


def test_the_recipe_runs_in_two_processes(folder: Path) -> None:
    file = folder / "cifar10.json"
    script = str(ROOT / "benchmarks" / "cifar10.py")
    options = ["--data", str(folder), "--quick", "--device", "cpu", "--out", str(file)]
    done = subprocess.run(
        torchrun(script, *options),
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    )
    check(json.loads(file.read_text()), processes=2)
    assert done.stdout.count("Written to") == 1


def arguments(folder: Path, **changes: Any) -> argparse.Namespace:
    given = {"data": folder, "variant": "M", "quick": True, "epochs": None}
    given |= {"limit": None, "device": "cpu", "compile": False, "checkpoint": None}
    given |= {"seed": 0, "timeout": 60.0} | changes
    return argparse.Namespace(**given)


def test_what_cannot_be_certified_is_refused_before_training(
    cifar10: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(cifar10, "train", never)
    with pytest.raises(AssertionError, match="trained"):
        cifar10.run(arguments(folder))
    huge = replace(cifar10.VARIANTS["quick"], channels=2048, neck=1)
    monkeypatch.setitem(cifar10.VARIANTS, "M", huge)
    with pytest.raises(CostLimitError, match="would freeze to"):
        cifar10.run(arguments(folder, quick=False))
    monkeypatch.setattr(cifar10, "LOOSE", 0.5)
    with pytest.raises(CostLimitError, match="trained for, and radii would be"):
        cifar10.run(arguments(folder))


def test_a_run_belongs_to_its_data(cifar10: ModuleType, folder: Path) -> None:
    one = cifar10.run(arguments(folder, limit=3))
    assert one["n_test"] == 3
    cifar10.run(arguments(folder, checkpoint=folder / "run"))
    with pytest.raises(InvalidInputError, match="belongs to another"):
        cifar10.run(arguments(folder, checkpoint=folder / "run", seed=1))


@pytest.mark.nightly
def test_the_network_of_the_recipe_can_be_certified(cifar10: ModuleType) -> None:
    torch.manual_seed(0)
    network, own = cifar10.VARIANTS["M"].network(), content(0)
    part = cifar10.Part(own["data"], np.array(own["labels"]))
    found = cifar10.rehearse(network, part, torch.device("cpu"))
    assert found["constant"] < 1 + 1e-6
