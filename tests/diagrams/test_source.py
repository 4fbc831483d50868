"""The origin of diagrams: spec and geometry follow the samples."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stablerank.diagrams import Source
from stablerank.exceptions import IncompatibleDiagramsError
from tests.diagrams.make import assert_same_source, full_batch


def source(n: int, spec: str = "A", **geometry: float) -> Source:
    return Source(
        {"class": spec}, {name: np.full(n, value) for name, value in geometry.items()}
    )


def test_sources_are_indexed_like_samples() -> None:
    whole = full_batch().source
    assert whole is not None
    part = whole[np.array([5, 1])]
    np.testing.assert_array_equal(part.geometry["n_points"], [5, 1])
    (weights,) = part.weights.values()
    assert weights.shape == (2, 2)
    np.testing.assert_array_equal(
        part.parts["alpha"].geometry["reach"],
        whole.parts["alpha"].geometry["reach"][[5, 1]],
    )


def test_sources_survive_the_way_through_json_and_arrays() -> None:
    whole = full_batch().source
    assert whole is not None
    header, arrays = whole.to_arrays()
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    again = Source.from_arrays(json.loads(json.dumps(header)), arrays)
    assert_same_source(again, whole)


def test_sources_of_one_extractor_join() -> None:
    joined = Source.concat([source(2, d=1.0), source(1, d=2.0)])
    assert joined is not None
    np.testing.assert_array_equal(joined.geometry["d"], [1.0, 1.0, 2.0])
    assert Source.concat([None, None]) is None


def test_sources_of_different_extractors_do_not_join() -> None:
    for other in (source(1, "B"), None):
        with pytest.raises(IncompatibleDiagramsError, match="different extractors"):
            Source.concat([source(1, "A"), other])


def test_weights_that_only_some_batches_carry_are_forgotten_when_they_join() -> None:
    noted = source(1).with_weights("w", np.ones((1, 2)))
    joined = Source.concat([noted, source(1)])
    assert joined is not None
    assert not joined.weights
    both = Source.concat([noted, noted])
    assert both is not None
    assert both.weights["w"].shape == (2, 2)


def test_a_name_keeps_its_weights() -> None:
    noted = source(1).with_weights("w", np.ones((1, 2)))
    assert_same_source(noted.with_weights("w", np.ones((1, 2))), noted)
    with pytest.raises(IncompatibleDiagramsError, match="other weights for the w"):
        noted.with_weights("w", np.zeros((1, 2)))


def test_specs_are_compared_as_json() -> None:
    one, other = (Source({"params": {"k": k}}) for k in ((1, 2), [1, 2]))
    assert one.same_extractor(other)
    assert not one.same_extractor(Source({"params": {"k": [1, 2.5]}}))
