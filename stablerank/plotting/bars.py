"""Persistence diagrams, one sample or several side by side.

Births lie to the right and deaths upwards, so every bar lies above the diagonal, as
high above it as it is long.  Bars that never die have no death to draw: they lie on a
line of their own, with its name, above all others.  The triangle below the diagonal is
empty by definition; the legend goes there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stablerank.diagrams import Diagram, Diagrams
from stablerank.exceptions import InvalidInputError
from stablerank.plotting.style import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_diagram", "plot_diagrams"]

#: Share of the drawn range that is left free around it.
_MARGIN = 0.05
#: Inches of one diagram alone, and of one among several.
_ALONE, _SIDE_BY_SIDE = (5.2, 5.2), (3.2, 3.3)
_COLUMNS = 3


@dataclass(frozen=True)
class _Frame:
    """Where the axes end and the line of infinite deaths lies."""

    low: float
    high: float
    infinity: float | None  # None: every bar dies

    @classmethod
    def around(cls, diagrams: Sequence[Diagram]) -> _Frame:
        """Return the smallest frame, with its margins, that shows all bars."""
        bars = np.concatenate([np.empty((0, 2)), *(b for d in diagrams for b in d)])
        ends = bars[np.isfinite(bars)]
        low, high = (ends.min(), ends.max()) if ends.size else (0.0, 1.0)
        # All ends equal: any width will do that shows the number as it is.
        width = (high - low) or abs(high) or 1.0
        margin = _MARGIN * width
        low, high = float(low - margin), float(high + margin)
        infinity = high + margin if np.isinf(bars[:, 1]).any() else None
        return cls(low, high, infinity)

    @property
    def top(self) -> float:
        """Upper end of the axis of deaths."""
        if self.infinity is None:
            return self.high
        return self.infinity + (self.infinity - self.high)


def plot_diagram(diagram: Diagram, ax: Axes | None = None) -> Axes:
    """Draw birth against death, one colour and marker a channel.

    The longest finite bar is ringed and named in the title.

    Parameters
    ----------
    diagram : Diagram
        One sample.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        With birth to the right and death upwards, in the units of the diagram.

    Examples
    --------
    >>> from stablerank import Diagrams
    >>> dgms = Diagrams.from_list([[[(0.0, 1.0)], [(0.5, 2.5)]]])
    >>> plot_diagram(dgms[0]).get_title()
    'H1 has the longest finite bar: 0.5 to 2.5'
    """
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=_ALONE, layout="constrained")
    _draw(ax, diagram, _Frame.around([diagram]))
    ax.set_title(_message(diagram))
    _name_axes(ax, diagram)
    _legend(ax, diagram)
    return ax


def plot_diagrams(
    diagrams: Diagrams,
    ax: Axes | Sequence[Axes] | None = None,
    max_samples: int = 6,
) -> Any:
    """Draw the first samples side by side, all on the same scale.

    Parameters
    ----------
    diagrams : Diagrams
        At least one sample.
    ax : Axes or sequence of Axes, optional
        One for each sample drawn; by default a new figure.
    max_samples : int
        Draw no more than these.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (n_drawn,)

    Examples
    --------
    >>> from stablerank import Diagrams
    >>> dgms = Diagrams.from_list([[[(0.0, 1.0)]], [[(0.0, 2.0)]], [[(0.0, 3.0)]]])
    >>> axes = plot_diagrams(dgms, max_samples=2)
    >>> [ax.get_title() for ax in axes]
    ['sample 0', 'sample 1']
    """
    n_drawn = min(len(diagrams), max_samples)
    if n_drawn < 1:
        raise InvalidInputError(
            f"nothing to draw: {len(diagrams)} samples, max_samples={max_samples!r}; "
            "give at least one of each"
        )
    shown = [diagrams[i] for i in range(n_drawn)]
    axes = _new_axes(n_drawn) if ax is None else np.atleast_1d(np.asarray(ax)).ravel()
    if len(axes) != n_drawn:
        raise InvalidInputError(
            f"{len(axes)} axes for {n_drawn} samples; give one for each sample, or "
            "lower max_samples"
        )
    frame = _Frame.around(shown)
    for i, (panel, diagram) in enumerate(zip(axes, shown, strict=True)):
        _draw(panel, diagram, frame, named=i == 0)
        panel.set_title(f"sample {i}", fontsize="medium")
    _legend(axes[0], shown[0], counts=False)
    if ax is None:
        _caption(axes[0].figure, shown[0], f"{n_drawn} of {len(diagrams)} samples")
    else:
        for panel in axes:
            _name_axes(panel, shown[0])
    return axes


def _new_axes(n_drawn: int) -> Any:
    import matplotlib.pyplot as plt

    columns = min(n_drawn, _COLUMNS)
    rows = math.ceil(n_drawn / columns)
    width, height = _SIDE_BY_SIDE
    _, grid = plt.subplots(
        rows,
        columns,
        figsize=(max(width * columns, _ALONE[0]), height * rows + 0.7),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for unused in grid.ravel()[n_drawn:]:
        unused.remove()
    for bottom in grid.ravel()[max(n_drawn - columns, 0) : n_drawn]:
        bottom.tick_params(labelbottom=True)  # also where no panel is below any more
    return grid.ravel()[:n_drawn]


def _draw(ax: Axes, diagram: Diagram, frame: _Frame, named: bool = True) -> None:
    """Bars of every channel, the diagonal, and the line of infinite deaths."""
    span = [frame.low, frame.high]
    ax.fill_between(span, span, frame.low, color="#F2F2F2", linewidth=0, zorder=0)
    ax.plot(span, span, color="#999999", linewidth=1, zorder=1)
    if frame.infinity is not None:
        ax.axhline(frame.infinity, color="#999999", linewidth=1, linestyle="--")
        if named:
            ax.annotate(
                "never dies (∞)",
                (0.98, frame.infinity),
                xycoords=("axes fraction", "data"),
                xytext=(0, -3),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize="small",
                color="#444444",
            )
    for c, bars in enumerate(diagram):
        births, deaths = bars[:, 0], bars[:, 1].copy()
        if frame.infinity is not None:
            deaths[np.isinf(deaths)] = frame.infinity
        ax.scatter(births, deaths, label=diagram.channels[c], **_style(c))
    longest = _longest(diagram)
    if longest is not None:
        _, birth, death = longest
        ax.scatter(
            [birth], [death], s=130, facecolors="none", edgecolors="black", zorder=4
        )
    ax.set_xlim(frame.low, frame.high)
    ax.set_ylim(frame.low, frame.top)
    ax.set_aspect("equal")


def _style(c: int) -> dict[str, Any]:
    return {
        "color": COLOURS[c % len(COLOURS)],
        "marker": MARKERS[c % len(MARKERS)],
        "s": 22,
        "alpha": 0.7,
        "linewidths": 0,
        "clip_on": False,
        "zorder": 3,
    }


def _longest(diagram: Diagram) -> tuple[int, float, float] | None:
    """Channel, birth and death of the longest finite bar."""
    best = None
    for c, bars in enumerate(diagram):
        finite = bars[np.isfinite(bars[:, 1])]
        if not len(finite):
            continue
        birth, death = finite[np.argmax(finite[:, 1] - finite[:, 0])]
        if best is None or death - birth > best[2] - best[1]:
            best = (c, float(birth), float(death))
    return best


def _message(diagram: Diagram) -> str:
    longest = _longest(diagram)
    if longest is None:
        return "No finite bars"
    c, birth, death = longest
    return (
        f"{diagram.channels[c]} has the longest finite bar: {birth:.3g} to {death:.3g}"
    )


def _measure(convention: str, unit: str | None) -> str:
    return convention if unit is None else f"{convention}, {unit}"


def _axis_names(diagram: Diagram) -> tuple[str, str]:
    measures = {
        _measure(*pair) for pair in zip(diagram.conventions, diagram.units, strict=True)
    }
    if len(measures) > 1:  # then the legend says it, channel by channel
        return "birth", "death"
    measure = measures.pop()
    return f"birth ({measure})", f"death ({measure})"


def _name_axes(ax: Axes, diagram: Diagram) -> None:
    birth, death = _axis_names(diagram)
    ax.set_xlabel(birth)
    ax.set_ylabel(death)


def _labels(diagram: Diagram, counts: bool) -> list[str]:
    mixed = _axis_names(diagram)[0] == "birth"
    labels = []
    for c, name in enumerate(diagram.channels):
        facts = []
        if counts:
            n = len(diagram.arrays[c])
            facts.append(f"{n} bar" if n == 1 else f"{n} bars")
        if mixed:
            facts.append(_measure(diagram.conventions[c], diagram.units[c]))
        labels.append(f"{name} ({', '.join(facts)})" if facts else name)
    return labels


def _legend(ax: Axes, diagram: Diagram, counts: bool = True) -> None:
    handles, names = ax.get_legend_handles_labels()
    ax.legend(
        [handles[names.index(name)] for name in diagram.channels],
        _labels(diagram, counts),
        loc="lower right",
        fontsize="small",
        framealpha=1.0,
    )


def _caption(figure: Any, diagram: Diagram, which: str) -> None:
    """Say once, for all panels of a figure, what they show."""
    figure.suptitle(f"The ring marks the longest finite bar ({which})")
    birth, death = _axis_names(diagram)
    figure.supxlabel(birth, fontsize="medium")
    figure.supylabel(death, fontsize="medium")
