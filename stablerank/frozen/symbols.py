"""The symbol of a convolution, and how large it is anywhere on the torus.

On the unbounded grid, a convolution with taps K_t multiplies the wave of frequency w
by the matrix K(w) = sum_t K_t e^(-i t w), so its norm is the supremum of s(K(w));
on a torus of n pixels a side, the largest over the n-th part frequencies.  Cutting an
image out of the grid and padding it with zeros changes neither side of the
inequality for the supremum, but those of the torus alone are then too few: at the
frequencies of an FFT of the image, s(K) can be lower than the padded norm [N7].

Cells.  For a unit vector v, f(w) = |K(w) v|^2 is a trigonometric polynomial with
frequencies in the box of the |m_j| <= k_j - 1, between 0 and F = sup s(K)^2.
Bernstein and Szegő bound the slope of f - F/2 in a direction d by

    |grad_d f|^2 + a^2 (f - F/2)^2 <= a^2 (F/2)^2,   a = sum_j (k_j - 1) |d_j|,

so arccos of (f - F/2) / (F/2) grows at most at the rate a.  From the point where f
is F, to the centre of a cell with half widths h around it,

    s(K(centre)) >= sup s(K) cos(a / 2),   a = sum_j (k_j - 1) h_j <= pi  [N7].

One of the cells that cover the torus holds that point, so sup s(K) is at most the
largest of s(K(centre)) / cos(a / 2).  Cells where this is large are cut in three;
the excess falls with the square of their width.  For a whole regular grid, going to
it axis by axis gives the product of the cosines of the axes instead, which is larger
(the root of the ledger's, for it uses f >= 0); cell by cell that would be false.

Rounding.  Waves are sampled at rational parts of a turn, by Taylor sums in integers,
correct to u.  The sum over T taps is a plain product, so with A = sum_t |K_t| the
computed K(w) is off by at most sqrt(2) gamma_(T+1) A, entry by entry [F1].
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from stablerank.frozen.spectral import spectral_squares_up
from stablerank.rounding import add_up, div_up, down, gamma, sqrt_up, up

__all__ = ["Symbol", "schur_test_up"]

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Positions = NDArray[np.int64]

#: Cells are cut until the supremum is known to this factor.
_TOLERANCE = 1 + 2.0**-12
#: First cells a degree, where the budget is large.
_FINEST = 8
#: Entries of matrices that are held at once.
_BLOCK = 2**20
#: 2 pi with 160 bits behind the point.
_BITS = 160
_TURN = 9182885614096437842769610399486622256908310048836


@dataclass(frozen=True)
class Symbol:
    """K(w) = sum_t K_t e^(-i t w), evaluated with a proved error.

    Parameters
    ----------
    taps : ndarray of shape (groups, *k, n_out, n_in)
        K_t of each group, of normal size (see `Normalised`).

    Examples
    --------
    >>> blur = Symbol(np.ones((1, 2, 2, 1, 1)) / 4)
    >>> 1.0 <= blur.supremum_up(1000) < 1.001
    True
    """

    taps: Array

    @property
    def sides(self) -> tuple[int, ...]:
        """Size k of the kernel along each axis of the image."""
        return self.taps.shape[1:-2]

    @cached_property
    def error(self) -> float:
        """Bound of the spectral norm of computed minus true K(w)."""
        absolute = np.abs(self.taps).reshape(len(self.taps), -1, *self.taps.shape[-2:])
        n_taps = absolute.shape[1]
        total = absolute.sum(axis=1) * (1 + 2 * gamma(n_taps + 2))
        factor = float(sqrt_up(2.0)) * gamma(n_taps + 1) * (1 + 2.0**-40)
        return float(up(factor * schur_test_up(total) + 2.0**-900))

    def at(self, positions: Positions, turn: int) -> Complex:
        """Matrices at the frequencies 2 pi positions / turn, tall or square.

        Parameters
        ----------
        positions : ndarray of int64, shape (n_frequencies, n_axes)
            Numerators.
        turn : int
            Common denominator.

        Returns
        -------
        ndarray of shape (groups * n_frequencies, m, n)
            With m >= n: K(w), or its transpose.
        """
        steps = np.array(list(np.ndindex(self.sides)), np.int64)  # (T, n_axes)
        cosine, sine = _waves(positions @ steps.T % turn, turn)  # (F, T)
        groups, (n_out, n_in) = len(self.taps), self.taps.shape[-2:]
        flat = self.taps.reshape(groups, len(steps), n_out * n_in)
        stack = (cosine @ flat - 1j * (sine @ flat)).reshape(-1, n_out, n_in)
        return stack if n_out >= n_in else stack.swapaxes(1, 2)

    def torus_up(self, shape: tuple[int, ...]) -> float:
        """Upper bound of s(K(w)) over the frequencies of a torus of this shape."""
        turn = math.lcm(*shape)
        grid = np.array(list(np.ndindex(shape)), np.int64)
        grid = _without_mirrors(grid * (turn // np.array(shape)), turn)
        squares = [
            spectral_squares_up(self.at(block, turn)).max()
            for block in self._blocks(grid)
        ]
        return float(add_up(sqrt_up(max(squares)), self.error))

    def supremum_up(self, budget: int, known: float = math.inf) -> float:
        """Upper bound of s(K(w)) over all frequencies.

        Parameters
        ----------
        budget : int
            Evaluations of the symbol after which no cell is cut any more, as happens
            where s(K(w)) is nearly constant; the first cells are evaluated anyway.
        known : float
            An upper bound proved elsewhere, which comes back if this is no better.
        """
        cells = self._cover(budget)
        norms = self._norms(cells)
        best = float(norms.max())
        if known <= best * _TOLERANCE:
            return known
        regular = cells, norms, self._tensor_cosine(cells)
        leaves, spent = [], len(norms)
        while True:
            split = norms > best * _TOLERANCE * cells.cosine
            leaves.append((cells.keep(~split), norms[~split], cells.cosine))
            cells, norms = cells.keep(split), norms[split]
            spent += len(norms) * 3 ** len(self.sides)
            if not split.any() or spent > budget:
                leaves.append((cells, norms, cells.cosine))
                break
            cells = cells.cut()
            norms = self._norms(cells)
            best = max(best, float(norms.max()))
        chosen = min([regular], leaves, key=_suggested)
        if _suggested(chosen) >= known:
            return known
        return min(known, self._verified(chosen))

    @property
    def n_first(self) -> int:
        """Evaluations that the first cells take at least."""
        return len(self._cover(0).positions)

    def _cover(self, budget: int) -> _Cells:
        """Cells of a regular grid, of at most half the budget where that is enough."""
        degrees = np.array(self.sides) - 1
        wavy = np.flatnonzero(degrees)
        finer = (budget / max(1, degrees[wavy].prod())) ** (1 / max(1, len(wavy)))
        factor = int(np.clip(finer, 2 * len(wavy), _FINEST))
        counts = np.maximum(1, factor * degrees)
        turn = math.lcm(*counts.tolist())
        grid = np.array(list(np.ndindex(*counts.tolist())), np.int64) * (turn // counts)
        # sum_j degree_j (pi / count_j) / 2 = 2 pi * n_wavy / (4 factor)
        part = Fraction(len(wavy), 4 * factor)
        return _Cells(
            _without_mirrors(grid, turn), turn, turn // counts, degrees > 0, part
        )

    def _tensor_cosine(self, cells: _Cells) -> float:
        """Product over the axes of cos(degree_j h_j / 2), for a whole regular grid."""
        n_wavy = int(cells.wavy.sum())
        axis = _Cells.cosine_of(cells.part / n_wavy) if n_wavy else 1.0
        return float(down(axis**n_wavy * (1 - 2.0**-48)))

    def _norms(self, cells: _Cells) -> Array:
        """Norms at the centres, the largest of all groups, computed without proof."""
        norms = []
        for block in self._blocks(cells.positions):
            stack = self.at(block, cells.turn)
            gram = stack.conj().swapaxes(1, 2) @ stack
            squares = np.linalg.eigvalsh(gram)[:, -1].reshape(-1, len(block))
            norms.append(np.sqrt(squares.max(axis=0).clip(min=0.0)))
        return np.concatenate(norms)

    def _verified(self, leaves: list[_Leaf]) -> float:
        """Prove the bound that the norms of the leaves suggest, or one near it."""
        target, bound = _suggested(leaves), 0.0
        for cells, _, cosine in leaves:
            for block in self._blocks(cells.positions):
                stack = self.at(block, cells.turn)
                guesses = np.full(len(stack), (target * cosine) ** 2)
                squares = spectral_squares_up(stack, guesses)
                norm = add_up(sqrt_up(squares.max()), self.error)
                bound = max(bound, float(div_up(norm, cosine)))
        return bound

    def _blocks(self, positions: Positions) -> list[Positions]:
        matrix = len(self.taps) * self.taps.shape[-2] * self.taps.shape[-1]
        size = max(1, _BLOCK // max(matrix, math.prod(self.sides)))
        return [positions[i : i + size] for i in range(0, len(positions), size)]


@dataclass(frozen=True)
class _Cells:
    """Boxes of frequencies of one size, one for each pair of mirror images.

    Centres are 2 pi positions / turn, full widths 2 pi widths / turn, and a / 2 of
    the module is 2 pi part.  Axes that are not wavy are never cut.
    """

    positions: Positions  # (n_cells, n_axes)
    turn: int
    widths: Positions  # (n_axes,)
    wavy: NDArray[np.bool_]  # (n_axes,)
    part: Fraction

    @staticmethod
    def cosine_of(part: Fraction) -> float:
        """Lower bound of cos(2 pi part)."""
        return float(down(down(_wave(part.numerator, part.denominator)[0])))

    @cached_property
    def cosine(self) -> float:
        """Lower bound of cos(a / 2)."""
        return self.cosine_of(self.part) if self.part else 1.0

    def keep(self, chosen: NDArray[np.bool_]) -> _Cells:
        """Keep some of the cells."""
        return replace(self, positions=self.positions[chosen])

    def cut(self) -> _Cells:
        """Cut every cell into three along each axis."""
        moves = [(-1, 0, 1) if wavy else (0,) for wavy in self.wavy]
        offsets = np.array(list(itertools.product(*moves))) * self.widths
        turn = 3 * self.turn
        centres = (3 * self.positions[:, None] + offsets).reshape(-1, len(self.widths))
        positions = _without_mirrors(centres % turn, turn)
        return replace(self, positions=positions, turn=turn, part=self.part / 3)


#: Cells, the norms at their centres, and the cosine that these are divided by.
_Leaf = tuple[_Cells, Array, float]


def _suggested(leaves: list[_Leaf]) -> float:
    """Bound of the supremum that follows if the computed norms are right."""
    return max(float(norms.max(initial=0.0)) / cosine for _, norms, cosine in leaves)


def schur_test_up(matrices: Array) -> float:
    """Upper bound of the spectral norms of matrices of nonnegative entries.

    Schur's test: s(S)^2 = s(S^T S) <= max_i (S^T S q)_i / q_i for any q > 0, with
    equality at the Perron vector, which a few power steps come close to.

    Parameters
    ----------
    matrices : ndarray of shape (n_matrices, m, n)
        S >= 0.

    Examples
    --------
    >>> 5.0 <= schur_test_up(np.array([[[3.0], [4.0]]])) < 5.0 + 1e-12
    True
    """
    n_out, n_in = matrices.shape[-2:]
    q = np.ones((len(matrices), n_in, 1))
    for _ in range(30):
        q = matrices.swapaxes(1, 2) @ (matrices @ q)
        # Zero columns keep a positive weight: the test divides by it.
        largest = q.max(axis=1, keepdims=True)
        q = np.where(largest > 0, q / np.where(largest > 0, largest, 1), 1)
        q = np.maximum(q, 1e-6)
    image = matrices.swapaxes(1, 2) @ (matrices @ q)
    slack = (1 + 2 * gamma(n_out + 2)) * (1 + 2 * gamma(n_in + 2))
    ratios = (image * slack + 2.0**-900) / q
    return float(sqrt_up(up(ratios.max(initial=0.0) * (1 + 2.0**-45))))


def _without_mirrors(positions: Positions, turn: int) -> Positions:
    """One of w and -w for each of them: real taps have equal norms there."""
    mirrored = -positions % turn
    smaller = np.zeros(len(positions), bool)
    for p, q in zip(positions.T[::-1], mirrored.T[::-1], strict=True):
        smaller = (p < q) | ((p == q) & smaller)
    kept: Positions = np.where(smaller[:, None], positions, mirrored)
    return np.unique(kept, axis=0)


def _waves(numerators: Positions, turn: int) -> tuple[Array, Array]:
    """Cosine and sine of 2 pi numerators / turn, each within u of the truth."""
    distinct, where = np.unique(numerators, return_inverse=True)
    table = np.array([_wave(p, turn) for p in distinct.tolist()])
    values = table[where.reshape(numerators.shape)]
    return values[..., 0], values[..., 1]


@lru_cache(maxsize=2**16)
def _wave(numerator: int, denominator: int) -> tuple[float, float]:
    """Cosine and sine of a part of a turn, within u = 2**-53 of the truth.

    Taylor's sums in integers: each of the 70 terms is cut off by less than
    2**(8 - 160), and what follows them is smaller still.
    """
    x = _TURN * numerator // denominator
    term, sums = 1 << _BITS, [0, 0]
    for k in range(70):
        sums[k % 2] += -term if k & 2 else term
        term = term * x // (k + 1) >> _BITS
    return math.ldexp(sums[0], -_BITS), math.ldexp(sums[1], -_BITS)
