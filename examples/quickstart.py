"""From points to diagrams, and a theorem that says how far they can move.

    python examples/quickstart.py [figure.png]

Takes two short orbits of every class of ORBIT5K, extracts alpha diagrams, asks for the
stability bound and then tries to break it: every point is pushed by just the size
that the bound speaks of, in a random direction.
"""

from __future__ import annotations

import sys

import numpy as np

from stablerank import AlphaPersistence, Displacement, datasets
from stablerank.matching import bottleneck_distance

SIZE = 1e-3  # how far every point moves


def main(figure: str | None = None) -> None:
    clouds, y = datasets.orbit5k(n_per_class=2, seed=0, n_points=200)
    extractor = AlphaPersistence(homology_dimensions=(0, 1))
    diagrams = extractor.fit_transform(clouds)
    print(diagrams)
    print(f"Classes {y.tolist()}, bars in H1 {diagrams.counts[:, 1].tolist()}")

    # A theorem is a value: metrics, constant, and the id of its proof.
    threat = Displacement()
    bound = extractor.bound(threat)
    print()
    bound.explain()

    # Push every point, and put the result back into the ball of radius SIZE: the
    # threat decides its own size exactly, in fractions.
    directions = np.random.default_rng(0).normal(size=clouds.shape)
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    pushed = [
        threat.project(cloud, cloud + SIZE * move, SIZE)
        for cloud, move in zip(clouds, directions, strict=True)
    ]
    moved = extractor.transform(pushed)

    print(f"\nEvery point moved by {SIZE:g}; by how much did the loops move?")
    for i, label in enumerate(y):
        distance = bottleneck_distance(diagrams[i]["H1"], moved[i]["H1"])
        allowed = bound.constant * threat.distance_up(clouds[i], pushed[i])
        allowed += diagrams.error[i, 1] + moved.error[i, 1]
        print(f"  class {label}: {distance:.6f}, proved to be at most {allowed:.6f}")
        assert distance <= allowed

    if figure is not None:
        axes = diagrams[::2].plot()
        axes[0].figure.savefig(figure)
        print(f"\nThe first diagram of every class: {figure}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
