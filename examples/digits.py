"""Images: which digits have a hole, two, or none, whatever happens to the grey levels.

    python examples/digits.py

The sublevel sets of an image grow with the grey level; a stroke that closes up makes
a loop, which lives until the paper inside is reached. If every pixel changes by at most
r, no bar moves by more than r [X10], and so every certified label stays.
"""

from __future__ import annotations

import numpy as np

import stablerank as sr

DIGITS = (0, 1, 8)  # one hole, none, two


def main() -> None:
    images, y = sr.datasets.digits()
    chosen = np.isin(y, DIGITS)
    # Ink has the high values, and sublevel sets start with the low ones.
    ink_first, y = 16 - images[chosen], y[chosen]
    test = np.arange(len(y)) % 4 == 0

    # Pixels as squares that touch at corners too: strokes are thin.
    extractor = sr.CubicalPersistence(construction="top")
    clf = sr.SRNClassifier(extractor, epochs=30, random_state=0)
    clf.fit(ink_first[~test], y[~test])

    certificates = clf.certify(ink_first[test], sr.PixelSup())
    print(f"right: {certificates.accuracy(y[test]):.0%}")
    for radius in (0.25, 0.5, 1.0):
        share = certificates.accuracy(y[test], radius)
        print(f"right, and proved to stay so if pixels change by {radius}: {share:.0%}")

    surest = int(certificates.radius.argmax())
    label, radius = certificates.label[surest], certificates.radius[surest]
    print(
        f"\nThe surest image is called {label}, and no change of its pixels by up to "
        f"{radius:.2f} each makes the model call it anything else."
    )


if __name__ == "__main__":
    main()
