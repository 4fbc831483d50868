"""The distances that theorems speak of: between inputs, diagrams and vectors.

A *threat* is a metric on the input space.  It knows the size of a perturbation,
`distance_up(x, x_new)`: the smallest float64 that is certainly at least the exact
size, so an attack hit counts only if `distance_up(x, x_new) <= radius` [F6]; and
it puts a perturbation back into a ball, `project(x, x_new, radius)`.  The other
metrics (on diagrams, on vectors) are only named: they are the stations at which
bounds meet.  All are values: equal if their fields are equal.
"""

from stablerank.metrics.base import (
    Bottleneck,
    Metric,
    SortedDeaths,
    SortedLengths,
    Threat,
    VectorNorm,
    Wasserstein,
)
from stablerank.metrics.diagrams import BottleneckBall, WassersteinBall
from stablerank.metrics.points import (
    Budget,
    Displacement,
    Hausdorff,
    SinglePoint,
    Strain,
)
from stablerank.metrics.values import FeatureBall, MatrixSup, PixelBudget, PixelSup

__all__ = [
    "Bottleneck",
    "BottleneckBall",
    "Budget",
    "Displacement",
    "FeatureBall",
    "Hausdorff",
    "MatrixSup",
    "Metric",
    "PixelBudget",
    "PixelSup",
    "SinglePoint",
    "SortedDeaths",
    "SortedLengths",
    "Strain",
    "Threat",
    "VectorNorm",
    "Wasserstein",
    "WassersteinBall",
]
