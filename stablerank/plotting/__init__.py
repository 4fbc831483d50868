"""Figures: one message each, in the title, with units on the axes.

Channels, seeds and threats differ in colour (the palette of Okabe and Ito, which
colour-blind eyes tell apart) and in marker or dash (which grey prints do).
"""

from stablerank.plotting.bars import plot_diagram, plot_diagrams
from stablerank.plotting.curves import plot_certificates, plot_sandwich
from stablerank.plotting.waterfall import plot_waterfall

__all__ = [
    "plot_certificates",
    "plot_diagram",
    "plot_diagrams",
    "plot_sandwich",
    "plot_waterfall",
]
