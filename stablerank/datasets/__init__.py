"""Data sets made on the spot: nothing is downloaded, everything has a seed.

Each function returns samples and labels; samples are sorted by class.  Importing
this costs numpy and nothing else.
"""

from stablerank.datasets.corruption import CORRUPTIONS, corrupt
from stablerank.datasets.images import digits
from stablerank.datasets.manifolds import SHAPE_NAMES, shapes
from stablerank.datasets.orbit import (
    ORBIT_PARAMETERS,
    orbit5k,
    orbit100k,
    orbit_split,
)
from stablerank.datasets.waveforms import SIGNAL_NAMES, signals

__all__ = [
    "CORRUPTIONS",
    "ORBIT_PARAMETERS",
    "SHAPE_NAMES",
    "SIGNAL_NAMES",
    "corrupt",
    "digits",
    "orbit5k",
    "orbit100k",
    "orbit_split",
    "shapes",
    "signals",
]
