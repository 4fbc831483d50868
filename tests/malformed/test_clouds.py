"""Point clouds that are refused, and odd ones that are fine."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from stablerank import (
    AlphaPersistence,
    Diagrams,
    DTMPersistence,
    DTMRipsPersistence,
    PersistenceUnion,
    RipsPersistence,
)
from stablerank.exceptions import (
    DataTypeError,
    EmptyInputError,
    NonFiniteError,
    NumericRangeError,
    ShapeError,
)
from stablerank.extract import Extractor
from stablerank.matching import bottleneck_distance
from stablerank.metrics import Displacement
from tests.malformed.refusals import Row, assert_refused, table

MAKERS: dict[str, Callable[[], Extractor]] = {
    "alpha": AlphaPersistence,
    "rips": RipsPersistence,
    "ripser": lambda: RipsPersistence(engine="ripser"),
    "dtm": lambda: DTMPersistence(n_neighbors=1, grid=5, box=[[-1, -1], [3, 3]]),
    "dtm-rips": lambda: DTMRipsPersistence(n_neighbors=1),
    "union": lambda: PersistenceUnion([AlphaPersistence(), RipsPersistence()]),
}
every_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)

CLOUD = np.array([[0, 0], [1, 0], [0, 1], [1.5, 1], [0.5, 0.25], [2, 2]])


def with_entry(value: Any, row: int = 3, dtype: Any = np.float64) -> Any:
    cloud = CLOUD.astype(dtype)
    cloud[row, 1] = value
    return cloud


REFUSED = table(
    # what no coordinate can be
    Row("nan", [CLOUD, with_entry(math.nan)], NonFiniteError, ("[1]", "NaN", "row 3")),
    Row("inf", [with_entry(math.inf, 2)], NonFiniteError, ("inf", "row 2", "drop")),
    Row("minus inf", [with_entry(-math.inf)], NonFiniteError, ("infinity", "row 3")),
    Row("complex", [CLOUD + 1j], DataTypeError, ("Complex data", "real parts")),
    Row("objects", [with_entry(None, dtype=object)], DataTypeError, ("None", "(3, 1)")),
    Row("strings", [np.array([["1", "2"]])], DataTypeError, ("<U1", "real numbers")),
    Row("bool", [CLOUD > 0], DataTypeError, ("bool", "convert")),
    Row("dates", [CLOUD.astype("M8[D]")], DataTypeError, ("datetime64", "convert")),
    Row("masked", [np.ma.masked_less(CLOUD, 1)], DataTypeError, ("masked", "fill")),
    Row("tensor of bool", [torch.tensor(CLOUD) > 0], DataTypeError, ("bool",)),
    Row("complex tensor", [torch.tensor(CLOUD + 1j)], DataTypeError, ("Complex data",)),
    Row("nan in a tensor", [torch.tensor([[math.nan]])], NonFiniteError, ("[0]",)),
    Row("meta", [torch.empty(3, 2, device="meta")], DataTypeError, ("meta",)),
    Row("sparse", [scipy.sparse.csr_matrix(CLOUD)], DataTypeError, (".toarray()",)),
    Row("mapping", [{"positions": CLOUD}], DataTypeError, ("[0]", "dict", "an array")),
    # what float64 cannot hold
    Row("2e150", [1e150 * CLOUD], NumericRangeError, ("1e+150", "row 5", "overflow")),
    Row("long integers", [[[2**53 + 1, 0]]], NumericRangeError, ("2**53", "rescale")),
    Row("huge integers", [[[2**80, 0]]], NumericRangeError, ("rescale",)),
    Row(
        "long doubles",
        [CLOUD.astype(np.longdouble) / 3],
        NumericRangeError,
        ("float128", "round"),
    ),
    # no list of clouds
    Row("single cloud", CLOUD, ShapeError, ("(6, 2)", "single cloud", "[X]")),
    Row("single list", CLOUD.tolist(), ShapeError, ("[0]", "(2,)", "[X]")),
    Row("single frame", pd.DataFrame(CLOUD), ShapeError, ("single cloud", "[X]")),
    Row("one axis", [1.0, 2.0], ShapeError, ("shape (1,)", "[X]")),
    Row("three axes", [CLOUD[None]], ShapeError, ("(1, 6, 2)", "(points,")),
    Row("four axes", CLOUD[None, None], ShapeError, ("(1, 1, 6, 2)", "3 axes")),
    Row("other dimension", [CLOUD, CLOUD[:, :1]], ShapeError, ("[1]", "1", "2")),
    Row("ragged rows", [[[0.0, 1.0], [2.0]]], ShapeError, ("ragged", "rectangular")),
    Row("no coordinates", [np.empty((3, 0))], ShapeError, ("without coordinates",)),
    Row("no samples", [], EmptyInputError, ("0 samples", "minimum of 1")),
    Row("no points", [CLOUD, np.empty((0, 2))], EmptyInputError, ("[1]", "no points")),
    Row("empty list", [CLOUD, []], EmptyInputError, ("[1]", "drop the sample")),
    Row("number", 3.0, DataTypeError, ("float", "list of arrays")),
    Row("word", "clouds", DataTypeError, ("str", "list of arrays")),
    Row("nothing", None, DataTypeError, ("NoneType", "list of arrays")),
    Row("dictionary", {"a": CLOUD}, DataTypeError, ("dict", "list of arrays")),
    Row("set", {1.0, 2.0}, DataTypeError, ("set", "list of arrays")),
)


@REFUSED
def test_a_malformed_cloud_is_refused_and_nothing_changes(
    row: Row, tmp_path: Path
) -> None:
    for name, make in MAKERS.items():
        assert_refused(make, [CLOUD], row, tmp_path / name)


@every_maker
def test_a_cloud_of_another_dimension_than_in_fit_is_refused(
    make: Callable[[], Extractor],
) -> None:
    extractor = make().fit([CLOUD])
    with pytest.raises(ShapeError, match=r"1 features, but .* expecting 2|grid|box"):
        extractor.transform([CLOUD[:, :1]])


# --- odd, and fine --------------------------------------------------------------------


def mapped(folder: Path) -> np.ndarray:
    np.save(folder / "cloud.npy", CLOUD)
    return np.load(folder / "cloud.npy", mmap_mode="r")


def read_only() -> np.ndarray:
    copied = CLOUD.copy()
    copied.flags.writeable = False
    return copied


FINE: dict[str, Callable[[Path], Any]] = {
    "ragged": lambda _: [CLOUD, CLOUD[:4]],
    "array of objects": lambda _: _objects([CLOUD, CLOUD[:4]]),
    "nested tensor": lambda _: torch.nested.nested_tensor(
        [torch.tensor(CLOUD), torch.tensor(CLOUD[:4])], layout=torch.jagged
    ),
    "generator": lambda _: (cloud for cloud in (CLOUD, CLOUD[:4])),
    "tuples": lambda _: (tuple(map(tuple, CLOUD)), tuple(map(tuple, CLOUD[:4]))),
    "frames": lambda _: [pd.DataFrame(CLOUD), pd.DataFrame(CLOUD[:4])],
    "read-only": lambda _: [read_only(), CLOUD[:4]],
    "memory map": lambda folder: [mapped(folder), mapped(folder)[:4]],
    "non-contiguous": lambda _: [
        CLOUD.repeat(3, axis=0)[::3],
        np.asfortranarray(CLOUD[:4]),
    ],
    "long doubles that fit": lambda _: [
        CLOUD.astype(np.longdouble),
        CLOUD[:4].astype(np.longdouble),
    ],
    "single": lambda _: [CLOUD.astype(np.float32), CLOUD[:4].astype(np.float16)],
    "tensor": lambda _: [torch.tensor(CLOUD), torch.tensor(CLOUD[:4]).float()],
    "tensor with grad": lambda _: [
        torch.tensor(CLOUD, requires_grad=True),
        (torch.tensor(CLOUD[:4], requires_grad=True) * 1.0).bfloat16(),
    ],
    "sparse tensor": lambda _: [torch.tensor(CLOUD).to_sparse(), CLOUD[:4]],
}


def _objects(samples: list[Any]) -> np.ndarray:
    result = np.empty(len(samples), dtype=object)
    result[:] = samples
    return result


@pytest.mark.parametrize("make_input", FINE.values(), ids=FINE)
def test_every_way_to_write_a_cloud_gives_the_same_bits(
    make_input: Any, tmp_path: Path
) -> None:
    for name, make in MAKERS.items():
        expected = make().fit_transform([CLOUD, CLOUD[:4]])
        assert make().fit_transform(make_input(tmp_path)).identical(expected), name


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, object])
@every_maker
def test_integers_are_read_exactly(make: Callable[[], Extractor], dtype: Any) -> None:
    whole = np.array([[0, 0], [3, 0], [0, 5], [4, 4], [100, 7]])
    expected = make().fit_transform([whole.astype(np.float64)])
    assert make().fit_transform([whole.astype(dtype)]).identical(expected)
    assert make().fit_transform([whole.tolist()]).identical(expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_a_gpu_are_read() -> None:
    tensor = torch.tensor(CLOUD, device="cuda", requires_grad=True)
    for make in MAKERS.values():
        expected = make().fit_transform([CLOUD])
        assert make().fit_transform([tensor]).identical(expected)


ANGLES = 2 * np.pi * np.arange(8) / 8
SPECIAL = {
    "duplicates": CLOUD[[0, 1, 1, 2, 2, 2, 3]],
    "all equal": np.full((5, 2), 0.7),
    "collinear": np.outer(np.arange(5.0), [0.5, 0.25]),
    "cocircular": np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1),
    "lattice": np.array([[i, j] for i in range(3) for j in range(3)]) / 2.0,
    "two points": CLOUD[:2],
    "one point": CLOUD[:1],
    "negative zero": -0.0 * CLOUD[:3],
}


def distances(first: Diagrams, second: Diagrams) -> list[float]:
    """How far the channels of two samples are apart, beyond what both charge."""
    result = []
    for c, arrays in enumerate(zip(first[0].arrays, second[0].arrays, strict=True)):
        a, b = (bars[np.isfinite(bars[:, 1])] for bars in arrays)
        charged = first.error[0, c] + second.error[0, c]
        result.append(max(0.0, bottleneck_distance(a, b) - charged))
    return result


@pytest.mark.parametrize("cloud", SPECIAL.values(), ids=SPECIAL)
@every_maker
def test_special_positions_are_as_stable_as_others(
    make: Callable[[], Extractor], cloud: np.ndarray
) -> None:
    rng = np.random.default_rng(0)
    extractor = make().fit([cloud])
    dgms = extractor.transform([cloud])
    assert np.isfinite(dgms.bars).all()
    bounds = extractor.bounds(Displacement(), dgms)
    constants = [float(np.max(bounds[channel][0].constant)) for channel in bounds]
    for _ in range(4):
        moved = cloud + 1e-9 * rng.uniform(-1, 1, cloud.shape)
        size = Displacement().distance_up(cloud, moved)
        gaps = distances(dgms, extractor.transform([moved]))
        assert all(g <= k * size for g, k in zip(gaps, constants, strict=True))
    each_once = extractor.transform([np.unique(cloud, axis=0)])
    assert max(distances(dgms, each_once)) == 0


@every_maker
def test_coordinates_near_1e150_give_scaled_bars(make: Callable[[], Extractor]) -> None:
    scale = 2.0**496  # 2e149
    far = make()
    if "box" in far.get_params():
        far.set_params(box=scale * np.array(far.get_params()["box"]))
    dgms = far.fit_transform([scale * CLOUD])
    np.testing.assert_array_equal(dgms.bars, scale * make().fit_transform([CLOUD]).bars)
    assert np.isfinite(dgms.error).all()


@every_maker
def test_subnormal_coordinates_cost_no_more_than_is_charged(
    make: Callable[[], Extractor],
) -> None:
    extractor = make().fit([CLOUD])
    dgms = extractor.transform([2.0**-1070 * CLOUD])
    assert np.isfinite(dgms.bars).all()
    assert (dgms.error > 0).all()
    at_origin = extractor.transform([np.zeros((1, 2))])
    assert max(distances(dgms, at_origin)) <= 2.0**-1068
