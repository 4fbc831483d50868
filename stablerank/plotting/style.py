"""Colours, markers and dashes of all figures."""

from __future__ import annotations

__all__ = ["COLOURS", "DASHES", "MARKERS"]

# Without the yellow, which is lost on white.  Seven colours and six markers have no
# common factor: 42 channels before a pair comes again.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P")
#: Line styles of curves, for prints without colour.
DASHES = ("-", (0, (5, 1.5)), "-.", (0, (1, 1)))
