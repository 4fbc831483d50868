"""The only place that reads raw user input.

Every reader returns plain float64 arrays in C order (or graphs made of such), or
raises an error that names what is wrong, in which sample and row, and the fix.
Nothing is repaired silently: an integer or float32 array is converted exactly or
refused.
"""

from stablerank.validation.arrays import (
    LARGEST,
    check_finite,
    check_limit,
    repeatable,
    to_float64,
)
from stablerank.validation.clouds import check_clouds, check_distance_matrices
from stablerank.validation.graphs import Graph, check_graphs
from stablerank.validation.images import check_images

__all__ = [
    "LARGEST",
    "Graph",
    "check_clouds",
    "check_distance_matrices",
    "check_finite",
    "check_graphs",
    "check_images",
    "check_limit",
    "repeatable",
    "to_float64",
]
