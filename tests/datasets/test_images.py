"""The digits are those of scikit-learn, in grey levels, and nobody else's memory."""

from __future__ import annotations

import numpy as np

from stablerank.datasets import digits


def test_digits_are_whole_grey_levels_from_0_to_16():
    images, y = digits()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.float64
    assert np.array_equal(np.unique(images), np.arange(17))
    assert np.array_equal(np.unique(y), np.arange(10))
    assert y.dtype == np.int64


def test_changing_the_digits_changes_no_later_call():
    images, y = digits()
    before = images.copy()
    images[:] = -1
    y[:] = -1
    again, labels = digits()
    assert np.array_equal(again, before)
    assert labels.min() == 0
