"""The figures show what the diagrams hold, at its place, and say it in words."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from stablerank import Certificates, Diagrams, Displacement, Hausdorff
from stablerank.bounds import Bound
from stablerank.exceptions import InvalidInputError
from stablerank.metrics import Bottleneck
from stablerank.plotting import plot_sandwich

INF = np.inf
#: One sample: a long bar in H1, an essential one in H0.
SAMPLE = [[(0.0, 1.0), (0.0, 0.5), (0.0, INF)], [(0.5, 3.0)]]


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def diagrams(n_samples: int = 1, **properties: object) -> Diagrams:
    return Diagrams.from_list([SAMPLE] * n_samples, **properties)


def drawn(ax: Axes, channel: str) -> np.ndarray:
    """Points of one channel as they stand in the picture."""
    (points,) = [c for c in ax.collections if c.get_label() == channel]
    return np.asarray(points.get_offsets())


def legend(ax: Axes) -> list[str]:
    box = ax.get_legend()
    assert box is not None
    return [text.get_text() for text in box.get_texts()]


def line_of_infinity(ax: Axes) -> float | None:
    found = [line for line in ax.lines if line.get_linestyle() == "--"]
    return float(found[0].get_ydata()[0]) if found else None


# --- one diagram ---------------------------------------------------------------------


def test_every_finite_bar_is_drawn_at_its_birth_and_death() -> None:
    ax = diagrams()[0].plot()
    assert drawn(ax, "H0")[:2].tolist() == [[0.0, 1.0], [0.0, 0.5]]
    assert drawn(ax, "H1").tolist() == [[0.5, 3.0]]


def test_essential_bars_lie_on_the_labelled_line_above_all_others() -> None:
    ax = diagrams()[0].plot()
    line = line_of_infinity(ax)
    assert line is not None
    assert drawn(ax, "H0")[2].tolist() == [0.0, line]
    assert 3.0 < line < ax.get_ylim()[1]
    assert "never dies (∞)" in [text.get_text() for text in ax.texts]


def test_without_essential_bars_there_is_no_line_of_infinity() -> None:
    ax = Diagrams.from_list([[[(0.0, 1.0)]]])[0].plot()
    assert line_of_infinity(ax) is None


def test_the_diagonal_crosses_the_picture_and_the_axes_share_their_scale() -> None:
    ax = diagrams()[0].plot()
    diagonal = ax.lines[0]
    assert np.array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert list(diagonal.get_xdata()) == list(ax.get_xlim())
    assert ax.get_aspect() == 1.0


def test_the_axes_name_convention_and_unit() -> None:
    ax = diagrams(convention="radius", unit="angstrom")[0].plot()
    assert ax.get_xlabel() == "birth (radius, angstrom)"
    assert ax.get_ylabel() == "death (radius, angstrom)"
    assert diagrams(convention="edge length")[0].plot().get_xlabel() == (
        "birth (edge length)"
    )


def test_where_conventions_differ_the_legend_names_each() -> None:
    ax = diagrams(convention=["radius", "value"], unit=[None, "K"])[0].plot()
    assert ax.get_xlabel() == "birth"
    assert legend(ax) == ["H0 (3 bars, radius)", "H1 (1 bar, value, K)"]


def test_the_title_names_the_longest_finite_bar_and_the_ring_is_around_it() -> None:
    ax = diagrams()[0].plot()
    assert ax.get_title() == "H1 has the longest finite bar: 0.5 to 3"
    (ring,) = [c for c in ax.collections if c.get_zorder() == 4]
    assert np.asarray(ring.get_offsets()).tolist() == [[0.5, 3.0]]


def test_the_longest_bar_is_found_in_any_channel_and_row() -> None:
    bars = [[(0.0, 1.0), (-5.0, 4.0)], [(0.5, 3.0)]]
    ax = Diagrams.from_list([bars])[0].plot()
    assert ax.get_title() == "H0 has the longest finite bar: -5 to 4"


def test_channels_differ_in_colour_and_in_marker() -> None:
    names = [f"part{i}/H0" for i in range(42)]
    sample = [[(0.0, float(i + 1))] for i in range(42)]
    ax = Diagrams.from_list([sample], channels=names)[0].plot()
    looks = [
        (tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes())
        for c in ax.collections
        if c.get_label() in names
    ]
    assert len(set(looks)) == 42
    for (colour, marker), (next_colour, next_marker) in itertools.pairwise(looks):
        assert colour != next_colour
        assert marker != next_marker
    assert looks[0][0][:3] == to_rgba("#0072B2")[:3]


@pytest.mark.parametrize(
    "bars",
    [
        [[], []],
        [[(0.0, INF)], []],
        [[(2.0, 2.0)], []],
        [[(0.0, 0.0)], [(0.0, 0.0)]],
        [[(1e-300, 1e300)], [(-1e300, 0.0)]],
    ],
    ids=["empty", "essential only", "one value", "zero", "huge"],
)
def test_odd_diagrams_are_drawn_within_finite_axes(bars: list[object]) -> None:
    ax = Diagrams.from_list([bars])[0].plot()
    ax.figure.canvas.draw()
    limits = np.array([ax.get_xlim(), ax.get_ylim()])
    assert np.isfinite(limits).all()
    assert (limits[:, 0] < limits[:, 1]).all()


def test_without_finite_bars_the_title_says_so() -> None:
    assert Diagrams.from_list([[[(0.0, INF)]]])[0].plot().get_title() == (
        "No finite bars"
    )


def test_the_given_axes_are_used_and_returned() -> None:
    _, ax = plt.subplots()
    assert diagrams()[0].plot(ax=ax) is ax
    assert len(plt.get_fignums()) == 1


def test_plotting_leaves_the_diagrams_as_they_were() -> None:
    dgms = diagrams()
    dgms[0].plot()
    assert dgms.identical(diagrams())


# --- several diagrams ----------------------------------------------------------------


def test_no_more_than_max_samples_are_drawn_and_the_title_counts_them() -> None:
    axes = diagrams(9).plot(max_samples=4)
    assert [ax.get_title() for ax in axes] == [f"sample {i}" for i in range(4)]
    assert len(axes[0].figure.axes) == 4
    assert "4 of 9 samples" in axes[0].figure.get_suptitle()


def test_panels_share_one_scale_so_that_bars_can_be_compared() -> None:
    small, large = [[(0.0, 1.0)]], [[(0.0, 100.0)]]
    axes = Diagrams.from_list([small, large]).plot()
    assert axes[0].get_xlim() == axes[1].get_xlim()
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[0].get_ylim()[1] > 100


@pytest.mark.parametrize("n_samples", [1, 2, 3, 4, 5, 6])
def test_every_column_of_panels_has_numbers_below_it(n_samples: int) -> None:
    axes = diagrams(n_samples).plot()
    axes[0].figure.canvas.draw()
    lowest: dict[float, Axes] = {}
    for ax in axes:
        x, y, _, _ = ax.get_position().bounds
        column = round(x, 3)
        if column not in lowest or y < lowest[column].get_position().y0:
            lowest[column] = ax
    for ax in lowest.values():
        assert any(label.get_visible() for label in ax.get_xticklabels())


def test_each_panel_shows_its_own_sample() -> None:
    axes = Diagrams.from_list([[[(0.0, 1.0)]], [[(0.0, 2.0)]]])[::-1].plot()
    assert [drawn(ax, "H0")[0, 1] for ax in axes] == [2.0, 1.0]


def test_several_diagrams_fit_into_axes_of_the_caller() -> None:
    _, given = plt.subplots(1, 2)
    axes = diagrams(2).plot(ax=given)
    assert list(axes) == list(given)
    assert axes[1].get_xlabel() == "birth (value)"
    _, one = plt.subplots()
    assert list(diagrams(1).plot(ax=one)) == [one]


@pytest.mark.parametrize(
    ("n_samples", "max_samples", "words"),
    [(0, 6, "nothing to draw: 0 samples"), (3, 0, "max_samples=0")],
)
def test_nothing_to_draw_is_an_error(
    n_samples: int, max_samples: int, words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        diagrams(3)[:n_samples].plot(max_samples=max_samples)


def test_too_few_axes_are_an_error_that_names_both_numbers() -> None:
    _, one = plt.subplots()
    with pytest.raises(InvalidInputError, match="1 axes for 3 samples"):
        diagrams(3).plot(ax=one)


# --- certificates -----------------------------------------------------------------


def certificates(radius: list[float], label: list[int]) -> Certificates:
    r = np.array(radius)
    bound = Bound(Displacement(), Bottleneck(), 1.0, "X5")
    names, reason = np.array(label), np.where(r > 0, "", "tie")
    return Certificates(names, r, reason, 1 - names, bound, Displacement())


def test_the_curve_steps_down_where_a_radius_ends() -> None:
    cert = certificates([0.1, 0.2, 0.4, 0.0], [0, 0, 1, 1])
    ax = cert.plot([0, 0, 1, 1])
    (line,) = ax.lines
    assert line.get_drawstyle() == "steps-pre"
    assert list(line.get_xdata())[:5] == [0.0, 0.1, 0.2, 0.4, 0.4]
    assert list(line.get_ydata())[:5] == [100.0, 75.0, 50.0, 25.0, 0.0]
    assert ax.get_xlabel() == "radius: displacement of every point (units of the input)"
    assert ax.get_title() == "100.0% right; half of these for certain up to about 0.1"


def test_without_labels_the_certified_share_is_drawn() -> None:
    ax = certificates([0.1, 0.2, np.inf], [0, 0, 1]).plot()
    assert list(ax.lines[0].get_ydata())[-1] == pytest.approx(100 / 3)
    assert ax.get_ylabel() == "certified (%)"
    assert ax.get_title() == "Half of the predictions cannot change below about 0.2"


def test_a_batch_without_certificates_still_has_an_honest_title() -> None:
    ax = certificates([0.0, 0.0], [0, 1]).plot([0, 1])
    assert ax.get_title() == "Fewer than half of 100% have any certificate"
    with pytest.raises(InvalidInputError, match="nothing to draw"):
        certificates([], []).plot()


def test_the_sandwich_is_the_mean_of_the_seeds_between_their_extremes() -> None:
    runs = [
        (certificates([0.1, 0.3], [0, 1]), [0, 1]),
        (certificates([0.2, 0.3], [0, 1]), [0, 0]),
    ]
    ax = plot_sandwich({"net": runs}, mark=0.15)
    certified, clean, _ = ax.lines
    x, y = certified.get_xdata(), certified.get_ydata()
    assert y[0] == clean.get_ydata()[0] == 75.0
    assert set(y[(x > 0.11) & (x < 0.19)]) == {50.0}  # means of 50 and 50
    assert set(y[(x > 0.21) & (x < 0.29)]) == {25.0}  # means of 50 and 0
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == 100.0
    assert ax.get_title() == "net: 75.0% right, 50.0% for certain at radius 0.15"


def test_of_several_groups_the_title_names_the_one_that_keeps_most() -> None:
    weak = [(certificates([0.1, 0.1], [0, 1]), [0, 1])]
    strong = [(certificates([0.5, 0.5], [0, 1]), [0, 1])]
    ax = plot_sandwich({"weak": weak, "strong": strong}, mark=0.2)
    assert "strong keeps most" in ax.get_title()
    assert len({line.get_color() for line in ax.lines[:4]}) == 2


def test_curves_that_share_no_axis_are_refused() -> None:
    one = certificates([0.1], [0])
    other = dataclasses.replace(one, threat=Hausdorff())
    with pytest.raises(InvalidInputError, match="share no axis"):
        plot_sandwich({"a": [(one, [0])], "b": [(other, [0])]})
    with pytest.raises(InvalidInputError, match="nothing to draw"):
        plot_sandwich({})
