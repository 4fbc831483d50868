"""Training runs that tests start in one process, and `torchrun` in two.

    torchrun --nproc_per_node=2 tests/two_processes.py FOLDER

writes what every process found, `FOLDER/0.pt` and `FOLDER/1.pt`.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stablerank import LipschitzClassifier, distributed
from stablerank.exceptions import InvalidInputError, NonFiniteError
from stablerank.nn import build_network
from stablerank.training import Schedule, fit

__all__ = ["RUNS", "torchrun"]

#: 41 samples in batches of 14, 14, 13: no share is the half of all.
N = 41
SCHEDULE = Schedule(epochs=4, batch_size=16, learning_rate=0.02, validate_every=2)

Found = dict[str, Any]


def torchrun(*command: str, processes: int = 2) -> list[str]:
    """Command line that starts a script in several processes of this machine."""
    module = ["-m", "torch.distributed.run", "--standalone"]
    return [sys.executable, *module, f"--nproc_per_node={processes}", *command]


class Task:
    """A regression in float64, where sums in another order agree to many digits."""

    def __init__(
        self, make: Callable[[], nn.Module] | None = None, seed: int = 0
    ) -> None:
        torch.manual_seed(seed)
        self.x = torch.randn(N, 6, generator=torch.Generator().manual_seed(1)).double()
        self.y = self.x[:, :1].abs() - self.x[:, 1:2]
        self.model = make() if make else build_network("bro", 6, 1, (8,))
        self.model.double()

    def step(self, batch: Tensor) -> Tensor:
        return (3 * self.model(self.x[batch]) - self.y[batch]).square().mean()

    def score(self) -> float:
        with torch.no_grad():
            return -float(self.step(torch.arange(N)))

    def fit(
        self, schedule: Schedule = SCHEDULE, seed: int = 3, **options: Any
    ) -> Found:
        step, score = options.pop("step", self.step), options.pop("score", self.score)
        history = fit(self.model, step, score, N, schedule, seed=seed, **options)
        return {"state": self.model.state_dict(), "history": asdict(history)}


def plain(folder: Path) -> Found:
    return Task().fit()


def all_dials(folder: Path) -> Found:
    dials = {"optimiser": "nadam", "weight_decay": 0.01, "clip": 0.5, "average": 0.8}
    return Task().fit(replace(SCHEDULE, **dials))


def centred(folder: Path) -> Found:
    return Task(lambda: build_network("distance", 6, 1, (8, 8))).fit()


def batch_norm(folder: Path) -> Found:
    return Task(lambda: nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3))).fit()


def used_by_one_sample(folder: Path) -> Found:
    """A weight that a process without sample 0 has no gradient of."""
    names = ("line", "special")
    task = Task(lambda: nn.ModuleDict({name: nn.Linear(6, 1) for name in names}))

    def step(batch: Tensor) -> Tensor:
        z = task.model["line"](task.x[batch])
        if 0 in batch:
            z = z + task.model["special"](task.x[batch]) * (batch == 0)[:, None]
        return (z - task.y[batch]).square().mean()

    # Decay would pull at a weight that had a gradient of zeros in place of none.
    schedule = replace(SCHEDULE, weight_decay=0.1)
    return task.fit(schedule, step=step, score=lambda: 0.0)


def other_beginnings(folder: Path) -> Found:
    return Task(seed=distributed.rank()).fit()


def shares(folder: Path) -> Found:
    """Which samples a process sees, and what it draws."""
    task, seen, drawn = Task(), [], []

    def step(batch: Tensor) -> Tensor:
        seen.append(batch)
        drawn.append(torch.rand(1))
        return task.step(batch)

    task.fit(step=step)
    return {"seen": seen, "drawn": torch.cat(drawn)}


def own_opinions(folder: Path) -> Found:
    """Scores on which the processes do not agree."""
    opinions = iter([1.0, 0.0] if distributed.rank() else [0.25, 0.75])
    return Task().fit(score=lambda: next(opinions))


def interrupted(folder: Path) -> Found:
    """Ctrl-C in the last epoch, and the same call again."""
    file, task, count = folder / "resumed", Task(), itertools.count()

    def step(batch: Tensor) -> Tensor:
        if next(count) == 10:
            raise KeyboardInterrupt
        return task.step(batch)

    try:
        task.fit(step=step, checkpoint=file)
    except KeyboardInterrupt:
        stopped = file.exists()
    return {"stopped": stopped, **Task(seed=9).fit(checkpoint=file)}


def estimator(folder: Path) -> Found:
    """A classifier of tables, which knows nothing of processes."""
    x = torch.randn(N, 4, generator=torch.Generator().manual_seed(2)).numpy()
    y = (x[:, 0] > 0).astype(int)
    model = LipschitzClassifier(2, "bro", hidden=(8,), epochs=3, random_state=0)
    logits = model.fit(x, y).decision_function(x)
    return {"state": {"logits": torch.tensor(logits)}}


def own_files(folder: Path) -> Found:
    Task().fit(checkpoint=folder / f"written by {distributed.rank()}")
    return {}


def refused(folder: Path) -> Found:
    """What cannot be trained together; every process must be told."""
    mine = distributed.rank()
    there = folder / f"there for {mine}"
    if mine == 0:
        there.write_bytes(b"")
    tiny = torch.tensor([0.0, float("nan")])[mine]
    runs: dict[str, Callable[[], Any]] = {
        "seeds": lambda: Task().fit(seed=mine),
        "files": lambda: Task().fit(checkpoint=there),
        "batches": lambda: Task().fit(replace(SCHEDULE, batch_size=1)),
        "divergence": lambda: (task := Task()).fit(step=lambda b: task.step(b) + tiny),
    }
    found = {}
    for name, run in runs.items():
        try:
            run()
        except (InvalidInputError, NonFiniteError) as error:
            found[name] = str(error)
    return found


def lost(folder: Path) -> Found:
    """One process leaves, and the other trains on."""
    start, done = time.monotonic(), folder / "given up"
    if distributed.rank():
        while not done.exists() and time.monotonic() < start + 60:
            time.sleep(0.1)
        return {}
    try:
        Task().fit()
    except RuntimeError as error:
        done.touch()
        return {"error": str(error), "waited": time.monotonic() - start}
    return {}


RUNS: dict[str, Callable[[Path], Found]] = {
    run.__name__: run
    for run in (
        plain,
        all_dials,
        centred,
        batch_norm,
        used_by_one_sample,
        other_beginnings,
        shares,
        own_opinions,
        interrupted,
        estimator,
        own_files,
        refused,
    )
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with distributed.launched("cpu", timeout=60):
        folder = Path(sys.argv[1])
        found = {name: run(folder) for name, run in RUNS.items()}
    with distributed.launched("cpu", timeout=3):
        found["lost"] = lost(folder)
        torch.save(found, folder / f"{distributed.rank()}.pt")
