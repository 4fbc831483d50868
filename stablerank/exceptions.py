"""Every error that `stablerank` raises: what is wrong, where, and the fix.

A message is read by somebody who has five thousand samples and one of them is
broken, so every class about data takes the place (sample, row) as part of its
message, and ends with what to do.  Classes derive from the builtin that a
scikit-learn user would expect to catch (`ValueError`, `TypeError`, ...).
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ChannelError",
    "CostLimitError",
    "DataTypeError",
    "DiagramFormatError",
    "DistanceMatrixError",
    "EmptyInputError",
    "EngineError",
    "FileFormatError",
    "GraphFormatError",
    "IncompatibleDiagramsError",
    "InvalidInputError",
    "MetricMismatchError",
    "MissingDependencyError",
    "NoStabilityTheorem",
    "NonFiniteError",
    "NumericRangeError",
    "ShapeError",
    "StableRankError",
    "UncertifiableLayerError",
]


class StableRankError(Exception):
    """Base class of every error of this library."""


class InvalidInputError(StableRankError, ValueError):
    """An input that cannot be used as it is."""


class NonFiniteError(InvalidInputError):
    """NaN or an infinity where a finite number is needed."""


class ShapeError(InvalidInputError):
    """An array with the wrong number of dimensions, rows or columns."""


class EmptyInputError(InvalidInputError):
    """No samples, or a sample without points."""


class NumericRangeError(InvalidInputError):
    """Finite numbers so large that squared distances overflow float64."""


class DataTypeError(StableRankError, TypeError, ValueError):
    """An array of strings, objects, booleans or complex numbers."""


class DistanceMatrixError(InvalidInputError):
    """A square array that is not a matrix of dissimilarities."""


class GraphFormatError(InvalidInputError):
    """A graph that the chosen filtration cannot read."""


class DiagramFormatError(InvalidInputError):
    """Arrays that are not persistence diagrams."""


class IncompatibleDiagramsError(InvalidInputError):
    """Diagrams whose channels, convention or unit are not the expected ones."""


class FileFormatError(InvalidInputError):
    """A file that this library did not write, or that was changed since."""


class ChannelError(StableRankError, KeyError):
    """A channel or homology degree that the diagrams do not have."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; a sentence reads better.
        return str(self.args[0]) if self.args else ""


class EngineError(StableRankError, RuntimeError):
    """A persistence engine failed or returned something impossible."""


class MissingDependencyError(StableRankError, ImportError):
    """An optional package is not installed.

    Parameters
    ----------
    package : str
        What could not be imported.
    extra : str
        The extra of `stablerank` that brings it.
    purpose : str
        What it was needed for.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(
            f"{purpose} needs {package}; install it with "
            f"pip install 'stablerank[{extra}]'"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # The last entry keeps notes ("while extracting sample 7") across processes.
        return type(self), (self.package, self.extra, self.purpose), self.__dict__


class CostLimitError(StableRankError, MemoryError):
    """The work would pass the memory limit; the message names cheaper options."""


class MetricMismatchError(StableRankError, TypeError):
    """Two bounds whose metrics do not meet.

    Parameters
    ----------
    outer_source, inner_target : object
        The metric that the outer bound starts from, and the metric that the
        inner bound ends in.
    """

    def __init__(self, outer_source: object, inner_target: object) -> None:
        self.outer_source, self.inner_target = outer_source, inner_target
        super().__init__(
            f"cannot compose: the inner bound ends in {inner_target}, the outer "
            f"bound starts from {outer_source}, and no inequality between the two "
            "is listed; use a bound whose source is "
            f"{inner_target}, or convert it with a theorem of the ledger"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.outer_source, self.inner_target), self.__dict__


class NoStabilityTheorem(StableRankError, TypeError):
    """No proved constant links this threat to this output.

    Parameters
    ----------
    reason : str
        Why there is none.
    alternative : str
        What to use instead.
    """

    def __init__(self, reason: str, alternative: str) -> None:
        self.reason, self.alternative = reason, alternative
        super().__init__(f"{reason}; instead: {alternative}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.alternative), self.__dict__


class UncertifiableLayerError(StableRankError, TypeError):
    """A module that does not freeze to operations with a known constant."""
