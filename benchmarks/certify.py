"""What does a certificate cost? One forward pass, and next to nothing on top.

Timed, interleaved, at a batch of 1000: from bars to logits by the frozen program
alone, and from bars to certificates, which needs the same pass and then the constants
and radii. The ratio is what certifying costs; it should stay below 1.2.

    python benchmarks/certify.py            # 1000 orbits a threat, about 3 minutes
    python benchmarks/certify.py --quick    # a smoke test
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
import torch
from common import RESULTS, interleaved, origin, ratio, write

import stablerank as sr
from stablerank.certify import certify
from stablerank.metrics import Threat

SEED = 20260103
WANTED = 1.2
THREATS: tuple[Threat, ...] = (
    sr.Displacement(),
    sr.Budget(),
    sr.Strain(),  # a constant of its own for every sample
    sr.WassersteinBall(1),
    sr.FeatureBall(math.inf),
    sr.FeatureBall(2),
)


def certificates(clf: Any, dgms: sr.Diagrams, threat: Threat) -> sr.Certificates:
    """From bars to certificates, as `clf.certify` does once it has the bars."""
    if not isinstance(threat, sr.FeatureBall):
        bounds = clf.extractor_.bounds(threat, dgms)
        return certify(clf.program_, dgms, threat, bounds)
    vectors = clf.program_.evaluate(dgms, clf.feature_register_)
    return certify(clf.program_.after(clf.feature_register_), vectors, threat)


def measure(clf: Any, dgms: sr.Diagrams, threat: Threat, rounds: int) -> dict[str, Any]:
    """Seconds of a pass and of certificates, and their ratio."""
    cert = certificates(clf, dgms, threat)
    if not np.array_equal(cert.label, clf.program_.evaluate(dgms).argmax(axis=1)):
        raise RuntimeError("certificates are not those of the timed pass")
    seconds = interleaved(
        {
            "pass": lambda: clf.program_.evaluate(dgms),
            "certify": lambda: certificates(clf, dgms, threat),
        },
        rounds,
    )
    return {
        "seconds": seconds,
        "ratio": ratio(seconds, "certify", "pass"),
        "certified": float(cert.coverage()),
    }


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    n_per_class, n_points, rounds = (20, 60, 3) if args.quick else (200, 1000, 9)
    clouds, y = sr.datasets.orbit5k(SEED, n_per_class, n_points=n_points)
    extractor = sr.AlphaPersistence(n_jobs=args.threads, progress=True)
    dgms = extractor.fit_transform(clouds)
    epochs = 5 if args.quick else 20
    clf = sr.SRNClassifier(extractor, epochs=epochs, random_state=0).fit(dgms, y)
    results = {}
    print(f"{len(dgms)} samples, {clf.program_.widths[-2]} hidden units")
    print(f"{'threat':<52}{'pass (ms)':>11}{'ratio':>8}")
    for threat in THREATS:
        found = measure(clf, dgms, threat, rounds)
        results[str(threat)] = found
        once = 1e3 * float(np.median(found["seconds"]["pass"]))
        print(f"{threat!s:<52}{once:>11.1f}{found['ratio']:>8.2f}")
    worst = max(found["ratio"] for found in results.values())
    print(f"In short: a certificate costs {worst:.2f} passes at most.")
    if not args.quick:
        result = {
            "wanted_ratio": WANTED,
            "batch": len(dgms),
            "points": n_points,
            "threads": args.threads,
            "threats": results,
            **origin("stablerank", "torch", "numpy"),
        }
        write(RESULTS / "certify.json", result)


if __name__ == "__main__":
    main()
