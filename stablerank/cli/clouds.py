"""Point clouds and their labels from files: what users have lying on their disks.

- `.npy`: one cloud (points, coordinates), or several (clouds, points, coordinates).
- `.npz`: an array `clouds` (or `X`) of several, or one array a cloud in the order of
  their names; labels in an array `labels` (or `y`).
- `.csv`, `.parquet`: a table of coordinates, one point a row.  A column `cloud` tells
  several clouds apart, a column `label` names the class.
- A folder: files of any of these; the name of a sub-folder is the label of its files.

Nothing is unpickled.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import FileFormatError, MissingDependencyError, ShapeError

__all__ = ["Clouds", "read_clouds", "read_labels"]

_CLOUD_AXES, _BATCH_AXES = 2, 3


@dataclass
class Clouds:
    """Clouds with a name each, and labels where there are any."""

    names: list[str] = field(default_factory=list)
    points: list[NDArray[Any]] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)  # None: unlabelled

    def add(self, name: str, points: NDArray[Any], label: Any = None) -> None:
        """Append one cloud."""
        self.names.append(name)
        self.points.append(points)
        self.labels.append(label)

    @property
    def y(self) -> NDArray[Any] | None:
        """Labels, or None unless every cloud has one."""
        if any(label is None for label in self.labels):
            return None
        return np.asarray(self.labels)


def read_clouds(path: Path, labels: Path | None = None) -> Clouds:
    """Read a file or a folder.

    Parameters
    ----------
    path : Path
        See the module.
    labels : Path, optional
        File of labels, which go before those found with the clouds.
    """
    if path.is_dir():
        clouds = _read_folder(path)
    elif path.is_file():
        clouds = Clouds()
        _read_file(path, path.name, None, clouds)
    else:
        raise FileFormatError(f"{path}: no such file or folder")
    if not clouds.names:
        raise FileFormatError(
            f"{path} holds no clouds; files must end in {', '.join(_READERS)}"
        )
    if labels is not None:
        clouds.labels = read_labels(labels, clouds.names)
    return clouds


def _read_folder(folder: Path) -> Clouds:
    clouds = Clouds()
    for file in sorted(folder.rglob("*"), key=lambda p: _natural(str(p))):
        inside = file.relative_to(folder)
        if file.suffix.lower() not in _READERS or not file.is_file():
            continue
        if any(part.startswith(".") for part in inside.parts):
            continue
        label = inside.parts[0] if len(inside.parts) > 1 else None
        _read_file(file, inside.as_posix(), label, clouds)
    return clouds


def _natural(text: str) -> list[Any]:
    """Sort key that puts cloud2 before cloud10."""
    pieces = re.split(r"(\d+)", text)
    return [(int(p), "") if p.isdigit() else (0, p) for p in pieces]


def _read_file(file: Path, name: str, label: Any, clouds: Clouds) -> None:
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise FileFormatError(
            f"{file} is of a kind that is not read; use {', '.join(_READERS)}"
        )
    found = list(reader(file))
    for key, points, own in found:
        whole = name if len(found) == 1 else f"{name}[{key}]"
        clouds.add(whole, points, label if own is None else own)


Found = Iterator[tuple[Any, NDArray[Any], Any]]  # key, points, label


def _read_npy(file: Path) -> Found:
    yield from _split(file, _numpy(file), None)


def _read_npz(file: Path) -> Found:
    arrays = _numpy(file)
    labels = next((arrays.pop(key) for key in ("labels", "y") if key in arrays), None)
    batch = next((arrays[key] for key in ("clouds", "X") if key in arrays), None)
    if batch is not None:
        yield from _split(file, batch, labels)
        return
    keys = sorted(arrays, key=_natural)
    _check_count(file, keys, labels)
    for i, key in enumerate(keys):
        if arrays[key].ndim != _CLOUD_AXES:
            raise ShapeError(
                f"{file}: array {key!r} has shape {arrays[key].shape}; a cloud has "
                "shape (points, coordinates)"
            )
        yield key, arrays[key], None if labels is None else labels[i].item()


def _numpy(file: Path) -> Any:
    try:
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            return {key: found[key] for key in found.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        msg = (
            f"{file} cannot be read: {error}. Arrays of objects are never unpickled; "
            "save clouds of different sizes as one array each in an .npz"
        )
        raise FileFormatError(msg) from error


def _split(file: Path, array: NDArray[Any], labels: NDArray[Any] | None) -> Found:
    if array.ndim not in (_CLOUD_AXES, _BATCH_AXES):
        raise ShapeError(
            f"{file} holds an array of shape {array.shape}; expected (points, "
            "coordinates) or (clouds, points, coordinates)"
        )
    batch = array[None] if array.ndim == _CLOUD_AXES else array
    _check_count(file, batch, labels)
    for i, points in enumerate(batch):
        yield i, points, None if labels is None else labels[i].item()


def _check_count(file: Path, clouds: Sized, labels: Any) -> None:
    if labels is not None and (labels.ndim != 1 or len(labels) != len(clouds)):
        raise ShapeError(
            f"{file}: labels of shape {labels.shape} for {len(clouds)} clouds"
        )


def _read_csv(file: Path) -> Found:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = [row for row in csv.reader(lines) if row]
    if not rows:
        raise FileFormatError(f"{file} is empty")
    has_header = not all(_is_number(cell) for cell in rows[0])
    names = rows[0] if has_header else [f"x{i}" for i in range(len(rows[0]))]
    body = rows[1:] if has_header else rows
    for i, row in enumerate(body, 1 + has_header):
        if len(row) != len(names):
            raise ShapeError(
                f"{file}, line {i}: {len(row)} columns, {len(names)} expected"
            )
    columns = {name.strip(): [row[k] for row in body] for k, name in enumerate(names)}
    yield from _group(file, columns)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_parquet(file: Path) -> Found:
    try:
        import pandas

        table = pandas.read_parquet(file)
    except ImportError:  # pandas itself looks for pyarrow when it needs it
        what = "pandas with pyarrow"
        raise MissingDependencyError(what, "test", f"reading {file}") from None
    except ValueError as error:
        raise FileFormatError(f"{file} cannot be read: {error}") from error
    yield from _group(file, {str(name): table[name].tolist() for name in table})


def _group(file: Path, columns: dict[str, list[Any]]) -> Found:
    """Rows of a table to clouds, in the order in which clouds first appear."""
    clouds, labels = columns.pop("cloud", None), columns.pop("label", None)
    try:
        points = np.array(list(columns.values()), dtype=np.float64).T
    except ValueError as error:
        msg = f"{file}: coordinates must be numbers ({error})"
        raise FileFormatError(msg) from error
    groups: dict[Any, list[int]] = {}
    for row in range(len(points)):
        groups.setdefault(None if clouds is None else clouds[row], []).append(row)
    for key, rows in groups.items():
        own = {None if labels is None else _label(labels[row]) for row in rows}
        if len(own) > 1:
            raise FileFormatError(
                f"{file}: cloud {key} has several labels, {sorted(map(str, own))[:3]}"
            )
        yield key, points[rows], own.pop()


def _label(cell: Any) -> Any:
    """A cell of a table; None where it is empty."""
    missing = cell is None or cell == "" or (isinstance(cell, float) and isnan(cell))
    return None if missing else cell


_READERS = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


def read_labels(file: Path, names: Sequence[str]) -> list[Any]:
    """Read labels: a `.npy`, or text, one a line or `name,label` a line.

    Parameters
    ----------
    file : Path
        With one label a cloud, in their order; or by name, in any order. A first
        line `cloud,label` is a header.
    names : sequence of str
        Of the clouds.
    """
    if file.suffix.lower() == ".npy":
        array = _numpy(file)
        if array.shape != (len(names),):
            raise ShapeError(
                f"{file}: labels of shape {array.shape}, {len(names)} clouds"
            )
        return array.tolist()
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if row]
    if rows and rows[0][:2] == ["cloud", "label"]:
        rows = rows[1:]
    if all(len(row) == 1 for row in rows):
        if len(rows) != len(names):
            raise ShapeError(f"{file}: {len(rows)} labels for {len(names)} clouds")
        return [row[0] for row in rows]
    by_name = {row[0]: row[1] for row in rows if len(row) > 1}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise FileFormatError(
            f"{file} has no label for {missing[0]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        )
    return [by_name[name] for name in names]
