"""The checker alone: exact where it says so, above every truth, below no claim."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stablerank
from stablerank import PixelBudget
from stablerank.certify import Certificates, checker
from stablerank.certify.file import as_tables, spectral_proof, spectral_proofs
from stablerank.frozen import (
    CPL,
    SLL,
    Affine,
    BarInput,
    Concat,
    Diagonal,
    GroupLength,
    GroupSort,
    Householder,
    Operation,
    Program,
    Sandwich,
    Spline,
    VectorInput,
)
from stablerank.frozen.spectral import spectral_norm_up
from tests.certify.saved import TRAINED, certified, deep, threshold, trained, vectors
from tests.contracts.extractors import CASES, ON_DIAGRAMS, weighted
from tests.frozen.exact import run_exact
from tests.frozen.test_errors import bar_program, random_diagrams, vector_programs
from tests.frozen.test_sectors import sectors

N = 24


@cache
def programs() -> dict[str, Program]:
    """One program an operation that the checker knows, on 24 numbers."""
    rng = np.random.default_rng(7)
    known = {k: p for k, p in vector_programs().items() if not k.startswith("conv")}
    w, b = rng.standard_normal((9, N)) / 8, rng.standard_normal(9)
    v = rng.standard_normal((2, N // 2, 2))
    knots, slopes = (
        np.sort(rng.standard_normal((N, 5)), axis=1),
        rng.random((N, 6)) - 0.5,
    )
    more: dict[str, tuple[float, Operation]] = {
        "affine, l_2": (2, Affine((0,), w, b)),
        "affine, l_2 to l_inf": (2, Affine((0,), w, b, to_inf=True)),
        "diagonal, l_2": (2, Diagonal((0,), w[0], w[1])),
        "maxmin, l_2": (2, GroupSort((0,), size=2)),
        "concat, l_2": (2, Concat((0, 0))),
        "householder": (2, Householder((0,), v / np.linalg.norm(v, axis=2)[..., None])),
        "householder, long": (2, Householder((0,), v)),
        "sectors": (2, sectors(N // 2)),
        "spline": (math.inf, Spline((0,), knots, slopes, rng.standard_normal(N))),
        "spline, l_2": (2, Spline((0,), knots, slopes, rng.standard_normal(N))),
        "spline, one knot": (math.inf, Spline((0,), knots[:, :1], slopes[:, :2], w[2])),
        "CPL": (2, CPL((0,), w, b)),
        "SLL": (2, SLL((0,), w, b, rng.random(9) + 0.5)),
        "sandwich": (2, Sandwich((0,), w, b, rng.standard_normal((9, 5)) / 8)),
        "lengths": (math.inf, GroupLength((0,), size=3)),
        "lengths, l_2": (2, GroupLength((0,), size=3)),
    }
    return known | {
        k: Program((VectorInput(N, norm, 8.0),), (op,))
        for k, (norm, op) in more.items()
    }


KNOWN = sorted(programs())


def twin_of(program: Program) -> checker.Program:
    """The checker's own reading of a program."""
    spec, arrays = program.to_arrays()
    entries, factors = spectral_proofs(program)
    return checker.Program(spec, as_tables(arrays | factors), entries)


def confirmed(cert: Certificates, folder: Path) -> list[checker.Verdict]:
    """Save, check, and hold every verdict against the claim (T7)."""
    cert.save(folder)
    verdicts, report = checker.check(folder)
    assert [v.complaint for v in verdicts] == [""] * len(cert), report
    for verdict, radius in zip(verdicts, cert.radius.tolist(), strict=True):
        assert verdict.claimed == radius
        if verdict.exact is not None:
            assert radius <= verdict.exact
    return verdicts


# --- exact values, constants, errors --------------------------------------------------


