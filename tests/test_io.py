"""Saved models: the same bits in a new process, and nothing tampered with is read."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.exceptions import NotFittedError

import stablerank as sr
from stablerank import io
from stablerank.exceptions import FileFormatError, InvalidInputError, NonFiniteError
from tests.estimators.problems import SMALL, estimators, orbits, table

ROOT = Path(sr.__file__).parents[1]
NAMES = list(estimators())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    folder = tmp_path_factory.mktemp("models")
    saved = {}
    for i, (name, (estimator, X, y)) in enumerate(estimators().items()):
        sr.save(estimator.fit(X, y), folder / str(i))
        saved[name] = estimator, folder / str(i)
    return saved


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved model that a test may damage."""
    X, y = table()
    sr.save(sr.LipschitzClassifier(**SMALL).fit(X, y), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_model_says_the_same_and_saves_the_same(
    name, models, tmp_path
) -> None:
    model, path = models[name]
    _, X, _ = estimators()[name]
    loaded = sr.load(path)
    assert type(loaded) is type(model)
    assert np.array_equal(loaded.predict(X), model.predict(X))
    ours, theirs = loaded.certify(X), model.certify(X)
    if hasattr(model, "classes_"):
        assert np.array_equal(ours.radius, theirs.radius)
        assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))
    else:
        assert np.array_equal(ours.interval(0.1), theirs.interval(0.1))
    sr.save(loaded, tmp_path / "again")
    a, b = (load_file(p / "model.safetensors") for p in (path, tmp_path / "again"))
    assert all(np.array_equal(a[k], b[k]) for k in a.keys() | b.keys())


LOAD_AND_ASK = """
import sys
import numpy as np
import stablerank as sr
from tests.estimators.problems import estimators
for i, (_, X, _) in enumerate(estimators().values()):
    model = sr.load(f"{sys.argv[1]}/{i}")
    cert = model.certify(X)
    said = [model.predict(X)]
    said += [cert.radius] if hasattr(cert, "label") else [*cert.interval(0.1)]
    np.savez(f"{sys.argv[2]}/{i}.npz", *said)
"""


def test_a_new_process_gives_equal_labels_and_radii(models, tmp_path: Path) -> None:
    folder = models[NAMES[0]][1].parent
    subprocess.run(
        [sys.executable, "-c", LOAD_AND_ASK, folder, tmp_path],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "12345"},
        check=True,
    )
    for i, name in enumerate(NAMES):
        model, X = models[name][0], estimators()[name][1]
        cert = model.certify(X)
        if hasattr(model, "classes_"):
            expected = [model.predict(X), cert.radius]
        else:
            expected = [model.predict(X), *cert.interval(0.1)]
        with np.load(tmp_path / f"{i}.npz") as said:
            found = [said[f"arr_{k}"] for k in range(len(expected))]
        assert all(map(np.array_equal, found, expected)), name


def test_a_model_on_a_union_comes_back_with_its_grid(tmp_path: Path) -> None:
    clouds, y = orbits(5)
    parts = [sr.AlphaPersistence(), sr.DTMPersistence(n_neighbors=3, grid=8)]
    model = sr.SRNClassifier(parts, **SMALL).fit(clouds, np.array(list("abc"))[y])
    sr.save(model, tmp_path)
    loaded = sr.load(tmp_path)
    assert loaded.classes_.tolist() == ["a", "b", "c"]
    assert np.array_equal(loaded.certify(clouds).radius, model.certify(clouds).radius)
    assert loaded.extractor_.spec() == model.extractor_.spec()


def test_names_of_columns_are_kept(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    X, y = table()
    frame = pandas.DataFrame(X, columns=list("abcd"))
    sr.save(sr.LipschitzClassifier(**SMALL).fit(frame, y), tmp_path)
    loaded = sr.load(tmp_path)
    assert loaded.predict(frame).shape == y.shape
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame[list("badc")])


# --- what is refused -----------------------------------------------------------------


def change_json(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        file = folder / "model.json"
        header = json.loads(file.read_text())
        change(header)
        file.write_text(json.dumps(header))

    return apply


def change_arrays(change: Callable[[dict[str, np.ndarray]], None]) -> Any:
    def apply(folder: Path) -> None:
        arrays = load_file(folder / "model.safetensors")
        change(arrays)
        save_file(arrays, folder / "model.safetensors")

    return apply


def nudge(arrays: dict[str, np.ndarray]) -> None:
    name = max(arrays, key=lambda k: arrays[k].size)
    flat = arrays[name].reshape(-1)
    flat[0] = np.nextafter(flat[0], np.inf)


def drop_one(arrays: dict[str, np.ndarray]) -> None:
    arrays.pop(next(iter(arrays)))


HASH = "hash mismatch"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (change_arrays(nudge), HASH),
        (change_arrays(drop_one), HASH),
        (change_json(lambda h: h["classes"]["values"].reverse()), HASH),
        (change_json(lambda h: h["program"]["operations"].pop()), HASH),
        (change_json(lambda h: h["fitted"].update(unit_=2.0)), HASH),
        (change_json(lambda h: h.update(sha256="0" * 64)), HASH),
        (change_json(lambda h: h.pop("sha256")), HASH),
        (change_json(lambda h: h.update(schema=99)), "schema 99"),
    ],
    ids=["ulp", "array", "classes", "operation", "fitted", "hash", "none", "schema"],
)
def test_a_changed_file_is_refused(folder: Path, damage, words: str) -> None:
    damage(folder)
    with pytest.raises(FileFormatError, match=words):
        sr.load(folder)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_are_refused_by_array_even_with_a_good_hash(folder, bad) -> None:
    header = json.loads((folder / "model.json").read_text())
    arrays = load_file(folder / "model.safetensors")
    name = next(k for k in arrays if k.endswith("weight"))
    arrays[name][0, 0] = bad
    header["sha256"] = io.digest(header, arrays)
    save_file(arrays, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(header))
    with pytest.raises(NonFiniteError, match=name):
        sr.load(folder)


