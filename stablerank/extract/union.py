"""Several filtrations of the same samples, side by side as named channels.

A union proves nothing of its own: each part brings its channels, bounds, cost and
gradient, and answers for them.  The parts also keep their cache keys, so what a part
computed alone is found again here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from joblib import Memory
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from stablerank.bounds import Bound
from stablerank.diagrams import Diagrams, Source
from stablerank.diagrams.channels import per_channel
from stablerank.diagrams.packing import channel_rows
from stablerank.exceptions import InvalidInputError, NoStabilityTheorem, ShapeError
from stablerank.extract.base import Extracted, Extractor
from stablerank.extract.cost import SampleCost
from stablerank.metrics import Threat
from stablerank.validation import repeatable

__all__ = ["PersistenceUnion", "as_extractor"]

Array = NDArray[np.float64]
Named = list[tuple[str, Extractor]]

#: What scikit-learn wants to know of the input; all parts read the same.
_FEATURES = ("n_features_in_", "feature_names_in_")


@dataclass
class _Extracted(Extracted):
    """Channels of all parts, and what each part said."""

    parts: list[Extracted] = field(default_factory=list)


class PersistenceUnion(Extractor):
    """Extractors side by side; a plain list of extractors means this.

    Stability: the bounds of each part hold on its own channels. A threat needs a
    theorem for every part; `bound` is the worst of them.

    Parameters
    ----------
    extractors : list of Extractor, or of (name, Extractor) pairs
        Channels are called "name/channel". Without names they are called after their
        class: "alpha/H0", "dtm/k5/H0", with a number for a second one: "alpha2/H0".
    n_jobs, progress, memory, max_memory
        As in every extractor; those of the parts are not used.

    Attributes
    ----------
    extractors_ : list of (str, Extractor)
        The fitted parts; those that were given stay as they were.

    Notes
    -----
    Parameters of a part are reached by its name, as in scikit-learn:
    `set_params(alpha__critical=True)`. `critical` vertices are kept if every part
    keeps them, and `pullback` adds the gradients of the parts up.

    Examples
    --------
    >>> from stablerank import GraphPersistence
    >>> both = PersistenceUnion(
    ...     [
    ...         GraphPersistence((0,)),
    ...         ("ends", GraphPersistence((0,), extended=True)),
    ...     ]
    ... )
    >>> path = {"edges": [[0, 1], [1, 2]]}
    >>> both.fit_transform([path]).channels
    ('graph/H0', 'ends/Ord0', 'ends/Ext+0')
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{k: Extractor._parameter_constraints[k] for k in Extractor._runtime},
        "extractors": [list, tuple],
    }

    def __init__(
        self,
        extractors: Sequence[Extractor | tuple[str, Extractor]],
        *,
        n_jobs: int | None = None,
        progress: bool = False,
        memory: str | Memory | None = None,
        max_memory: float | None = None,
    ) -> None:
        self.extractors = extractors
        self.n_jobs = n_jobs
        self.progress = progress
        self.memory = memory
        self.max_memory = max_memory

    # --- parts ------------------------------------------------------------------------

    def _parts(self) -> Named:
        """Fitted parts, or those that were given."""
        fitted: Named | None = getattr(self, "extractors_", None)
        return _named(self.extractors) if fitted is None else fitted

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters; with `deep` also the parts by name, and theirs.

        Examples
        --------
        >>> from stablerank import GraphPersistence
        >>> PersistenceUnion([GraphPersistence()]).get_params()["graph__extended"]
        False
        """
        params: dict[str, Any] = super().get_params(deep=False)
        if deep:
            for name, part in _named(self.extractors):
                params[name] = part
                below = part.get_params(deep=True)
                params |= {f"{name}__{key}": value for key, value in below.items()}
        return params

    def set_params(self, **params: Any) -> PersistenceUnion:
        """Set parameters, replace parts by name, or set parameters of parts.

        Fitted parts are clones that would not hear of it, so the union must be fitted
        again, unless only runtime parameters such as `n_jobs` change.
        """
        if not params.keys() <= set(self._runtime):
            self._forget()
        if "extractors" in params:
            self.extractors = params.pop("extractors")
        parts = dict(_named(self.extractors))
        replaced = {name: params.pop(name) for name in parts if name in params}
        if replaced:
            self.extractors = list((parts | replaced).items())
        super().set_params(**params)
        return self

    def _forget(self) -> None:
        for attribute in ("extractors_", *_FEATURES):
            if hasattr(self, attribute):
                delattr(self, attribute)

    def _check_parameters(self) -> None:
        self._validate_params()
        parts = _named(self.extractors)
        taken = {*super().get_params(deep=False)} & {name for name, _ in parts}
        if taken:
            raise InvalidInputError(
                f"{taken.pop()!r} is a parameter of the union and no name for a part"
            )
        for name, part in parts:
            _naming(name, part._check_parameters)

    def spec(self) -> dict[str, Any]:
        """Everything that decides the output; parts by name, as they were given.

        The given parts may be fitted elsewhere, which decides nothing here: what was
        fitted stands under "extractors_".
        """
        spec = super().spec()
        given = [(name, part.spec()) for name, part in _named(self.extractors)]
        spec["params"]["extractors"] = [
            [name, {"class": own["class"], "params": own["params"]}]
            for name, own in given
        ]
        return spec

    # --- the contract, part by part ---------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> PersistenceUnion:
        """Fit a clone of every part.

        Parameters
        ----------
        X : list of samples
            Raw input that every part reads.
        y : ignored
            Present for scikit-learn.
        """
        self._check_parameters()
        X = repeatable(X)
        parts = [(name, clone(part)) for name, part in _named(self.extractors)]
        for name, part in parts:
            _naming(name, part.fit, X, y)
        self._forget()
        self.extractors_ = parts
        first = parts[0][1]
        for attribute in _FEATURES:
            if hasattr(first, attribute):
                setattr(self, attribute, getattr(first, attribute))
        return self

    def _read(self, X: Any) -> list[tuple[Any, ...]]:
        X = repeatable(X)
        read = [_naming(name, part._read, X) for name, part in self._parts()]
        return list(zip(*read, strict=True))

    def _read_like_fit(self, X: Any) -> list[tuple[Any, ...]]:
        X = repeatable(X)
        read = [_naming(name, part._read_like_fit, X) for name, part in self._parts()]
        return list(zip(*read, strict=True))

    def _channels(self) -> tuple[list[str], list[int]]:
        names, degrees = [], []
        for prefix, part in self._parts():
            own, own_degrees = part._channels()
            names += [f"{prefix}/{name}" for name in own]
            degrees += own_degrees
        return names, degrees

    def _extract(self, sample: Any, memory: str | Memory | None) -> Extracted:
        return _side_by_side(
            [
                _naming(name, part._extract, own, memory)
                for (name, part), own in zip(self._parts(), sample, strict=True)
            ]
        )

    def _transform_one(self, sample: Any) -> Extracted:
        return self._extract(sample, None)

    def _conventions(self) -> list[str]:
        return [
            value
            for _, part in self._parts()
            for value in per_channel(
                part._conventions(), len(part._channels()[0]), "convention"
            )
        ]

    def _units(self) -> list[str | None]:
        return [
            value
            for _, part in self._parts()
            for value in per_channel(part._units(), len(part._channels()[0]), "unit")
        ]

    def _source(self, results: Sequence[Extracted]) -> Source:
        own = [r.parts for r in results if isinstance(r, _Extracted)]
        parts = {
            name: part._source([found[k] for found in own])
            for k, (name, part) in enumerate(self._parts())
        }
        return Source(self.spec(), parts=parts)

    def _cost(self, sample: Any) -> SampleCost:
        costs = [
            part._cost(own)
            for (_, part), own in zip(self._parts(), sample, strict=True)
        ]
        # One after the other: times add up, the largest peak is the peak.
        return SampleCost(
            max(cost.memory for cost in costs), sum(cost.seconds for cost in costs)
        )

    def _cheaper(self) -> str:
        return "; ".join(f"{name}: {part._cheaper()}" for name, part in self._parts())

    # --- theorems ---------------------------------------------------------------------

    @property
    def default_threat(self) -> Threat:
        """The default threat that all parts have in common.

        Raises
        ------
        NoStabilityTheorem
            If they differ: a radius must be in one unit.
        """
        threats = {name: part.default_threat for name, part in self._parts()}
        first, *others = threats.values()
        if any(other != first for other in others):
            listed = ", ".join(
                f"{name}: {threat!r}" for name, threat in threats.items()
            )
            raise NoStabilityTheorem(
                f"the parts mean different threats ({listed})",
                "naming one threat that every part has a theorem for",
            )
        return first

    def _bounds(self, threat: Threat, source: Source | None) -> dict[str, list[Bound]]:
        bounds: dict[str, list[Bound]] = {}
        for name, part in self._parts():
            try:
                found = part._all_bounds(threat, _part_source(source, name))
            except NoStabilityTheorem as error:
                raise NoStabilityTheorem(
                    f"part {name!r}: {error.reason}", error.alternative
                ) from error
            bounds |= {f"{name}/{channel}": own for channel, own in found.items()}
        return bounds

    def pullback(self, X: Any, diagrams: Diagrams, grad_bars: ArrayLike) -> list[Array]:
        """Sum of the gradients of the parts; see `Extractor.pullback`."""
        own = diagrams.compact()
        grads = np.asarray(grad_bars, dtype=np.float64)
        if grads.shape != own.bars.shape:
            raise ShapeError(
                f"grad_bars has shape {grads.shape}, the bars have {own.bars.shape}"
            )
        X = repeatable(X)
        gradients = []
        for name, part in self._parts():
            channels = [f"{name}/{channel}" for channel in part._channels()[0]]
            bars = _unpadded(own.select(channels, f"{name}/"))
            index = [own.channels.index(channel) for channel in channels]
            rows, _ = channel_rows(own.offsets, index)
            gradients.append(_naming(name, part.pullback, X, bars, grads[rows]))
        return [np.sum(found, axis=0) for found in zip(*gradients, strict=True)]


def as_extractor(spec: Any) -> Extractor:
    """Return the extractor that a parameter `extractor=` means.

    Parameters
    ----------
    spec : Extractor, list, tuple or None
        None is `AlphaPersistence()`, a list is a `PersistenceUnion` of it.

    Examples
    --------
    >>> from stablerank import GraphPersistence
    >>> as_extractor([GraphPersistence(), ("b", GraphPersistence())])._channels()[0]
    ['graph/H0', 'graph/H1', 'b/H0', 'b/H1']
    """
    if spec is None:
        from stablerank.extract.alpha import AlphaPersistence

        return AlphaPersistence()
    if isinstance(spec, (list, tuple)):
        return PersistenceUnion(spec)
    if isinstance(spec, Extractor):
        return spec
    hint = (
        f"; make an instance: {spec.__name__}()"
        if isinstance(spec, type) and issubclass(spec, Extractor)
        else ""
    )
    raise InvalidInputError(
        "an extractor is an object such as AlphaPersistence(), a list of them, or None "
        f"(alpha), got {spec!r}{hint}"
    )


def _named(extractors: Any) -> Named:
    """Pairs of unique names and extractors, however they were given."""
    if not isinstance(extractors, (list, tuple)) or not extractors:
        raise InvalidInputError(
            f"extractors must be a list of at least one extractor, got {extractors!r}"
        )
    pairs = [
        e if isinstance(e, tuple) and len(e) == 2 else (None, e) for e in extractors
    ]
    taken = {name for name, _ in pairs if name is not None}
    if len(taken) < sum(name is not None for name, _ in pairs):
        raise InvalidInputError(f"two parts have one name: {[n for n, _ in pairs]}")
    named: Named = []
    for given, part in pairs:
        if not isinstance(part, Extractor):
            raise InvalidInputError(
                f"a part of a union is an extractor or a (name, extractor) pair, got "
                f"{part!r}"
            )
        name = _free_name(type(part).__name__, taken) if given is None else given
        if not isinstance(name, str) or not name or "/" in name or "__" in name:
            raise InvalidInputError(
                f"the name of a part is a word without '/' and '__', got {name!r}"
            )
        taken.add(name)
        named.append((name, part))
    return named


def _free_name(class_name: str, taken: set[str]) -> str:
    """Snake case of the class without "Persistence", numbered from the second on."""
    word = class_name.replace("Persistence", "") or class_name
    word = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", word).lower()
    number = 1
    while (name := word if number == 1 else f"{word}{number}") in taken:
        number += 1
    return name


def _naming(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call, and let an error say in which part it happened."""
    try:
        return function(*args)
    except Exception as error:
        error.add_note(f"in part {name!r} of the union")
        raise


def _side_by_side(parts: list[Extracted]) -> _Extracted:
    known = [part.critical for part in parts if part.critical is not None]
    return _Extracted(
        bars=[bars for part in parts for bars in part.bars],
        essential=[births for part in parts for births in part.essential],
        error=[error for part in parts for error in part.error],
        critical=[table for tables in known for table in tables]
        if len(known) == len(parts)
        else None,
        parts=parts,
    )


def _unpadded(diagrams: Diagrams) -> Diagrams:
    """Bars of a part without the columns of -1 that other parts' vertices need."""
    critical = diagrams.critical
    if critical is None:
        return diagrams
    width = max(1, int((critical >= 0).any(axis=(0, 1)).sum()))
    return Diagrams(
        diagrams.bars,
        diagrams.offsets,
        diagrams.channels,
        diagrams.degrees,
        critical=critical[:, :, :width],
    )


def _part_source(source: Source | None, name: str) -> Source | None:
    """Source of a part; weights of points are noted on the whole and serve all."""
    if source is None:
        return None
    part = source.parts[name]
    for threat, top_two in source.weights.items():
        part = part.with_weights(threat, top_two)
    return part
