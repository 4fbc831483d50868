"""`fit`, `predict`, `certify`, `info`: from a folder of clouds to radii in a table."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablerank as sr
from stablerank.cli import main
from stablerank.cli.clouds import read_clouds
from stablerank.exceptions import FileFormatError, ShapeError
from tests.estimators.problems import SMALL, rings_and_blobs, table

NAMES = np.array(["disc", "ring"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model fitted by the command on a folder with one sub-folder a class."""
    folder = tmp_path_factory.mktemp("cli")
    clouds, y = rings_and_blobs(24)
    for i, (cloud, label) in enumerate(zip(clouds, y, strict=True)):
        file = folder / "data" / NAMES[label] / f"cloud{i}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, cloud)
    out = str(folder / "model")
    arguments = ["--out", out, "--epochs", "20", "--n-jobs", "1"]
    assert main(["fit", str(folder / "data"), *arguments]) == 0
    return folder / "model"


@pytest.fixture
def fresh(tmp_path: Path) -> tuple[Path, list[np.ndarray], np.ndarray]:
    clouds, y = rings_and_blobs(10, seed=3)
    arrays = {f"c{i}": cloud for i, cloud in enumerate(clouds)}
    np.savez(tmp_path / "new.npz", labels=NAMES[y], **arrays)
    return tmp_path / "new.npz", clouds, y


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_predictions_are_those_of_the_model(model, fresh, tmp_path, capsys) -> None:
    file, clouds, y = fresh
    out = tmp_path / "deep" / "labels.csv"
    assert main(["predict", str(model), str(file), "--out", str(out)]) == 0
    loaded = sr.load(model)
    assert [row["label"] for row in rows(out)] == loaded.predict(clouds).tolist()
    assert rows(out)[3]["cloud"] == "new.npz[c3]"
    share = (loaded.predict(clouds) == NAMES[y]).mean()
    assert f"{share:.1%} agree" in capsys.readouterr().out
    # What was written is read as labels again.
    again = read_clouds(file, out)
    assert again.labels == loaded.predict(clouds).tolist()


