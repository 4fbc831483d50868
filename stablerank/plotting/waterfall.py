"""Where a radius is lost, stage by stage.

The certified radius is a product of bounds, and each was met in part by what was seen.
The figure starts from the radius that would hold if every stage stretched no more than
that, and takes the slack of the stages off, one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stablerank.certify.stages import STAGES, StageRatios
from stablerank.exceptions import InvalidInputError
from stablerank.plotting.curves import curve_axes
from stablerank.plotting.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_waterfall"]


def plot_waterfall(stages: StageRatios, ax: Axes | None = None) -> Axes:
    """Draw how much of the radius each stage loses.

    Parameters
    ----------
    stages : StageRatios
        What `observe_stages` measured; at least one certified pair.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Radius upwards, in powers of ten.

    Examples
    --------
    >>> from stablerank import Displacement
    >>> seen = np.array([[0.5, 1.0, 0.25, 1.0]])
    >>> stages = StageRatios(seen, np.array([0.01]), Displacement())
    >>> plot_waterfall(stages).get_title()
    'The network loses most of the radius: a factor 4'
    """
    radius = stages.radius[np.isfinite(stages.radius) & (stages.radius > 0)]
    ratios = stages.typical
    if not len(radius) or not all(ratio > 0 for ratio in ratios.values()):
        raise InvalidInputError(
            "nothing to draw: no pair is certified, or no move reached the logits; "
            "try other moves"
        )
    ax = curve_axes() if ax is None else ax
    certified = float(np.median(radius))
    level = certified / float(np.prod([*ratios.values()]))
    labels = ["if all were\nas seen"]
    ax.bar(0, level, color="#999999", width=0.6)
    for x, name in enumerate(STAGES, 1):
        after = level * ratios[name]
        colour = COLOURS[1] if ratios[name] == min(ratios.values()) else COLOURS[4]
        ax.bar(x, level - after, bottom=after, color=colour, width=0.6)
        factor = 1 / ratios[name]
        ax.annotate(
            f"÷ {factor:.3g}" if factor >= 1.005 else "÷ 1",
            (x, level),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize="small",
        )
        ax.plot([x - 0.7, x + 0.3], [level, level], color="#666666", lw=0.8)
        labels.append(name)
        level = after
    ax.bar(len(STAGES) + 1, certified, color=COLOURS[0], width=0.6)
    ax.plot(
        [len(STAGES) - 0.3, len(STAGES) + 1.3], [level] * 2, color="#666666", lw=0.8
    )
    ax.set_yscale("log")
    ax.set_ylim(certified / 3, 1.5 * certified / float(np.prod([*ratios.values()])))
    ax.set_xticks(range(len(STAGES) + 2), [*labels, "certified"])
    ax.set_ylabel(f"radius: {stages.threat}\n(units of the input)")
    ax.set_xlabel(f"median of {len(stages.ratios)} moves; a worse move may show less")
    ax.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    ax.set_axisbelow(True)
    worst = min(ratios, key=lambda name: ratios[name])
    ax.set_title(
        f"The {worst} loses most of the radius: a factor {1 / ratios[worst]:.2g}"
    )
    return ax
