"""Signals differ by their peaks and not by where these stand."""

from __future__ import annotations

import numpy as np
import pytest

from stablerank.datasets import SIGNAL_NAMES, signals
from stablerank.exceptions import InvalidInputError


def named(name, **arguments):
    X, y = signals(**{"n_per_class": 50, "length": 400, "noise": 0} | arguments)
    return X[y == SIGNAL_NAMES.index(name)]


def rises(X):
    """How often each signal goes from below zero to above, as on a circle of time."""
    high = X > 0
    return (high & ~np.roll(high, 1, axis=1)).sum(axis=1)


@pytest.mark.parametrize(
    ("name", "n_rises"),
    [("slow sine", 2), ("fast sine", 5), ("chirp", 4), ("damped", 5), ("pulses", 3)],
)
def test_each_class_has_its_number_of_rises_at_every_phase(name, n_rises):
    assert (rises(named(name)) == n_rises).all()


def test_clean_signals_stay_within_the_amplitude():
    X, _ = signals(noise=0)
    assert np.abs(X).max() <= 1


def test_the_damped_class_decays_by_the_exponential():
    X = named("damped", length=1000)
    first, last = X[:, :200], X[:, -200:]  # one period each
    assert np.allclose(np.ptp(last, axis=1) / np.ptp(first, axis=1), np.exp(-2.4))


def test_pulses_are_high_for_thirty_percent_of_the_time():
    X = named("pulses", length=3000)
    assert np.isin(X, (-1, 1)).all()
    assert np.allclose((X == 1).mean(axis=1), 0.3, atol=0.002)


def test_the_chirp_is_faster_at_its_end():
    X = named("chirp")
    assert (rises(X[:, :200]) < rises(X[:, 200:])).all()


def test_phases_are_uniform():
    # At time 0 the slow sine is sin(2 pi phase), whose arcsine law has variance 1/2.
    start = named("slow sine", n_per_class=10_000, length=32)[:, 0]
    assert abs(start.mean()) < 4 * np.sqrt(0.5 / 10_000)
    assert abs((start**2).mean() - 0.5) < 4 * np.sqrt(1 / 8 / 10_000)


def test_noise_is_gaussian_of_the_stated_size_on_the_same_signals():
    clean, _ = signals(n_per_class=20, noise=0)
    noisy, _ = signals(n_per_class=20, noise=0.2)
    z = (noisy - clean) / 0.2
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * z.size)


def test_a_longer_signal_is_the_same_one_sampled_more_often():
    coarse, _ = signals(n_per_class=3, length=100, noise=0)
    fine, _ = signals(n_per_class=3, length=200, noise=0)
    assert np.allclose(fine[:, ::2], coarse)


def test_fewer_signals_are_the_first_of_each_class():
    many, _ = signals(n_per_class=6, length=40)
    few, y = signals(n_per_class=2, length=40)
    assert np.array_equal(many.reshape(5, 6, 40)[:, :2], few.reshape(5, 2, 40))
    assert y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_one_seed_one_data_set():
    assert np.array_equal(signals(2, seed=1)[0], signals(2, seed=1)[0])
    assert not np.array_equal(signals(2, seed=1)[0], signals(2, seed=2)[0])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"n_per_class": -1}, "n_per_class must be an integer >= 1"),
        ({"length": 31}, "length must be an integer >= 32"),
        ({"noise": -1.0}, "noise must be >= 0"),
        ({"noise": np.nan}, "noise must be finite"),
        ({"seed": 1.0}, "seed must be an integer"),
    ],
)
def test_arguments_that_mean_nothing_are_refused_by_name(argument, message):
    with pytest.raises(InvalidInputError, match=message):
        signals(**argument)
