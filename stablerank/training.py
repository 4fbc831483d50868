"""One training loop for every model: one-cycle, a validation part, checkpoints, DDP.

The loop sees a model, a loss of sample numbers and a validation score; it never
touches a test part, and ends with the weights of the best validation score.

What is random in an epoch (order of the batches, dropout) is drawn from a generator
seeded by the run's seed and the number of the epoch alone, and the learning rate is
a function of the number of the step.  So a run that is resumed from a checkpoint
gives the same bits as one that was never interrupted, and the global random state is
left as it was found.

In a process group (`stablerank.distributed`) all processes draw the same batches, each
takes its share of every one, and all take the same step.  Process 0 decides: its
weights are the first ones, its validation score counts, it alone writes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from stablerank import distributed
from stablerank.exceptions import FileFormatError, InvalidInputError, NonFiniteError

__all__ = ["History", "Schedule", "fit"]

#: The peak rate over the first one, and over the last one.
_FIRST, _LAST = 25.0, 250_000.0
#: A small data set is cut into this many batches, none smaller than that.
_STEPS, _SMALLEST_BATCH = 10, 32
#: Adam, and Adam with Nesterov's momentum.
_OPTIMISERS = {"adam": torch.optim.Adam, "nadam": torch.optim.NAdam}


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Parameters
    ----------
    epochs, batch_size : int
        Passes over the training part; samples a step, at most.
    learning_rate : float
        Peak of the one-cycle schedule.
    warm_up : float
        Share of the steps before the peak.
    betas : pair of float
        Adam's.
    optimiser : {"adam", "nadam"}
        The second has Nesterov's momentum.
    weight_decay : float
        Share of the weights that is added to their gradient.
    clip : float, optional
        Gradients longer than this, all together, are scaled down to it.
    average : float, optional
        Decay of an exponential moving average of the weights; it is then what is
        validated and returned.
    patience : int, optional
        Epochs without a better validation score before training stops.
    validate_every : int
        Epochs between validations.

    Examples
    --------
    >>> schedule = Schedule(learning_rate=1.0, warm_up=0.5)
    >>> [round(schedule.rate(step, 100), 3) for step in (0, 25, 50, 75)]
    [0.04, 0.52, 1.0, 0.5]
    """

    epochs: int = 80
    batch_size: int = 250
    learning_rate: float = 1e-2
    warm_up: float = 0.2
    betas: tuple[float, float] = (0.9, 0.99)
    optimiser: str = "adam"
    weight_decay: float = 0.0
    clip: float | None = None
    average: float | None = None
    patience: int | None = None
    validate_every: int = 5

    def for_size(self, n_samples: int) -> Schedule:
        """Return the schedule with batches small enough for ten steps an epoch.

        Examples
        --------
        >>> Schedule(batch_size=250).for_size(400).batch_size
        40
        """
        fitting = max(_SMALLEST_BATCH, n_samples // _STEPS)
        return replace(self, batch_size=min(self.batch_size, fitting))

    def __post_init__(self) -> None:
        counts = (self.epochs, self.batch_size, self.validate_every)
        if min(*counts, 1 if self.patience is None else self.patience) < 1:
            raise InvalidInputError(
                "epochs, batch_size, validate_every and patience are 1 or more"
            )
        if not 0 < self.learning_rate < math.inf or not 0 <= self.warm_up < 1:
            raise InvalidInputError("learning_rate > 0 and 0 <= warm_up < 1 needed")
        if self.average is not None and not 0 < self.average < 1:
            raise InvalidInputError(f"average is in (0, 1), not {self.average}")
        if self.optimiser not in _OPTIMISERS:
            raise InvalidInputError(
                f"optimiser {self.optimiser!r}; choose from {', '.join(_OPTIMISERS)}"
            )
        if not 0 <= self.weight_decay < math.inf:
            raise InvalidInputError(f"weight_decay {self.weight_decay} is not >= 0")
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise InvalidInputError(f"clip {self.clip} is not > 0")

    def rate(self, step: int, n_steps: int) -> float:
        """Learning rate of a step: half a cosine up to the peak, half a cosine down."""
        peak = self.warm_up * n_steps
        if step < peak:
            start, end, share = 1 / _FIRST, 1.0, step / peak
        else:
            start, end, share = 1.0, 1 / _LAST, (step - peak) / (n_steps - peak)
        falling = (1 + math.cos(math.pi * share)) / 2
        return self.learning_rate * (end + (start - end) * falling)


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
    task: str = "",
) -> History:
    """Train `model` in place; it ends with the weights of the best validation score.

    An interruption (Ctrl-C) is raised again at once; the checkpoint then holds the
    last validation, and the next call with the same arguments goes on from there.

    In a process group every process calls this with the same arguments. `step` is
    then given the process's share of a batch; losses that are means over samples give
    the gradient of the whole batch, statistics of a batch (transport) see the share.

    Parameters
    ----------
    model : Module
        On its device already.
    step : callable
        From a batch of sample numbers (int64 tensor) to the loss, a mean over them.
    score : callable
        Validation score of the current weights; larger is better.
    n_samples : int
        Size of the training part.
    schedule : Schedule
        See there.
    seed : int
        Decides the order of the batches, and dropout (differently in each process).
    on_epoch : callable, optional
        Called with the share of training done, before each epoch (p schedules).
    progress : bool
        One bar, if there is a terminal.
    checkpoint : path, optional
        File written after every validation; training resumes from it if it exists
        and belongs to the same run. Several processes must see the same file.
    task : str
        Digest of what `step` and `score` compute from (data, loss): a checkpoint of
        another task is refused.

    Returns
    -------
    History

    Examples
    --------
    >>> model, x = nn.Linear(1, 1), torch.linspace(-1, 1, 20)[:, None]
    >>> step = lambda batch: (model(x[batch]) - 3 * x[batch]).square().mean()
    >>> score = lambda: -float(step(torch.arange(20)).detach())
    >>> schedule = Schedule(epochs=100, batch_size=5, learning_rate=0.1)
    >>> history = fit(model, step, score, 20, schedule, seed=0)
    >>> bool(history.score[-1] > -0.01)
    True
    """
    run = _Run(model, schedule, seed, n_samples, task)
    run.start(None if checkpoint is None else Path(checkpoint))
    share_done = on_epoch or (lambda share: None)
    bar = tqdm(
        total=schedule.epochs,
        initial=run.epoch,
        desc="training",
        unit="epoch",
        disable=None if progress and distributed.rank() == 0 else True,
    )
    with bar:
        while run.epoch < schedule.epochs and not run.is_stale():
            share_done(run.epoch / schedule.epochs)
            loss = run.one_epoch(step)
            bar.update()
            if run.epoch == schedule.epochs:
                share_done(1.0)
            elif run.epoch % schedule.validate_every:
                continue
            run.validate(loss, score)
            bar.set_postfix(loss=f"{loss:.3f}", score=f"{run.history.score[-1]:.3f}")
            if checkpoint is not None and distributed.rank() == 0:
                run.save(Path(checkpoint))
    share_done(1.0)
    run.restore_best()
    return run.history


