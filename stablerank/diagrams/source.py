"""Where diagrams come from: the extractor's spec, and what it measured of inputs.

A constant may depend on the sample (its diameter, the cover radius of its
landmarks), long after the input is gone.  So the extractor leaves its spec and a
few numbers per sample with the diagrams; bounds are computed from these alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stablerank.exceptions import IncompatibleDiagramsError, InvalidInputError

__all__ = ["Source"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Source:
    """Spec of an extractor and the geometry of each of its inputs.

    Parameters
    ----------
    spec : mapping
        Class name, parameters and fitted choices of the extractor; JSON values.
    geometry : mapping of str to ndarray of shape (n_samples,)
        Numbers of each sample, upper bounds where rounding matters.
    weights : mapping of str to ndarray of shape (n_samples, 2)
        The two largest point weights of each sample, by name of the weights.
    parts : mapping of str to Source
        For a union of extractors: the source of each part, by its prefix.
    """

    spec: Mapping[str, Any]
    geometry: Mapping[str, Array] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    parts: Mapping[str, Source] = field(default_factory=dict)

    def __getitem__(self, key: Any) -> Source:
        """Return the source of some samples."""
        return Source(
            self.spec,
            {name: values[key] for name, values in self.geometry.items()},
            {name: values[key] for name, values in self.weights.items()},
            {name: part[key] for name, part in self.parts.items()},
        )

    def with_weights(self, name: str, top_two: Array) -> Source:
        """Add the two largest point weights of every sample."""
        known = self.weights.get(name)
        if known is not None and not np.array_equal(known, top_two):
            raise IncompatibleDiagramsError(
                f"the diagrams carry other weights for the {name}; threats with "
                "different weights need different names"
            )
        weights = {**self.weights, name: top_two}
        return Source(self.spec, self.geometry, weights, self.parts)

    def same_extractor(self, other: Source) -> bool:
        """Whether both were extracted in the same way."""
        return json.dumps(self.spec, sort_keys=True) == json.dumps(
            other.spec, sort_keys=True
        )

    @staticmethod
    def two_largest_weights(threat: Any, inputs: Sequence[Any]) -> Array:
        """Return the two largest point weights of every input, shape (n, 2)."""
        top = np.zeros((len(inputs), 2))
        for i, sample in enumerate(inputs):
            weights = threat.point_weights(sample)
            if weights is None:
                raise InvalidInputError(f"{threat!r} has no weights: all points are 1")
            largest = np.sort(weights)[::-1][:2]
            top[i, : len(largest)] = largest
        return top

    @staticmethod
    def concat(sources: Sequence[Source | None]) -> Source | None:
        """Join the sources of consecutive batches."""
        known = [source for source in sources if source is not None]
        if not known:
            return None
        first = known[0]
        if len(known) < len(sources) or not all(map(first.same_extractor, known)):
            raise IncompatibleDiagramsError(
                "the diagrams come from different extractors, so no bound would be "
                "true of all; join diagrams of one extractor, or drop the origin of "
                "each with .without_source() first"
            )
        stack = lambda attribute: {  # noqa: E731
            name: np.concatenate([getattr(s, attribute)[name] for s in known])
            for name in getattr(first, attribute)
            if all(name in getattr(s, attribute) for s in known)
        }
        parts = {
            name: Source.concat([s.parts[name] for s in known]) for name in first.parts
        }
        joined = {name: part for name, part in parts.items() if part is not None}
        return Source(first.spec, stack("geometry"), stack("weights"), joined)

    def to_arrays(
        self, prefix: str = "source"
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """Split into JSON values and named arrays, for files."""
        arrays = {f"{prefix}.geometry.{k}": v for k, v in self.geometry.items()}
        arrays |= {f"{prefix}.weights.{k}": v for k, v in self.weights.items()}
        parts = {}
        for name, part in self.parts.items():
            parts[name], more = part.to_arrays(f"{prefix}.parts.{name}")
            arrays |= more
        header = {
            "spec": dict(self.spec),
            "geometry": list(self.geometry),
            "weights": list(self.weights),
            "parts": parts,
        }
        return header, arrays

    @classmethod
    def from_arrays(
        cls,
        header: Mapping[str, Any],
        arrays: Mapping[str, Array],
        prefix: str = "source",
    ) -> Source:
        """Inverse of `to_arrays`."""
        return cls(
            header["spec"],
            {k: arrays[f"{prefix}.geometry.{k}"] for k in header["geometry"]},
            {k: arrays[f"{prefix}.weights.{k}"] for k in header["weights"]},
            {
                name: cls.from_arrays(part, arrays, f"{prefix}.parts.{name}")
                for name, part in header["parts"].items()
            },
        )
