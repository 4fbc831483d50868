"""Losses that see the very constants that the certificate uses.

Every one is called as `loss(logits, target, pair_constants, sample_weight)`.  With
r_j = (z_y - z_j) / L_yj, the radius that rival j leaves to the true class y [N9],
a loss is a function of the radii (cross-entropies, hinge), or it adds radius times
constant to the logits (EMMA, TRADES).

The papers of the Kantorovich-Rubinstein family, and those on the temperature and the
offset of a cross-entropy, take logits that are 1-Lipschitz one by one, so that every
L_yj is 2 and z_y - z_j is 2 r_j.  Here z_y - z_j is *replaced* by 2 r_j: with all
constants 2 the formulas are those of the papers, and in general their dials keep
their meaning, whatever the head.
"""

from stablerank.nn.losses.base import Loss, pairwise_radii
from stablerank.nn.losses.cross_entropy import (
    CalibratedMargin,
    LogitAnnealing,
    OffsetCrossEntropy,
    TemperatureCrossEntropy,
)
from stablerank.nn.losses.margins import EMMA, Hinge, Trades
from stablerank.nn.losses.transport import HKR, KR, SoftHKR

__all__ = [
    "EMMA",
    "HKR",
    "KR",
    "CalibratedMargin",
    "Hinge",
    "LogitAnnealing",
    "Loss",
    "OffsetCrossEntropy",
    "SoftHKR",
    "TemperatureCrossEntropy",
    "Trades",
    "pairwise_radii",
]
