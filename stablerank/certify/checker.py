"""Decide saved certificates again, with nothing but Python's standard library.

A float is an integer over a power of two.  So all that a frozen program computes is
computed here once more without rounding, from the bars and the weights of the file:
the logits z, how far they move (L, from theorems and operations), and how wrong
float64 can be anywhere in the frozen domain (E) [F1].  Label c stands within r if

    z_c - z_j > L_cj r + E_c + E_j + engine_cj + offset_cj   for every rival j   [C2].

Roots alone are rounded, outward.  The norm of a matrix rests on a stored factor R:
s(W)^2 <= t + |tI - W^T W - R R^T|_F, because R R^T is never negative [N6].  No number
of the file is believed but the weights, the bars with their stated error and geometry,
and the names of the classes; the radii are claims that are put to the test.  All
operations and theorems that are known stand in two tables, by kind and by ledger id.

    python checker.py folder
"""
# ruff: noqa: E731, PLR0911, PLR0912, PLR0915, PLR0917 - a case an operation

from __future__ import annotations

import array
import copy
import hashlib
import json
import math
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import accumulate, pairwise
from operator import add, le, mul, sub
from pathlib import Path
from typing import Any, NamedTuple

try:
    from flint import fmpz_mat
except ImportError:  # the integers of Python do, only slower
    fmpz_mat = None

INF, ZERO, ONE, TWO = math.inf, Fraction(0), Fraction(1), Fraction(2)
U = Fraction(1, 2**53)
SCHEMA, NAME = 2, "certificates"
#: Most bytes of the two files and of the array header; most arrays, coordinates, steps.
CAPS = {".json": 2**26, ".safetensors": 2**32, "header": 2**24, "count": 2**20}
AT_ONCE = 64  # samples
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
#: Known by name only: no certificate that rests on it is confirmed.
UNDECIDED = {"Conv": "the bound of a convolution [N7]"}
Fields = dict[Any, Any]
Tables = dict[str, "Table"]
Rows = list[list[int]]


class Refused(Exception):
    """The file holds no certificates that this checker can decide."""


def demand(condition: Any, complaint: str) -> None:
    """Refuse the file unless the condition holds."""
    if not condition:
        raise Refused(complaint)


# --- the file -------------------------------------------------------------------------


class Table(NamedTuple):
    """An array of the file, of float64 ("d") or int64 ("q") values."""

    shape: tuple[int, ...]
    values: array.array[Any]

    def rows(self) -> list[Any]:
        """Rows of a two-dimensional array."""
        n = self.shape[1]
        return [self.values[k * n : (k + 1) * n] for k in range(self.shape[0])]


def sealed(header: Fields, raw: bytes) -> bytes:
    """Canonical JSON with one SHA-256 of itself, without this entry, and all arrays."""
    text = json.JSONEncoder(sort_keys=True, indent=1, allow_nan=False).encode
    body = {k: v for k, v in header.items() if k != "sha256"}
    sha256 = hashlib.sha256(text(body).encode() + raw).hexdigest()
    return (text({**body, "sha256": sha256}) + "\n").encode()


def fingerprint(header: Any, tables: Tables) -> str:
    """SHA-256 of a part: JSON, then each array with its name, type and shape."""
    sha = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, (shape, values) in sorted(tables.items()):
        dtype = {"d": "<f8", "q": "<i8"}[values.typecode]
        sha.update(f"{name} {dtype} {shape}".encode() + values.tobytes())
    return sha.hexdigest()


def read_tensors(raw: bytes) -> Tables:
    """Parse a safetensors file of float64 and int64 arrays, without a gap in it."""
    (size,) = struct.unpack_from("<Q", raw)
    demand(size <= min(CAPS["header"], len(raw) - 8), "the array header is too long")
    head, tables, end = raw[8 : 8 + size].rstrip(b" "), {}, 8 + size
    entries = json.loads(head)
    plain = json.dumps(entries, separators=(",", ":"), ensure_ascii=False)
    demand(plain.encode() == head, "the array header is not as safetensors writes it")
    demand(len(entries) <= CAPS["count"], "too many arrays")
    for name, entry in sorted(entries.items(), key=lambda e: e[1]["data_offsets"]):
        (first, last), shape = entry["data_offsets"], tuple(entry["shape"])
        fits = first + 8 + size == end and last - first == 8 * math.prod(shape)
        demand(fits and min(shape, default=0) >= 0, f"{name} is not where it should be")
        values = array.array({"F64": "d", "I64": "q"}[entry["dtype"]])
        values.frombytes(raw[end : end + last - first])
        finite = name == "claim.radius" or all(map(math.isfinite, values))
        demand(finite, f"{name} holds NaN or infinity")
        tables[name], end = Table(shape, values), end + last - first
    demand(end == len(raw), "bytes behind the last array")
    return tables


def read(folder: Path) -> tuple[Fields, Tables]:
    """Header and arrays of a file that is whole, canonical and unchanged."""
    raw = []
    for file in (folder / (NAME + suffix) for suffix in (".json", ".safetensors")):
        demand(file.is_file(), f"{folder} has no {file.name}")
        demand(file.stat().st_size <= CAPS[file.suffix], f"{file.name} is too large")
        raw.append(file.read_bytes())
        demand(not raw[-1].startswith(PICKLES), f"{file.name} is a pickle")
    header = json.loads(raw[0])
    demand(header["schema"] == SCHEMA, f"schema {header['schema']}, not {SCHEMA}")
    unchanged = sealed(header, raw[1]) == raw[0]
    demand(unchanged, "changed since it was written, or not in canonical form")
    return header, read_tensors(raw[1])


# --- arithmetic: fractions, and integers over one power of two ------------------------


