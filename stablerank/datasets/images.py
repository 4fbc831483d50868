"""Small images: the handwritten digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np

__all__ = ["digits"]


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Load the 8 x 8 handwritten digits of scikit-learn; nothing is downloaded.

    Returns
    -------
    images : numpy.ndarray of float64, shape (1797, 8, 8)
        Pixel values, whole numbers from 0 (paper) to 16 (ink). They are not
        scaled, so that a radius of 1 is one grey level.
    y : numpy.ndarray of int64, shape (1797,)
        The digit.

    Examples
    --------
    >>> from stablerank.datasets import digits
    >>> images, y = digits()
    >>> images.shape, images.min(), images.max()
    ((1797, 8, 8), np.float64(0.0), np.float64(16.0))
    """
    # Here and not above: scikit-learn takes most of a second to import.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (
        np.array(bunch.images, dtype=np.float64),
        np.array(bunch.target, dtype=np.int64),
    )
