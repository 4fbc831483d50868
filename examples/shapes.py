"""Tell shapes in space apart, and prove how far every point may move.

    python examples/shapes.py [figure.png]

Trains on noisy clouds of five shapes, certifies clouds that the model has not seen,
writes the model into a folder, reads it back, and finds the same labels and radii.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import stablerank as sr

NOISE = 0.05  # of every coordinate; the shapes have radius 1
RADII = [0.005, 0.01, 0.02]  # asked about: every point moves by at most so much


def main(figure: str | None = None) -> None:
    clouds, y = sr.datasets.shapes(n_per_class=40, n_points=150, noise=NOISE, seed=0)
    names = np.array(sr.datasets.SHAPE_NAMES)[y]
    test = np.arange(len(y)) % 4 == 0

    # Loops and cavities: degrees 1 and 2. Everything else is read off the data.
    clf = sr.SRNClassifier(
        sr.AlphaPersistence(homology_dimensions=(0, 1, 2)), epochs=30, random_state=0
    )
    clf.fit(clouds[~test], names[~test])

    certificates = clf.certify(clouds[test], sr.Displacement())
    print(f"right: {certificates.accuracy(names[test]):.0%}")
    for radius, share in zip(
        RADII, certificates.accuracy(names[test], RADII), strict=True
    ):
        print(f"right, and proved to stay so if points move by {radius}: {share:.0%}")
    print("\nWhy that is so:")
    certificates.bound.explain()

    with tempfile.TemporaryDirectory() as folder:
        sr.save(clf, Path(folder) / "model")
        again = sr.load(Path(folder) / "model").certify(clouds[test], sr.Displacement())
    assert (again.label == certificates.label).all()
    assert (again.radius == certificates.radius).all()
    print("\nRead back from its file, the model gives the same labels and radii.")

    if figure is not None:
        certificates.plot(names[test]).figure.savefig(figure)


if __name__ == "__main__":
    main(*sys.argv[1:2])
