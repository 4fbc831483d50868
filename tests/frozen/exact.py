"""Frozen operations in exact rational arithmetic: the oracle of their error bounds."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

from stablerank.frozen import (
    CPL,
    SLL,
    Abs,
    Add,
    Affine,
    BarFunctions,
    Concat,
    Contours,
    Conv,
    Deaths,
    Diagonal,
    Distance,
    GroupLength,
    GroupSort,
    Householder,
    Program,
    ReLU,
    Reorder,
    Sandwich,
    Sectors,
    SortNeuron,
    SortTop,
    Spline,
    Tails,
)

Row = list[Fraction]


def _f(values: Any) -> Any:
    """Nested lists of floats as Fractions."""
    return [_f(v) for v in values] if isinstance(values, list) else Fraction(values)


def run_exact(program: Program, start: list[Any]) -> list[Any]:
    """All registers for one sample; bars are lists of (birth, death) Fractions."""
    registers = list(start)
    for op in program.operations:
        registers.append(apply_exact(op, *(registers[i] for i in op.inputs)))
    return registers


def apply_exact(op: Any, *inputs: Any) -> Any:  # noqa: PLR0911, PLR0912 - one case each
    """One operation on one sample, in Fractions; lengths are squared: they have roots.

    (Tails of order 2, and GroupLength.)
    """
    x = inputs[0]
    match op:
        case BarFunctions():
            forms = _f(op.forms.tolist())
            return [
                [
                    max(Fraction(0), min(a * b + c * d + e for a, c, e in f))
                    for f in forms
                ]
                for b, d in x
            ]
        case Deaths():
            return [[max(d, Fraction(0))] for _, d in x]
        case Contours():
            return [
                [
                    _length(b, d, k, s)
                    for k, s in zip(
                        _f(op.knots.tolist()), _f(op.slopes.tolist()), strict=True
                    )
                ]
                for b, d in x
            ]
        case SortTop():
            return [v for column in _columns(x, op.ranks) for v in column]
        case Tails():
            return [v for column in _tails(x, op) for v in column]
        case Affine():
            return _affine(op, x)
        case Diagonal():
            scale, shift = _f(op.scale.tolist()), _f(op.shift.tolist())
            return [s * v + t for s, v, t in zip(scale, x, shift, strict=True)]
        case Conv():
            return _conv(op, x)
        case Reorder():
            return [x[i] for i in op.positions.tolist()]
        case GroupLength():
            groups = [x[i : i + op.size] for i in range(0, len(x), op.size)]
            return [sum((v * v for v in g), Fraction(0)) for g in groups]
        case GroupSort():
            groups = [x[i : i + op.size] for i in range(0, len(x), op.size)]
            return [v for g in groups for v in sorted(g, reverse=True)]
        case Abs():
            return [abs(v) for v in x]
        case ReLU():
            return [max(v, Fraction(0)) for v in x]
        case Distance():
            centres, bias = _f(op.weight.tolist()), _f(op.bias.tolist())
            gaps = [max(abs(a - b) for a, b in zip(x, w, strict=True)) for w in centres]
            return [g + b for g, b in zip(gaps, bias, strict=True)]
        case SortNeuron():
            centres, bias = _f(op.weight.tolist()), _f(op.bias.tolist())
            c = _f(op.coefficients.tolist())
            out = []
            for w, b in zip(centres, bias, strict=True):
                gaps = sorted(
                    (abs(s - t) for s, t in zip(x, w, strict=True)), reverse=True
                )
                out.append(sum((s * t for s, t in zip(c, gaps, strict=False)), b))
            return out
        case Spline():
            return _splines(op, x)
        case Householder():
            return _reflected(op, x)
        case Sectors():
            return _sectors(op, x)
        case SLL() | CPL() | Sandwich():
            return _block(op, x)
        case Concat():
            return [v for part in inputs for v in part]
        case Add():
            return [s + t for s, t in zip(*inputs, strict=True)]
    msg = f"no exact twin of {op}"
    raise AssertionError(msg)


def _affine(op: Affine, x: Row) -> Row:
    return _product(_f(op.weight.tolist()), x, _f(op.bias.tolist()))


def _product(weight: list[Row], x: Row, bias: Row) -> Row:
    return [
        sum((w * v for w, v in zip(row, x, strict=True)), b)
        for row, b in zip(weight, bias, strict=True)
    ]


def _block(op: SLL | CPL | Sandwich, x: Row) -> Row:
    inner, bias, outer = (_f(part.tolist()) for part in op.parts)
    units = [max(u, Fraction(0)) for u in _product(inner, x, bias)]
    columns = [list(column) for column in zip(*outer, strict=True)]
    step = [2 * v for v in _product(columns, units, [Fraction(0)] * len(columns))]
    if isinstance(op, Sandwich):
        return step
    return [a - b for a, b in zip(x, step, strict=True)]


def _splines(op: Spline, x: Row) -> Row:
    """The sum of all kinks, without a lookup."""
    result = []
    for v, knots, slopes, value in zip(
        x,
        _f(op.knots.tolist()),
        _f(op.slopes.tolist()),
        _f(op.values.tolist()),
        strict=True,
    ):
        total = value + slopes[0] * (v - knots[0])
        for t, (before, after) in zip(knots, pairwise(slopes), strict=True):
            total += (after - before) * max(v - t, Fraction(0))
        result.append(total)
    return result


def _reflected(op: Householder, x: Row) -> Row:
    for directions in _f(op.directions.tolist()):
        moved: Row = []
        for (a, b), (s, t) in zip(
            directions, zip(x[::2], x[1::2], strict=True), strict=True
        ):
            beyond = max(a * s + b * t, Fraction(0))
            moved += [s - 2 * beyond * a, t - 2 * beyond * b]
        x = moved
    return x


Complex = tuple[Fraction, Fraction]


def _times(v: Complex, w: Complex) -> Complex:
    return v[0] * w[0] - v[1] * w[1], v[0] * w[1] + v[1] * w[0]


def _conjugate(v: Complex) -> Complex:
    return v[0], -v[1]


def _has_passed(y: Complex, ray: Complex) -> bool:
    """Whether y points further than the ray, both from 0 up to, not with, a turn."""
    halves = [v[1] < 0 or (v[1] == 0 and v[0] < 0) for v in (y, ray)]
    if halves[0] != halves[1]:
        return halves[0]
    return _times(_conjugate(ray), y)[1] > 0


def _sectors(op: Sectors, x: Row) -> Row:
    """The four pieces of the definition; lengths cancel, so no root is needed."""
    result: Row = []
    places = zip(x[::2], x[1::2], *_f(op.directions.tolist()), strict=True)
    for re, im, *directions in places:
        z, (a, b, w) = (re, im), map(tuple, directions)
        y = _times(_conjugate(a), z)
        # Rays after a whole turn are passed by nothing.
        b_is_half, w_is_half = (v[1] == 0 and v[0] < 0 for v in (b, w))
        if not _has_passed(y, b):
            image = z
        elif (b_is_half and w_is_half) or not _has_passed(y, _times(b, w)):
            double = _times(_times(a, a), _times(b, b))
            image = _turned(_conjugate(z), double)
        elif w_is_half or not _has_passed(y, (-w[0], -w[1])):
            image = _turned(z, _conjugate(_times(w, w)))
        else:
            image = _turned(_conjugate(z), _times(a, a))
        result += image
    return result


def _turned(v: Complex, direction: Complex) -> Complex:
    """Times the direction of a square of known numbers, whose length is rational."""
    re, im = _times(v, direction)
    square = direction[0] ** 2 + direction[1] ** 2
    length = Fraction(math.isqrt(square.numerator), math.isqrt(square.denominator))
    assert length**2 == square
    return re / length, im / length


def _conv(op: Conv, x: Row) -> Row:
    """Straight from the definition, pixel by pixel."""
    (height, width, n_in), (top, _, left, _) = op.shape, op.pads
    kernel, bias = _f(op.kernel.tolist()), _f(op.bias.tolist())
    rows, columns, n_out = op.out_shape
    k_height, k_width = op.kernel.shape[2:]
    around = op.padding == "circular"
    result = []
    for i, j, o in product(range(rows), range(columns), range(n_out)):
        total = bias[o]
        for s, t, c in product(range(k_height), range(k_width), range(n_in)):
            a, b = i * op.stride + s - top, j * op.stride + t - left
            if around:
                a, b = a % height, b % width
            if 0 <= a < height and 0 <= b < width:
                total += kernel[o][c][s][t] * x[(a * width + b) * n_in + c]
        result.append(total)
    return result


def _length(b: Fraction, d: Fraction, knots: Row, slopes: Row) -> Fraction:
    total = Fraction(0)
    for (low, high), slope in zip(pairwise(knots), slopes, strict=True):
        total += slope * (min(max(d, low), high) - min(max(b, low), high))
    return total


def _sorted_columns(values: list[Row]) -> list[Row]:
    width = len(values[0]) if values else 1
    return [sorted((row[f] for row in values), reverse=True) for f in range(width)]


def _columns(values: list[Row], ranks: Any) -> list[Row]:
    zero = Fraction(0)
    return [
        [column[r] if r < len(column) else zero for r in ranks.tolist()]
        for column in _sorted_columns(values)
    ]


def _tails(values: list[Row], op: Tails) -> list[Row]:
    result = []
    for column in _sorted_columns(values):
        power = [v**2 if op.p == 2 else v for v in column]
        sums = [sum(power[j:], Fraction(0)) for j in range(len(power))]
        result.append(
            [sums[j] if j < len(sums) else Fraction(0) for j in op.ranks.tolist()]
        )
    return result
