"""What an attack sees of a model: its logits, and the slope of a margin.

An attacker knows everything, so margins are differentiated through the frozen program
itself (torch runs the same operations), and bars back to the input through the
vertices that set them.  The gradient may be wrong where bars swap; that costs the
attack a step, and a certificate nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stablerank.diagrams import Diagrams
from stablerank.extract.base import Extractor
from stablerank.frozen import BarInput, Program, Ragged
from stablerank.frozen.backend import TorchBackend

__all__ = ["DiagramTarget", "SampleTarget", "Target", "VectorTarget"]

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Bars = dict[str, Array]

#: Samples differentiated at once: tables of bars by functions stay small.
_BLOCK = 64


class Target(Protocol):
    """A model under attack; labels are numbers of outputs."""

    def logits(self, samples: Sequence[Any]) -> Array:
        """Outputs, as the frozen program computes them."""
        ...

    def slopes(self, samples: Sequence[Any], label: Labels) -> list[Any]:
        """Gradient of every sample's margin z_label - max of the others."""
        ...


def margins(logits: Array, label: Labels) -> Array:
    """z_label - max of the others; at most 0 where another label is predicted.

    Examples
    --------
    >>> margins(np.array([[3.0, 1.0]]), np.array([0]))
    array([2.])
    """
    rows, others = np.arange(len(logits)), np.array(logits)
    others[rows, label] = -np.inf
    return np.asarray(logits[rows, label] - others.max(axis=1))


def _torch_margins(logits: Tensor, label: Labels) -> Tensor:
    own = torch.nn.functional.one_hot(torch.as_tensor(label), logits.shape[1]).bool()
    return logits[own] - logits.masked_fill(own, -torch.inf).amax(dim=1)


class VectorTarget:
    """A program on vectors.

    Parameters
    ----------
    program : Program
        With a `VectorInput`.
    """

    def __init__(self, program: Program) -> None:
        self.program = program

    def logits(self, samples: Sequence[Any]) -> Array:
        """Outputs of a table of rows."""
        return np.asarray(self.program.evaluate(np.asarray(samples)))

    def slopes(self, samples: Sequence[Any], label: Labels) -> list[Any]:
        """Gradient of each margin by the row."""
        x = torch.tensor(np.asarray(samples), requires_grad=True)
        total = _torch_margins(self.program.evaluate(x), label).sum()
        (gradient,) = torch.autograd.grad(total, x)
        return list(gradient.numpy())


class DiagramTarget:
    """A program on diagrams; a sample is a mapping from channel to finite bars.

    Parameters
    ----------
    program : Program
        With `BarInput`s.
    like : Diagrams
        What the samples are of: channels, conventions, units, and the largest errors
        of the engine. Essential bars are left out: no program reads them.
    """

    def __init__(self, program: Program, like: Diagrams) -> None:
        self.program, self.like = program, like
        self.samples: list[Bars] = [
            {name: bars[np.isfinite(bars[:, 1])] for name, bars in sample.items()}
            for sample in like.to_list()
        ]

    def diagrams(self, samples: Sequence[Mapping[str, Array]]) -> Diagrams:
        """The samples as the model takes them."""
        like = self.like
        return Diagrams.from_list(
            list(samples),
            channels=like.channels,
            degrees=like.degrees,
            convention=like.conventions,
            unit=like.units,
            error=like.error.max(axis=0, initial=0.0)[None].repeat(len(samples), 0),
        )

    def logits(self, samples: Sequence[Any]) -> Array:
        """Outputs."""
        return np.asarray(self.program.evaluate(self.diagrams(samples)))

    def slopes(self, samples: Sequence[Any], label: Labels) -> list[Any]:
        """Gradient of each margin by the ends of the bars, as mappings."""
        dgms = self.diagrams(samples)
        gradient, offsets = bar_slopes(self.program, dgms, label), dgms.offsets
        return [
            {
                name: gradient[offsets[i, c] : offsets[i, c + 1]]
                for c, name in enumerate(dgms.channels)
            }
            for i in range(len(dgms))
        ]


class SampleTarget:
    """A program behind an extractor: clouds, images, graphs.

    Parameters
    ----------
    program : Program
        With `BarInput`s.
    extractor : Extractor
        Fitted; of the kind that knows which vertices set its bars.
    """

    def __init__(self, program: Program, extractor: Extractor) -> None:
        self.program, self.extractor = program, extractor
        self.telling = copy.deepcopy(extractor).set_params(critical=True)

    def logits(self, samples: Sequence[Any]) -> Array:
        """Outputs."""
        return np.asarray(self.program.evaluate(self.extractor.transform(samples)))

    def slopes(self, samples: Sequence[Any], label: Labels) -> list[Any]:
        """Gradient of each margin by the sample."""
        dgms, gradient = self.bar_slopes(samples, label)
        return self.telling.pullback(samples, dgms, gradient)

    def bar_slopes(
        self, samples: Sequence[Any], label: Labels
    ) -> tuple[Diagrams, Array]:
        """Diagrams with critical vertices, and the gradient by the ends of all bars."""
        dgms = self.telling.transform(samples).compact()
        return dgms, bar_slopes(self.program, dgms, label)


def bar_slopes(program: Program, diagrams: Diagrams, label: Labels) -> Array:
    """Gradient of every sample's margin by the ends of its bars.

    Parameters
    ----------
    program : Program
        On bars.
    diagrams : Diagrams
        Compact.
    label : ndarray of int, shape (n,)
        Class whose margin it is.

    Returns
    -------
    ndarray of shape (n_bars, 2)
        Rows as in `diagrams.bars`.
    """
    gradient = np.zeros(diagrams.bars.shape)
    for start in range(0, len(diagrams), _BLOCK):
        own = slice(start, start + _BLOCK)
        offsets = diagrams.offsets[own]
        rows = slice(int(offsets[0, 0]), int(offsets[-1, -1]))
        bars = torch.tensor(diagrams.bars[rows], requires_grad=True)
        entries = [
            _entry(entry, diagrams.channels, bars, offsets - offsets[0, 0])
            for entry in program.inputs
            if isinstance(entry, BarInput)
        ]
        total = _torch_margins(_run(program, entries), label[own]).sum()
        if total.requires_grad:  # a program may ignore its input
            (found,) = torch.autograd.grad(total, bars, allow_unused=True)
            gradient[rows] = 0.0 if found is None else found.numpy()
    return gradient


def _entry(
    entry: BarInput, channels: Sequence[str], bars: Tensor, offsets: NDArray[np.int64]
) -> Ragged:
    """Clipped bars of one channel, all samples one after the other."""
    c = list(channels).index(entry.channel)
    starts, ends = offsets[:, c], offsets[:, c + 1]
    rows = np.concatenate([np.arange(s, e) for s, e in zip(starts, ends, strict=True)])
    own = bars[torch.as_tensor(rows.astype(np.int64))]
    return Ragged(own.clamp(entry.low, entry.high), ends - starts)


def _run(program: Program, registers: list[Any]) -> Any:
    for op in program.operations:
        registers.append(op.evaluate(TorchBackend, *(registers[i] for i in op.inputs)))
    return registers[-1]
