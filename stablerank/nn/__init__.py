"""Layers with known Lipschitz constants, their losses, and networks by name."""

from stablerank.nn.activations import (
    Abs,
    FullSort,
    GroupSort,
    Householder,
    MaxMin,
    NActivation,
    ParametricReLU,
)
from stablerank.nn.base import Layer, Stack
from stablerank.nn.bronet import PixelBRO
from stablerank.nn.build import Network, build_network
from stablerank.nn.conv_linf import LinfConv
from stablerank.nn.distance import LinfDistance
from stablerank.nn.fourier import BROConv, CayleyConv, CholeskyConv
from stablerank.nn.freeze import freeze
from stablerank.nn.graphs import export
from stablerank.nn.linear_l2 import L2Head, L2ToLinf
from stablerank.nn.linear_linf import LinfHead, LinfLinear
from stablerank.nn.losses import (
    EMMA,
    HKR,
    KR,
    CalibratedMargin,
    Hinge,
    LogitAnnealing,
    Loss,
    OffsetCrossEntropy,
    SoftHKR,
    TemperatureCrossEntropy,
    Trades,
    pairwise_radii,
)
from stablerank.nn.mean_shift import MeanShift
from stablerank.nn.norms import (
    Estimate,
    audit_spectral_norm,
    audit_spectral_norm_with_balls,
    conv_gram_bound,
    conv_norm_up,
    estimate_spectral_norm,
    gram_bound,
    operator_norm_up,
    spectral_norm_up,
)
from stablerank.nn.orthogonal import BRO, Bjorck, Cayley, Cholesky, Exponential
from stablerank.nn.pixelwise import Pixelwise
from stablerank.nn.rescaled import AOL, CPL, SLL, AOLConv
from stablerank.nn.reshape import AveragePool, ChannelsLast, LengthPool, SpaceToDepth
from stablerank.nn.residual import LinearResidual, LinearResidualConv
from stablerank.nn.sandwich import Sandwich
from stablerank.nn.soc import SOC
from stablerank.nn.sortnet import SortNeurons
from stablerank.nn.spectral import L2Conv, L2Linear
from stablerank.nn.splines import LinearSpline, total_variation
from stablerank.nn.wiring import Concatenated, Identity, Skip

__all__ = [
    "AOL",
    "BRO",
    "CPL",
    "EMMA",
    "HKR",
    "KR",
    "SLL",
    "SOC",
    "AOLConv",
    "Abs",
    "AveragePool",
    "BROConv",
    "Bjorck",
    "CalibratedMargin",
    "Cayley",
    "CayleyConv",
    "ChannelsLast",
    "Cholesky",
    "CholeskyConv",
    "Concatenated",
    "Estimate",
    "Exponential",
    "FullSort",
    "GroupSort",
    "Hinge",
    "Householder",
    "Identity",
    "L2Conv",
    "L2Head",
    "L2Linear",
    "L2ToLinf",
    "Layer",
    "LengthPool",
    "LinearResidual",
    "LinearResidualConv",
    "LinearSpline",
    "LinfConv",
    "LinfDistance",
    "LinfHead",
    "LinfLinear",
    "LogitAnnealing",
    "Loss",
    "MaxMin",
    "MeanShift",
    "NActivation",
    "Network",
    "OffsetCrossEntropy",
    "ParametricReLU",
    "PixelBRO",
    "Pixelwise",
    "Sandwich",
    "Skip",
    "SoftHKR",
    "SortNeurons",
    "SpaceToDepth",
    "Stack",
    "TemperatureCrossEntropy",
    "Trades",
    "audit_spectral_norm",
    "audit_spectral_norm_with_balls",
    "build_network",
    "conv_gram_bound",
    "conv_norm_up",
    "estimate_spectral_norm",
    "export",
    "freeze",
    "gram_bound",
    "operator_norm_up",
    "pairwise_radii",
    "spectral_norm_up",
    "total_variation",
]
