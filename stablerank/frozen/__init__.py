"""The frozen program: operations, their constants, their errors."""

from stablerank.frozen.bars import BarFunctions, Contours, Deaths, SortTop, Tails
from stablerank.frozen.base import Operation, Ragged, Range
from stablerank.frozen.layers import (
    Abs,
    Add,
    Affine,
    Concat,
    Diagonal,
    Distance,
    GroupSort,
    ReLU,
    SortNeuron,
)
from stablerank.frozen.program import BarInput, Program, VectorInput

__all__ = [
    "Abs",
    "Add",
    "Affine",
    "BarFunctions",
    "BarInput",
    "Concat",
    "Contours",
    "Deaths",
    "Diagonal",
    "Distance",
    "GroupSort",
    "Operation",
    "Program",
    "Ragged",
    "Range",
    "ReLU",
    "SortNeuron",
    "SortTop",
    "Tails",
    "VectorInput",
]
