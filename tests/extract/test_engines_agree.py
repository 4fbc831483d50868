"""Engines agree within the error that each of them is charged."""

from __future__ import annotations

from typing import Any

import gudhi
import numpy as np
import pytest

from stablerank.extract import RipsPersistence
from stablerank.extract.geometry import distance_matrix
from stablerank.matching import bottleneck_distance
from tests.extract.rips_cases import finite, random_cloud, random_matrix

KINDS = ("uniform", "lattice", "duplicates", "ring")
N_INPUTS = 200


def random_inputs() -> list[tuple[Any, dict[str, Any]]]:
    """Clouds of all kinds and matrices that are none, whole and truncated."""
    rng = np.random.default_rng(0)
    inputs = []
    for i in range(N_INPUTS):
        options: dict[str, Any] = {"threshold": None if i % 3 else rng.uniform(0.2, 2)}
        n, d = int(rng.integers(1, 30)), int(rng.integers(1, 5))
        if i % 5 == 0:
            options["metric"] = "precomputed"
            sample = random_matrix(rng, n)
        else:
            sample = random_cloud(rng, n, d, KINDS[i % 4])
        inputs.append((sample * 10.0 ** rng.integers(-3, 4), options))
    return inputs


INPUTS = random_inputs()


def test_gudhi_and_ripser_agree_within_the_charged_error() -> None:
    different = 0
    for sample, options in INPUTS:
        a, b = (
            RipsPersistence((0, 1, 2), engine=engine, **options).fit_transform([sample])
            for engine in ("gudhi", "ripser")
        )
        assert a.essential.tolist() == b.essential.tolist()
        for k in (0, 1, 2):
            gap = bottleneck_distance(finite(a[0][k]), finite(b[0][k]))
            # Both read one matrix, so its own rounding is no excuse.
            allowed = b.error[0, k] - a.error[0, k]
            assert gap <= allowed * (1 + 2.0**-20)
            different += gap > 0
    assert different > N_INPUTS  # single precision does show


def test_on_ranks_both_engines_give_the_same_bits_as_on_lengths() -> None:
    for sample, options in INPUTS:
        plain = RipsPersistence((0, 1, 2), **options).fit_transform([sample])
        for engine in ("gudhi", "ripser"):
            ranked = RipsPersistence(
                (0, 1, 2), engine=engine, critical=True, **options
            ).fit_transform([sample])
            assert ranked.bars.tolist() == plain.bars.tolist()
            assert ranked.offsets.tolist() == plain.offsets.tolist()
            assert ranked.error.tolist() == plain.error.tolist()


@pytest.mark.parametrize("collapses", [0, 2])
def test_a_simplex_tree_gives_the_same_bars_with_and_without_collapses(
    collapses: int,
) -> None:
    # The stored complex, all of it: no cone radius, no implicit cofaces [X17].
    for sample, options in INPUTS[::4]:
        if options["threshold"] is not None:
            continue
        matrix = sample if "metric" in options else distance_matrix(sample)
        tree = gudhi.RipsComplex(distance_matrix=matrix).create_simplex_tree(1)
        if collapses:
            tree.collapse_edges(collapses)
        tree.expansion(2)
        tree.compute_persistence(
            homology_coeff_field=2, persistence_dim_max=tree.dimension() < 2
        )
        dgms = RipsPersistence((0, 1), **options).fit_transform([sample])
        for k in (0, 1):
            bars = finite(tree.persistence_intervals_in_dimension(k).reshape(-1, 2))
            bars = bars[bars[:, 1] > bars[:, 0]]
            assert sorted(bars.tolist()) == sorted(finite(dgms[0][k]).tolist())
