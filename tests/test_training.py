"""The training loop: what it keeps, what it leaves alone, and how it goes on."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stablerank.exceptions import FileFormatError, InvalidInputError, NonFiniteError
from stablerank.nn import build_network
from stablerank.training import History, Schedule, fit

SCHEDULE = Schedule(epochs=12, batch_size=16, learning_rate=0.05, validate_every=3)


class Task:
    """A small regression with dropout, a running mean and a schedule inside."""

    def __init__(self, seed: int = 0) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.x = torch.randn(50, 6)
            self.model = build_network("sortnet", 6, 1, (8,), keep=0.6)
        self.y = self.x[:, :1].abs() - self.x[:, 1:2]
        self.model.prepare(self.x)
        self.epochs_seen: list[float] = []

    def step(self, batch: Tensor) -> Tensor:
        return (3 * self.model(self.x[batch]) - self.y[batch]).square().mean()

    def score(self) -> float:
        with torch.no_grad():
            return -float(self.step(torch.arange(40, 50)))

    def on_epoch(self, share: float) -> None:
        self.epochs_seen.append(share)
        self.model.set_progress(share)

    def fit(
        self, schedule: Schedule = SCHEDULE, seed: int = 3, **options: Any
    ) -> History:
        return fit(
            self.model,
            options.pop("step", self.step),
            options.pop("score", self.score),
            40,
            schedule,
            seed=seed,
            on_epoch=self.on_epoch,
            **options,
        )

    def weights(self) -> dict[str, Tensor]:
        return self.model.state_dict()


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def interrupting(step: Callable[[Tensor], Tensor], after: int) -> Any:
    """The step, until Ctrl-C comes."""
    count = itertools.count()

    def wrapped(batch: Tensor) -> Tensor:
        if next(count) == after:
            raise KeyboardInterrupt
        return step(batch)

    return wrapped


# --- what training does ---------------------------------------------------------------


def test_training_lowers_the_loss() -> None:
    task = Task()
    history = task.fit(replace(SCHEDULE, epochs=60))
    assert history.loss[-1] < 0.3 * history.loss[0]


def test_it_ends_with_the_best_validated_weights_in_evaluation() -> None:
    task, kept = Task(), []
    scores = iter([0.1, 0.9, 0.3, 0.2])

    def score() -> float:
        kept.append(copy.deepcopy(task.weights()))
        return next(scores)

    history = task.fit(score=score)
    assert history.score == [0.1, 0.9, 0.3, 0.2]
    assert history.epoch == [3, 6, 9, 12]
    assert history.best_epoch == 6
    assert same(task.weights(), kept[1])
    assert not task.model.training


def test_of_equal_scores_the_latest_wins() -> None:
    assert Task().fit(score=lambda: 0.5).best_epoch == 12


def test_the_last_epoch_is_always_validated() -> None:
    assert Task().fit(replace(SCHEDULE, epochs=5, validate_every=3)).epoch == [3, 5]


def test_schedules_hear_the_share_before_every_epoch_and_the_end() -> None:
    task = Task()
    task.fit(replace(SCHEDULE, epochs=4, validate_every=9))
    assert task.epochs_seen == [0, 0.25, 0.5, 0.75, 1, 1]


def test_every_sample_is_seen_once_an_epoch_in_batches_of_like_size() -> None:
    task, seen = Task(), []

    def step(batch: Tensor) -> Tensor:
        seen.append(batch)
        return task.step(batch)

    task.fit(replace(SCHEDULE, epochs=2), step=step)
    assert [len(batch) for batch in seen] == [14, 13, 13] * 2  # 16, 16, 8 would do
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(40))
    assert not torch.equal(first, second)


def test_the_rate_rises_and_falls_once() -> None:
    schedule = Schedule(learning_rate=2.0, warm_up=0.25)
    rates = [schedule.rate(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(2 / 25)
    assert max(rates) == rates[25] == 2
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)
    assert rates[-1] < 1e-3
    assert replace(schedule, warm_up=0.0).rate(0, 100) == 2


def test_the_mean_of_the_weights_is_validated_and_returned() -> None:
    task = Task()

    def run(average: float | None) -> list[Tensor]:
        """Weights before each of nine steps, then those that are returned."""
        torch.manual_seed(0)
        model, weights = nn.Linear(6, 1), []

        def step(batch: Tensor) -> Tensor:
            weights.append(model.weight.detach().clone())
            return (model(task.x[batch]) - task.y[batch]).square().mean()

        schedule = replace(SCHEDULE, epochs=3, average=average)
        fit(model, step, lambda: 0.0, 40, schedule, seed=0)
        return [*weights, model.weight.detach()]

    live, averaged = run(None), run(0.75)
    assert all(torch.equal(a, b) for a, b in zip(live[:9], averaged[:9], strict=True))
    mean = live[1].clone()
    for i, value in enumerate(live[2:], 1):
        mean.lerp_(value, 1 - min(0.75, i / (i + 1)))
    assert torch.equal(averaged[-1], mean)


def test_long_gradients_are_clipped_and_short_ones_are_left_alone() -> None:
    def last_gradient(clip: float | None) -> float:
        torch.manual_seed(0)
        task, model = Task(), nn.Linear(6, 1)

        def step(batch: Tensor) -> Tensor:
            return (model(task.x[batch]) - task.y[batch]).square().mean()

        schedule = replace(SCHEDULE, epochs=1, batch_size=40, clip=clip)
        fit(model, step, lambda: 0.0, 40, schedule, seed=0)
        return math.hypot(*(float(p.grad.norm()) for p in model.parameters()))

    free = last_gradient(None)
    assert last_gradient(2 * free) == free
    assert last_gradient(free / 2) == pytest.approx(free / 2, rel=1e-4)


def test_decay_draws_weights_to_zero() -> None:
    model = nn.Linear(6, 1)
    before = float(model.weight.detach().norm())
    schedule = replace(SCHEDULE, epochs=30, weight_decay=1.0)
    fit(model, lambda batch: 0 * model.weight.sum(), lambda: 0.0, 40, schedule, seed=0)
    assert float(model.weight.detach().norm()) < 0.2 * before


def test_patience_ends_a_run_that_no_longer_improves() -> None:
    scores = iter([0.1, 0.5, 0.5, 0.5, 0.5, 0.5])
    history = Task().fit(
        replace(SCHEDULE, epochs=60, patience=7), score=lambda: next(scores)
    )
    assert history.epoch == [3, 6, 9, 12, 15]  # stale 9 epochs after the sixth
    assert history.best_epoch == 15


# --- randomness -----------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits() -> None:
    one, two, other = Task(), Task(), Task()
    histories = [one.fit(), two.fit(), other.fit(seed=4)]
    assert same(one.weights(), two.weights())
    assert histories[0] == histories[1] != histories[2]


def test_the_global_random_state_neither_matters_nor_changes() -> None:
    one, two = Task(), Task()
    torch.manual_seed(5)
    one.fit()
    expected = torch.random.get_rng_state()
    torch.manual_seed(5)
    assert torch.equal(torch.random.get_rng_state(), expected)
    torch.manual_seed(6)
    two.fit()
    assert same(one.weights(), two.weights())


def test_an_interruption_leaves_the_global_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    task = Task()
    with pytest.raises(KeyboardInterrupt):
        task.fit(step=interrupting(task.step, 2))
    assert torch.equal(torch.random.get_rng_state(), before)


# --- checkpoints ----------------------------------------------------------------------


@pytest.mark.parametrize("dials", [{}, {"average": 0.9}, {"optimiser": "nadam"}])
@pytest.mark.parametrize("after", [10, 20, 35])
def test_a_resumed_run_gives_the_bits_of_one_that_ran_through(
    after: int, dials: dict[str, Any], tmp_path: Path
) -> None:
    schedule = replace(SCHEDULE, **dials)
    whole, task, again = Task(), Task(), Task()
    expected = whole.fit(schedule)
    file = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        task.fit(schedule, step=interrupting(task.step, after), checkpoint=file)
    assert file.exists()
    assert again.fit(schedule, checkpoint=file) == expected
    assert same(again.weights(), whole.weights())
    assert again.epochs_seen[0] == after // 9 * 3 / 12  # three steps an epoch


def test_a_finished_run_is_read_back_without_training(tmp_path: Path) -> None:
    one, two = Task(), Task()
    history = one.fit(checkpoint=tmp_path / "run")
    assert (
        two.fit(step=interrupting(two.step, 0), checkpoint=tmp_path / "run") == history
    )
    assert same(one.weights(), two.weights())


def test_patience_is_remembered_across_an_interruption(tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, patience=4)
    one, two = Task(), Task()
    history = one.fit(schedule, score=lambda: 0.5, checkpoint=tmp_path / "run")
    assert history.epoch == [3, 6, 9]
    assert two.fit(schedule, score=lambda: 1.0, checkpoint=tmp_path / "run") == history


def narrow() -> Task:
    task = Task()
    task.model = build_network("sortnet", 6, 1, (4,))
    return task


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        (Task, {"seed": 9}),
        (Task, {"schedule": replace(SCHEDULE, epochs=13)}),
        (Task, {"schedule": replace(SCHEDULE, average=0.9)}),
        (Task, {"task": "other data"}),
        (narrow, {}),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    task: Callable[[], Task], changes: dict[str, Any], tmp_path: Path
) -> None:
    Task().fit(checkpoint=tmp_path / "run")
    other = task()
    before = copy.deepcopy(other.weights())
    with pytest.raises(FileFormatError, match="belongs to another training run"):
        other.fit(checkpoint=tmp_path / "run", **changes)
    assert same(other.weights(), before)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\xff" * 200])
def test_a_damaged_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(FileFormatError, match="damaged"):
        Task().fit(checkpoint=tmp_path / "run")


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run"
    task = Task()
    with pytest.raises(KeyboardInterrupt):
        task.fit(step=interrupting(task.step, 10), checkpoint=file)
    before = file.read_bytes()

    def full(tensors: Any, path: Path, meta: Any) -> None:
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stablerank.training.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        Task().fit(checkpoint=file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


# --- bad states -----------------------------------------------------------------------


def test_a_loss_that_is_not_finite_ends_the_run() -> None:
    task = Task()
    with pytest.raises(NonFiniteError, match="loss of epoch 0 is nan; lower the"):
        task.fit(step=lambda batch: task.step(batch) * math.nan)


def test_a_score_that_is_not_a_number_ends_the_run() -> None:
    with pytest.raises(NonFiniteError, match="score after epoch 3 is NaN"):
        Task().fit(score=lambda: math.nan)


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"validate_every": 0},
        {"patience": 0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"warm_up": 1.0},
        {"average": 1.0},
        {"optimiser": "sgd"},
        {"weight_decay": -1.0},
        {"clip": 0.0},
    ],
)
def test_impossible_schedules_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        Schedule(**bad)
