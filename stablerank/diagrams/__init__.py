"""Persistence diagrams of many samples, packed, with their origin."""

from stablerank.diagrams.batch import Diagrams
from stablerank.diagrams.single import Diagram
from stablerank.diagrams.source import Source
from stablerank.diagrams.tensors import PackedBars

__all__ = ["Diagram", "Diagrams", "PackedBars", "Source"]
