"""The walls stand, and the mason's level is itself level."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import stablerank
from tests.architecture import MAY_IMPORT, violations

PACKAGE = Path(stablerank.__file__).parent

# (file, source, words of the complaint)
BREACHES = [
    ("rounding.py", "import scipy", "standard library"),
    ("exceptions.py", "import torch", "standard library"),
    ("rounding.py", "from stablerank.metrics import Metric", "may import exceptions"),
    ("metrics.py", "from stablerank.bounds import Bound", "metrics may import"),
    ("metrics/point.py", "from ..bounds import Bound", "metrics may import"),
    ("metrics.py", "from .bounds import Bound", "metrics may import"),
    ("metrics.py", "from . import bounds", "metrics may import"),
    ("diagrams.py", "from stablerank import validation", "diagrams may import"),
    ("diagrams.py", "import torch", "inside the method"),
    ("frozen.py", "import stablerank.extract.alpha", "frozen may import"),
    ("extract/alpha.py", "import torch", "never imports torch"),
    ("extract/alpha.py", "def f():\n    import torch.nn", "never imports torch"),
    ("extract/alpha.py", "m = import_module('torch')", "never imports torch"),
    ("extract/alpha.py", "def f():\n    import gudhi", "guest of extract/engines"),
    ("estimators/srn.py", "import ripser", "guest of extract/engines"),
    ("extract/dtm.py", "from persim import x", "guest of extract/engines"),
    ("extract/engines/gudhi.py", "import gudhi", "inside the function"),
    ("nn/distance.py", "def f():\n    import triton", "guest of nn/kernels"),
    ("extract/graph.py", "import networkx as nx", "inside the function"),
    ("nn/linear.py", "from stablerank.represent.bars import Tent", "nn may import"),
    ("represent/bars.py", "from ..nn.norms import spectral", "represent may import"),
    ("certify/margin.py", "from stablerank.nn import build", "certify may import"),
    ("certify/margin.py", "def f():\n    from ..training import fit", "certify may"),
    ("certify/checker.py", "import numpy", "standard library"),
    ("certify/checker.py", "from stablerank.rounding import up", "stands alone"),
    ("certify/checker.py", "from .margin import up", "stands alone"),
    ("certify/checker.py", "import flint", "standard library"),
    ("certify/__init__.py", "from .margin import certify", "lazy face"),
    ("certify/__init__.py", "import numpy", "lazy face"),
    ("__init__.py", "import numpy", "lazy face"),
    ("__init__.py", "from .extract.alpha import AlphaPersistence", "lazy face"),
    ("attack/points.py", "from stablerank.certify import x", "attack may import"),
    ("explain.py", "from stablerank.attack import run", "explain may import"),
    ("plotting.py", "from stablerank.estimators import x", "plotting may import"),
    ("estimators/srn.py", "from stablerank.cli import main", "estimators may import"),
    ("diagrams.py", "from stablerank.plotting import p", "diagrams may import"),
    ("diagrams.py", "import matplotlib.pyplot", "inside the function"),
    ("training.py", "import stablerank as sr", "its room"),
    ("training.py", "from stablerank import AlphaPersistence", "its room"),
    ("utils.py", "", "without a row"),
]

CLEAN = [
    ("__init__.py", "import sys\ndef __getattr__(name):\n    from . import bounds"),
    ("rounding.py", "import math\nimport numpy as np"),
    ("bounds.py", "from stablerank.metrics.point import Displacement"),
    ("bounds.py", "if TYPE_CHECKING:\n    from .extract.base import Extractor"),
    ("diagrams.py", "def plot(self):\n    from stablerank.plotting import bars"),
    ("diagrams.py", "def to_torch(self):\n    import torch"),
    ("extract/alpha.py", "from .base import E\nfrom .engines.gudhi import alpha"),
    ("extract/engines/gudhi.py", "def alpha():\n    import gudhi"),
    ("nn/kernels/distance.py", "import triton"),
    ("plotting.py", "import matplotlib.pyplot as plt"),
    ("certify/__init__.py", "def __getattr__(name):\n    from .margin import m"),
    ("certify/checker.py", "import json\ntry:\n    import flint\nexcept E: pass"),
    ("io.py", "from stablerank import __version__"),
    ("cli/main.py", "from stablerank.attack.runner import run"),
]


def planted(root: Path, path: str, source: str) -> list[str]:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    return violations(root)


def test_every_import_respects_the_walls() -> None:
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(("path", "source", "words"), BREACHES)
def test_a_planted_breach_is_reported_with_its_rule(
    tmp_path: Path, path: str, source: str, words: str
) -> None:
    complaints = planted(tmp_path, path, source)
    assert complaints
    assert all(complaint.startswith(path) for complaint in complaints)
    assert any(words in complaint for complaint in complaints)


@pytest.mark.parametrize(("path", "source"), CLEAN)
def test_an_allowed_import_is_not_reported(
    tmp_path: Path, path: str, source: str
) -> None:
    assert planted(tmp_path, path, source) == []


def test_dependencies_between_rooms_have_no_cycle() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()


def test_what_a_room_may_import_may_not_import_more_than_the_room() -> None:
    for room, allowed in MAY_IMPORT.items():
        for below in allowed:
            assert set(MAY_IMPORT[below]) <= set(allowed), (room, below)
