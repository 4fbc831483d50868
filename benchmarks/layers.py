"""What a proved constant costs: a step of training, and an evaluation when frozen.

    python benchmarks/layers.py                   # about three minutes on two cores
    python benchmarks/layers.py --device cuda
    python benchmarks/layers.py --quick           # a smoke test

Every layer does the same step on the same numbers: forward, mean squared error,
backward (to its input also, as in the middle of a network), Adam.  Plain `Linear` and
`Conv2d` are the floor: nothing that computes a constraint is faster.  Frozen programs
are compared with plain float64 modules of the same widths.

Peers run with their defaults, which do not promise the same: SpectralLinear and
torch's spectral_norm divide by a power iteration, an estimate from below, and
spectral_norm of a convolution is that of its flattened kernel, another number.
Those that are not installed are named in the results, and skipped.

More threads than free cores make small batched factorisations (BROConv, CayleyConv)
wait for each other, far longer than they compute: give `--threads` no more
than there are idle.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from stablerank.nn import (
    AOL,
    BRO,
    SLL,
    SOC,
    AOLConv,
    Bjorck,
    BROConv,
    Cayley,
    CayleyConv,
    Cholesky,
    L2Conv,
    L2Linear,
    Layer,
    LinfLinear,
    Stack,
    freeze,
)

SEED = 20260104
#: What the ratios are taken to: the floor, and the peer that is used most.
FLOOR, PEER = "torch, plain", "deel-torchlip, Spectral"
DEPTH = 3  # of the stacks that are evaluated when frozen

Image = tuple[int, int, int]  # height, width, channels


def _spectral_linear(n: int) -> nn.Module:
    from deel.torchlip import SpectralLinear

    return SpectralLinear(n, n)


def _spectral_conv(image: Image) -> nn.Module:
    from deel.torchlip import SpectralConv2d

    return SpectralConv2d(image[2], image[2], 3, padding=1)


def _ortho_linear(n: int) -> nn.Module:
    from orthogonium.layers import OrthoLinear

    return OrthoLinear(n, n)


def _ortho_conv(image: Image) -> nn.Module:
    from orthogonium.layers import AdaptiveOrthoConv2d

    return AdaptiveOrthoConv2d(image[2], image[2], 3)


def _plain_conv(image: Image) -> nn.Module:
    return nn.Conv2d(image[2], image[2], 3, padding=1)


#: Square dense layers by name, from their width; a peer may raise ImportError.
DENSE: dict[str, Callable[[int], nn.Module]] = {
    FLOOR: lambda n: nn.Linear(n, n),
    "BRO": lambda n: BRO(n, n),
    "Cayley": lambda n: Cayley(n, n),
    "Cholesky": lambda n: Cholesky(n, n),
    "Bjorck": lambda n: Bjorck(n, n),
    "AOL": lambda n: AOL(n, n),
    "SLL": SLL,
    "L2Linear": lambda n: L2Linear(n, n),
    "LinfLinear": lambda n: LinfLinear(n, n),
    PEER: _spectral_linear,
    "orthogonium, Ortho": _ortho_linear,
    "torch, orthogonal": lambda n: parametrizations.orthogonal(nn.Linear(n, n)),
    "torch, spectral_norm": lambda n: parametrizations.spectral_norm(nn.Linear(n, n)),
}
#: Convolutions of 3 x 3 that keep the image, from its shape.
CONV: dict[str, Callable[[Image], nn.Module]] = {
    FLOOR: _plain_conv,
    "BROConv": lambda image: BROConv(image, image[2]),
    "CayleyConv": lambda image: CayleyConv(image, image[2]),
    "SOC": SOC,
    "AOLConv": lambda image: AOLConv(image, image[2]),
    "L2Conv": lambda image: L2Conv(image, image[2]),
    PEER: _spectral_conv,
    "orthogonium, Ortho": _ortho_conv,
    "torch, spectral_norm": lambda image: parametrizations.spectral_norm(
        _plain_conv(image)
    ),
}


@dataclass(frozen=True)
class Sizes:
    """How much is run."""

    widths: tuple[int, ...] = (256, 512, 1024)
    batch: int = 256
    image: Image = (32, 32, 64)
    image_batch: int = 256
    frozen_images: int = 1
    rounds: tuple[int, ...] = (9, 7, 3)  # of each width
    image_rounds: int = 3
    frozen_rounds: int = 21
    frozen_image_rounds: int = 3


QUICK = Sizes((8,), 4, (4, 4, 2), 2, 1, (2,), 2, 2, 2)


class Step:
    """One step of training of one layer, from the loss to the parameters."""

    def __init__(self, layer: nn.Module, x: Tensor) -> None:
        self.layer = layer.to(x.device)
        self.x = x.clone().requires_grad_()
        self.target = torch.randn_like(x)
        self.optimiser = torch.optim.Adam(layer.parameters(), lr=1e-3, fused=True)

    def __call__(self) -> None:
        """Forward, backward, Adam."""
        self.optimiser.zero_grad()
        self.x.grad = None
        nn.functional.mse_loss(self.layer(self.x), self.target).backward()
        self.optimiser.step()
        _finish(self.x.device)


def _finish(device: torch.device) -> None:
    """Wait for an accelerator, which only queues what it is told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_megabytes(call: Callable[[], Any], device: torch.device) -> float:
    """Largest sum of the tensors allocated by a call, beyond those held before it.

    Numpy's arrays are counted beside the tensors; scratch of BLAS and FFT is not.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    cpu = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[cpu], profile_memory=True) as profile:
        tracemalloc.start()
        call()
        arrays = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(file))
        events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    moves = [e for e in events if e.get("name") == "[memory]"]
    held = peak = 0
    for move in sorted(moves, key=lambda e: float(e["ts"])):
        held += int(move["args"]["Bytes"])
        peak = max(peak, held)
    return (peak + arrays) / 1e6


def measured(
    calls: Mapping[str, Callable[[], Any]],
    rounds: int,
    device: torch.device,
    missing: Sequence[str] = (),
) -> dict[str, Any]:
    """Median milliseconds, ratios and peak memory of every contestant, by name."""
    seconds = common.interleaved(calls, rounds)
    rows: dict[str, Any] = {}
    for name, own in seconds.items():
        rows[name] = {
            "ms": 1e3 * statistics.median(own),
            "over_plain": common.ratio(seconds, name, FLOOR),
            "peak_mb": peak_megabytes(calls[name], device),
            "seconds": own,
        }
        if PEER in seconds:
            rows[name]["faster_than_peer"] = common.ratio(seconds, PEER, name)
    return rows | dict.fromkeys(missing, "not installed")


def steps(
    kinds: Mapping[str, Callable[[Any], nn.Module]],
    shape: int | Image,
    batch: int,
    rounds: int,
    device: torch.device,
) -> dict[str, Any]:
    """Steps of all layers of one shape."""
    calls: dict[str, Callable[[], Any]] = {}
    missing = []
    for name, make in kinds.items():
        torch.manual_seed(SEED)
        try:
            layer = make(shape)
        except ModuleNotFoundError:
            missing.append(name)
            continue
        calls[name] = Step(layer, _inputs(layer, shape, batch, device))
    return measured(calls, rounds, device, missing)


def _inputs(
    layer: nn.Module, shape: int | Image, batch: int, device: torch.device
) -> Tensor:
    """The same random numbers for all, images in the form that the layer reads."""
    torch.manual_seed(SEED + 1)
    if isinstance(shape, int):
        return torch.randn(batch, shape, device=device)
    images = torch.randn(batch, *shape, device=device)
    if isinstance(layer, Layer):
        return images.flatten(1)
    return images.permute(0, 3, 1, 2).contiguous()


def frozen_calls(
    plain: nn.Module, layers: Mapping[str, Layer], x: Tensor, image: Image | None
) -> dict[str, Callable[[], Any]]:
    """Evaluation of a plain float64 module, and of programs of the same shape."""
    plain = plain.double().to(x.device)
    given = x if image is None else x.unflatten(1, image).permute(0, 3, 1, 2)
    given = given.contiguous()

    def free() -> None:
        with torch.inference_mode():
            plain(given)
        _finish(x.device)

    def frozen(program: Any, data: Any) -> Callable[[], None]:
        def call() -> None:
            with torch.inference_mode():
                program.evaluate(data)
            _finish(x.device)

        return call

    calls: dict[str, Callable[[], Any]] = {FLOOR: free}
    for name, layer in layers.items():
        program = freeze(layer.eval(), layer.norm_in or math.inf, shape=x.shape[1])
        calls[f"{name}, tensors"] = frozen(program, x)
        if x.device.type == "cpu":
            calls[f"{name}, arrays"] = frozen(program, x.numpy())
    return calls


def frozen(sizes: Sizes, device: torch.device) -> dict[str, Any]:
    """Frozen stacks and convolutions against plain ones; freezing is not timed."""
    torch.manual_seed(SEED)
    found = {}
    for n in sizes.widths:
        plain = nn.Sequential(*[nn.Linear(n, n) for _ in range(DEPTH)])
        stacks = {
            "BRO": Stack([BRO(n, n) for _ in range(DEPTH)]),
            "SLL": Stack([SLL(n) for _ in range(DEPTH)]),
        }
        x = torch.randn(sizes.batch, n, dtype=torch.float64, device=device)
        calls = frozen_calls(plain, stacks, x, None)
        found[str(n)] = measured(calls, sizes.frozen_rounds, device)
    image = sizes.image
    size = (sizes.frozen_images, math.prod(image))
    x = torch.randn(size, dtype=torch.float64, device=device)
    layers = {
        "L2Conv": L2Conv(image, image[2]),
        "SOC": SOC(image),
        "BROConv": BROConv(image, image[2]),
    }
    calls = frozen_calls(_plain_conv(image), layers, x, image)
    found["conv"] = measured(calls, sizes.frozen_image_rounds, device)
    return found


def table(part: Mapping[str, Any]) -> str:
    """Rows of layers, columns of shapes, as Markdown.

    A cell holds milliseconds, the ratio to the plain module of the same shape, the
    speed in multiples of the peer where the peer was run, and megabytes.
    """
    names = list(dict.fromkeys(name for rows in part.values() for name in rows))
    lines = [["", *part], ["---"] * (len(part) + 1)]
    for name in names:
        cells = [_cell(rows.get(name)) for rows in part.values()]
        lines.append([f"`{name}`" if "," not in name else name, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(row: Mapping[str, Any] | str | None) -> str:
    if row is None or isinstance(row, str):
        return row or ""
    parts = [f"{row['ms']:.3g} ms", f"{row['over_plain']:.2f}"]
    if "faster_than_peer" in row:
        parts.append(f"{row['faster_than_peer']:.2f} x")
    return ", ".join([*parts, f"{row['peak_mb']:.3g} MB"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny, two rounds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "layers.json")
    given = parser.parse_args(arguments)

    sizes, device = QUICK if given.quick else Sizes(), torch.device(given.device)
    machine = common.machine()  # the load before we add to it
    if device.type == "cuda":
        machine["device"] = torch.cuda.get_device_name(device)
    torch.set_num_threads(given.threads)
    start = time.perf_counter()
    with threadpool_limits(given.threads):  # numpy also
        dense = {
            str(n): steps(DENSE, n, sizes.batch, rounds, device)
            for n, rounds in zip(sizes.widths, sizes.rounds, strict=True)
        }
        conv = {
            "x".join(map(str, sizes.image)): steps(
                CONV, sizes.image, sizes.image_batch, sizes.image_rounds, device
            )
        }
        parts = {"dense": dense, "conv": conv, "frozen": frozen(sizes, device)}
    for part in parts.values():
        print(table(part), end="\n\n")
    common.write(
        given.out,
        {
            "question": "what a proved constant costs in training and in evaluation",
            "settings": {
                "seed": SEED,
                "quick": given.quick,
                "threads": given.threads,
                "device": str(device),
                "depth_of_frozen_stacks": DEPTH,
                **vars(sizes),
            },
            **parts,
            "seconds": time.perf_counter() - start,
            "machine": machine,
            "versions": common.versions(
                "stablerank", "numpy", "torch", "deel-torchlip", "orthogonium"
            ),
            "commit": common.commit(),
        },
    )


if __name__ == "__main__":
    main()
