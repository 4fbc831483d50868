"""Several processes that train one model as if they were one.

`torchrun` starts a script several times.  Every process holds the whole model and
takes its share of every batch; with n_r of its n samples and g_r the gradient of
their mean loss,

    g = sum over the processes of (n_r / n) g_r

is the gradient of the mean over the whole batch, so all take the step that one
process would have taken, but for the order of summation.  A layer that looks at a
batch as a whole asks `batch_mean` for the mean over all processes.  What is random in
a step (dropout, augmentation) is drawn by each process for itself.

Not `DistributedDataParallel`: it hooks the forward pass of one module and weighs all
processes alike.  Here a step is any function of sample numbers, which calls the
network, its constants and its loss as it likes, and shares differ by a sample where a
batch does not divide.  One sum of all gradients after the backward pass does for both;
what it gives up is sending while the backward pass still runs.

Without a process group every function here is what it is for one process: nothing is
sent, copied or rounded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as group
from torch.autograd.function import once_differentiable

from stablerank.exceptions import InvalidInputError

__all__ = [
    "agree",
    "average_moves",
    "batch_mean",
    "broadcast_state",
    "from_first",
    "is_active",
    "launched",
    "moving_state",
    "rank",
    "share",
    "sum_gradients",
    "total",
    "world_size",
]


def is_active() -> bool:
    """Whether this process is one of several that train together.

    Examples
    --------
    >>> is_active(), rank(), world_size()
    (False, 0, 1)
    """
    return group.is_available() and group.is_initialized()


def rank() -> int:
    """Number of this process; 0 writes files and shows progress."""
    return group.get_rank() if is_active() else 0


def world_size() -> int:
    """Number of processes."""
    return group.get_world_size() if is_active() else 1


@contextmanager
def launched(
    device: str | None = None, timeout: float = 1800.0
) -> Iterator[torch.device]:
    """Join the processes that `torchrun` has started, if it has.

    Parameters
    ----------
    device : str, optional
        "cpu" or "cuda" (each process then has a GPU of its own); by default CUDA
        where there is any.
    timeout : float
        Seconds after which a process stops waiting for the others.

    Yields
    ------
    device
        Where this process trains.

    Examples
    --------
    >>> with launched("cpu") as device:
    ...     print(device, world_size())
    cpu 1
    """
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield torch.device(kind)
        return
    own = torch.device(kind)
    if own.type == "cuda":
        place, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= there:
            raise InvalidInputError(
                f"process {place} on a machine with {there} GPUs; start torchrun with "
                f"--nproc_per_node={there}, or choose the device 'cpu'"
            )
        own = torch.device("cuda", place)
        torch.cuda.set_device(own)
    backend = "nccl" if own.type == "cuda" else "gloo"
    group.init_process_group(backend, timeout=timedelta(seconds=timeout))
    # Left as it is by an error: leaving in order would wait for the others, who wait
    # for this process, while torchrun ends them all as soon as this one has ended.
    yield own
    group.destroy_process_group()


def share(batch: Tensor) -> Tensor:
    """Sample numbers of this process: disjoint, sizes that differ by one at most.

    Examples
    --------
    >>> share(torch.arange(3))
    tensor([0, 1, 2])
    """
    return batch.tensor_split(world_size())[rank()] if is_active() else batch


def agree(value: str, complaint: str, device: torch.device) -> None:
    """Raise in every process unless all hold the same text.

    Parameters
    ----------
    value : str
        What is compared, by a digest.
    complaint : str
        Message of the error.
    device : torch.device
        From which the process group can send.
    """
    if not is_active():
        return
    digest = int.from_bytes(hashlib.sha256(value.encode()).digest()[:7], "big")
    extremes = torch.tensor([digest, -digest], device=device)
    group.all_reduce(extremes, group.ReduceOp.MAX)
    largest, smallest = extremes.tolist()
    if largest != -smallest:
        raise InvalidInputError(complaint)


def from_first(value: float, device: torch.device) -> float:
    """The number that process 0 holds."""
    if not is_active():
        return value
    sent = torch.tensor(value, dtype=torch.float64, device=device)
    group.broadcast(sent, 0)
    return float(sent)


def total(value: float, device: torch.device) -> float:
    """Sum of the numbers of all processes."""
    if not is_active():
        return value
    sent = torch.tensor(value, dtype=torch.float64, device=device)
    group.all_reduce(sent)
    return float(sent)


def broadcast_state(module: nn.Module) -> None:
    """Parameters and buffers of process 0, for all."""
    if is_active():
        for value in (*module.parameters(), *module.buffers()):
            group.broadcast(value.detach(), 0)


def sum_gradients(module: nn.Module) -> None:
    """Gradients summed over the processes; without any, a parameter stays without.

    Parameters
    ----------
    module : Module
        The same in every process, after the backward pass of a loss that was
        multiplied by the process's share of the batch.
    """
    if not is_active():
        return
    trained = [p for p in module.parameters() if p.requires_grad]
    for own in _by_type(trained):
        # Marked at the end: who has a gradient may depend on the samples.
        has = own[0].new_tensor([p.grad is not None for p in own])
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in own]
        flat = torch.cat([*(g.reshape(-1) for g in grads), has])
        group.all_reduce(flat)
        *sums, found = flat.split([*(p.numel() for p in own), len(own)])
        for parameter, gradient, any_has in zip(own, sums, found.tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter) if any_has else None


def moving_state(module: nn.Module) -> list[Tensor]:
    """Copies of the buffers of floats, such as running means; empty for one process.

    Examples
    --------
    >>> moving_state(nn.BatchNorm1d(2))
    []
    """
    if not is_active():
        return []
    return [value.clone() for value in _floating_buffers(module)]


def average_moves(module: nn.Module, before: list[Tensor], weight: float) -> None:
    """Move every buffer by the mean of what the processes moved it by.

    A running mean moves linearly with the batch, so this is how far one process with
    all of the batch would have moved it; buffers that stayed keep their bits.

    Parameters
    ----------
    module : Module
        After the step.
    before : list of Tensor
        `moving_state` before the step.
    weight : float
        Share of this process in the batch.
    """
    if not is_active():
        return
    for value, old in zip(_floating_buffers(module), before, strict=True):
        move = torch.where(value == old, 0.0, weight * (value - old)).to(old.dtype)
        group.all_reduce(move)
        value.copy_(torch.where(move == 0, old, old + move))


def batch_mean(x: Tensor) -> Tensor:
    """Mean over the rows of all processes together, differentiable.

    Parameters
    ----------
    x : Tensor of shape (n, ...)
        Rows of this process.

    Examples
    --------
    >>> batch_mean(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    tensor([2., 4.])
    """
    if not is_active():
        return x.mean(dim=0)
    mean: Tensor = _BatchMean.apply(x)
    return mean


class _BatchMean(torch.autograd.Function):
    """Sum of all rows over their number; every process's loss depends on it.

    Each process differentiates its own part of the loss, so the gradient of the mean
    is the sum of what the processes find.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Sums and the number of rows, in one message."""
        flat = torch.cat([x.sum(dim=0).reshape(-1), x.new_tensor([len(x)])])
        group.all_reduce(flat)
        ctx.n_rows, ctx.n_all = len(x), flat[-1]
        return (flat[:-1] / flat[-1]).view(x.shape[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Spread over all rows alike."""
        whole = gradient.clone()
        group.all_reduce(whole)
        return (whole / ctx.n_all).expand(ctx.n_rows, *whole.shape)


def _by_type(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Lists of one dtype and device each, in the order of their first member."""
    found: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        found.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    return list(found.values())


def _floating_buffers(module: nn.Module) -> list[Tensor]:
    return [value for value in module.buffers() if value.is_floating_point()]
