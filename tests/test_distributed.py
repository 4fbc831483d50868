"""Two processes train what one would have trained, and neither waits for ever."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from stablerank import distributed
from stablerank.exceptions import InvalidInputError
from tests.scripts import ROOT
from tests.two_processes import RUNS, Found, N, torchrun


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have left everything that they found."""
    folder = tmp_path_factory.mktemp("two")
    subprocess.run(
        torchrun(str(ROOT / "tests" / "two_processes.py"), str(folder)),
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=120,
    )
    return folder


@pytest.fixture(scope="module")
def both(folder: Path) -> list[dict[str, Found]]:
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[dict[str, Found]]:
    """The same runs, on demand, in this process."""

    class Lazy(dict[str, Found]):
        def __missing__(self, name: str) -> Found:
            self[name] = RUNS[name](tmp_path)
            return self[name]

    with torch.random.fork_rng():
        yield Lazy()


def difference(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Largest difference of two states."""
    assert a.keys() == b.keys()
    return max(float((a[k] - b[k]).abs().max()) for k in a)


# --- the step of the whole batch ------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["plain", "all_dials", "centred", "used_by_one_sample", "interrupted"]
)
def test_two_processes_train_what_one_trains(
    name: str, both: list[dict[str, Found]], alone: dict[str, Found]
) -> None:
    first, second = (found[name] for found in both)
    assert difference(first["state"], second["state"]) == 0
    assert first["history"] == second["history"]
    assert difference(first["state"], alone[name]["state"]) < 1e-9
    for key in ("loss", "score"):
        assert first["history"][key] == pytest.approx(alone[name]["history"][key])


def test_an_estimator_trains_in_two_processes_as_in_one(
    both: list[dict[str, Found]], alone: dict[str, Found]
) -> None:
    first, second = (found["estimator"]["state"] for found in both)
    assert difference(first, second) == 0
    assert difference(first, alone["estimator"]["state"]) < 1e-4  # float32


def test_running_statistics_stay_equal(
    both: list[dict[str, Found]], alone: dict[str, Found]
) -> None:
    first, second = (found["batch_norm"]["state"] for found in both)
    assert difference(first, second) == 0
    # Batch normalisation sees its share alone, so this is near, and not the same.
    apart = (
        first["1.running_mean"] - alone["batch_norm"]["state"]["1.running_mean"]
    ).abs()
    assert 0 < float(apart.max()) < 0.1


def test_all_begin_with_the_weights_of_the_first(both: list[dict[str, Found]]) -> None:
    for found in both:
        assert (
            difference(found["other_beginnings"]["state"], both[0]["plain"]["state"])
            == 0
        )


def test_shares_are_disjoint_and_cover_every_batch(
    both: list[dict[str, Found]],
) -> None:
    first, second = (found["shares"]["seen"] for found in both)
    assert [len(batch) for batch in first[:3]] == [7, 7, 7]
    assert [len(batch) for batch in second[:3]] == [7, 7, 6]
    for epoch in range(4):
        seen = torch.cat([*first[3 * epoch :][:3], *second[3 * epoch :][:3]])
        assert sorted(seen.tolist()) == list(range(N))


def test_processes_draw_different_numbers(
    both: list[dict[str, Found]], alone: dict[str, Found]
) -> None:
    first, second = (found["shares"]["drawn"] for found in both)
    assert not set(first.tolist()) & set(second.tolist())
    assert torch.equal(first, alone["shares"]["drawn"])


# --- one process decides, and writes --------------------------------------------------


def test_the_score_of_the_first_process_counts(both: list[dict[str, Found]]) -> None:
    for found in both:
        assert found["own_opinions"]["history"]["score"] == [0.25, 0.75]
        assert found["own_opinions"]["history"]["best_epoch"] == 4


def test_only_the_first_process_writes(
    folder: Path, both: list[dict[str, Found]]
) -> None:
    assert (folder / "written by 0").stat().st_size > 0
    assert not (folder / "written by 1").exists()


def test_an_interrupted_run_goes_on_in_all_processes(
    both: list[dict[str, Found]],
) -> None:
    for found in both:
        assert found["interrupted"]["stopped"]
        state = found["interrupted"]["state"]
        assert difference(state, found["plain"]["state"]) == 0


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("seeds", "train different things; give all"),
        ("files", "there for some processes only; keep it where all"),
        ("batches", "batches of 1 samples for 2 processes; raise batch_size"),
        ("divergence", "loss of epoch 0 is nan; lower the learning rate"),
    ],
)
def test_every_process_is_told_what_is_wrong(
    what: str, words: str, both: list[dict[str, Found]]
) -> None:
    for found in both:
        assert words in found["refused"][what]


def test_nobody_waits_for_ever_for_a_process_that_is_lost(
    both: list[dict[str, Found]],
) -> None:
    assert 2 < both[0]["lost"]["waited"] < 30
    assert "ime" in both[0]["lost"]["error"]  # Timed out, or a timeout


# --- alone ----------------------------------------------------------------------------


def test_without_a_group_nothing_is_sent_or_changed() -> None:
    model, device = torch.nn.BatchNorm1d(3), torch.device("cpu")
    model(torch.randn(5, 3)).sum().backward()
    before = [p.grad for p in model.parameters()]
    distributed.sum_gradients(model)
    distributed.broadcast_state(model)
    distributed.average_moves(model, [], 1.0)
    distributed.agree("this", "never", device)
    assert all(p.grad is g for p, g in zip(model.parameters(), before, strict=True))
    assert distributed.moving_state(model) == []
    assert distributed.from_first(0.1, device) == distributed.total(0.1, device) == 0.1
    batch = torch.arange(5)
    assert distributed.share(batch) is batch


def test_a_machine_without_a_gpu_for_every_process_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = torch.cuda.device_count()
    monkeypatch.setenv("WORLD_SIZE", str(there + 2))
    monkeypatch.setenv("LOCAL_RANK", str(there))
    with (
        pytest.raises(InvalidInputError, match=f"with {there} GPUs; start torchrun"),
        distributed.launched("cuda"),
    ):
        pass
