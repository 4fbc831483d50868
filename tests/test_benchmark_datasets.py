"""The benchmark on other data: equal features for both, and a page that keeps to it."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from stablerank import CubicalPersistence, PixelSup, StableRankTransformer
from stablerank.matching import bottleneck_distance
from tests.scripts import ROOT, benchmark_script


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark_script("datasets", monkeypatch)


@pytest.fixture
def record() -> dict[str, Any]:
    file = ROOT / "benchmarks" / "results" / "datasets.json"
    return json.loads(file.read_text(encoding="utf-8"))


def test_network_and_forest_read_the_same_features(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "TREES", 5)
    names = []

    class Watched(StableRankTransformer):
        def transform(self, X: Any) -> Any:
            names.append(self.get_feature_names_out().tolist())
            return super().transform(X)

    monkeypatch.setattr(benchmark, "StableRankTransformer", Watched)
    signals = benchmark.PROBLEMS["signals"]
    record, splits = benchmark.run(signals, ["accurate"], 1, 6, epochs=1)
    (split,) = splits["accurate"]
    assert names == [split.model.feature_names_] * 2
    assert record["n_features"] == len(names[0])
    assert len(split.y) == 9  # 30 % of five classes of six


def test_what_is_written_is_what_the_certificates_say(benchmark: ModuleType) -> None:
    signals = benchmark.PROBLEMS["signals"]
    record, splits = benchmark.run(signals, ["accurate", "robust"], 2, 6, epochs=1)
    json.dumps(record)
    for name, own in splits.items():
        clean = [split.certificates.accuracy(split.y) for split in own]
        written = record["presets"][name]
        assert written["accuracy"]["clean"]["mean"] == pytest.approx(np.mean(clean))
        gap = np.mean(clean) - record["forest"]["mean"]
        assert written["gap_to_forest"]["mean"] == pytest.approx(gap)
        shares = [value["mean"] for value in written["accuracy"].values()]
        assert shares == sorted(shares, reverse=True)
    assert len(benchmark.table(record).splitlines()) == 2 + 2 + 1
    figure = benchmark.draw({"signals": splits}, {"signals": record})
    assert len(figure.axes) == 1
    benchmark.plt.close(figure)


def test_a_swept_image_moves_no_bar_further_than_a_pixel_moved(
    benchmark: ModuleType,
) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 17, (8, 8)).astype(float)
    extractor = benchmark.SweptPersistence(turn=0.125)
    assert isinstance(extractor, CubicalPersistence)
    reached = 0.0
    for _ in range(50):
        moved = image + rng.uniform(-1, 1, image.shape)
        first, second = extractor.fit_transform([image, moved])
        size = PixelSup().distance_up(image, moved)
        far = 0.0
        for degree in (0, 1):
            bars = [dgm[degree] for dgm in (first, second)]
            finite = [own[np.isfinite(own[:, 1])] for own in bars]
            births = [np.sort(own[np.isinf(own[:, 1]), 0]) for own in bars]
            far = max(far, bottleneck_distance(*finite))
            far = max([far, *np.abs(births[0] - births[1])])
        assert far <= size
        reached = max(reached, far / size)
    assert reached > 0.9  # the constant is no loose one


def test_the_page_shows_the_numbers_of_the_record(
    benchmark: ModuleType, record: dict[str, Any]
) -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for own in record["sets"].values():
        assert benchmark.table(own) in page
    assert "figures/datasets.png" in page
    assert benchmark.FIGURE.exists()


def test_the_accurate_preset_is_within_two_points_of_the_forest(
    record: dict[str, Any],
) -> None:
    for name, own in record["sets"].items():
        gap = own["presets"]["accurate"]["gap_to_forest"]["mean"]
        assert gap >= -0.02, name
