"""Layers with known Lipschitz constants, their losses, and networks by name."""

from stablerank.nn.activations import Abs, GroupSort, MaxMin
from stablerank.nn.base import Layer, Stack
from stablerank.nn.build import Network, build_network
from stablerank.nn.distance import LinfDistance
from stablerank.nn.linear_l2 import L2Head
from stablerank.nn.linear_linf import LinfHead, LinfLinear
from stablerank.nn.losses import OffsetCrossEntropy, pairwise_radii
from stablerank.nn.mean_shift import MeanShift
from stablerank.nn.orthogonal import BRO
from stablerank.nn.sortnet import SortNeurons
from stablerank.nn.wiring import Concatenated, Identity, Skip

__all__ = [
    "BRO",
    "Abs",
    "Concatenated",
    "GroupSort",
    "Identity",
    "L2Head",
    "Layer",
    "LinfDistance",
    "LinfHead",
    "LinfLinear",
    "MaxMin",
    "MeanShift",
    "Network",
    "OffsetCrossEntropy",
    "Skip",
    "SortNeurons",
    "Stack",
    "build_network",
    "pairwise_radii",
]
