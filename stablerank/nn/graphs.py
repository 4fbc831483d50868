"""Frozen programs as graphs of torch alone, for machines without stablerank.

What runs elsewhere is the program that was certified, not the module that was trained:
float64, inputs clipped to the frozen box, the same operations in the same order.  So
the rounding that certificates charge covers the graph as well, as long as products are
those of float64 (a graph that is lowered to float32 or less is another function).
Radii stay with the certificate: the graph predicts, and proves nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from stablerank.exceptions import InvalidInputError
from stablerank.frozen import Program

__all__ = ["export"]


def export(program: Program) -> ExportedProgram:
    """Write a frozen program as a graph of torch operations.

    Parameters
    ----------
    program : Program
        On vectors, as `freeze` gives it.

    Returns
    -------
    torch.export.ExportedProgram
        From a float64 tensor of shape (n, n_features), any n >= 1, to outputs of shape
        (n, n_outputs). `torch.export.save` writes it to a file, and where there is
        torch, `torch.export.load(file).module()` runs it.

    Examples
    --------
    >>> from stablerank.nn import Abs, freeze
    >>> graph = export(freeze(Abs(), 2, shape=2))
    >>> graph.module()(torch.tensor([[-3.0, 4.0]]).double())
    tensor([[3., 4.]], dtype=torch.float64)
    """
    if program.is_on_bars:
        raise InvalidInputError(
            "this program reads diagrams, of which torch knows nothing; export what "
            "comes after their features, program.after(register)"
        )
    # Two rows: a graph that is traced with one is a graph for one.
    example = torch.zeros(2, program.widths[0], dtype=torch.float64)
    rows = torch.export.Dim("n", min=1)
    return torch.export.export(
        _Evaluation(program), (example,), dynamic_shapes=({0: rows},), strict=False
    )


class _Evaluation(nn.Module):
    """A program as a module."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate."""
        outputs: Tensor = self.program.evaluate(x)
        return outputs
