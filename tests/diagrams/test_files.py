"""Files hold plain arrays and JSON, come back to the bit, or are named as damaged."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stablerank.diagrams import Diagrams, files
from stablerank.diagrams.files import read_npz, write_npz
from stablerank.exceptions import FileFormatError
from tests.diagrams.make import assert_same, full_batch, random_list


@pytest.mark.parametrize(
    "part", [slice(None), slice(2, 5), [4, 4, 0], [], slice(0, 1)], ids=repr
)
def test_batches_come_back_to_the_bit(tmp_path: Path, part: Any) -> None:
    batch = full_batch()[part]
    batch.save(tmp_path / "d.npz")
    assert_same(Diagrams.load(tmp_path / "d.npz"), batch)


def test_batches_without_origin_or_vertices_come_back(tmp_path: Path) -> None:
    batch = Diagrams.from_list(random_list(0, 5), unit="pixel value")
    batch.save(str(tmp_path / "d"))  # the name is taken as it is
    again = Diagrams.load(str(tmp_path / "d"))
    assert_same(again, batch)
    assert again.source is None is again.critical
    assert again.unit == "pixel value"


def test_extreme_numbers_come_back(tmp_path: Path) -> None:
    bars = np.array([[-0.0, 0.0], [2.0**-1074, 1.7e308], [-1.7e308, 0.1]])
    batch = Diagrams(bars, [[0, 3]], ["H0"], [0], error=2.0**-1074)
    batch.save(tmp_path / "d.npz")
    assert_same(Diagrams.load(tmp_path / "d.npz"), batch)


def test_files_hold_no_pickle_and_no_bars_of_others(tmp_path: Path) -> None:
    whole = full_batch()
    whole[3:4].save(tmp_path / "d.npz")
    with zipfile.ZipFile(tmp_path / "d.npz") as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                array = np.lib.format.read_array(member, allow_pickle=False)
            assert array.dtype.kind in "iuf"
    with np.load(tmp_path / "d.npz", allow_pickle=False) as file:
        assert len(file["bars"]) == whole[3:4].counts.sum()
        header = json.loads(file["header"].tobytes())
    assert header["channels"] == ["alpha/H0", "alpha/H1", "dtm/H1"]


def test_a_pickle_in_a_file_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    full_batch().save(path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["error"] = np.array([[{"any": "object"}] * 3] * 9, object)
    with path.open("wb") as target:
        np.savez(target, **arrays)
    with pytest.raises(FileFormatError, match="not a file of diagrams, or is damaged"):
        Diagrams.load(path)


def test_an_interrupted_save_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "d.npz"
    full_batch(0).save(path)

    def interrupted(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(files.np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        full_batch(1).save(path)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["d.npz"]
    assert_same(Diagrams.load(path), full_batch(0))


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Diagrams.load(tmp_path / "none.npz")
    with pytest.raises(IsADirectoryError):
        Diagrams.load(tmp_path)


def small_file(path: Path) -> bytes:
    Diagrams.from_list([[[(0.0, 1.0)]]]).save(path)
    return path.read_bytes()


def test_a_truncated_file_is_named_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    whole = small_file(path)
    for length in range(0, len(whole), 23):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match=r"d\.npz"):
            Diagrams.load(path)


def test_a_file_with_a_changed_byte_is_damaged_or_unharmed(tmp_path: Path) -> None:
    """Every seventh byte is changed; what zip does not guard does not matter."""
    path = tmp_path / "d.npz"
    whole = small_file(path)
    original = Diagrams.load(path)
    refused = 0
    for position in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[position] ^= 0xFF
        path.write_bytes(changed)
        try:
            assert_same(Diagrams.load(path), original)
        except FileFormatError:
            refused += 1
    assert refused > len(whole) / 7 / 2


HEADER = {
    "channels": ["H0"],
    "degrees": [0],
    "conventions": ["value"],
    "units": [None],
    "source": None,
}
ARRAYS = {
    "bars": np.array([[0.0, 1.0]]),
    "offsets": np.array([[0, 1]]),
    "essential": np.empty(0),
    "essential_offsets": np.zeros((1, 2), np.int64),
    "error": np.zeros((1, 1)),
}


def test_the_least_that_a_file_must_hold_is_enough(tmp_path: Path) -> None:
    write_npz(tmp_path / "d.npz", HEADER, ARRAYS)
    assert Diagrams.load(tmp_path / "d.npz").bars.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("name", [*HEADER, *ARRAYS])
def test_a_file_without_a_part_is_refused(tmp_path: Path, name: str) -> None:
    header = {k: v for k, v in HEADER.items() if k != name}
    arrays = {k: v for k, v in ARRAYS.items() if k != name}
    write_npz(tmp_path / "d.npz", header, arrays)
    with pytest.raises(FileFormatError, match=name):
        Diagrams.load(tmp_path / "d.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 3},
        {"channels": ["H0", "H1"]},
        {"degrees": ["a"]},
        {"conventions": ["a", "b"]},
        {"source": "AlphaPersistence"},
        {"source": {"spec": {}, "geometry": ["n"], "weights": [], "parts": {}}},
        {"bars": np.array([[1.0, 0.0]])},
        {"bars": np.array([[0.0, np.nan]])},
        {"bars": np.zeros((1, 3))},
        {"offsets": np.array([[0, 2]])},
        {"offsets": np.array([[-1, 1]])},
        {"offsets": np.array(0)},
        {"essential_offsets": np.array([[0, 1]])},
        {"error": np.array([[-1.0]])},
        {"critical": np.zeros((5, 2, 1), np.int64)},
    ],
    ids=repr,
)
def test_a_file_of_impossible_diagrams_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    header = {k: change.get(k, v) for k, v in HEADER.items()}
    arrays = ARRAYS | {k: v for k, v in change.items() if isinstance(v, np.ndarray)}
    write_npz(tmp_path / "d.npz", header, arrays)
    with pytest.raises(FileFormatError, match=r"d\.npz is not a file of diagrams"):
        Diagrams.load(tmp_path / "d.npz")


def test_other_files_and_other_schemas_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (b"", b"PK\x03\x04", b"{}", b"\x80\x04K\x01."):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="not a file of diagrams"):
            read_npz(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(FileFormatError, match="not a file of diagrams"):
        read_npz(path)
    for header in (b"[]", b'{"schema": 999}'):
        with path.open("wb") as file:
            np.savez(file, header=np.frombuffer(header, np.uint8))
        with pytest.raises(FileFormatError, match="another schema"):
            read_npz(path)