@pytest.mark.parametrize("name", KNOWN)
def test_values_are_those_of_the_exact_oracle(name: str) -> None:
    program = programs()[name]
    twin, rng = twin_of(program), np.random.default_rng(1)
    for row in np.clip(4 * rng.standard_normal((3, 24)), -8, 8).tolist():
        start = [checker.Vector.of(row)]
        (found,) = twin.logits([start])
        assert found == twin.sweep(start, lambda op: op.value)[-1].numbers()
        exact = run_exact(program, [[Fraction(v) for v in row]])[-1]
        if name == "sectors":  # quotients are no dyadic numbers
            pairs = zip(found, exact, strict=True)
            assert all(abs(v - e) < Fraction(1, 2**200) for v, e in pairs)
        elif "lengths" in name:  # of these the oracle has the squares
            pairs = zip(found, exact, strict=True)
            assert all(e <= v * v <= e * (1 + Fraction(1, 2**100)) for v, e in pairs)
        else:
            assert found == exact


def test_values_of_bars_are_those_of_the_exact_oracle() -> None:
    program, diagrams = bar_program(), random_diagrams(3)
    twin = twin_of(program)
    for diagram in diagrams:
        bars = [
            [
                tuple(Fraction(min(max(v, 0.0), 1.0)) for v in bar)
                for bar in own.tolist()
            ]
            for own in (diagram["H0"], diagram["H1"])
        ]
        start = []
        for own in bars:
            both = checker.Vector.of(v for k in (0, 1) for v in (b[k] for b in own))
            start.append((both.n[: len(own)], both.n[len(own) :], both.s))
        (found,) = twin.logits([start])
        if all(bars):
            assert found == run_exact(program, bars)[-1]
        if not any(bars):
            assert not any(found)


@pytest.mark.parametrize("name", [*KNOWN, "bars"])
def test_errors_and_sizes_are_a_hair_below_those_of_the_library(name: str) -> None:
    program = bar_program() if name == "bars" else programs()[name]
    for (size, error), ours in zip(
        twin_of(program).ranges(), program.ranges, strict=True
    ):
        pairs = (size, ours.size), (error, ours.error)
        for found, stated in pairs:
            numbers = found.numbers()
            # Of bars, the library bounds both ends alike, one by one.
            for v, w in zip(numbers, stated.tolist()[: len(numbers)], strict=True):
                assert v <= Fraction(w)
                assert float(v) >= w * (1 - 1e-9) - 1e-300