class Vector(NamedTuple):
    """Exact numbers n / 2**s, with sums and products coordinate by coordinate."""

    n: list[int]
    s: int

    @classmethod
    def of(cls, values: Iterable[Any]) -> Vector:
        """Floats, integers, or fractions over powers of two."""
        ratios = [v.as_integer_ratio() for v in values]
        one = max((d for _, d in ratios), default=1)
        n = [p if d == one else p * (one // d) for p, d in ratios]
        return cls(n, one.bit_length() - 1)

    def __add__(self, other: Any) -> Vector:
        s = max(self.s, other.s)
        return Vector(list(map(add, self.over(s), other.over(s))), s)

    def __mul__(self, other: Any) -> Vector:
        if isinstance(other, Vector):
            return Vector(list(map(mul, self.n, other.n)), self.s + other.s)
        (one,), s = Vector.of([other])
        return Vector([v * one for v in self.n], self.s + s)

    def __abs__(self) -> Vector:
        return self.each(lambda n: map(abs, n))

    def over(self, s: int) -> list[int]:
        """Numerators over 2**s, where s is not less than its own."""
        return [v << s - self.s for v in self.n] if s > self.s else self.n

    def each(self, change: Callable[[list[int]], Iterable[int]]) -> Vector:
        """Vector of changed numerators."""
        return Vector(list(change(self.n)), self.s)

    def numbers(self) -> list[Fraction]:
        """One fraction a coordinate."""
        return [Fraction(v, 2**self.s) for v in self.n]

    def norm(self) -> Fraction:
        """Euclidean norm, rounded up."""
        return root(Fraction(sum(map(mul, self.n, self.n)), 4**self.s))


def root(f: Fraction) -> Fraction:
    """Square root: exact, or rounded up in the 128th binary digit."""
    shift = max(0, 256 - f.numerator.bit_length() + f.denominator.bit_length()) // 2
    square, rest = divmod(f.numerator << 2 * shift, f.denominator)
    r = math.isqrt(square)
    return Fraction(r + (rest > 0 or r * r < square), 2**shift)


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """base**exponent for base > 0, rounded up to a dyadic number."""
    if exponent == ONE / 2 or base == 1:
        return root(base)
    with localcontext(prec=80):  # logarithm and exponential are right in every digit
        log = (Decimal(base.numerator) / base.denominator).ln()
        found = Fraction((log * exponent.numerator / exponent.denominator).exp())
    found = (
        base**exponent.numerator if exponent in (0, 1) else found * (1 + ONE / 2**200)
    )
    return Fraction(math.ceil(found * 2**1200), 2**1200)


def inverse(p: Any) -> Fraction:
    """1 / p, and 0 for infinity."""
    return ZERO if number(p) == INF else 1 / Fraction(p)


def number(value: Any) -> float:
    """Number of the JSON, where infinity is written "inf"; 0 if there is none."""
    return float(value or 0)


class Matrix:
    """Rows of integers over 2**s."""

    def __init__(self, table: Table) -> None:
        (n, width), (flat, self.s) = table.shape, Vector.of(table.values)
        self.rows = [flat[k * width : (k + 1) * width] for k in range(n)]
        self.fast: Any = None  # their transpose in flint's form

    def size(self) -> Matrix:
        """Absolute values."""
        other = copy.copy(self)
        other.rows = [list(map(abs, row)) for row in self.rows]
        return other

    def times(self, x: Vector) -> Vector:
        """Product with a vector."""
        return Vector([sum(map(mul, row, x.n)) for row in self.rows], self.s + x.s)

    def times_all(self, xs: list[Vector]) -> list[Vector]:
        """Products with vectors, by flint if it is there."""
        if fmpz_mat is None:
            return list(map(self.times, xs))
        if self.fast is None:
            self.fast = fmpz_mat(self.rows).transpose()
        table = (fmpz_mat([x.n for x in xs]) * self.fast).table()
        pairs = zip(table, xs, strict=True)
        return [Vector(list(map(int, row)), self.s + x.s) for row, x in pairs]

    def gaps(self, x: Vector, heights: list[int]) -> Vector:
        """Sum of heights times the entries of |x - row|, largest first."""
        if x.s > self.s:  # once, as a rule: inputs are alike
            self.rows = [[e << x.s - self.s for e in row] for row in self.rows]
            self.s = x.s
        each = (map(abs, map(sub, x.over(self.s), row)) for row in self.rows)
        if len(heights) == 1:
            return Vector([heights[0] * max(gap) for gap in each], self.s)
        ranked = (sorted(gap, reverse=True) for gap in each)
        return Vector([sum(map(mul, heights, gap)) for gap in ranked], self.s)


def spectral(rows: Rows, s: int, t: float, e: int, factor: Table) -> Fraction:
    """Square of the largest singular value of rows / 2**s, rounded up [N6]."""
    r, columns = Matrix(factor), [list(c) for c in zip(*rows, strict=True)]
    short, scale = rows if len(rows) < len(columns) else columns, Fraction(4) ** e
    demand(len(short) == len(r.rows), "a factor does not fit its matrix")
    goal = scale * Fraction(t)
    (one, two, level), bits = Vector.of([ONE / 4**s, scale / 4**r.s, goal])
    square = 0
    for i, (a, b) in enumerate(zip(short, r.rows, strict=True)):
        below = zip(short[: i + 1], r.rows, strict=False)
        rest = [one * sum(map(mul, a, c)) + two * sum(map(mul, b, d)) for c, d in below]
        rest[-1] -= level
        square += 2 * sum(map(mul, rest, rest)) - rest[-1] ** 2
    schur = math.prod(max(sum(map(abs, v)) for v in side) for side in (rows, columns))
    return min(goal + root(Fraction(square, 4**bits)), Fraction(schur, 4**s))


# --- operations: value, moves, size and rounding --------------------------------------


class Space(NamedTuple):
    """What a register holds: "bars", their "values", or a vector in norm 2 or inf."""

    norm: Any
    width: int
    channel: Any = None  # the input that bars come from


class Twin(NamedTuple):
    """A frozen operation: its output, and functions of its inputs."""

    space: Space
    value: Callable[..., Any]
    carry: Callable[..., Vector]  # moves, or errors
    grow: Callable[..., Any] | None = None  # sizes -> size, rounding; None: exact
    moves: Callable[..., Any] | None = None  # moves of bars; None: carry
    values: Callable[..., Any] | None = None  # of all samples at once; None: one by one

    def range(self, *pairs: Any) -> tuple[Vector, Vector]:
        """Size and error of the output from those of the inputs."""
        sizes, errors = zip(*pairs, strict=True)
        moved = self.carry(*errors)
        if self.grow is None:
            return self.carry(*sizes), moved
        size, slip = self.grow(*sizes)
        return size + slip, moved + slip


def rounded(terms: Vector, n: int, lost: int = 0) -> tuple[Vector, Vector]:
    """Sums of n terms, and their rounding: gamma_n of them, and underflow [F1]."""
    demand(0 <= n < 2**40, "a sum of too many terms")
    gamma = Fraction(-((-n << 256) // (2**53 - n)), 2**256)
    return terms, terms * gamma + Vector([lost] * len(terms.n), 1074)


def one(f: Fraction) -> Vector:
    """Vector of the only number of an l_2 register."""
    return Vector.of([f])


def affine(w: Table, b: Vector, to_inf: bool, x: Space, *proof: Any) -> Twin:
    """W x + b [N1, N6]."""
    (m, n), a, space = w.shape, Matrix(w), Space(INF if to_inf else x.norm, w.shape[0])
    demand(x.width == n and len(b.n) == m, "Affine does not fit")
    value: Any = lambda v: a.times(v) + b
    values: Any = lambda vs: [v + b for v in a.times_all(vs)]
    if space.norm == 2:
        gain, shift = root(spectral(a.rows, a.s, *proof)), one(b.norm())
        whole = Vector.of(w.values).norm()
        slip: Any = lambda k: rounded(k * whole + shift, n + 2, (n + 2) * m)[1]
        grow = lambda k: (k * gain + shift, slip(k))
        return Twin(space, value, lambda k: k * gain, grow, None, values)
    lengths = Vector.of(Vector(row, a.s).norm() for row in a.rows)
    carry = a.size().times if x.norm == INF else lambda k: lengths * k.numbers()[0]
    grow = lambda k: rounded(carry(k) + abs(b), n + 2, n + 2)
    return Twin(space, value, carry, grow, None, values)


def distances(w: Table, b: Vector, c: Vector, n: int, x: Space) -> Twin:
    """sum_k c_k |x - w|_(k) + b, where c = (1) is the largest alone [N3, N4]."""
    a, gain = Matrix(w), sum(c.numbers())
    lines, m = [abs(Vector(row, a.s)) for row in a.rows], len(b.n)
    demand(x == Space(INF, w.shape[1]) and len(lines) == m, "distances do not fit")
    demand(min(c.n) >= 0 and len(c.n) <= x.width, "coefficients of a distance")
    value = lambda v: a.gaps(v, c.n)._replace(s=a.s + c.s) + b
    carry = lambda k: Vector.of([gain * max(k.numbers())] * m)

    def grow(k: Vector) -> tuple[Vector, Vector]:
        gap = Vector.of(max((k + line).numbers()) * gain for line in lines)
        terms, slip = rounded(gap + abs(b), n, len(c.n) + 4)
        return terms, slip + gap * U

    return Twin(Space(INF, m), value, carry, grow)


def of_vectors(kind: str, o: Fields, x: Space, *more: Space) -> Twin:
    """Twin of an operation on vectors; fields are taken out of `o` as they are used."""
    take: Any = lambda name: Vector.of(o.pop(name).values)
    flat, same = x.norm == INF, lambda k: k
    match kind:
        case "Affine":
            w, b, to_inf = o.pop("weight"), take("bias"), o.pop("to_inf")
            return affine(w, b, to_inf, x, *o.pop("proof", ()))
        case "Diagonal":  # s x + t by coordinate [N1]
            s, t = take("scale"), take("shift")
            demand(len(s.n) == len(t.n) == x.width, "Diagonal does not fit")
            gains = abs(s) if flat else abs(s).each(lambda n: [max(n)])
            sized = abs(t) if flat else one(t.norm())
            grow = lambda k: rounded(gains * k + sized, 3, 4)
            return Twin(x, lambda v: s * v + t, lambda k: gains * k, grow)
        case "GroupSort":  # neighbours sorted in groups [N2]
            size = o.pop("size")
            demand(size >= 1 and x.width % size == 0, "GroupSort does not fit")
            parts: Any = lambda n: (
                sorted(n[i : i + size]) for i in range(0, len(n), size)
            )
            value = lambda v: v.each(lambda n: [e for g in parts(n) for e in g[::-1]])
            tops = lambda k: k.each(lambda n: [g[-1] for g in parts(n) for _ in g])
            return Twin(x, value, tops if flat else same)
        case "Abs":  # [N2]
            return Twin(x, abs, same)
        case "ReLU":  # [N2]
            return Twin(x, lambda v: v.each(lambda n: [max(e, 0) for e in n]), same)
        case "Distance":
            return distances(o.pop("weight"), take("bias"), one(ONE), 1, x)
        case "SortNeuron":
            w, b, c = o.pop("weight"), take("bias"), take("coefficients")
            return distances(w, b, c, len(c.n) + 3, x)
        case "Concat":  # vectors side by side [R8]
            demand(all(y.norm == x.norm for y in more), "Concat of different norms")
            carry = joined if flat else lambda *k: one(joined(*k).norm())
            space = Space(x.norm, x.width + sum(y.width for y in more))
            return Twin(space, joined, carry)
        case "Add":  # x + y [N8]
            demand(more == (x,), "Add of different vectors")
            return Twin(x, add, add, lambda s, t: rounded(s + t, 1, 1))
        case "Reorder":  # coordinates at distinct positions [N2]
            p, n = o.pop("positions").values, o.pop("n_in")
            fits = len(set(p)) == len(p) and 0 <= min(p) <= max(p) < x.width == n
            demand(fits, "Reorder does not fit")
            pick: Any = lambda v: v.each(lambda n: [n[i] for i in p])
            return Twin(Space(x.norm, len(p)), pick, pick if flat else same)
        case "GroupLength":
            return group_length(o.pop("size"), x)
        case "Spline":
            return spline(o.pop("knots"), o.pop("slopes"), take("values"), x)
        case "Householder":
            return householder(o.pop("directions"), x)
        case "Sectors":
            return sectors(o.pop("directions"), x)
        case "CPL" | "SLL":  # x - 2 W^T relu(W x + b)
            w, b = o.pop("weight"), take("bias")
            a, q = Matrix(w), o.pop("shares") if kind == "SLL" else None
            square = (
                dominance(a, q.values) if q else spectral(a.rows, a.s, *o.pop("proof"))
            )
            return block(a, b, a, square, reflected(square), x)
        case "Sandwich":  # 2 A^T relu(B x + b)
            inner, b, outer = (
                Matrix(o.pop("inner")),
                take("bias"),
                Matrix(o.pop("outer")),
            )
            s, both = max(inner.s, outer.s), zip(outer.rows, inner.rows, strict=True)
            rows = [
                [*Vector(p, outer.s).over(s), *Vector(r, inner.s).over(s)]
                for p, r in both
            ]
            square = spectral(rows, s, *o.pop("proof"))
            return block(inner, b, outer, square, None, x)
    raise Refused(f"unknown operation {kind!r}")


def group_length(size: int, x: Space) -> Twin:
    """l_2 norms of groups of neighbours; roots are not exact here either [N2]."""
    demand(size >= 1 and x.width % size == 0, "GroupLength does not fit")
    parts: Any = lambda k: (k.n[i : i + size] for i in range(0, len(k.n), size))
    value: Any = lambda k: Vector.of(Vector(part, k.s).norm() for part in parts(k))
    carry = value if x.norm == INF else lambda k: k

    def grow(k: Vector) -> tuple[Vector, Vector]:
        terms, slip = rounded(carry(k), size + 2, size * 2**574)
        return terms, slip + terms * (ONE / 2**120)

    return Twin(Space(x.norm, x.width // size), value, carry, grow)


def spline(knots: Table, slopes: Table, start: Vector, x: Space) -> Twin:
    """v + rise from the first knot, piecewise linear, by coordinate [N2]."""
    (n, m), k, f, flat = knots.shape, Matrix(knots), Matrix(slopes), x.norm == INF
    demand(slopes.shape == (n, m + 1) and len(start.n) == x.width == n, "Spline")
    demand(m >= 1 and all(row == sorted(row) for row in k.rows), "Spline: knots")
    steep = Vector([max(map(abs, row)) for row in f.rows], f.s)

    def value(v: Vector) -> Vector:
        s, found = max(v.s, k.s), []
        for e, knot, slope in zip(v.over(s), k.rows, f.rows, strict=True):
            t = Vector(knot, k.s).over(s)
            inside = list(zip(t, t[1:], slope[1:], strict=False))
            found.append(rise(e, inside) - rise(t[0], inside))
            found[-1] += slope[0] * min(e - t[0], 0) + slope[-1] * max(e - t[-1], 0)
        return Vector(found, s + f.s) + start

    pieces = (
        zip(t, t[1:], g[1:], strict=False) for t, g in zip(k.rows, f.rows, strict=True)
    )
    rises = [sum(abs(slope) * (b - a) for a, b, slope in own) for own in pieces]
    far = steep * Vector([max(map(abs, t)) for t in k.rows], k.s)
    fixed, zero = (
        abs(start) + Vector(rises, k.s + f.s) + far,
        abs(value(Vector([0] * n, 0))),
    )
    if not flat:
        fixed, zero = one(fixed.norm()), one(zero.norm())
        steep = Vector([max(steep.n)], steep.s)

    def grow(size: Vector) -> tuple[Vector, Vector]:
        _, slip = rounded(fixed + steep * size, m + 9, 8 * n * (m + 1))
        return steep * size + zero, slip

    return Twin(x, value, lambda size: steep * size, grow)


def reflected(square: Fraction) -> Fraction:
    """Norm of I - 2 M where 0 <= M <= square * I."""
    return max(ONE, 2 * square - 1)


def householder(directions: Table, x: Space) -> Twin:
    """z - 2 v max(0, <v, z>) for pairs z of neighbours, one v after another [N2]."""
    (order, m, two), (flat, s) = directions.shape, Vector.of(directions.values)
    demand(x.norm == 2 and two == 2 and x.width == 2 * m, "Householder does not fit")
    steps = [flat[k * 2 * m : (k + 1) * 2 * m] for k in range(order)]
    lengths = (
        [a * a + b * b for a, b in zip(v[::2], v[1::2], strict=True)] for v in steps
    )
    squares = [Fraction(max(each), 4**s) for each in lengths]
    gain = math.prod(map(reflected, squares), start=ONE)

    def value(z: Vector) -> Vector:
        for v in steps:
            pairs = zip(z.n[::2], z.n[1::2], v[::2], v[1::2], strict=True)
            twice = [2 * max(0, p * a + q * b) for p, q, a, b in pairs]
            pull = [-twice[i // 2] * a for i, a in enumerate(v)]
            z = z + Vector(pull, z.s + 2 * s)
        return z

    def grow(k: Vector) -> tuple[Vector, Vector]:
        size, slip = k, k * ZERO
        for square in squares:
            _, more = rounded(size * (1 + 2 * square), 8, 8 * len(flat))
            size, slip = (v * reflected(square) + more for v in (size, slip))
        return k * gain, slip

    return Twin(x, value, lambda k: k * gain, grow)


def sectors(directions: Table, x: Space) -> Twin:
    """Pairs z, complex numbers: kept, reflected or turned, by where they point [N2].

    With c = a a b b / |a b|^2 and so on the pieces are z, c z*, t z and r z*; what is
    divided is rounded in the 256th binary digit.
    """
    (three, m, two), (flat, s) = directions.shape, Vector.of(directions.values)
    demand(x.norm == 2 and (three, two, 2 * m) == (3, 2, x.width), "Sectors do not fit")
    v = list(zip(flat[::2], flat[1::2], strict=True))
    found = []
    for a, b, w in zip(v[:m], v[m : 2 * m], v[2 * m :], strict=True):
        demand(b[1] >= 0 and w[1] >= 0, "Sectors: angles")
        squares = [p * p + q * q for p, q in (a, b, w)]
        demand(all(4**s <= 4 * n <= 4 ** (s + 2) for n in squares), "Sectors: lengths")
        twice = [turn(e, e) for e in (turn(a, b), (w[0], -w[1]), a)]
        lengths = [math.isqrt(p * p + q * q) for p, q in twice]  # of squares: exact
        units = [
            ((p << 256) // n, (q << 256) // n)
            for (p, q), n in zip(twice, lengths, strict=True)
        ]
        ends = [p < 0 and q == 0 for p, q in (w, b)]  # of them, rays at a whole turn
        rays = (b, turn(b, w), (-w[0], -w[1]))[: 3 - ends[0] - all(ends)]
        found.append((a, rays, units))

    def value(z: Vector) -> Vector:
        moved: list[int] = []
        for v, (a, rays, units) in zip(
            zip(z.n[::2], z.n[1::2], strict=True), found, strict=True
        ):
            y = turn((a[0], -a[1]), v)
            k = [*(passed(y, ray) for ray in rays), False].index(False)
            mirror = v if k in {0, 2} else (v[0], -v[1])
            moved += turn(mirror, units[k - 1]) if k else (v[0] << 256, v[1] << 256)
        return Vector(moved, z.s + 256)

    def grow(k: Vector) -> tuple[Vector, Vector]:
        _, slip = rounded(k, 512, 8 * len(flat))
        return k, slip + k * (ONE / 2**200)

    return Twin(x, value, lambda k: k, grow)


def turn(v: tuple[int, int], w: tuple[int, int]) -> tuple[int, int]:
    """Product of complex numbers."""
    return v[0] * w[0] - v[1] * w[1], v[0] * w[1] + v[1] * w[0]


def passed(y: tuple[int, int], ray: tuple[int, int]) -> bool:
    """Whether y points further than the ray, both from 0 up to, not with, a turn."""
    late, there = (q < 0 or (q == 0 and p < 0) for p, q in (y, ray))
    return late if late != there else turn((ray[0], -ray[1]), y)[1] > 0


def dominance(w: Matrix, shares: Sequence[float]) -> Fraction:
    """max_i sum_j |W W^T|_ij q_j / q_i, at least the square of the norm [N5]."""
    demand(len(shares) == len(w.rows) and min(shares) > 0, "SLL needs shares > 0")
    q, found = Vector.of(shares).n, []
    for row, own in zip(w.rows, q, strict=True):
        gram = (abs(sum(map(mul, row, other))) for other in w.rows)
        found.append(Fraction(sum(map(mul, gram, q)), own))
    return Fraction(math.ceil(max(found) * 2**200), 2**200 * 4**w.s)


def block(
    inner: Matrix, b: Vector, outer: Matrix, square: Fraction, kept: Any, x: Space
) -> Twin:
    """x - 2 A^T relu(B x + b), or 2 A^T relu(B x + b) for `kept` None [N5]."""
    m, n, width = len(inner.rows), len(inner.rows[0]), len(outer.rows[0])
    fits = x.norm == 2 and x.width == n and m == len(outer.rows) == len(b.n)
    demand(fits and (kept is None or width == n), "a block does not fit")
    columns = [list(column) for column in zip(*outer.rows, strict=True)]
    long, wide = (
        joined(*(Vector(r, a.s) for r in a.rows)).norm() for a in (inner, outer)
    )
    gain, slope, shift = kept or square, root(square), one(b.norm())
    lost = (m + n) * (m + width)

    def value(v: Vector) -> Vector:
        hidden = (inner.times(v) + b).each(lambda h: [max(e, 0) for e in h])
        step = Vector(
            [2 * sum(map(mul, c, hidden.n)) for c in columns], hidden.s + outer.s
        )
        return step if kept is None else v + step * -ONE

    def grow(k: Vector) -> tuple[Vector, Vector]:
        _, miss = rounded(k * long + shift, n + 2, lost)
        _, last = rounded((k * slope + shift + miss) * (2 * wide), m + 2, lost)
        slip = last + rounded(k, 2)[1] + miss * (2 * slope)
        return k * gain + shift * (2 * slope), slip

    return Twin(Space(2, width), value, lambda k: k * gain, grow)


def joined(*parts: Vector) -> Vector:
    """Vectors side by side."""
    s = max(part.s for part in parts)
    return Vector([v for part in parts for v in part.over(s)], s)


class Moves(NamedTuple):
    """How far bars move, by metric; slopes of their values in l_1, l_2, l_inf."""

    constants: Any  # pairs of a metric and a constant
    slopes: dict[float, list[Fraction]]
    deaths: bool = False
    lengths: Fraction = ZERO  # values are this multiple of the lengths

    def best(self, p: float, ranks: int, *kinds: str) -> Vector:
        """Smallest proved constant of the sorted values of each function in l_p.

        What bounds each of `ranks` values bounds them in l_2 at sqrt(ranks) [C1].
        """
        found = []
        for (kind, order, ground), k in self.constants:
            alone = order > p and order == INF and ranks
            if kind not in kinds or (order > p and not alone):
                continue
            c = k * root(Fraction(ranks)) if alone else k
            if kind == "SortedDeaths" and self.deaths:  # [H1]
                found.append([c])
            if kind == "SortedLengths" and self.lengths:  # [R1]
                found.append([c * self.lengths] * len(self.slopes[2]))
            for q, slopes in self.slopes.items() if kind == "Diagrams" else ():  # [R3]
                wider = power(TWO, max(ZERO, inverse(q) - inverse(ground)))  # [C1]
                found.append([c * wider * slope for slope in slopes])
        demand(found, "no theorem leads from the bounds to the features")
        return Vector.of(min(column) for column in zip(*found, strict=True))


def of_bars(kind: str, o: Fields, x: Space) -> Twin:
    """Twin of functions of single bars; values are columns of integers, and a power."""
    most: Any
    moves: Any
    grow: Any
    value: Any
    match kind:
        case "BarFunctions":  # max(0, min_j (a_j b + c_j d + e_j)) [R3]
            forms = o.pop("forms")
            (n, m, _), (flat, s) = forms.shape, Vector.of(forms.values)
            triples = [flat[k : k + 3] for k in range(0, len(flat), 3)]
            functions = [triples[k * m : (k + 1) * m] for k in range(n)]
            demand(all(map(vanishes, functions)), "a bar function > 0 on the diagonal")
            most = lambda way: [
                max(way(*map(abs, form)) for form in own) / Fraction(2**s)
                for own in functions
            ]
            slopes = {
                INF: most(lambda a, c, _: a + c),
                2: most(lambda a, c, _: root(Fraction(a * a + c * c))),
                1: most(lambda a, c, _: max(a, c)),
            }
            half = ONE / 2 if list(forms.values) == [-0.5, 0.5, 0.0] * n else ZERO
            moves = lambda bars: Moves(bars, slopes, False, half)
            size: Any = lambda r: Vector.of(most(lambda a, c, e: (a + c) * r + e))
            grow = lambda r: rounded(size(*r.numbers()), 5, 8)

            def tents(bars: Any) -> Any:
                births, deaths, t = bars
                pairs, columns = list(zip(births, deaths, strict=True)), []
                for own in functions:
                    lines = ((a, c, e << t) for a, c, e in own)
                    each = [[a * b + c * d + e for b, d in pairs] for a, c, e in lines]
                    tent = each[0] if m == 1 else map(min, *each)
                    columns.append([v for v in tent if v > 0])
                return columns, s + t

            value = tents
        case "Deaths":  # of bars that are all born at 0 [H1]
            demand(x.channel and x.channel["pinned"], "deaths of bars born anywhere")
            n, slopes = 1, {INF: [TWO], 2: [root(TWO)], 1: [ONE]}
            moves = lambda bars: Moves(bars, slopes, True, ONE)
            grow = lambda r: rounded(r, 0)
            value = lambda bars: ([[d for d in bars[1] if d > 0]], bars[2])
        case "Contours":  # F(d) - F(b), F' a step function >= 0 [R2]
            knots, steep = Matrix(o.pop("knots")), Matrix(o.pop("slopes"))
            n, both = len(knots.rows), list(zip(knots.rows, steep.rows, strict=True))
            m = len(knots.rows[0]) - 1
            fits = all(t == sorted(t) and min(f) >= 0 and len(f) == m for t, f in both)
            demand(fits, "a contour falls somewhere")
            pieces = [list(zip(t, t[1:], f, strict=False)) for t, f in both]
            sizes = [sum(f * (b - a) for a, b, f in own) for own in pieces]
            tops = [Fraction(max(f), 2**steep.s) for f in steep.rows]
            gains = {INF: TWO, 2: root(TWO), 1: ONE}
            slopes = {q: [gain * top for top in tops] for q, gain in gains.items()}
            moves = lambda bars: Moves(bars, slopes)
            grow = lambda _: rounded(Vector(sizes, knots.s + steep.s), 2 * m + 8, 2 * m)

            def lengths(bars: Any) -> Any:
                *ends, t = bars
                s, columns = max(t, knots.s), []
                up, over = s - t, s - knots.s
                for own in pieces:
                    near = [(a << over, b << over, f) for a, b, f in own]
                    low, high = ([rise(v << up, near) for v in end] for end in ends)
                    columns.append([v for v in map(sub, high, low) if v > 0])
                return columns, s + steep.s

            value = lengths
        case _:
            raise Refused(f"unknown operation {kind!r}")
    demand(x.norm == "bars", f"{kind} reads bars")
    nothing = Vector([0] * n, 0)
    return Twin(Space("values", n, x.channel), value, lambda _: nothing, grow, moves)


def rise(v: int, pieces: list[tuple[int, int, int]]) -> int:
    """F(v), up to a constant: slopes times the parts of their intervals below v."""
    return sum(slope * min(max(v, a), b) for a, b, slope in pieces)


def vanishes(forms: list[list[int]]) -> bool:
    """Whether min_j ((a_j + c_j) t + e_j) <= 0 for all t."""
    lines = [(a + c, e) for a, c, e in forms]
    if any(slope == 0 and height <= 0 for slope, height in lines):
        return True
    rising, falling = ([v for v in lines if sign * v[0] > 0] for sign in (1, -1))
    met = [Fraction(f - e, s - r) for s, e in rising for r, f in falling]
    return bool(met) and all(min(s * t + e for s, e in lines) <= 0 for t in met)


def of_values(kind: str, o: Fields, x: Space) -> Twin:
    """Twin of what sorts values of bars, and keeps some ranks [R3], or tails [R1]."""
    ranks, p = o.pop("ranks").values, number(o.pop("p"))
    rising = ranks and ranks[0] >= 0 and all(a < b for a, b in pairwise(ranks))
    demand(x.norm == "values" and rising, "ranks must ascend from 0")
    at: Any = lambda column: [column[r] if r < len(column) else 0 for r in ranks]
    each: Any = lambda k: k.each(lambda n: [e for e in n for _ in ranks])
    width, most = x.width * len(ranks), x.channel["max_bars"]
    if kind == "SortTop":
        demand(p in (2, INF), f"sorted values in l_{p}")
        ranked: Any = lambda v: [e for c in v for e in at(sorted(c, reverse=True))]
        length: Any = lambda k: one(k.norm())
        best: Any = lambda k: k.best(
            p, len(ranks), "Diagrams", "SortedDeaths", "SortedLengths"
        )
        carry: Any = each if p == INF else lambda k: length(each(k))
        moves: Any = lambda k: (each if p == INF else length)(best(k))
        value: Any = lambda v: Vector(ranked(v[0]), v[1])
        return Twin(Space(p, width), value, carry, None, moves)
    demand(kind == "Tails" and p in (1, 2) and o.pop("max_bars") >= 0, f"{kind}: {p}")
    carry = lambda k: each(k) * power(Fraction(most), inverse(p))
    moves = lambda k: each(k.best(p, 0, "Diagrams"))

    def tails(v: Any) -> Vector:
        sums = ([*accumulate(e ** int(p) for e in sorted(c))][::-1] for c in v[0])
        found = Vector([e for c in sums for e in at(c)], v[1] * int(p))
        return found if p == 1 else Vector.of(map(root, found.numbers()))

    def grow(k: Vector) -> tuple[Vector, Vector]:
        terms, slip = rounded(carry(k), most + 4, 2**574)
        return terms, slip + terms * (ONE / 2**120)  # roots are not exact here either

    return Twin(Space(INF, width), tails, carry, grow, moves)


# --- theorems: how far bars move, by ledger id ----------------------------------------

BOTTLENECK, DEATHS = ("Diagrams", INF, INF), ("SortedDeaths", INF, INF)
#: Bounds of the squared cosines at a vertex of a minimum spanning tree [H2].
SQUARES = {1: "2", 2: "3", 3: "5.175", 4: "24", 5: "44", 6: "78", 7: "134", 8: "240"}


class Case(NamedTuple):
    """One channel of one sample, and what theorems may ask about it."""

    threat: str  # class
    p: float  # order of the threat
    q: float  # ground norm of the threat
    spec: Fields  # of the extractor: class and parameters
    name: str  # of the channel, without that of a part of a union
    degree: int
    geometry: dict[str, Fraction]
    weights: list[Fraction]  # the two largest, of a weighted threat

    def two(self) -> Fraction:
        """Largest sum of the moves of two points, per unit of the threat [X3]."""
        if self.weights:
            return sum(self.weights, ZERO)
        moves = {"Displacement": TWO, "SinglePoint": ONE, "Budget": root(TWO)}
        return (moves | {"Hausdorff": TWO})[self.threat]


def tree(c: Case, scale: Fraction) -> Fields:
    """Edges of a minimum spanning tree under an l_2 budget [H2, H3]."""
    if c.degree > 0 or c.threat not in ("Budget", "SinglePoint"):
        return {}
    best, dimension = root(c.geometry["n_points"]), int(c.geometry["dimension"])
    if dimension in SQUARES:
        best = min(best, 1 + root(Fraction(SQUARES[dimension]) - 1))
    targets = {"H2": ("SortedDeaths", 2, INF), "H2 . H3": ("Diagrams", 2, 1)}
    return dict.fromkeys(targets.items(), scale * best)


def rips(c: Case, cap: Fraction | None, landmarks: int | None, matrix: bool) -> Fields:
    """Diagrams of a matrix of distances; with landmarks (constant, offset) [X15]."""
    g, more = c.geometry, {} if matrix else tree(c, ONE)
    if matrix:
        name, k = "X2", {"MatrixSup": ONE}[c.threat]
    elif c.threat == "Strain":
        near = c.degree == 0 and "largest_death" in g
        name, k = "X14", g["largest_death" if near else "diameter"]
        k = k if cap is None else min(k, cap)
    else:
        name, k = "X4" if c.threat == "Hausdorff" else "X3", c.two()
    if c.threat == "Budget" and c.degree > 0:
        more = {("X3", ("SortedLengths", INF, INF)): root(Fraction(6))}
    if landmarks is None:
        return {(name, BOTTLENECK): k, (f"{name} . H1", DEATHS): k} | more
    demand(not matrix, "landmarks of a matrix have no theorem")
    r = g["cover_radius"]
    pace = r if c.threat == "Strain" else c.weights[0] if c.weights else ONE
    kept = c.threat != "Hausdorff" and g["n_points"] <= landmarks
    owed = (k, ZERO) if kept else (k + 4 * pace, 6 * r)
    return {("X15", BOTTLENECK): owed, ("X15 . H1", DEATHS): owed}


def pixels(c: Case, ends: Any, branches: Any, whole: str = "X10") -> Fields:
    """Values on a fixed complex; `ends` of bars move with one value [X10, X11, H4]."""
    demand(c.threat in ("PixelSup", "PixelBudget"), "values move in pixel threats")
    found: Fields = {(whole, BOTTLENECK): ONE}
    for p in {c.p, max(c.p, 2)} - {INF} if c.threat == "PixelBudget" else ():
        name = "X11 . X12" if c.name.startswith("Ext") else "X11"
        found[name, ("Diagrams", p, p)] = power(Fraction(ends), inverse(p))
    if branches is not None and c.threat == "PixelBudget" and c.p <= 2:
        found["H4", ("SortedLengths", 2, INF)] = root(Fraction(branches))
    return found


def theorems(c: Case) -> Fields:
    """{(ledger id, target): constant} of all that is proved for a channel."""
    g, o, family = c.geometry, c.spec["params"], c.spec["class"]
    cap = Fraction(o["threshold"]) if o.get("threshold") is not None else None
    matrix = o.get("metric") == "precomputed"
    match family, c.threat:
        case _, "BottleneckBall":
            return {("C1", BOTTLENECK): ONE}
        case _, "WassersteinBall":
            return {("C1", ("Diagrams", c.p, c.q)): ONE}
        case "AlphaPersistence", "Strain":
            k = g["largest_death" if c.degree == 0 else "meb_radius"]
            return {("X14", BOTTLENECK): k, ("X14", DEATHS): k}
        case "AlphaPersistence", _:
            k = c.two() / 2
            return {("X5", BOTTLENECK): k, ("H1", DEATHS): k} | tree(c, ONE / 2)
        case "RipsPersistence", _:
            return rips(c, cap, o["n_landmarks"], matrix)
        case "DTMPersistence", "Displacement":
            return {("X9 . X10", BOTTLENECK): c.weights[0] if c.weights else ONE}
        case "DTMPersistence", "SinglePoint" | "Budget":
            q, share = number(o["q"]), ONE / int(c.name.split("/")[0][1:])
            order = max(q, 2) if c.threat == "Budget" else q
            return {("X9 . X10", BOTTLENECK): power(share, inverse(order))}
        case "DTMRipsPersistence", "Strain":
            k = g["largest_value"]
            return {("X14", BOTTLENECK): k if cap is None else min(k, cap)}
        case "DTMRipsPersistence", _:
            n = o["n_neighbors"]
            k = ONE + 2 * (
                power(Fraction(n - 1, n), inverse(o["q"])) if n > 1 else ZERO
            )
            demand(matrix == (c.threat == "MatrixSup"), "a threat to another input")
            demand(c.threat != "Hausdorff", "clouds of one size are expected")
            name, k = ("X8", k) if matrix else ("X3 . X8", k * c.two())
            return {(name, BOTTLENECK): k}
        case "CubicalPersistence", _:
            low = o["construction"] == "vertex" and c.degree == 0
            ends = Fraction({1: 1, 2: 3, 3: 5 if low else 7}[int(g["dimension"])])
            return pixels(c, ends, ends + 1 if c.degree == 0 else None)
        case "GraphPersistence", _:
            degree, branch = max(g["max_degree"], ONE), c.name in ("H0", "Ord0", "Rel1")
            ends = ONE if c.name == "Ext+0" else max(degree - 1, ONE)
            whole = "X12" if o["extended"] else "X10"
            return pixels(c, ends, degree if branch else None, whole)
    raise Refused(f"no theorem for {c.threat} and {family or 'bars of any origin'}")


def proved(c: Case, ledger: str, target: Sequence[Any]) -> tuple[Any, ...]:
    """Metric, constant and offset of a listed bound, from its ledger id alone."""
    kind, order, ground = (*target, INF, INF)[:3]
    kind = "Diagrams" if kind in ("Bottleneck", "Wasserstein") else kind
    metric = kind, number(order), number(ground)
    if c.spec["params"].get("threshold") is not None:
        ledger = ledger.replace(" . X18", "")  # clipping both ends costs nothing
    found = theorems(c).get((ledger, metric))
    demand(
        found is not None, f"[{ledger}] proves nothing for {c.spec['class']}: {target}"
    )
    demand(kind != "SortedDeaths" or c.degree == 0, "sorted deaths above degree 0")
    return (metric, *found) if isinstance(found, tuple) else (metric, found, ZERO)


# --- the decision ---------------------------------------------------------------------


class Program:
    """A straight-line program: twins, and the registers that they read."""

    def __init__(self, spec: Any, tables: Tables, proofs: Any) -> None:
        self.inputs, self.steps = spec["inputs"], []  # type: Any, list[Any]
        self.on_bars = all(i["type"] == "BarInput" for i in self.inputs)
        demand(self.on_bars or len(self.inputs) == 1, "vectors come one at a time")
        self.spaces = [Space("bars", 2, i) for i in self.inputs]
        if not self.on_bars:
            self.spaces = [Space(number(i["norm"]), i["width"]) for i in self.inputs]
            demand(self.inputs[0]["limit"] > 0, "a vector is clipped to nothing")
        for k, fields in enumerate(spec["operations"]):
            name, o = f"op{k:03d}", dict(fields)
            kind, reads = o.pop("kind"), o.pop("inputs")
            demand(kind not in UNDECIDED, f"not decided: {UNDECIDED.get(kind)}")
            o |= {n[6:]: t for n, t in tables.items() if n.startswith(f"{name}.")}
            if name in proofs:
                o["proof"] = *proofs[name], tables[f"norm.{name}"]
            demand(all(0 <= i < len(self.spaces) for i in reads), "registers")
            xs = [self.spaces[i] for i in reads]
            of = {"bars": of_bars, "values": of_values}.get(xs[0].norm, of_vectors)
            found = of(kind, o, *xs)
            demand(not o, f"{kind} with unknown {', '.join(o)}")
            self.steps.append((found, reads, kind))
            self.spaces.append(found.space)
        widths = [space.width for space in self.spaces]
        demand(max(len(widths), *widths) <= CAPS["count"], "the program is too large")
        norms = {space.norm for space in self.spaces[len(self.inputs) :]}
        norms |= set() if self.on_bars else {self.spaces[0].norm}
        demand(norms <= {"values", 2, INF}, "a norm that nothing is known of")
        demand(self.spaces[-1].norm in (2, INF), "the output is no vector")
        self.n, affine = widths[-1], kind == "Affine"
        self.head: Any = Matrix(tables[f"{name}.weight"]) if affine else None

    def sweep(self, start: Sequence[Any], function: Callable[[Twin], Any]) -> list[Any]:
        """All registers, by one function of every twin."""
        registers = list(start)
        for found, reads, _ in self.steps:
            registers.append(function(found)(*(registers[i] for i in reads)))
        return registers

    def logits(self, starts: list[list[Any]]) -> list[list[Fraction]]:
        """Exact outputs, one list a sample."""
        columns: list[Any] = list(map(list, zip(*starts, strict=True)))
        for found, reads, _ in self.steps:
            own = [columns[i] for i in reads]
            columns.append(
                found.values(*own) if found.values else [*map(found.value, *own)]
            )
        return [v.numbers() for v in columns[-1]]

    def ranges(self) -> list[Any]:
        """Size and error of every register over the frozen domain."""
        start = []
        for i, (kind, width, _) in zip(self.inputs, self.spaces, strict=False):
            reach = max(abs(i["low"]), abs(i["high"])) if self.on_bars else i["limit"]
            size = Vector.of([reach] * (width if kind == INF else 1))
            size = size * root(Fraction(width)) if kind == 2 else size
            start.append((size, size * ZERO))
        return self.sweep(start, lambda found: found.range)

    def moves(self, start: Sequence[Any]) -> list[Any]:
        """How far every register moves."""
        return self.sweep(start, lambda found: found.moves or found.carry)

    def pairs(self, registers: Sequence[Any], c: int) -> list[Fraction]:
        """L_cj for every j: how far z_c - z_j moves [N9]."""
        if self.head is None:
            flat, k = self.spaces[-1].norm == INF, registers[-1].numbers()
            pairs = [k[c] + v for v in k] if flat else [root(TWO) * k[0]] * self.n
            return [ZERO if j == c else v for j, v in enumerate(pairs)]
        below, rows, s = self.steps[-1][1][0], self.head.rows, self.head.s
        gaps = [Vector(list(map(abs, map(sub, rows[c], row))), s) for row in rows]
        if self.spaces[below].norm == INF:
            return [sum((gap * registers[below]).numbers(), ZERO) for gap in gaps]
        return [(registers[below] * gap.norm()).numbers()[0] for gap in gaps]


class Data:
    """What the file says of its samples: bars or vectors, and where they come from."""

    def __init__(self, header: Fields, tables: Tables, program: Program) -> None:
        self.tables, self.inputs, self.spaces = tables, program.inputs, program.spaces
        self.on_bars, self.n = program.on_bars, len(tables["claim.radius"].values)
        self.threat, self.bounds = header["threat"], header["bounds"]
        self.about, name, width = header["diagrams"], "vectors", self.spaces[0].width
        if self.on_bars:
            name, width = "offsets", len(self.about["channels"]) + 1
        fits = tables[f"data.{name}"].shape == (self.n, width)
        demand(fits, "as many claims as samples are expected")

    def start(self, i: int) -> list[Any]:
        """Registers that the program starts from, clipped as it does [X18]."""
        if self.on_bars:
            return [self.bars(i, entry) for entry in self.inputs]
        limit, n = self.inputs[0]["limit"], self.spaces[0].width
        row = self.tables["data.vectors"].values[i * n : (i + 1) * n]
        return [Vector.of(min(max(v, -limit), limit) for v in row)]

    def bars(self, i: int, entry: Fields) -> tuple[list[int], list[int], int]:
        """Births and deaths of one channel that the program accepts, over 2**s."""
        names, values = self.about["channels"], self.tables["data.bars"].values
        c, width = names.index(entry["channel"]), len(names) + 1
        for k in ("degree", "convention", "unit"):
            demand(self.about[f"{k}s"][c] == entry[k], f"{names[c]} has another {k}")
        first, last = self.tables["data.offsets"].values[i * width + c :][:2]
        demand(0 <= first <= last <= len(values) // 2, "offsets")
        own = values[2 * first : 2 * last]
        births, deaths = own[::2], own[1::2]
        error = self.tables["data.error"].values[i * len(names) + c]
        accepted = len(births) <= entry["max_bars"] and 0 <= error <= entry["max_error"]
        demand(accepted, f"sample {i} has more bars, or a larger error, than it may")
        demand(all(map(le, births, deaths)), f"sample {i}: a death before its birth")
        pinned, low, high = entry["pinned"], entry["low"], entry["high"]
        fits = low <= high and not (pinned and (low or any(births)))
        demand(fits, f"sample {i}: births after 0, or an empty domain")
        both = (min(max(v, low), high) for side in (births, deaths) for v in side)
        ends, s = Vector.of(both)
        return ends[: len(births)], ends[len(births) :], s

    def moves(self, i: int) -> list[Any]:
        """Constants of all inputs, then their offsets: hashable, by metric for bars."""
        if self.on_bars:
            listed = [self.channel(i, entry["channel"]) for entry in self.inputs]
            pick: Any = lambda k: tuple(
                tuple((m[0], m[k]) for m in own) for own in listed
            )
            return [pick(1), pick(2)]
        demand(self.threat["class"] == "FeatureBall", "vectors move in a FeatureBall")
        kind, n, _ = self.spaces[0]
        k = ONE if number(self.threat["norm"]) <= kind else root(Fraction(n))
        move = [k] * (n if kind == INF else 1)
        return [(tuple(move),), (tuple(v * 0 for v in move),)]

    def channel(self, i: int, channel: str) -> list[Any]:
        """(metric, constant, offset) of every listed bound; too small a one refuses."""
        source, path, name = self.about["source"], "source", channel
        while source and source["parts"]:
            part, _, name = name.partition("/")
            source, path = source["parts"][part], f"{path}.parts.{part}"
        threat, own, weights = self.threat, f"{path}.geometry.", []
        known = {k.removeprefix(own): k for k in self.tables if k.startswith(own)}
        if threat.get("weights") is not None:
            top = self.tables[f"source.weights.{threat['name']}"].values
            weights = [*map(Fraction, top[2 * i : 2 * i + 2])]
        geometry = {k: Fraction(self.tables[v].values[i]) for k, v in known.items()}
        kind = threat["class"], number(threat.get("p")), number(threat.get("q"))
        spec = source["spec"] if source else {"class": "", "params": {}}
        degree = self.about["degrees"][self.about["channels"].index(channel)]
        case, found = Case(*kind, spec, name, degree, geometry, weights), []
        for k, bound in enumerate(self.bounds[channel]):
            found.append(proved(case, bound["ledger"], bound["target"]))
            stated = self.tables[f"bound.{channel}.{k}"].rows()
            fits = all(map(le, found[-1][1:], stated[i if len(stated) > 1 else 0]))
            demand(fits, f"[{bound['ledger']}] of {channel} is stated too small")
        return found


class Verdict(NamedTuple):
    """What was decided of one sample; no complaint if its certificate stands."""

    claimed: float
    exact: Any  # radius: Fraction, infinity, or None
    complaint: str


class Judge:
    """Decides everything that one file claims."""

    def __init__(self, header: Fields, tables: Tables) -> None:
        self.header, self.tables, self.known = header, tables, {}  # type: Any, Any, Any
        parts = {"model": ("program", "op"), "data": ("diagrams", "data.", "source.")}
        for part, (entry, *prefixes) in parts.items():
            own = {k: v for k, v in tables.items() if k.startswith(tuple(prefixes))}
            same = fingerprint(header[entry], own) == header["hashes"][part]
            demand(same, f"the {part} is not that whose hash is stated")
        kind, _, top = header["kind"].partition(" ")
        known = kind in ("margin", "top") and header["alpha"] == 0
        demand(known, f"certificates of the kind {header['kind']!r}")
        self.program = Program(header["program"], tables, header["norms"])
        self.top, self.ahead = int(top or 1), {}  # type: int, dict[int, list[Fraction]]
        self.data, ranges = Data(header, tables, self.program), self.program.ranges()
        self.broken = any(v >= 2**1020 for size, _ in ranges for v in size.numbers())
        self.error = (ranges[-1][1].numbers() * self.program.n)[: self.program.n]

    def logits(self, i: int) -> list[Fraction]:
        """Exact logits of a sample; computed for many at once."""
        if i not in self.ahead:
            some = range(i, min(i + AT_ONCE, self.data.n))
            found = self.program.logits([self.data.start(k) for k in some])
            self.ahead = dict(zip(some, found, strict=True))
        return self.ahead[i]

    def limits(self, i: int, c: int) -> tuple[list[Fraction], list[Fraction]]:
        """L_cj, and what is owed for errors and approximations, for every j."""
        starts = self.data.moves(i)
        if self.program.on_bars:
            starts.append(tuple(map(self.engine, self.program.inputs)))
        if (*starts, c) not in self.known:
            gaps, *shares = (
                self.program.pairs(self.moves(start), c) for start in starts
            )
            each = zip(self.error, *shares, strict=True)
            self.known[*starts, c] = gaps, [self.error[c] + sum(owed) for owed in each]
        found: tuple[list[Fraction], list[Fraction]] = self.known[*starts, c]
        return found

    def moves(self, start: Any) -> list[Any]:
        """Moves of all registers, from hashable moves of the inputs."""
        if start not in self.known:
            given = start if self.program.on_bars else [*map(Vector.of, start)]
            self.known[start] = self.program.moves(given)
        found: list[Any] = self.known[start]
        return found

    def engine(self, entry: Fields) -> tuple[Any, ...]:
        """How far the engine's errors at x and in the ball move bars together [C1]."""
        e, ends = 2 * Fraction(entry["max_error"]), Fraction(2 * entry["max_bars"])
        table = {BOTTLENECK: e, DEATHS: e, ("Diagrams", 1, INF): e * ends}
        table |= {
            (kind, 2, INF): e * root(ends) for kind in ("Diagrams", "SortedDeaths")
        }
        return tuple(table.items())

    def judge(self, i: int) -> Verdict:
        """Decide the claim about one sample."""
        names, n = ("label", "rival", "reason", "radius"), self.program.n
        claim = (self.tables[f"claim.{name}"].values[i] for name in names)
        label, rival, reason, radius = claim
        fits = 0 <= label < n and 0 <= rival < n and reason >= 0 and radius >= 0
        demand(fits, f"sample {i} is said to be no class, or has no radius")
        text = self.header["reasons"][reason]
        word = "constant" if radius == INF else "" if radius > 0 else text or "why"
        if text != word or (rival == label) != (radius == INF):
            return Verdict(radius, None, "reason or rival do not fit the radius")
        if self.broken:
            return Verdict(radius, None, "floats may overflow" if radius else "")
        z, (gaps, owed) = self.logits(i), self.limits(i, label)
        left = [z[label] - v - o for v, o in zip(z, owed, strict=True)]
        ways = sorted(
            (ZERO if m <= 0 else m / g if g else INF, j)
            for j, (m, g) in enumerate(zip(left, gaps, strict=True))
            if j != label
        )
        exact, first = ways[self.top - 1] if ways else (INF, label)
        if not (radius == 0 or radius < exact or radius == exact == INF):
            return Verdict(radius, exact, "the label can change within the radius")
        behind = (m + 2 * o < 0 for m, o in zip(left, owed, strict=True))
        if self.header["kind"] == "margin" and any(behind):
            return Verdict(radius, exact, "another label is predicted")
        # Charged twice and more, or not at all: even so, `first` comes first.
        late = (left[rival] - 8 * owed[rival]) * gaps[first]
        if 0 < radius < 2.0**1000 and late > (left[first] + owed[first]) * gaps[rival]:
            return Verdict(radius, exact, "another rival decides")
        return Verdict(radius, exact, "")

    def report(self, verdicts: list[Verdict]) -> str:
        """Say what was decided, what is trusted, and what is left open."""
        header, wrong = (
            self.header,
            [(i, v) for i, v in enumerate(verdicts) if v.complaint],
        )
        sure = [v for v in verdicts if v.claimed > 0 and not v.complaint]
        finite = (Fraction(v.claimed) / v.exact for v in sure if v.exact != INF)
        lost = float(1 - min(finite, default=ONE))
        kinds = Counter(kind for _, _, kind in self.program.steps)
        ledger = {b["ledger"] for own in header["bounds"].values() for b in own}
        numbers = {k.split(".geometry.")[1] for k in self.tables if ".geometry." in k}
        trusted = "vectors"
        if self.program.on_bars:
            trusted = f"bars with their errors, {', '.join(sorted(numbers))}"
        lines = [
            f"claims    {len(verdicts)}, {header['kind']}: {header['threat']['name']}",
            f"model     {header['hashes']['model']}",
            f"data      {header['hashes']['data']}",
            "checked   "
            + ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())),
            f"theorems  {', '.join(sorted(ledger or {'C1'}))}",
            f"stand     {len(sure)}, at most {lost:.1e} below the exact radius",
            f"abstain   {len(verdicts) - len(sure) - len(wrong)}",
            f"trusted   {trusted}, and the names of the classes",
            f"not here  {', '.join(UNDECIDED.values())}, and sampling (smoothing)",
        ]
        lines += [
            f"WRONG     sample {i}: {v.complaint}: {v.claimed!r}" for i, v in wrong
        ]
        return "\n".join(lines)


def check(folder: Path | str) -> tuple[list[Verdict], str]:
    """Verdicts, and a report for people.

    Raises
    ------
    Refused
        If the file is damaged, changed, or beyond what is known here.
    """
    demand(sys.byteorder == "little", "this machine stores numbers the other way round")
    try:
        judge = Judge(*read(Path(folder)))
        verdicts = [judge.judge(i) for i in range(judge.data.n)]
        return verdicts, judge.report(verdicts)
    except (ArithmeticError, AttributeError, LookupError, RecursionError) as error:
        raise Refused(f"malformed: {type(error).__name__} {error}") from error
    except (TypeError, ValueError, struct.error) as error:
        raise Refused(f"malformed: {type(error).__name__} {error}") from error


def main(arguments: Sequence[str]) -> int:
    """Print the report; 0 if every certificate stands, else 1."""
    try:
        demand(len(arguments) == 1, "one folder is expected")
        verdicts, text = check(arguments[0])
    except (Refused, OSError) as error:
        print(f"REFUSED   {error}")
        return 1
    print(text)
    return int(any(v.complaint for v in verdicts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
