"""From a torch module to a frozen program, or an error that names the layer.

Our own layers say themselves what they freeze to.  Of torch, a short table is known:

    Linear, Conv2d, BatchNorm (as it evaluates)     affine       [N1, N7]
    ReLU                                            1-Lipschitz  [N2]
    Flatten, Identity, Dropout (as it evaluates)    nothing
    Sequential                                      one after the other

Everything else is refused: a layer whose constant is not known is never taken to have
constant 1.  The program is made from the weights alone, and *it* is what a certificate
is about: float64, its input clipped to a frozen box.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from stablerank.exceptions import (
    InvalidInputError,
    ShapeError,
    StableRankError,
    UncertifiableLayerError,
)
from stablerank.frozen import (
    CPL,
    SLL,
    Abs,
    Affine,
    Conv,
    Diagonal,
    Distance,
    GroupSort,
    Householder,
    Operation,
    Program,
    ReLU,
    Reorder,
    Sandwich,
    Sectors,
    SortNeuron,
    Spline,
    VectorInput,
)
from stablerank.nn.base import Layer, to_float64
from stablerank.nn.mean_shift import MeanShift

__all__ = ["freeze"]

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
_DIFFERENT_IN_TRAINING = (*_BATCH_NORMS, *_DROPOUTS, MeanShift)
#: Inputs are clipped at this unless another limit is asked for.
_LIMIT = 2.0**16


def freeze(
    module: nn.Module,
    input_norm: float,
    *,
    shape: int | Sequence[int] | None = None,
    limit: float = _LIMIT,
) -> Program:
    """Freeze a module of known layers to a program that can be certified.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode, with float32 or float64 weights.
    input_norm : float
        2 or math.inf: the norm in which its input moves.
    shape : int or sequence of int, optional
        Of one input, without the batch: the number of features, which is read off the
        first layer where it can be, or (channels, height, width). Inputs of the program
        are flat, as `x.flatten(1)` makes them.
    limit : float
        Each coordinate of the input is clipped to [-limit, limit]; rounding is charged
        for numbers as large as that.

    Returns
    -------
    Program
        For `stablerank.certify.certify(program, X, FeatureBall(input_norm))`.

    Raises
    ------
    UncertifiableLayerError
        If a layer has no known constant; the message gives its path.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    >>> freeze(net, math.inf).n_outputs
    3
    >>> freeze(nn.Sequential(nn.Linear(4, 8), nn.Softmax(dim=1)), 2)
    Traceback (most recent call last):
        ...
    stablerank.exceptions.UncertifiableLayerError: layer '1' (Softmax) ...
    """
    if not isinstance(module, nn.Module):
        raise InvalidInputError(
            f"freeze takes a torch module, got {type(module).__name__}; an estimator "
            "holds its frozen program in program_"
        )
    written = _Written()
    image = _image_shape(shape)
    if image is not None:
        written.enter_image(image)
    for path, layer in _layers(module, ""):
        written.add(path, layer)
    written.leave_image()
    if not written.operations:
        raise UncertifiableLayerError("the module has no layers; nothing is computed")
    width = _width(shape, written.operations)
    return Program((VectorInput(width, input_norm, limit),), tuple(written.operations))


def _layers(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """Layers in the order in which they are applied, with their paths."""
    if any(m._forward_hooks or m._forward_pre_hooks for m in module.modules()):
        raise UncertifiableLayerError(
            f"{_named(path, module)} has hooks, which may change what it computes; "
            "remove them (for norms of weights use torch.nn.utils.parametrizations)"
        )
    if type(module) is nn.Sequential:
        for name, child in module.named_children():
            yield from _layers(child, f"{path}.{name}" if path else name)
    else:
        yield path, module


def _named(path: str, module: nn.Module) -> str:
    name = type_before_parametrizations(module).__name__
    return f"layer {path!r} ({name})" if path else f"the module ({name})"


def _image_shape(shape: int | Sequence[int] | None) -> tuple[int, int, int] | None:
    if shape is None or isinstance(shape, int) or len(shape) == 1:
        return None
    if len(shape) != 3:
        raise ShapeError(
            f"shape is {tuple(shape)}; give the number of features, or (channels, "
            "height, width)"
        )
    channels, height, width = (int(n) for n in shape)
    return height, width, channels


def _width(shape: int | Sequence[int] | None, operations: list[Operation]) -> int:
    """Number of input features: as given, or as the first weights say."""
    if shape is not None:
        return int(np.prod(shape))
    for op in operations:
        match op:
            case Reorder():
                return op.n_in
            case Conv():
                return math.prod(op.shape)
            case Diagonal():
                return len(op.scale)
            case Affine() | Distance() | SortNeuron() | SLL() | CPL():
                return int(op.weight.shape[1])
            case Sandwich():
                return int(op.inner.shape[1])
            case GroupSort() | Abs() | ReLU() | Spline() | Householder() | Sectors():
                continue  # as many as they give
        break
    raise ShapeError("the layers do not say how many inputs there are; give shape=...")


@dataclass
class _Written:
    """Operations so far, and the image that the last register holds, if any."""

    operations: list[Operation] = field(default_factory=list)
    image: tuple[int, int, int] | None = None  # height, width, channels

    @property
    def register(self) -> int:
        return len(self.operations)

    def enter_image(self, image: tuple[int, int, int]) -> None:
        """From the order of torch to ours, channels last."""
        height, width, channels = image
        places = np.arange(height * width * channels).reshape(channels, height, width)
        self._reorder(places.transpose(1, 2, 0).ravel())
        self.image = image

    def leave_image(self) -> None:
        """Back to the order of torch, channels first, as `flatten` reads it."""
        if self.image is not None:
            places = np.arange(math.prod(self.image)).reshape(self.image)
            self._reorder(places.transpose(2, 0, 1).ravel())
        self.image = None

    def _reorder(self, places: Any) -> None:
        if not np.array_equal(places, np.arange(len(places))):
            op = Reorder((self.register,), positions=places, n_in=len(places))
            self.operations.append(op)

    def add(self, path: str, module: nn.Module) -> None:
        """Write one layer."""
        name = _named(path, module)
        kind = type_before_parametrizations(module)
        if isinstance(module, Layer):
            if self.image is not None:
                raise UncertifiableLayerError(
                    f"{name} reads vectors, and stands after an image of shape "
                    f"{self.image}; put nn.Flatten() before it"
                )
            _check_evaluates(name, module)
            try:
                self.operations += module.freeze(self.register)
            except StableRankError as error:
                error.add_note(f"in {name}")
                raise
            return
        rule = _RULES.get(kind)
        if rule is None:
            raise UncertifiableLayerError(
                f"{name} has no known Lipschitz constant here, and none is assumed; "
                f"use {', '.join(sorted(k.__name__ for k in _RULES))}, "
                "nn.Sequential, or layers of stablerank.nn"
            )
        _check_evaluates(name, module)
        rule(self, name, module)


def _check_evaluates(name: str, module: nn.Module) -> None:
    """Raise where training mode computes something else than evaluation."""
    for part in module.modules():
        if part.training and isinstance(part, _DIFFERENT_IN_TRAINING):
            raise UncertifiableLayerError(
                f"{name} is in training mode, where it depends on the batch or on "
                "chance; call module.eval() first"
            )


def _linear(written: _Written, name: str, module: nn.Module) -> None:
    if written.image is not None:
        raise UncertifiableLayerError(
            f"{name} would act on the rows of an image; put nn.Flatten() before it"
        )
    weight, bias = _weights(name, module)
    written.operations.append(Affine((written.register,), weight, bias))


def _weights(name: str, module: Any) -> tuple[Any, Any]:
    """Weight and bias in float64; a parametrised weight as it is now."""
    weight = to_float64(module.weight, f"{name}: weight")
    if module.bias is None:
        return weight, np.zeros(len(weight))
    return weight, to_float64(module.bias, f"{name}: bias")


def _conv(written: _Written, name: str, module: nn.Module) -> None:
    assert isinstance(module, nn.Conv2d)
    if written.image is None:
        raise UncertifiableLayerError(
            f"{name} reads an image; give freeze(..., shape=(channels, height, width))"
        )
    height_step, width_step = module.stride
    plain = module.groups == 1 and tuple(module.dilation) == (1, 1)
    if not plain or height_step != width_step:
        raise UncertifiableLayerError(
            f"{name} has groups, dilation or two strides, which do not freeze; use a "
            "plain convolution"
        )
    if module.padding_mode not in ("zeros", "circular"):
        raise UncertifiableLayerError(
            f"{name} pads with {module.padding_mode!r}; use 'zeros' or 'circular'"
        )
    kernel, bias = _weights(name, module)
    conv = Conv(
        (written.register,),
        kernel=kernel,
        bias=bias,
        shape=written.image,
        stride=int(height_step),
        pads=_pads(module),
        padding=module.padding_mode,
    )
    written.operations.append(conv)
    written.image = conv.out_shape


def _pads(module: nn.Conv2d) -> tuple[int, int, int, int]:
    """Rows above and below, columns left and right."""
    left, right, top, bottom = module._reversed_padding_repeated_twice
    if isinstance(module.padding, str):
        return top, bottom, left, right
    rows, columns = module.padding
    return rows, rows, columns, columns


def _batch_norm(written: _Written, name: str, module: nn.Module) -> None:
    assert isinstance(module, _BATCH_NORMS)
    if module.running_mean is None or module.running_var is None:
        raise UncertifiableLayerError(
            f"{name} has no running statistics, so it depends on the batch [N8]"
        )
    mean = to_float64(module.running_mean, f"{name}: running_mean")
    spread = to_float64(module.running_var, f"{name}: running_var")
    scale, shift = 1 / np.sqrt(spread + module.eps), np.zeros_like(mean)
    if module.affine:
        weight, shift = _weights(name, module)
        scale = scale * weight
    shift = shift - mean * scale
    if written.image is not None:  # channels last: one scale a channel, pixel by pixel
        pixels = written.image[0] * written.image[1]
        scale, shift = np.tile(scale, pixels), np.tile(shift, pixels)
    written.operations.append(Diagonal((written.register,), scale, shift))


def _relu(written: _Written, name: str, module: nn.Module) -> None:
    written.operations.append(ReLU((written.register,)))


def _flatten(written: _Written, name: str, module: nn.Module) -> None:
    assert isinstance(module, nn.Flatten)
    if (module.start_dim, module.end_dim) != (1, -1):
        raise UncertifiableLayerError(
            f"{name} keeps dimensions {module.start_dim}, {module.end_dim}; use "
            "nn.Flatten()"
        )
    written.leave_image()


def _nothing(written: _Written, name: str, module: nn.Module) -> None:
    """Evaluate to the input itself."""


_RULES: dict[type[nn.Module], Callable[[_Written, str, nn.Module], None]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.ReLU: _relu,
    nn.Flatten: _flatten,
    nn.Identity: _nothing,
    **dict.fromkeys(_BATCH_NORMS, _batch_norm),
    **dict.fromkeys(_DROPOUTS, _nothing),
}
