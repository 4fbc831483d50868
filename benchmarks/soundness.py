"""Does anything break a certificate? Ten thousand of them, and all attacks we have.

Every certified sample is attacked within its radius, and `predict` is asked, as users
ask it.  A hit counts only if the size of the move is at most the radius in exact
rational arithmetic; flips that are a rounding farther away are counted as rejected.
Without a hit among N certificates, at most a share of 3/N of such certificates can be
broken by these attacks, with 95 % confidence (rule of three).

An attack that never succeeds is broken.  So the same ones are run at 1.5, 2 and 5 times
the radius, on all models and on planted nets, whose exact radius is known: some sample
of every planted net must flip at 1.5 times the radius.

    python benchmarks/soundness.py            # about 5 minutes on one core
    python benchmarks/soundness.py --quick    # a smoke test, half a minute
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RESULTS, origin, write
from soundness_cases import FULL, QUICK, SEED, Case, Sizes, cases, planted_cases

from stablerank.attack import Claim, Verdict, attacks_on, verdicts

FACTORS = (1.5, 2.0, 5.0)
#: It decides sizes at every step, so it is for the smallest radii.
SLOW = "rounding search"
BATCHES = "other batches"

Found = dict[str, Verdict]


def attacked(claim: Claim, rng: np.random.Generator, slow: bool) -> Found:
    """Verdicts by attack; `slow` picks one or all of the others."""
    if not len(claim):
        return {}
    attacks = attacks_on(claim.target)
    chosen = {name: a for name, a in attacks.items() if (name == SLOW) == slow}
    return verdicts(claim, rng, chosen)


def other_batches(claim: Claim, rng: np.random.Generator) -> Verdict:
    """The clean samples again, in other batches: sums may run in another order."""
    order, flips, start = rng.permutation(len(claim)), [], 0
    while start < len(order):
        own = order[start : start + int(rng.choice([1, 2, 7, 64]))].tolist()
        said = claim.said([claim.samples[i] for i in own])
        flips += [
            (i, claim.samples[i])
            for i, label in zip(own, said.tolist(), strict=True)
            if label != claim.label[i]
        ]
        start += len(own)
    return Verdict(len(order), tuple(flips))


def within(claim: Claim, thin: int, rng: np.random.Generator) -> Found:
    """All attacks at the radius; the slow one on the smallest radii."""
    found = attacked(claim, rng, slow=False)
    small = np.sort(np.argsort(claim.radius, kind="stable")[:thin])
    for name, verdict in attacked(claim.at(small), rng, slow=True).items():
        hits = tuple((int(small[i]), moved) for i, moved in verdict.hits)
        found[name] = Verdict(verdict.tried, hits, verdict.rejected)
    found[BATCHES] = other_batches(claim, rng)
    return found


def beyond(claim: Claim, rng: np.random.Generator, slow: bool) -> list[Found]:
    """Verdicts by attack, at each factor."""
    everyone = np.arange(len(claim))
    return [
        attacked(claim.at(everyone, factor), rng, slow=False)
        | (attacked(claim.at(everyone, factor), rng, slow=True) if slow else {})
        for factor in FACTORS
    ]


@dataclass
class Tally:
    """What all attacks did within the radius."""

    certified: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    by_data: Found = field(default_factory=lambda: defaultdict(Verdict))
    by_attack: Found = field(default_factory=lambda: defaultdict(Verdict))
    broken: list[dict[str, Any]] = field(default_factory=list)

    def add(self, case: Case, found: Found) -> None:
        """Count one case."""
        self.certified[case.group] += len(case.claim)
        for name, verdict in found.items():
            self.by_data[case.group] += verdict
            self.by_attack[name] += verdict
            self.broken += [
                description(case, name, row, moved) for row, moved in verdict.hits
            ]

    def rows(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Tables by data and by attack."""
        data = {k: summary(n, self.by_data[k]) for k, n in self.certified.items()}
        total = sum(self.by_data.values(), Verdict())
        data["all"] = summary(sum(self.certified.values()), total)
        # One move of each attack a certificate, so `tried` is how many it was run on.
        attacks = {k: summary(v.tried, v) for k, v in self.by_attack.items()}
        return data, attacks


def summary(certified: int, verdict: Verdict) -> dict[str, Any]:
    return {
        "certified": certified,
        "tried": verdict.tried,
        "succeeded": verdict.succeeded,
        "rejected": verdict.rejected,
        "at_most": 3 / certified if certified else math.nan,
    }