def test_without_out_predictions_are_printed(model, fresh, capsys) -> None:
    assert main(["predict", str(model), str(fresh[0]), "--n-jobs", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "cloud,label,probability"


def test_certificates_are_those_of_the_model(model, fresh, tmp_path, capsys) -> None:
    file, clouds, y = fresh
    arguments = ["--threat", "displacement", "--eps", "0.001", "0.01", "--n-jobs", "1"]
    arguments += ["--plot", str(tmp_path / "a/c.png"), "--out", str(tmp_path / "cert")]
    assert main(["certify", str(model), str(file), *arguments]) == 0
    cert = sr.load(model).certify(clouds, sr.Displacement())
    found = rows(tmp_path / "cert/certificates.csv")
    assert [float(row["radius"]) for row in found] == cert.radius.tolist()
    said = capsys.readouterr().out
    for eps in (0.001, 0.01):
        line = f"{eps:>12g}{cert.holds(eps).mean():>12.1%}"
        assert line + f"{cert.accuracy(NAMES[y], eps):>12.1%}" in said
    assert "[X5]" in said
    assert said.splitlines()[-1].startswith("In short: half of the predictions")
    assert (tmp_path / "a/c.png").stat().st_size > 5000
    # What `cert.save` writes, whatever the names of its files are.
    assert {p.suffix for p in (tmp_path / "cert").iterdir()} > {".csv", ".json"}


def test_info_tells_what_a_saved_model_is(model, capsys) -> None:
    assert main(["info", str(model)]) == 0
    said = capsys.readouterr().out
    for fact in ("SRNClassifier", "disc, ring", "AlphaPersistence", "Displacement"):
        assert fact in said


# --- what is read -----------------------------------------------------------------

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def write_csv(text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "a.csv").write_text(text)
        return folder / "a.csv"

    return write


def write_npz(**arrays: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "a.npz", **arrays)
        return folder / "a.npz"

    return write


@pytest.mark.parametrize(
    ("write", "sizes", "labels"),
    [
        (write_npz(clouds=[SQUARE, SQUARE], y=["a", "b"]), [4, 4], ["a", "b"]),
        (write_npz(c10=SQUARE[:3], c9=SQUARE), [4, 3], [None, None]),
        (write_csv("0,1\n2,3\n"), [2], [None]),
        (write_csv("x,y\n0,1\n2,3\n4,5\n"), [3], [None]),
        (
            write_csv("cloud,x,y,label\n1,0,1,a\n2,2,3,b\n1,4,5,a\n"),
            [2, 1],
            ["a", "b"],
        ),
    ],
    ids=["batch", "natural order", "bare csv", "header", "long csv"],
)
def test_files_are_read_as_the_manual_says(tmp_path, write, sizes, labels) -> None:
    found = read_clouds(write(tmp_path))
    assert [len(points) for points in found.points] == sizes
    assert found.labels == labels


def test_a_table_is_the_same_in_parquet(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    text = "cloud,x,y,label\n1,0,1,a\n2,2,3,b\n1,4,5,a\n3,1,1,\n"
    by_csv = read_clouds(write_csv(text)(tmp_path))
    pandas.read_csv(tmp_path / "a.csv").to_parquet(tmp_path / "a.parquet")
    by_parquet = read_clouds(tmp_path / "a.parquet")
    assert by_parquet.labels == by_csv.labels == ["a", "b", None]
    assert all(map(np.array_equal, by_parquet.points, by_csv.points))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_clouds(tmp_path / "a.parquet")


@pytest.mark.parametrize("missing", ["pandas", "pyarrow"])
def test_parquet_without_its_packages_names_the_extra(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    pandas = pytest.importorskip("pandas")

    def no_engine(file: Path) -> Any:
        raise ImportError("Unable to find a usable engine; tried using: 'pyarrow'")

    monkeypatch.setattr(pandas, "read_parquet", no_engine)
    if missing == "pandas":
        monkeypatch.setitem(sys.modules, "pandas", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    assert main(["fit", str(tmp_path / "a.parquet"), "--out", str(tmp_path / "m")]) == 2
    said = capsys.readouterr().err
    assert "needs pandas with pyarrow" in said
    assert "pip install 'stablerank[test]'" in said


def test_one_folder_may_hold_files_of_every_kind(tmp_path: Path) -> None:
    clouds, y = rings_and_blobs(6)
    for i, (cloud, label) in enumerate(zip(clouds, y, strict=True)):
        file = tmp_path / NAMES[label] / f"c{i}"
        file.parent.mkdir(exist_ok=True)
        if i % 3 == 0:
            np.save(file.with_suffix(".npy"), cloud)
        elif i % 3 == 1:
            np.savez(file.with_suffix(".npz"), a=cloud)
        else:
            np.savetxt(file.with_suffix(".csv"), cloud, delimiter=",", fmt="%.17g")
    found = read_clouds(tmp_path)
    for name, points, label in zip(
        found.names, found.points, found.labels, strict=True
    ):
        i = int(Path(name).stem.removeprefix("c"))
        assert np.array_equal(points, clouds[i])
        assert label == NAMES[y[i]]
    assert len(found.names) == 6


def test_tails_are_chosen_at_fit_and_bring_their_threat(tmp_path, capsys) -> None:
    clouds, y = rings_and_blobs(16)
    arrays = {f"c{i}": cloud for i, cloud in enumerate(clouds)}
    np.savez(tmp_path / "data.npz", labels=NAMES[y], **arrays)
    data, out = str(tmp_path / "data.npz"), str(tmp_path / "model")
    fit = ["fit", data, "--out", out, "--epochs", "8", "--n-jobs", "1"]
    assert main([*fit, "--preset", "paper", "--tail-p", "1"]) == 0
    assert main(["info", out]) == 0
    assert "WassersteinBall(p=1" in capsys.readouterr().out
    assert main(["certify", out, data, "--n-jobs", "1"]) == 0
    assert "Wasserstein distance W_(1, 1)" in capsys.readouterr().out
    asked = ["certify", out, data, "--n-jobs", "1", "--threat"]
    assert main([*asked, "wasserstein-1"]) == 0
    assert main([*asked, "displacement"]) == 2
    assert "add up all bars" in capsys.readouterr().err
    for wrong, words in (("0.5", "1, 2 or inf"), ("3", "no proved rounding")):
        assert main([*fit, "--preset", "paper", "--tail-p", wrong]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "labels"),
    [("a\nb\n", ["a", "b"]), ("cloud,label\na.npz[1],x\na.npz[0],y\n", ["y", "x"])],
)
def test_a_file_of_labels_goes_by_order_or_by_name(tmp_path, text, labels) -> None:
    (tmp_path / "l.csv").write_text(text)
    file = write_npz(clouds=[SQUARE, SQUARE])(tmp_path)
    assert read_clouds(file, tmp_path / "l.csv").labels == labels


@pytest.mark.parametrize(
    ("write", "error", "words"),
    [
        (write_csv(""), FileFormatError, "is empty"),
        (write_csv("0,1\n2\n"), ShapeError, "line 2: 1 columns"),
        (write_csv("x,y\n0,one\n"), FileFormatError, "must be numbers"),
        (write_csv("x,label\n0,a\n1,b\n"), FileFormatError, "several labels"),
        (write_csv("x,label\n0,a\n1,\n"), FileFormatError, "several labels"),
        (write_npz(a=np.zeros(3)), ShapeError, "array 'a' has shape"),
        (write_npz(clouds=np.zeros((2, 3, 2)), y=[1]), ShapeError, "2 clouds"),
        (
            write_npz(clouds=np.array([SQUARE, None], dtype=object)),
            FileFormatError,
            "never unpickled",
        ),
        (lambda folder: folder / "none.npy", FileFormatError, "no such file"),
        (lambda folder: folder, FileFormatError, "holds no clouds"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, write, error, words) -> None:
    with pytest.raises(error, match=words):
        read_clouds(write(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "{npz}", "--out", "{tmp}/m", "--preset", "best"], "preset must be"),
        (["fit", "{bare}", "--out", "{tmp}/m"], "has no label"),
        (["predict", "{tmp}/nowhere", "{npz}"], "is it a saved model?"),
        (["certify", "{model}", "{npz}", "--eps", "-1"], ">= 0"),
        (["certify", "{table}", "{npz}"], "reads no point clouds"),
        (["info", "{tmp}"], "is it a saved model?"),
    ],
    ids=lambda value: None,
)
def test_what_a_user_did_wrong_is_one_line(  # noqa: PLR0917 - fixtures
    arguments,
    words,
    model,
    fresh,
    tmp_path,
    capsys,
) -> None:
    np.save(tmp_path / "bare.npy", SQUARE)
    X, y = table()
    sr.save(sr.LipschitzClassifier(**SMALL).fit(X, y), tmp_path / "table")
    places = {
        "npz": fresh[0],
        "bare": tmp_path / "bare.npy",
        "tmp": tmp_path,
        "model": model,
        "table": tmp_path / "table",
    }
    assert main([argument.format(**places) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
