"""scikit-learn's own checks on the one extractor that reads plain tables.

Diagrams are ragged, so they are no array.  The checks that ask for one are named here,
and each of them has a test below that shows the same property of the diagrams.
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from stablerank import CubicalPersistence

WANTS_AN_ARRAY = {
    "check_estimators_pickle": "np.asarray of the output, before and after pickling",
    "check_fit_idempotent": "np.asarray of the output of two fits",
    "check_methods_sample_order_invariance": "np.asarray of the output, permuted",
    "check_methods_subset_invariance": "np.asarray of the output of batches",
    "check_pipeline_consistency": "np.asarray of the output of a pipeline",
    "check_transformer_data_not_an_array": "np.asarray of the output, all columns",
    "check_transformer_general": "np.asarray of the output, all columns",
    "check_transformer_preserve_dtypes": "the dtype of the output",
}


def test_all_checks_pass_but_those_that_want_an_array():
    results = check_estimator(
        CubicalPersistence(), expected_failed_checks=WANTS_AN_ARRAY, on_skip=None
    )
    status = {name: set() for name in ("passed", "xfail", "skipped")}
    for result in results:
        status[result["status"]].add(result["check_name"])
    # A check that starts to pass must leave the list.
    assert status["xfail"] == set(WANTS_AN_ARRAY)
    # It needs an environment variable, and arrays that numpy does not make.
    assert status["skipped"] <= {"check_array_api_input"}
    assert len(status["passed"]) > 30


@pytest.fixture
def table():
    return np.random.default_rng(0).normal(size=(30, 8))


def test_a_pickled_or_cloned_extractor_gives_the_same_bits(table):
    extractor = CubicalPersistence().fit(table)
    dgms = extractor.transform(table)
    assert pickle.loads(pickle.dumps(extractor)).transform(table).identical(dgms)
    assert clone(extractor).fit_transform(table).identical(dgms)
    assert extractor.fit(table).transform(table).identical(dgms)


def test_neither_order_nor_batches_of_samples_matter(table):
    extractor = CubicalPersistence().fit(table)
    dgms = extractor.transform(table)
    order = np.random.default_rng(1).permutation(len(table))
    assert extractor.transform(table[order]).identical(dgms[order])
    for i in range(0, len(table), 7):
        assert extractor.transform(table[i : i + 7]).identical(dgms[i : i + 7])


def test_a_pipeline_gives_what_its_steps_give(table):
    scaled = StandardScaler().fit_transform(table)
    pipeline = make_pipeline(StandardScaler(), CubicalPersistence())
    assert pipeline.fit_transform(table).identical(
        CubicalPersistence().fit_transform(scaled)
    )


def test_lists_float32_and_what_only_converts_to_an_array_give_the_same_bits(table):
    class Convertible:
        def __array__(self, dtype=None, copy=None):
            return table

    table = table.astype(np.float32).astype(np.float64)
    dgms = CubicalPersistence().fit_transform(table)
    for same in (table.tolist(), table.astype(np.float32), Convertible()):
        assert CubicalPersistence().fit_transform(same).identical(dgms)
