"""Centring: batch statistics in training only, a fixed shift afterwards."""

from __future__ import annotations

import torch

from stablerank.nn import BROConv, MeanShift, Pixelwise


def test_training_centres_every_batch() -> None:
    layer = MeanShift(3)
    y = layer(torch.randn(20, 3) + 5)
    assert y.mean(dim=0).abs().max() < 1e-5


def test_the_running_mean_converges_to_the_mean() -> None:
    torch.manual_seed(0)
    layer = MeanShift(1)
    for _ in range(100):
        layer(torch.randn(50, 1) + 5)
    assert abs(float(layer.mean) - 5) < 0.2


def test_evaluation_does_not_look_at_the_batch() -> None:
    layer = MeanShift(3).eval()
    layer.prepare(torch.randn(20, 3))
    x, before = torch.randn(10, 3), layer.mean.clone()
    assert torch.equal(layer(x)[:1], layer(x[:1]))
    assert torch.equal(layer.mean, before)


def test_channels_are_centred_over_all_pixels() -> None:
    x = torch.randn(4, 6 * 3, dtype=torch.float64)
    layer = Pixelwise(MeanShift(3), pixels=6).double()
    y = layer(x).unflatten(1, (6, 3))
    assert float(y.mean(dim=(0, 1)).abs().max()) < 1e-12
    layer.prepare(x)
    assert torch.allclose(layer.layer.mean, x.unflatten(1, (6, 3)).mean(dim=(0, 1)))


def test_centring_before_a_circular_convolution_is_centring_after_it() -> None:
    torch.manual_seed(0)
    conv, x = BROConv((4, 4, 3), 5).double(), torch.randn(6, 48, dtype=torch.float64)
    before, after = (Pixelwise(MeanShift(n), 16).double() for n in (3, 5))
    assert torch.allclose(conv(before(x)), after(conv(x)), atol=1e-12)