@pytest.mark.parametrize("name", KNOWN)
def test_constants_of_pairs_are_a_hair_below_those_of_the_library(name: str) -> None:
    program = programs()[name]
    twin, stated = twin_of(program), program.pair_constants(1.0)
    start = [checker.Vector.of([1.0] * (N if math.isinf(program.norms[0]) else 1))]
    for c in range(program.n_outputs):
        found = twin.pairs(twin.moves(start), c)
        for v, w in zip(found, stated[c].tolist(), strict=True):
            assert v <= Fraction(w)
            assert float(v) >= w * (1 - 1e-9)


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 5), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_norm_of_a_matrix_is_proved_and_tight(
    m: int, n: int, family: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((m, n))
    if family == 1:
        w = np.linalg.qr(rng.standard_normal((max(m, n), min(m, n))))[0]
    if family == 2:
        w = np.outer(w[:, 0], w[0])
    if family == 3:
        w = w * 2.0 ** rng.integers(-400, 400)
    if family == 4:
        w = np.where(rng.random((m, n)) < 0.5, 0.0, w)
    if family == 5:
        w = rng.integers(-1, 2, (m, n)).astype(float)
    *proof, factor = spectral_proof(w)
    tables = as_tables({"w": w, "r": factor})
    matrix = checker.Matrix(tables["w"])
    square = checker.spectral(matrix.rows, matrix.s, *proof, tables["r"])
    assert square <= Fraction(spectral_norm_up(w)) ** 2
    # No vector is stretched more: floats are exact rationals.
    for x in np.linalg.svd(w)[2]:
        image = [
            sum(Fraction(a) * Fraction(b) for a, b in zip(r, x, strict=True)) for r in w
        ]
        assert sum(v * v for v in image) <= square * sum(Fraction(v) ** 2 for v in x)


# --- certificates ---------------------------------------------------------------------


@pytest.mark.parametrize("name", TRAINED)
def test_certificates_of_every_model_are_confirmed(name: str, tmp_path: Path) -> None:
    model, X, threat = trained(name)
    cert = model.certify(X, threat)
    assert (cert.radius > 0).mean() > 0.5
    for verdict in confirmed(cert, tmp_path):
        if verdict.claimed > 0:
            assert verdict.claimed > 0.999 * float(verdict.exact)


@pytest.mark.parametrize(
    ("case", "threat"),
    [
        (case, t)
        for case in CASES
        for t in (*case.proved, *ON_DIAGRAMS)
        if case.certifies
    ],
    ids=str,
)
def test_every_theorem_is_known_with_its_constant(
    case: Any, threat: Any, tmp_path: Path
) -> None:
    dgms = weighted(threat, case.diagrams, case.X)
    bounds = case.fitted().bounds(threat, dgms)
    cert = certified(dgms, bounds, threat)
    for verdict in confirmed(cert, tmp_path):
        if verdict.claimed > 0 and verdict.exact != math.inf:
            # Of budgets of order 3 the checker takes the better of two chains.
            least = 0.7 if threat == PixelBudget(3) else 0.999
            assert verdict.claimed > least * float(verdict.exact)


@pytest.mark.parametrize("k", [1, 2])
def test_certificates_of_the_top_k_and_abstentions_are_confirmed(
    k: int, tmp_path: Path
) -> None:
    cert = vectors(np.eye(3), np.zeros(3), [[4, 3, 0], [1, 1, 0.5], [0, 0, 9]])
    confirmed(cert.top(k), tmp_path / "top")
    confirmed(cert.top(k).abstain(below=1.0), tmp_path / "silent")
    confirmed(cert.top(k, labels=[1, 1, 1]), tmp_path / "asked")


# --- numbers at the edge (T7) ---------------------------------------------------------

SIZES = (1.0, 1e-30, 1e30, 2.0**-1074, 2.0**-1040, 1e-160, 1e160)


@given(
    st.sampled_from([2, math.inf]),
    st.lists(st.sampled_from(SIZES), min_size=4, max_size=4),
    st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_no_float_radius_exceeds_the_exact_one(
    norm: float, sizes: list[float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        weights = [rng.standard_normal((4, 4)) * s for s in sizes[:3]]
        x = rng.standard_normal((4, 4)) * sizes[3]
        cert = deep([w for w in weights if np.isfinite(w).all()], x, norm)
    with tempfile.TemporaryDirectory() as folder:
        confirmed(cert, Path(folder))


@given(st.integers(0, 2**52), st.integers(0, 2**52), st.sampled_from([2, math.inf]))
@settings(max_examples=25, deadline=None)
def test_no_float_radius_exceeds_the_exact_one_where_margins_cancel(
    a: int, b: int, norm: float
) -> None:
    big = 2.0**53
    x = [[big + a, big + b, 1.0], [big, big, 2.0**-40]]
    cert = vectors([[1.0, -1.0, 1.0], [-1.0, 1.0, 0.0]], [0.0, 0.0], x, norm)
    with tempfile.TemporaryDirectory() as folder:
        confirmed(cert, Path(folder))


def test_a_tie_abstains_and_a_constant_never_ends(tmp_path: Path) -> None:
    tie = vectors(np.eye(2), np.zeros(2), [[1.0, 1.0]])
    assert [v.exact for v in confirmed(tie, tmp_path / "tie")] == [0]
    constant = vectors(np.ones((2, 2)), [1.0, 0.0], [[1.0, 1.0]], limit=8.0)
    assert constant.radius[0] == math.inf
    assert [v.exact for v in confirmed(constant, tmp_path / "constant")] == [math.inf]


def test_where_floats_may_overflow_only_abstentions_stand(tmp_path: Path) -> None:
    huge = [np.full((2, 2), 1e300), np.eye(2)]
    with np.errstate(over="ignore", invalid="ignore"):
        cert = deep(huge, [[1.0, 0.0]], math.inf, 1e300)
    assert cert.reason.tolist() == ["overflow in the analysis"]
    confirmed(cert, tmp_path)


@pytest.mark.parametrize("gain", [1.0, 1e-6, 1e6])
def test_the_exact_radius_of_a_threshold_is_found(gain: float, tmp_path: Path) -> None:
    verdicts = confirmed(threshold(0.75, gain=gain), tmp_path)
    for verdict, d in zip(verdicts, (0.5, 1.0, 1.5, 2.0, 3.0), strict=True):
        assert abs(float(verdict.exact) - abs(d / 2 - 0.75)) < 1e-8


# --- by itself ------------------------------------------------------------------------

ROOT = Path(stablerank.__file__).parents[1]
ALONE = [sys.executable, "-S", "-E"]  # no site-packages: numpy cannot be imported


def fresh(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ALONE, *arguments], capture_output=True, text=True, check=False, **options
    )


def test_the_checker_runs_where_no_package_is_installed(tmp_path: Path) -> None:
    threshold().save(tmp_path / "cert")
    assert "ModuleNotFoundError" in fresh("-c", "import numpy").stderr
    copy = shutil.copy(checker.__file__, tmp_path / "copied.py")
    folder = str(tmp_path / "cert")
    for command in (["-I", copy], ["-m", "stablerank.certify.checker"]):
        done = fresh(*command, folder, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "stand     4, at most" in done.stdout
        assert "abstain   1" in done.stdout
        assert "trusted   bars with their errors, dimension" in done.stdout
        assert "convolution" in done.stdout
        assert fresh(*command, str(tmp_path / "none"), cwd=ROOT).returncode == 1


def test_a_certificate_does_not_depend_on_the_process(tmp_path: Path) -> None:
    code = "from tests.certify.saved import threshold\nthreshold().save({!r})"
    subprocess.run(
        [sys.executable, "-c", code.format(str(tmp_path / "there"))],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "1"},
        check=True,
    )
    threshold().save(tmp_path / "here")
    for name in ("certificates.json", "certificates.safetensors"):
        first, second = ((tmp_path / k / name).read_bytes() for k in ("here", "there"))
        assert first == second


def test_flint_finds_what_the_integers_of_python_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flint = pytest.importorskip("flint", reason="the extra `audit` is not installed")
    model, X, threat = trained("table, l_2, ball in l_2")
    model.certify(X, threat).save(tmp_path)
    found = []
    for product in (flint.fmpz_mat, None):
        monkeypatch.setattr(checker, "fmpz_mat", product)
        found.append(checker.check(tmp_path))
    assert found[0] == found[1]


def test_what_is_known_by_name_only_is_not_confirmed(tmp_path: Path) -> None:
    program = vector_programs()["conv"]
    from stablerank import FeatureBall
    from stablerank.certify import certify

    cert = certify(program, np.ones((1, 24)), FeatureBall(math.inf))
    cert.save(tmp_path)
    with pytest.raises(
        checker.Refused, match=r"not decided: the bound of a convolution"
    ):
        checker.check(tmp_path)


def test_a_bound_that_the_ledger_does_not_have_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    cert = threshold()
    (bound, *more) = cert.evidence["bounds"]["H0"]
    own = {"H0": [replace(bound, ledger="X99"), *more]}
    replace(cert, evidence={**cert.evidence, "bounds": own}).save(tmp_path)
    with pytest.raises(checker.Refused, match=r"\[X99\] proves nothing"):
        checker.check(tmp_path)


def test_channels_are_read_as_the_program_reads_them(tmp_path: Path) -> None:
    from dataclasses import replace

    cert = threshold()
    program = cert.evidence["program"]
    for change, words in (
        ({"max_bars": 0}, "more bars"),
        ({"max_error": 0.0}, "larger error"),
        ({"convention": "value"}, "another convention"),
    ):
        entry = replace(program.inputs[0], **change)
        assert isinstance(entry, BarInput)
        other = Program((entry,), program.operations)
        replace(cert, evidence={**cert.evidence, "program": other}).save(tmp_path)
        with pytest.raises(checker.Refused, match=words):
            checker.check(tmp_path)
