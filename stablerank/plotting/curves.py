"""Certified accuracy by radius, as a step curve below the clean accuracy.

A certificate is drawn as the share of samples that are right, for certain, when the
input moves by at most r: a step curve that falls where a sample's radius ends.  Above
it lies the accuracy on clean inputs; what attacks find lies in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stablerank.certify.certificate import Certificates
from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.plotting.style import COLOURS, DASHES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curve_axes", "name_curve_axes", "plot_certificates", "plot_sandwich"]

Array = NDArray[np.float64]

#: Inches of a curve.
_CURVE = (6.4, 4.2)
#: Attacked curves are drawn up to so many times the largest radius.
_ATTACKED = 6.0
#: Radii at which a mean of curves is drawn: finer than a pixel.
_GRID = 800


def plot_certificates(
    cert: Certificates,
    y: ArrayLike | None = None,
    ax: Axes | None = None,
    attacked: ArrayLike | None = None,
) -> Axes:
    """Draw the certified accuracy (without labels, the certified share) by radius.

    Parameters
    ----------
    cert : Certificates
        Of one batch.
    y : array-like of shape (n,), optional
        True labels.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    attacked : array-like of shape (n,), optional
        Size of the smallest move that an attack found to change the label, inf where
        it found none. What is right whatever happens lies between this curve and the
        certified one.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import math
    >>> import numpy as np
    >>> import stablerank as sr
    >>> X = np.array([[0.0], [1.0], [3.0], [4.0]] * 5)
    >>> y = np.array([0, 0, 1, 1] * 5)
    >>> clf = sr.LipschitzClassifier(hidden=(), epochs=30, random_state=0).fit(X, y)
    >>> clf.certify(X, sr.FeatureBall(math.inf)).plot(y).get_ylabel()
    'right and certified (%)'
    """
    if not len(cert):
        raise InvalidInputError("nothing to draw: the batch holds no certificates")
    broken = None if attacked is None else _first_flip(cert, attacked)
    ax = curve_axes() if ax is None else ax
    counted = np.ones(len(cert), bool) if y is None else cert.label == np.asarray(y)
    radii, share = cert.curve(cert.label if y is None else y)
    forever = float(np.mean(counted & np.isinf(cert.radius)))
    end = 1.05 * radii[-1] if radii[-1] > 0 else 1.0
    if broken is not None:
        end = _draw_attacked(ax, broken[counted], counted.mean(), end)
    # On (r[i - 1], r[i]] the share is that at r[i]; behind the last, what is constant.
    ax.step(
        [*radii, radii[-1], end],
        100 * np.array([*share, forever, forever]),
        where="pre",
        color=COLOURS[0],
        linewidth=2,
        label="certified: there is none",
    )
    what = "certified" if y is None else "right and certified"
    if broken is not None:
        what = "keeps its label" if y is None else "right"
        ax.legend(fontsize="small", loc="best", framealpha=1.0)
    name_curve_axes(ax, str(cert.threat), what, end)
    ax.set_title(_message(cert, counted, y is None, broken))
    return ax


def _first_flip(cert: Certificates, attacked: ArrayLike) -> Array:
    """Sizes of the smallest successful moves, none of them within a radius."""
    sizes = np.asarray(attacked, np.float64)
    if sizes.shape != cert.radius.shape:
        raise ShapeError(f"{sizes.shape} attacked sizes for {len(cert)} certificates")
    if np.isnan(sizes).any() or (sizes < 0).any():
        raise InvalidInputError("attacked sizes are numbers >= 0, inf for no success")
    inside = cert.holds(sizes)
    if inside.any() and np.isfinite(sizes[inside]).any():
        i = int(np.argmax(inside & np.isfinite(sizes)))
        raise InvalidInputError(
            f"sample {i} changed its label at {sizes[i]!r}, within its certified "
            f"radius {cert.radius[i]!r}: either the size is not that of the move, or "
            "the certificate is wrong; please report it"
        )
    return sizes


def _draw_attacked(ax: Axes, flips: Array, clean: float, end: float) -> float:
    """Clean and attacked accuracy above the certified one; where the axis ends."""
    found = np.sort(flips[np.isfinite(flips)])
    if len(found):
        end = max(end, min(_ATTACKED * end, 1.05 * float(np.quantile(found, 0.9))))
    n_right = len(flips) or 1
    left = clean * (1 - np.arange(len(found) + 1) / n_right)
    ax.axhline(100 * clean, color=COLOURS[6], lw=1.2, ls=(0, (1, 2)), label="clean")
    ax.step(
        [0.0, *found, max(end, found[-1] if len(found) else 0.0)],
        100 * np.array([*left, left[-1]]),
        where="post",
        color=COLOURS[1],
        linestyle=DASHES[1],
        linewidth=2,
        label="attacked: no move was found that changes it",
    )
    return end


def _message(
    cert: Certificates, counted: Any, unlabelled: bool, attacked: Array | None
) -> str:
    """Title: what half of the samples can be sure of."""
    clean, certain = counted.mean(), cert.radius[counted]
    half = float(np.quantile(certain, 0.5, method="lower")) if len(certain) else 0.0
    if half == 0:
        return f"Fewer than half of {clean:.0%} have any certificate"
    if attacked is not None:
        kept = float(np.mean(counted & (attacked > half)))
        sure = float(np.mean(counted & cert.holds(half)))
        return f"At radius {half:.2g}: {sure:.1%} for certain, {kept:.1%} under attack"
    if unlabelled:
        return f"Half of the predictions cannot change below about {half:.2g}"
    return f"{clean:.1%} right; half of these for certain up to about {half:.2g}"


def plot_sandwich(
    groups: Mapping[str, Sequence[tuple[Certificates, ArrayLike]]],
    mark: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw mean certified accuracy by radius, between seeds, below clean accuracy.

    Parameters
    ----------
    groups : mapping of str to sequence of (Certificates, true labels)
        One curve a group, with one entry a seed; the band spans all seeds.
    mark : float, optional
        The radius that the title speaks of; by default near the median radius.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> import stablerank as sr
    >>> X, y = np.array([[0.0], [1.0], [3.0], [4.0]] * 5), np.array([0, 0, 1, 1] * 5)
    >>> clf = sr.LipschitzClassifier(hidden=(), epochs=30, random_state=0).fit(X, y)
    >>> ax = plot_sandwich({"one": [(clf.certify(X), y)]}, mark=0.1)
    >>> ax.get_title()
    'one: 100.0% right, 100.0% for certain at radius 0.1'
    """
    runs = [run for own in groups.values() for run in own]
    if not runs or not all(len(cert) for cert, _ in runs):
        raise InvalidInputError("nothing to draw: give certificates in every group")
    threats = {str(cert.threat) for cert, _ in runs}
    if len(threats) > 1:
        raise InvalidInputError(
            f"curves of different threats ({', '.join(sorted(threats))}) share no axis"
        )
    ax = curve_axes() if ax is None else ax
    radii = np.concatenate([cert.radius for cert, _ in runs])
    finite = radii[np.isfinite(radii) & (radii > 0)]
    # The few largest radii would leave the picture to an almost empty tail.
    end = 1.05 * float(np.quantile(finite, 0.995)) if finite.size else 1.0
    if mark is None:
        mark = float(f"{np.median(finite):.1g}") if finite.size else end / 2
    grid = np.linspace(0.0, end, _GRID)
    at_mark = {}
    for i, (name, own) in enumerate(groups.items()):
        colour = COLOURS[i % len(COLOURS)]
        curves = 100 * np.array([cert.accuracy(y, grid) for cert, y in own])
        mean, clean = curves.mean(axis=0), curves[:, 0].mean()
        at_mark[name] = float(np.mean([cert.accuracy(y, mark) for cert, y in own]))
        ax.fill_between(
            grid, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.2, lw=0
        )
        dash = DASHES[i % len(DASHES)]
        ax.plot(grid, mean, color=colour, lw=2, ls=dash, label=f"{name}, certified")
        label = f"{name}, clean ({clean:.1f} %)"
        ax.axhline(clean, color=colour, lw=1.2, ls=(0, (1, 2)), label=label)
    ax.axvline(mark, color="#999999", lw=1, zorder=0)
    name_curve_axes(ax, threats.pop(), "right (%), mean and range of seeds", end, "")
    best = max(at_mark, key=lambda name: at_mark[name])
    if len(groups) == 1:
        clean = float(np.mean([cert.accuracy(y) for cert, y in groups[best]]))
        ax.set_title(
            f"{best}: {clean:.1%} right, {at_mark[best]:.1%} for certain at radius "
            f"{mark:g}"
        )
    else:
        ax.set_title(
            f"At radius {mark:g}, {best} keeps most for certain: {at_mark[best]:.1%}"
        )
    ax.legend(fontsize="small", loc="best", framealpha=1.0)
    return ax


def curve_axes() -> Any:
    """Axes of a new figure of the usual size."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=_CURVE, layout="constrained")[1]


def name_curve_axes(
    ax: Axes, threat: str, what: str, end: float, unit: str = " (%)"
) -> None:
    """Radius to the right up to `end`, per cent upwards."""
    ax.set_xlabel(f"radius: {threat} (units of the input)")
    ax.set_ylabel(f"{what}{unit}")
    ax.set_xlim(0.0, end)
    ax.set_ylim(0.0, 103.0)
    ax.grid(color="#E5E5E5", linewidth=0.8)
    ax.set_axisbelow(True)
