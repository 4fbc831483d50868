"""The frozen program: operations, their constants, their errors."""

from stablerank.frozen.bars import BarFunctions, Contours, Deaths, SortTop, Tails
from stablerank.frozen.base import Operation, Ragged, Range
from stablerank.frozen.conv import Conv, GroupLength, Reorder
from stablerank.frozen.layers import Add, Affine, Concat, Diagonal
from stablerank.frozen.neurons import Distance, SortNeuron
from stablerank.frozen.pointwise import Abs, GroupSort, Householder, ReLU, Spline
from stablerank.frozen.program import BarInput, Program, VectorInput
from stablerank.frozen.residual import CPL, SLL, Sandwich
from stablerank.frozen.sectors import Sectors

__all__ = [
    "CPL",
    "SLL",
    "Abs",
    "Add",
    "Affine",
    "BarFunctions",
    "BarInput",
    "Concat",
    "Contours",
    "Conv",
    "Deaths",
    "Diagonal",
    "Distance",
    "GroupLength",
    "GroupSort",
    "Householder",
    "Operation",
    "Program",
    "Ragged",
    "Range",
    "ReLU",
    "Reorder",
    "Sandwich",
    "Sectors",
    "SortNeuron",
    "SortTop",
    "Spline",
    "Tails",
    "VectorInput",
]