def test_nothing_that_a_file_names_is_imported(folder: Path) -> None:
    for key, value in (("estimator", "os.system"), ("estimator", "Pipeline")):
        header = json.loads((folder / "model.json").read_text())
        header[key] = value
        header["sha256"] = io.digest(header, load_file(folder / "model.safetensors"))
        (folder / "model.json").write_text(json.dumps(header))
        with pytest.raises(FileFormatError, match="unknown estimator"):
            sr.load(folder)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_pickle_is_told_by_its_first_bytes(folder: Path, name, protocol) -> None:
    (folder / name).write_bytes(pickle.dumps({"a": 1}, protocol))
    with pytest.raises(FileFormatError, match="pickle"):
        sr.load(folder)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[1, 2]", b"\xff\xfe"])
@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_damaged_files_are_called_so(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(FileFormatError, match="model"):
        sr.load(folder)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileFormatError, match=f"no {name}"):
        sr.load(folder)
    with pytest.raises(FileFormatError, match=r"no model\.json"):
        sr.load(folder / "nowhere")


def test_files_beyond_the_limit_are_not_read(folder, monkeypatch) -> None:
    monkeypatch.setattr(io, "LARGEST_FILE", 100)
    with pytest.raises(FileFormatError, match="larger than 100 bytes"):
        sr.load(folder)


def test_only_fitted_estimators_of_this_library_are_saved(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(InvalidInputError, match="LogisticRegression"):
        sr.save(LogisticRegression(), tmp_path)
    with pytest.raises(NotFittedError):
        sr.save(sr.SRNClassifier(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failing", [1, 2])
def test_a_full_disk_leaves_the_old_model_intact(
    folder: Path, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = table()
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    other = sr.LipschitzClassifier(hidden=(16,), epochs=2).fit(X, y)
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        sr.save(other, folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert list(folder.parent.iterdir()) == [folder]  # no remains beside it
    assert sr.load(folder).predict(X).shape == y.shape


def test_a_full_disk_makes_no_half_model(tmp_path: Path, monkeypatch) -> None:
    X, y = table()
    model = sr.LipschitzClassifier(**SMALL).fit(X, y)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        sr.save(model, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("renames", "is_new"), [(0, False), (1, True), (2, True)])
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "interrupted"])
def test_a_crash_between_two_renames_leaves_one_model_or_the_other(
    folder: Path, renames: int, is_new: bool, killed: bool, monkeypatch
) -> None:
    X, y = table()
    old = sr.load(folder)
    new = sr.LipschitzClassifier(hidden=(16,), epochs=2, random_state=1).fit(X, y)
    done, rename = [], Path.replace

    def crash(self: Path, target: Path) -> Path:
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(target)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        if killed:  # a process that is killed cleans nothing up
            patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        with contextlib.suppress(KeyboardInterrupt):
            sr.save(new, folder)
    assert len(done) == renames
    found, expected = sr.load(folder), new if is_new else old
    assert np.array_equal(found.predict_proba(X), expected.predict_proba(X))
    # The next save leaves nothing of all this.
    sr.save(old, folder)
    assert {p.name for p in folder.iterdir()} == {"model.json", "model.safetensors"}
    assert np.array_equal(sr.load(folder).predict_proba(X), old.predict_proba(X))


def test_a_hash_leads_nowhere_but_into_the_folder(folder: Path) -> None:
    (folder.parent / "x").mkdir()
    (folder / "model-").mkdir()
    shutil.copy(folder / "model.safetensors", folder.parent / "x/y.safetensors")
    (folder / "model.safetensors").unlink()
    header = json.loads((folder / "model.json").read_text())
    for sha256 in ("/../../x/y", 3, None, "0" * 63):
        (folder / "model.json").write_text(json.dumps(header | {"sha256": sha256}))
        with pytest.raises(FileFormatError, match=r"no model\.safetensors"):
            sr.load(folder)


def test_saving_over_a_model_replaces_it_and_keeps_what_lies_beside(
    folder: Path,
) -> None:
    (folder / "notes.txt").write_text("mine")
    X, y = table()
    other = sr.LipschitzClassifier(hidden=(16,), epochs=2, random_state=1).fit(X, y)
    sr.save(other, folder)
    assert np.array_equal(sr.load(folder).predict_proba(X), other.predict_proba(X))
    assert (folder / "notes.txt").read_text() == "mine"
