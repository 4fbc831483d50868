"""A number from a cloud, with an interval that no small move of the points leaves.

    python examples/regression.py

The clouds are noisy circles, the number is their radius. A certified interval is not a
confidence interval: it says nothing about the truth, but all about the model, whose
prediction cannot leave it while every point moves by at most EPS.
"""

from __future__ import annotations

import numpy as np

import stablerank as sr

EPS = 0.01


def circle(rng: np.random.Generator, radius: float, n_points: int = 80) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi, n_points)
    points = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points + 0.05 * rng.standard_normal(points.shape)


def main() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.uniform(0.5, 1.5, 200)
    clouds = [circle(rng, size) for size in sizes]
    train, test = slice(0, 150), slice(150, None)

    # lipschitz=2: a move of the points by eps moves the prediction by 2 eps at most.
    model = sr.SRNRegressor(lipschitz=2.0, hidden=(64,), epochs=60, random_state=0)
    model.fit(clouds[train], sizes[train])
    print(f"R^2 on new circles: {model.score(clouds[test], sizes[test]):.3f}")

    certificates = model.certify(clouds[test], sr.Displacement())
    low, high = certificates.interval(EPS)
    print(f"\nif every point moves by at most {EPS}, the prediction stays within")
    for truth, value, a, b in list(
        zip(sizes[test], certificates.value, low, high, strict=True)
    )[:5]:
        print(f"  [{a:.3f}, {b:.3f}]   now {value:.3f}, in truth {truth:.3f}")

    # An attempt to leave it: everything away from the centre, as far as allowed.
    pushed = [
        sr.Displacement().project(cloud, cloud * 1.1, EPS) for cloud in clouds[test]
    ]
    moved = model.predict(pushed)
    assert ((low <= moved) & (moved <= high)).all()
    change = np.abs(moved - certificates.value).max()
    print(f"\nblown up by {EPS}, no prediction moved by more than {change:.4f}")


if __name__ == "__main__":
    main()
