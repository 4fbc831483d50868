"""Batches join and split without losing anything, and only if they fit."""

from __future__ import annotations

import numpy as np
import pytest

from stablerank.diagrams import Diagrams
from stablerank.exceptions import (
    ChannelError,
    DiagramFormatError,
    IncompatibleDiagramsError,
)
from tests.diagrams.make import assert_same, check_samples, full_batch, random_list

N = 9


@pytest.mark.parametrize("cuts", [(0, 9), (3,), (0, 0, 4, 9), (2, 5, 7)], ids=str)
def test_parts_of_a_batch_join_to_the_batch(cuts: tuple[int, ...]) -> None:
    whole = full_batch(8, N)
    parts = [whole[a:b] for a, b in zip((0, *cuts), (*cuts, N), strict=True)]
    assert_same(Diagrams.concat(parts), whole)
    assert_same(Diagrams.concat(iter(parts)), whole)


def test_permuted_batches_join_in_their_order() -> None:
    whole = full_batch(9, N)
    rows = [5, 1, 1, 8]
    check_samples(Diagrams.concat([whole[[5, 1]], whole[[1, 8]]]), whole, rows)


def test_critical_vertices_are_padded_to_the_widest() -> None:
    def batch(width: int) -> Diagrams:
        critical = np.ones((1, 2, width), np.int64)
        return Diagrams([[0.0, 1.0]], [[0, 1]], ["H0"], [0], critical=critical)

    joined = Diagrams.concat([batch(1), batch(3)]).critical
    np.testing.assert_array_equal(joined[0, 0], [1, -1, -1])
    np.testing.assert_array_equal(joined[1, 0], [1, 1, 1])
    without = Diagrams([[0.0, 1.0]], [[0, 1]], ["H0"], [0])
    assert Diagrams.concat([batch(1), without]).critical is None


def test_batches_that_do_not_fit_are_not_joined() -> None:
    whole = full_batch()
    plain = Diagrams.from_list(random_list(0, 2))
    for other, words in (
        (plain, "names"),
        (whole.select(["alpha/H0"]), "names"),
    ):
        with pytest.raises(IncompatibleDiagramsError, match=words):
            Diagrams.concat([whole, other])
    fields = {"bars": [[0.0, 1.0]], "offsets": [[0, 1]], "channels": ["H0"]}
    for mine, theirs, words in (
        ({"degrees": [0]}, {"degrees": [1]}, "degrees"),
        ({"convention": "radius"}, {"convention": "edge length"}, "conventions"),
        ({"unit": "angstrom"}, {"unit": None}, "units"),
    ):
        one, other = (Diagrams(**{"degrees": [0]} | fields | x) for x in (mine, theirs))
        with pytest.raises(IncompatibleDiagramsError, match=words):
            one.check_like(other)
    with pytest.raises(DiagramFormatError, match="at least one"):
        Diagrams.concat([])


def test_batches_of_different_extractors_are_joined_only_without_their_origin() -> None:
    whole = full_batch()
    other = Diagrams.concat([whole])
    foreign = other.without_source()
    assert foreign.source is None
    assert foreign.identical(whole)
    with pytest.raises(IncompatibleDiagramsError, match="without_source"):
        Diagrams.concat([whole, foreign])
    assert Diagrams.concat([foreign, foreign]).source is None


def test_channels_are_selected_in_the_given_order() -> None:
    whole = full_batch(10, N)
    part = whole[2:7].select(["dtm/H1", 0], prefix="dtm/")
    assert part.channels == ("H1", "alpha/H0")
    assert part.degrees == (1, 0)
    assert part.units == (None, "angstrom")
    np.testing.assert_array_equal(part.error, whole.error[2:7][:, [2, 0]])
    for i in range(5):
        np.testing.assert_array_equal(part[i]["H1"], whole[i + 2]["dtm/H1"])
        np.testing.assert_array_equal(part[i][0], whole[i + 2][0])
    assert len(part.critical) == len(part.bars)
    for channels in (["alpha/H0", 0], []):
        with pytest.raises(ChannelError, match="different channels, at least one"):
            whole.select(channels)


def test_critical_vertices_stay_with_their_bars() -> None:
    bars = np.array([[k, k + 1.0] for k in range(6)])
    critical = np.repeat(np.arange(6)[:, None, None], 2, axis=1)
    whole = Diagrams(
        bars,
        [[0, 1, 3], [3, 3, 6]],
        ["H0", "H1"],
        [0, 1],
        critical=critical,
    )
    for part in (whole, whole[1:], whole[::-1], whole.select([1]), whole[[1, 0, 1]]):
        own = part.compact()
        np.testing.assert_array_equal(own.critical[:, 0, 0], own.bars[:, 0])


def test_only_equal_bits_are_identical() -> None:
    whole = full_batch(11, N)
    assert whole.identical(whole[:])
    assert not whole.identical(whole[::-1])
    assert not whole.identical(whole[:-1])
    assert not whole.identical(whole.select(whole.channels[:2]))
    zero, minus = (Diagrams([[x, 1.0]], [[0, 1]], ["H0"], [0]) for x in (0.0, -0.0))
    assert not zero.identical(minus)
    one = {"bars": [[0.0, 1.0]], "offsets": [[0, 1]], "channels": ["H0"]}
    assert not Diagrams(**one, degrees=[0]).identical(Diagrams(**one, degrees=[1]))
    assert not zero.identical(Diagrams(**one, degrees=[0], error=1e-300))
    assert not zero.identical(
        Diagrams(**one, degrees=[0], essential=[1.0], essential_offsets=[[0, 1]])
    )
