"""Asking for data costs numpy, and not the libraries that learn from it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import stablerank.datasets as datasets
datasets.orbit5k(n_per_class=1, n_points=5)
datasets.corrupt(datasets.shapes(1, 5)[0], "shear", 0.1)
print(*sorted({"torch", "sklearn", "scipy", "gudhi"} & set(sys.modules)))
datasets.digits()
print(*sorted({"torch", "gudhi"} & set(sys.modules)))
"""


def test_data_sets_load_no_heavy_library_before_they_need_it():
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []
