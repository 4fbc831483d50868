"""One training loop for every model: Adam, one-cycle, a validation part, checkpoints.

The loop works on a feature matrix or on anything that a model maps a batch of
indices from; it never touches the test part, keeps the weights of the best
validation score, and leaves the global random state as it found it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from stablerank.exceptions import FileFormatError, InvalidInputError

__all__ = ["History", "Schedule", "fit"]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Parameters
    ----------
    epochs, batch_size : int
        Passes over the training part, samples a step.
    learning_rate : float
        Peak of the one-cycle schedule.
    warm_up : float
        Share of the steps before the peak.
    betas : pair of float
        Adam's.
    average : float, optional
        Decay of an exponential moving average of the weights; it is then what is
        validated and returned.
    patience : int, optional
        Epochs without a better validation score before training stops.
    validate_every : int
        Epochs between validations.
    """

    epochs: int = 80
    batch_size: int = 250
    learning_rate: float = 1e-2
    warm_up: float = 0.2
    betas: tuple[float, float] = (0.9, 0.99)
    average: float | None = None
    patience: int | None = None
    validate_every: int = 5

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise InvalidInputError(
                "epochs, batch_size >= 1 and learning_rate > 0 needed"
            )


@dataclass
class History:
    """What happened: one entry a validation."""

    epoch: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    best_epoch: int = 0


