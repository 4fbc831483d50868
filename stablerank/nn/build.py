"""Networks by name: features in, logits out, with exact pairwise constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from stablerank.exceptions import InvalidInputError, ShapeError
from stablerank.nn.activations import GroupSort
from stablerank.nn.base import Layer, Stack
from stablerank.nn.bronet import bronet_layers
from stablerank.nn.distance import LinfDistance
from stablerank.nn.linear_l2 import L2Head
from stablerank.nn.linear_linf import LinfHead, LinfLinear
from stablerank.nn.mean_shift import MeanShift
from stablerank.nn.orthogonal import BRO, Cayley
from stablerank.nn.rescaled import AOL, SLL
from stablerank.nn.sandwich import Sandwich
from stablerank.nn.sortnet import SortNeurons
from stablerank.nn.splines import LinearSpline

__all__ = ["NETWORKS", "Network", "build_network"]


class Network(Stack):
    """Hidden layers of a known constant, then a head with exact pairwise constants.

    Parameters
    ----------
    layers : sequence of Layer
        The last one is a head: it has `pair_constants`, and rows that `kind`
        bounds.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(layers)
        if not hasattr(layers[-1], "pair_constants"):
            raise InvalidInputError(
                f"a network ends with a head (LinfHead, L2Head), not with "
                f"{type(layers[-1]).__name__}"
            )
        self.hidden_constant = Stack(layers[:-1]).lipschitz if layers[1:] else 1.0

    @property
    def head(self) -> Any:
        """Last layer."""
        return self.layers[-1]

    def with_head(self, kind: str) -> Network:
        """The same hidden layers below a new head, "normalised" or "projected".

        Logits are only compared, so their rows may have length 1; a prediction of a
        number needs rows that can be shorter.
        """
        n_out, n_in = self.head.weight.shape
        head = type(self.head)(n_in, n_out, kind=kind)
        return Network([*list(self)[:-1], head])

    def check_norm(self, norm: float) -> None:
        """Raise unless the network is bounded for inputs that move in this norm."""
        if self.norm_in not in (None, norm):
            raise InvalidInputError(
                f"the features move in norm {norm}, the network is bounded in norm "
                f"{self.norm_in}; choose from {', '.join(NETWORKS[norm])}"
            )

    def pair_constants(self) -> Tensor:
        """L_cj: what training and certificates divide margins by."""
        return self.hidden_constant * self.head.pair_constants()


def _maxmin(n_in: int, n_out: int, hidden: Sequence[int], group: int = 16) -> Network:
    layers: list[Layer] = []
    for width in hidden:
        layers += [LinfLinear(n_in, width), _group_sort(width, group)]
        n_in = width
    return Network([*layers, LinfHead(n_in, n_out)])


def _distance(n_in: int, n_out: int, hidden: Sequence[int], **options: Any) -> Network:
    return _of_distances(LinfDistance, n_in, n_out, hidden, options)


def _sortnet(n_in: int, n_out: int, hidden: Sequence[int], **options: Any) -> Network:
    return _of_distances(SortNeurons, n_in, n_out, hidden, options)


def _of_distances(
    layer: type[LinfDistance],
    n_in: int,
    n_out: int,
    hidden: Sequence[int],
    options: dict[str, Any],
) -> Network:
    layers: list[Layer] = []
    for width in hidden:
        # The first layer chooses among the features, later ones start as they are.
        identity = bool(layers)
        layers += [layer(n_in, width, identity=identity, **options), MeanShift(width)]
        n_in = width
    # A score falls with the distance; the head's rows have both signs, so no layer
    # has to turn it round.
    return Network([*layers, LinfHead(n_in, n_out)])


def _l2(
    block: Callable[..., Sequence[Layer]],
    n_in: int,
    n_out: int,
    hidden: Sequence[int],
    **options: Any,
) -> Network:
    layers: list[Layer] = []
    for width in hidden:
        layers += block(n_in, width, **options)
        n_in = width
    return Network([*layers, L2Head(n_in, n_out)])


def _sorted(
    layer: Callable[[int, int], Layer], n_in: int, width: int, group: int = 2
) -> Sequence[Layer]:
    return [layer(n_in, width), _group_sort(width, group)]


def _sll(n_in: int, width: int) -> Sequence[Layer]:
    # A residual block keeps its width; an orthonormal frame changes it.
    return [SLL(width)] if n_in == width else [BRO(n_in, width), SLL(width)]


def _sandwich(n_in: int, width: int) -> Sequence[Layer]:
    return [Sandwich(n_in, width)]


def _spline(n_in: int, width: int, n_knots: int = 17) -> Sequence[Layer]:
    return [BRO(n_in, width), LinearSpline(width, n_knots)]


def _bronet(n_in: int, n_out: int, hidden: Sequence[int], **options: Any) -> Network:
    layers, width = bronet_layers(n_in, hidden, **options)
    return Network([*layers, L2Head(width, n_out)])


def _group_sort(width: int, group: int) -> GroupSort:
    if width % group:
        raise ShapeError(
            f"a hidden layer of width {width} cannot be sorted in groups of {group}; "
            f"use a multiple of {group}, or another group"
        )
    return GroupSort(group)


#: Norm to name to builder; a builder takes (n_in, n_out, hidden, **options).
NETWORKS: dict[float, dict[str, Callable[..., Network]]] = {
    math.inf: {"maxmin": _maxmin, "distance": _distance, "sortnet": _sortnet},
    2: {
        "bro": partial(_l2, partial(_sorted, BRO)),
        "cayley": partial(_l2, partial(_sorted, Cayley)),
        "aol": partial(_l2, partial(_sorted, AOL)),
        "sll": partial(_l2, _sll),
        "sandwich": partial(_l2, _sandwich),
        "spline": partial(_l2, _spline),
        "bronet": _bronet,
    },
}


def build_network(
    name: str, n_in: int, n_out: int, hidden: Sequence[int] = (256, 256), **options: Any
) -> Network:
    """Build a network of the given name.

    Parameters
    ----------
    name : str
        One of `NETWORKS`.
    n_in, n_out : int
        Features and outputs.
    hidden : sequence of int
        Widths of the hidden layers.
    **options
        Of the architecture, for example `group=16` for "maxmin".

    Examples
    --------
    >>> build_network("maxmin", 10, 3, hidden=(32,)).pair_constants().shape
    torch.Size([3, 3])
    """
    builders = {**NETWORKS[math.inf], **NETWORKS[2]}
    if name not in builders:
        raise InvalidInputError(f"network {name!r}; choose from {', '.join(builders)}")
    return builders[name](n_in, n_out, hidden, **options)