class _Run:
    """Everything that a checkpoint must hold."""

    def __init__(
        self,
        model: nn.Module,
        schedule: Schedule,
        seed: int,
        n_samples: int,
        task: str,
    ) -> None:
        self.model, self.schedule = model, schedule
        self.seed, self.n_samples = seed, n_samples
        self.epoch, self.history = 0, History()
        self.device = next(model.parameters()).device
        self.optimiser = _OPTIMISERS[schedule.optimiser](
            model.parameters(),
            lr=schedule.learning_rate,
            betas=schedule.betas,
            weight_decay=schedule.weight_decay,
            **({"fused": True} if schedule.optimiser == "adam" else {}),
        )
        state = model.state_dict()
        shapes = {k: [str(v.dtype), *v.shape] for k, v in state.items()}
        self.identity = json.dumps(
            [asdict(schedule), seed, n_samples, shapes, task], sort_keys=True
        )
        self.best: dict[str, Tensor] = {}
        self.mean: dict[str, Tensor] | None = None
        # Batches of equal size: a last one of a single sample would be all noise.
        self.n_batches = -(-n_samples // schedule.batch_size)

    def start(self, checkpoint: Path | None) -> None:
        """Begin with the same weights in every process, or where a run was left."""
        distributed.agree(
            self.identity,
            "the processes train different things; give all of them the same data, "
            "model, seed, schedule and task",
            self.device,
        )
        smallest, processes = self.n_samples // self.n_batches, distributed.world_size()
        if smallest < processes:
            raise InvalidInputError(
                f"batches of {smallest} samples for {processes} processes; raise "
                "batch_size or start fewer"
            )
        distributed.broadcast_state(self.model)
        if self.schedule.average is not None:
            self.mean = _copy(self.model.state_dict())
        found = checkpoint is not None and checkpoint.exists()
        place = f"checkpoint {checkpoint}"
        distributed.agree(
            str(found),
            f"{place} is there for some processes only; keep it where all can read it",
            self.device,
        )
        if checkpoint is not None and found:
            self.resume(checkpoint)
            distributed.agree(
                f"{self.epoch} {self.history}",
                f"{place} is not the same for all processes; keep one for all",
                self.device,
            )

    def one_epoch(self, step: Callable[[Tensor], Tensor]) -> float:
        """Train on every sample once; the mean loss."""
        self.model.train()
        n_steps = self.schedule.epochs * self.n_batches
        total = 0.0
        with _seeded(self.model, (self.seed, self.epoch)):
            batches = torch.randperm(self.n_samples).tensor_split(self.n_batches)
            _vary_by_process(self.model, self.seed, self.epoch)
            for i, batch in enumerate(batches, self.epoch * self.n_batches):
                for group in self.optimiser.param_groups:
                    group["lr"] = self.schedule.rate(i, n_steps)
                total += self._descend(step, batch)
                self._average(i)
        total = distributed.total(total, self.device)
        if not math.isfinite(total):
            raise NonFiniteError(
                f"training has diverged: the loss of epoch {self.epoch} is "
                f"{total / self.n_samples}; lower the learning rate "
                f"({self.schedule.learning_rate:g})"
            )
        self.epoch += 1
        return total / self.n_samples

    def _descend(self, step: Callable[[Tensor], Tensor], batch: Tensor) -> float:
        """One step of the optimiser; the loss of the process's samples, summed."""
        own, before = distributed.share(batch), distributed.moving_state(self.model)
        part = len(own) / len(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss = step(own)
        (part * loss).backward()
        distributed.sum_gradients(self.model)
        distributed.average_moves(self.model, before, part)
        if self.schedule.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.schedule.clip)
        self.optimiser.step()
        return float(loss.detach()) * len(own)

    def _average(self, step: int) -> None:
        """Move the running mean of the weights; the first ones count alike."""
        if self.mean is None or self.schedule.average is None:
            return
        decay = min(self.schedule.average, step / (step + 1))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.mean[name].lerp_(value, 1 - decay)
            else:
                self.mean[name].copy_(value)

    def validate(self, loss: float, score: Callable[[], float]) -> None:
        """Score the weights (or their mean) and keep them if none were better."""
        live = None
        if self.mean is not None:
            live = _copy(self.model.state_dict())
            self.model.load_state_dict(self.mean)
        self.model.eval()
        # All compute it, for it may be a common effort; one decides.
        value = distributed.from_first(float(score()), self.device)
        if math.isnan(value):
            raise NonFiniteError(
                f"the validation score after epoch {self.epoch} is NaN; lower the "
                f"learning rate ({self.schedule.learning_rate:g})"
            )
        if value >= max(self.history.score, default=-math.inf):
            self.best = _copy(self.model.state_dict())
            self.history.best_epoch = self.epoch
        if live is not None:
            self.model.load_state_dict(live)
        self.history.epoch.append(self.epoch)
        self.history.loss.append(loss)
        self.history.score.append(value)

    def is_stale(self) -> bool:
        """Whether patience has run out; an equal score is no better one."""
        if self.schedule.patience is None or not self.history.score:
            return False
        first_best = self.history.epoch[int(np.argmax(self.history.score))]
        return self.history.epoch[-1] - first_best >= self.schedule.patience

    def restore_best(self) -> None:
        """Put the best weights back and switch to evaluation."""
        self.model.load_state_dict(self.best)
        self.model.eval()

    def save(self, path: Path) -> None:
        """Write weights and moments; all or nothing."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {f"mean.{k}": v for k, v in (self.mean or {}).items()}
        for i, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
        meta = {
            "identity": self.identity,
            "epoch": str(self.epoch),
            "history": json.dumps(asdict(self.history)),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        try:
            save_file(
                {k: v.contiguous().clone() for k, v in tensors.items()}, partial, meta
            )
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint of the same run."""
        try:
            with safe_open(path, "pt") as file:
                meta = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise FileFormatError(
                f"{path} is not a checkpoint, or is damaged: {error}; delete it"
            ) from error
        if meta.get("identity") != self.identity:
            raise FileFormatError(
                f"{path} belongs to another training run (other data, model, seed or "
                "schedule); delete it or choose another file"
            )

        def pick(prefix: str) -> dict[str, Tensor]:
            own = {k: v for k, v in tensors.items() if k.startswith(prefix)}
            return {k.removeprefix(prefix): v for k, v in own.items()}

        self.model.load_state_dict(pick("model."))
        self.best, self.mean = pick("best."), pick("mean.") or None
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in pick("adam.").items():
            index, key = name.split(".", 1)
            moments.setdefault(int(index), {})[key] = value
        whole = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**whole, "state": moments})
        self.epoch = int(meta["epoch"])
        self.history = History(**json.loads(meta["history"]))


@contextmanager
def _seeded(model: nn.Module, seed: tuple[int, ...]) -> Iterator[None]:
    """Random state of one epoch; the global one comes back afterwards."""
    with torch.random.fork_rng(devices=list(_gpus(model))):
        _set_seed(model, seed)
        yield


def _vary_by_process(model: nn.Module, seed: int, epoch: int) -> None:
    """Go on with other random numbers in every process but the first."""
    if distributed.rank():
        _set_seed(model, (seed, epoch, distributed.rank()))


def _set_seed(model: nn.Module, seed: tuple[int, ...]) -> None:
    state = int(np.random.SeedSequence(seed).generate_state(1)[0])
    # torch.manual_seed would queue a call, with its stack, for every GPU to come.
    torch.default_generator.manual_seed(state)
    for device in _gpus(model):
        torch.cuda.default_generators[device.index].manual_seed(state)


def _gpus(model: nn.Module) -> set[torch.device]:
    return {p.device for p in model.parameters() if p.device.type == "cuda"}


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in state.items()}