def fit(
    model: nn.Module,
    step: Callable[[Tensor], Tensor],
    score: Callable[[], float],
    n_samples: int,
    schedule: Schedule,
    *,
    seed: int,
    on_epoch: Callable[[float], None] | None = None,
    progress: bool = False,
    checkpoint: str | Path | None = None,
) -> History:
    """Train `model` in place; it ends with the weights of the best validation score.

    Parameters
    ----------
    model : Module
        On its device already.
    step : callable
        From a batch of sample numbers (int64 tensor) to the loss.
    score : callable
        Validation score of the current weights; larger is better.
    n_samples : int
        Size of the training part.
    schedule : Schedule
        See there.
    seed : int
        Decides the order of the batches.
    on_epoch : callable, optional
        Called with the share of training done, before each epoch (p schedules).
    progress : bool
        One bar, if there is a terminal.
    checkpoint : path, optional
        File written after every validation; training resumes from it if it exists
        and belongs to the same run.
    """
    order = torch.Generator().manual_seed(seed)
    steps = max(1, -(-n_samples // schedule.batch_size))
    optimiser = torch.optim.Adam(
        model.parameters(), lr=schedule.learning_rate, betas=schedule.betas, fused=True
    )
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        schedule.learning_rate,
        total_steps=schedule.epochs * steps + 1,
        pct_start=schedule.warm_up,
        cycle_momentum=False,
    )
    run = _Run(model, optimiser, cycle, order, schedule, seed, n_samples)
    if checkpoint is not None and Path(checkpoint).exists():
        run.resume(Path(checkpoint))
    bar = tqdm(
        total=schedule.epochs,
        initial=run.epoch,
        desc="training",
        unit="epoch",
        disable=None if progress else True,
    )
    with bar:
        while run.epoch < schedule.epochs and not run.is_stale():
            if on_epoch is not None:
                on_epoch(run.epoch / schedule.epochs)
            loss = _one_epoch(run, step, n_samples)
            run.epoch += 1
            bar.update()
            last = run.epoch == schedule.epochs
            if last or run.epoch % schedule.validate_every == 0:
                if last and on_epoch is not None:
                    on_epoch(1.0)
                run.validate(loss, score)
                bar.set_postfix(
                    loss=f"{loss:.3f}", score=f"{run.history.score[-1]:.3f}"
                )
                if checkpoint is not None:
                    run.save(Path(checkpoint))
    if on_epoch is not None:
        on_epoch(1.0)
    run.restore_best()
    return run.history


def _one_epoch(run: _Run, step: Callable[[Tensor], Tensor], n_samples: int) -> float:
    run.model.train()
    total = 0.0
    size = run.schedule.batch_size
    shuffled = torch.randperm(n_samples, generator=run.order)
    for batch in shuffled.split(size):
        run.optimiser.zero_grad(set_to_none=True)
        loss = step(batch)
        loss.backward()
        run.optimiser.step()
        run.cycle.step()
        run.average()
        total += float(loss.detach()) * len(batch)
    return total / n_samples


class _Run:
    """Everything that a checkpoint must hold."""

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        cycle: Any,
        order: torch.Generator,
        schedule: Schedule,
        seed: int,
        n_samples: int,
    ) -> None:
        self.model, self.optimiser, self.cycle, self.order = (
            model,
            optimiser,
            cycle,
            order,
        )
        self.schedule, self.epoch, self.history = schedule, 0, History()
        self.identity = json.dumps([asdict(schedule), seed, n_samples], sort_keys=True)
        self.best: dict[str, Tensor] = {}
        self.mean = _copy(model.state_dict()) if schedule.average else None

    def average(self) -> None:
        """Move the running mean of the weights one step."""
        if self.mean is None or self.schedule.average is None:
            return
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.mean[name].lerp_(value, 1 - self.schedule.average)
            else:
                self.mean[name].copy_(value)

    def validate(self, loss: float, score: Callable[[], float]) -> None:
        """Score the weights (or their mean) and keep them if they are the best."""
        live = None
        if self.mean is not None:
            live = _copy(self.model.state_dict())
            self.model.load_state_dict(self.mean)
        self.model.eval()
        value = score()
        if not self.history.score or value >= max(self.history.score):
            self.best = _copy(self.model.state_dict())
            self.history.best_epoch = self.epoch
        if live is not None:
            self.model.load_state_dict(live)
        self.history.epoch.append(self.epoch)
        self.history.loss.append(loss)
        self.history.score.append(value)

    def is_stale(self) -> bool:
        """Whether patience has run out."""
        patience = self.schedule.patience
        return (
            patience is not None
            and bool(self.history.epoch)
            and self.epoch - self.history.best_epoch >= patience
        )

    def restore_best(self) -> None:
        """Put the best weights back and switch to evaluation."""
        self.model.load_state_dict(self.best)
        self.model.eval()

    def save(self, path: Path) -> None:
        """Write weights, moments and the random state; all or nothing."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {f"mean.{k}": v for k, v in (self.mean or {}).items()}
        for i, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
        tensors["order"] = self.order.get_state()
        meta = {
            "identity": self.identity,
            "epoch": str(self.epoch),
            "history": json.dumps(asdict(self.history)),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        save_file(
            {k: v.contiguous().clone() for k, v in tensors.items()}, partial, meta
        )
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint of the same run."""
        try:
            with safe_open(path, "pt") as file:
                meta = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            msg = f"{path} is not a checkpoint, or is damaged: {error}; delete it"
            raise FileFormatError(msg) from error
        if meta.get("identity") != self.identity:
            raise FileFormatError(
                f"{path} belongs to another training run (other data, seed or "
                "schedule); delete it or choose another file"
            )
        pick = lambda prefix: {  # noqa: E731
            k.removeprefix(prefix): v
            for k, v in tensors.items()
            if k.startswith(prefix)
        }
        self.model.load_state_dict(pick("model."))
        self.best = pick("best.")
        self.mean = pick("mean.") or None
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in pick("adam.").items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
        whole = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**whole, "state": state})
        self.order.set_state(tensors["order"])
        self.epoch = int(meta["epoch"])
        self.history = History(**json.loads(meta["history"]))
        steps = max(1, -(-json.loads(self.identity)[2] // self.schedule.batch_size))
        self.cycle.last_epoch = self.epoch * steps - 1
        self.cycle.step()


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in state.items()}