def description(case: Case, attack: str, row: int, moved: Any) -> dict[str, Any]:
    """Everything that is needed to see a broken certificate again."""
    claim = case.claim
    return {
        "case": f"{case.group}: {case.name}, {claim.threat}",
        "attack": attack,
        "label": int(claim.label[row]),
        "radius": float(claim.radius[row]),
        "sample": as_lists(claim.samples[row]),
        "moved": as_lists(moved),
    }


def as_lists(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {name: as_lists(part) for name, part in x.items()}
    return np.asarray(x).tolist()


def flipped(found: Sequence[Found], n: int) -> list[float]:
    """Share of n samples that some attack flips, at each factor."""
    hit = [sum(own.values(), Verdict()).rows for own in found]
    return [len(rows) / max(n, 1) for rows in hit]


def print_table(title: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    print(f"\n{title:<42}{'certified':>10}{'tried':>9}{'succeeded':>11}", end="")
    print(f"{'rejected':>10}{'3/N':>10}")
    for name, row in rows.items():
        print(f"{name:<42}{row['certified']:>10}{row['tried']:>9}", end="")
        print(f"{row['succeeded']:>11}{row['rejected']:>10}{row['at_most']:>10.1e}")


def print_rates(title: str, rows: Mapping[str, Sequence[float]]) -> None:
    print(f"\n{title:<42}" + "".join(f"{f'{f:g} r':>9}" for f in FACTORS))
    for name, shares in rows.items():
        print(f"{name:<42}" + "".join(f"{100 * s:>8.1f}%" for s in shares))


def measure(sizes: Sizes) -> dict[str, Any]:
    """Attack everything."""
    start, tally = time.perf_counter(), Tally()
    models: dict[str, list[tuple[int, list[float]]]] = defaultdict(list)
    for number, case in enumerate(cases(sizes)):
        rng, name = np.random.default_rng([SEED, number]), f"{case.group}: {case.name}"
        if name not in models:
            print(f"  {time.perf_counter() - start:6.1f} s  {name}", flush=True)
        tally.add(case, within(case.claim, sizes.thin, rng))
        some = case.claim.at(np.arange(min(len(case.claim), sizes.beyond)))
        if case.ordinary:
            found = beyond(some, rng, slow=False)
            models[name].append((len(some), flipped(found, len(some))))
    planted: dict[str, list[float]] = {}
    wins: dict[str, list[Verdict]] = defaultdict(lambda: [Verdict()] * len(FACTORS))
    for number, case in enumerate(planted_cases()):
        rng = np.random.default_rng([SEED, number, 1])
        tally.add(case, within(case.claim, len(case.claim), rng))
        found = beyond(case.claim, rng, slow=True)
        planted[case.name] = flipped(found, len(case.claim))
        for k, own in enumerate(found):
            for name, verdict in own.items():
                wins[name][k] += verdict
    data, attacks = tally.rows()
    return {
        "within": data,
        "by_attack": attacks,
        "factors": FACTORS,
        "planted": planted,
        "planted_by_attack": {
            name: [v.succeeded / max(v.tried, 1) for v in own]
            for name, own in wins.items()
        },
        "models": {name: mean_shares(parts) for name, parts in models.items()},
        "broken": tally.broken,
        "seconds": time.perf_counter() - start,
    }


def mean_shares(parts: Sequence[tuple[int, Sequence[float]]]) -> list[float]:
    """Mean of shares, each of so many samples."""
    weights = np.array([n for n, _ in parts], np.float64)
    shares = np.array([own for _, own in parts])
    return (weights @ shares / max(weights.sum(), 1)).tolist()


def main() -> None:
    """Run, print, write; exit with 1 if a certificate or an attack is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--out", type=Path, help="where to write the results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sizes = QUICK if args.quick else FULL
    found = measure(sizes)
    print_table("Within the radius, by data", found["within"])
    print_table("Within the radius, by attack", found["by_attack"])
    print_rates("Beyond it, planted nets: flipped", found["planted"])
    print_rates("Beyond it, planted nets, by attack", found["planted_by_attack"])
    print_rates("Beyond it, models: flipped", found["models"])
    idle = [name for name, shares in found["planted"].items() if not shares[0]]
    idle += [name for name, own in found["planted_by_attack"].items() if not max(own)]
    total = found["within"]["all"]
    print(
        f"\nIn short: {total['succeeded']} of {total['certified']} certificates broken "
        f"by {total['tried']} moves, in {found['seconds']:.0f} s."
    )
    out = args.out or (None if args.quick else RESULTS / "soundness.json")
    if out is not None:
        found |= {
            "sizes": vars(sizes),
            **origin("stablerank", "gudhi", "torch", "numpy"),
        }
        write(out, found)
    if found["broken"] or idle:
        sys.exit(f"broken certificates: {found['broken']}; idle attacks: {idle}")


if __name__ == "__main__":
    main()
