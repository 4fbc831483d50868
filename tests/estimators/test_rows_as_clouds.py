"""scikit-learn's own checks on the networks that read shapes.

The checks hand over plain tables.  An adapter turns a row into a cloud from which the
row can be read again: coordinate i becomes the distance of the i-th pair of points,
between 2^i and 2^(i+1), so that sorted H0 deaths keep the order of the columns.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

from stablerank import AlphaPersistence, Diagrams, SRNClassifier, SRNRegressor


def as_clouds(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clouds (n, 2 d, 2) of rows (n, d)."""
    d = rows.shape[1]
    gaps = 2.0 ** np.arange(d) * (1 + 0.9 * expit(rows))
    starts = np.broadcast_to(2.0 ** (d + 2) * np.arange(d), rows.shape)
    places = np.stack([starts, starts + gaps], axis=2).reshape(len(rows), -1)
    return np.stack([places, np.zeros_like(places)], axis=2)


class _Rows:
    """Reads tables as the checks expect it, and hands on clouds."""

    def fit(self, X: Any, y: Any) -> Any:
        checked = copy.copy(self)
        multi = {} if isinstance(self, SRNClassifier) else {"y_numeric": True}
        rows, y = validate_data(
            checked, X, y, dtype=np.float64, multi_output=bool(multi), **multi
        )
        super().fit(as_clouds(rows), y)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(checked, name):
                setattr(self, name, getattr(checked, name))
            elif hasattr(self, name):
                delattr(self, name)
        return self

    def _diagrams(self, X: Any) -> Diagrams:
        check_is_fitted(self, "program_")
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return super()._diagrams(as_clouds(rows))


class Classifier(_Rows, SRNClassifier):
    """The classifier on rows."""


class Regressor(_Rows, SRNRegressor):
    """The regressor on rows."""


def test_a_row_can_be_read_from_the_deaths_of_its_cloud() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 4))
    deaths = AlphaPersistence((0,)).fit_transform(as_clouds(rows))
    for row, diagram in zip(rows, deaths, strict=True):
        gaps = 2 * np.sort(diagram["H0"][:, 1])[:4]
        share = (gaps / 2.0 ** np.arange(4) - 1) / 0.9
        assert np.allclose(np.log(share / (1 - share)), row)


@pytest.mark.parametrize("cls", [Classifier, Regressor])
def test_all_checks_of_scikit_learn_pass(cls: Any) -> None:
    small = {"hidden": (16,), "epochs": 30, "random_state": 0}
    results = check_estimator(cls(AlphaPersistence((0,)), **small), on_skip=None)
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    # It needs an environment variable, and arrays that numpy does not make.
    assert skipped <= {"check_array_api_input"}
    assert {r["status"] for r in results} <= {"passed", "skipped"}
    assert len(results) > 45
