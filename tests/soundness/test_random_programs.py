"""Programs that nobody trained: their certificates hold for any numbers."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablerank
from stablerank import AlphaPersistence, BottleneckBall, FeatureBall
from stablerank.attack import (
    Claim,
    DiagramTarget,
    VectorTarget,
    barely_certified,
    random_bar_program,
    random_diagrams,
    random_program,
)
from stablerank.certify import certify
from tests.checks import assert_sound

ROOT = Path(stablerank.__file__).parents[1]


def assert_random_program_sound(seed: int) -> None:
    """Samples of a random program, and some that are only just certified."""
    rng, norm = np.random.default_rng(seed), (math.inf, 2.0)[seed % 2]
    program = random_program(rng, norm, depth=1 + seed % 5)
    # An l_2 ball may also enter an l_inf program.
    ball = FeatureBall(2.0 if seed % 3 == 0 else norm)
    rows = rng.uniform(-4, 4, (30, 12))
    cert, target = certify(program, rows, ball), VectorTarget(program)
    claim = Claim.of(cert, target, rows)
    if not len(claim):
        assert set(cert.reason) <= {"constant", "tie"}
        return
    assert_sound(claim)
    own = claim.label[0]
    start = [x for x, c in zip(claim.samples, claim.label, strict=True) if c == own][:4]
    end = [x for x, c in zip(rows, cert.label, strict=True) if c != own][:4]

    def holds(some: list[Any]) -> Any:
        found = certify(program, np.array(some), ball)
        return (found.radius > 0) & (found.label == own)

    ways = list(zip(start, end, strict=False))
    edge = barely_certified(holds, [a for a, _ in ways], [b for _, b in ways])
    if edge:
        assert_sound(Claim.of(certify(program, np.array(edge), ball), target, edge))


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_on_vectors_hold_what_they_claim(seed: int) -> None:
    assert_random_program_sound(seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(12, 400))
def test_many_random_programs_on_vectors_hold_what_they_claim(seed: int) -> None:
    assert_random_program_sound(seed)


@pytest.mark.parametrize("seed", range(6))
def test_random_programs_on_bars_hold_what_they_claim(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program, threat = random_bar_program(rng), BottleneckBall()
    dgms = random_diagrams(rng, 20)
    cert = certify(program, dgms, threat, AlphaPersistence().bounds(threat, dgms))
    target = DiagramTarget(program, dgms)
    assert_sound(Claim.of(cert, target, target.samples))


@pytest.mark.nightly
def test_the_benchmark_of_soundness_finds_nothing(tmp_path: Path) -> None:
    out = tmp_path / "soundness.json"
    file = ROOT / "benchmarks" / "soundness.py"
    subprocess.run(
        [sys.executable, str(file), "--quick", "--out", str(out)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert '"broken": []' in out.read_text()
