"""One way to run a function over samples: parallel, with progress, cached.

Results come back in order, as they are ready, so memory holds results and a few
pending chunks only.  The cache is keyed by the content of the sample and the spec
of the extractor; joblib writes each entry to a temporary file and renames it, so an
interrupt leaves whole entries behind and the next run starts from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from joblib import Memory, Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend
from tqdm.auto import tqdm

__all__ = ["cached", "prepare", "run"]

#: Samples a task: large enough to hide the cost of sending it, small enough for an
#: honest progress bar and a quick interrupt.
_CHUNK = 16


def run(
    function: Callable[[Any], Any],
    samples: Sequence[Any],
    *,
    n_jobs: int | None,
    progress: bool,
    label: str,
) -> list[Any]:
    """Apply `function` to every sample, in order.

    Parameters
    ----------
    function : callable
        Picklable.
    samples : sequence
        Its arguments.
    n_jobs : int, optional
        As in joblib; None obeys `joblib.parallel_config`.
    progress : bool
        Show one bar if standard error is a terminal.
    label : str
        Text of the bar.

    Examples
    --------
    >>> run(abs, [-1, 2], n_jobs=1, progress=False, label="abs")
    [1, 2]
    """
    workers = effective_n_jobs(n_jobs)
    size = max(1, min(_CHUNK, math.ceil(len(samples) / (4 * workers))))
    starts = range(0, len(samples), size)
    tasks = (delayed(_chunk)(function, samples[s : s + size], s) for s in starts)
    results: list[Any] = []
    # disable=None: tqdm itself stays silent where there is no terminal.
    with tqdm(
        total=len(samples),
        desc=label,
        unit="sample",
        disable=None if progress else True,
    ) as bar:
        for chunk in Parallel(n_jobs=n_jobs, return_as=_return_as())(tasks):
            results.extend(chunk)
            bar.update(len(chunk))
    return results


def _return_as() -> str:
    """Results as they are ready, where the backend can: ray's cannot."""
    backend, _ = get_active_backend()
    return "generator" if backend.supports_return_generator else "list"


def _chunk(
    function: Callable[[Any], Any], samples: Sequence[Any], start: int
) -> list[Any]:
    return list(_each(function, samples, start))


def _each(
    function: Callable[[Any], Any], samples: Sequence[Any], start: int
) -> Iterator[Any]:
    for i, sample in enumerate(samples, start):
        try:
            yield function(sample)
        except Exception as error:
            error.add_note(f"while extracting sample {i}")
            raise


def cached(
    memory: str | Memory | None, function: Callable[..., Any], ignore: list[str]
) -> Callable[..., Any]:
    """Return `function` with its results kept in `memory`, if there is one."""
    store = Memory(memory, verbose=0) if isinstance(memory, str) else memory
    if store is None or store.location is None:
        return function
    return store.cache(function, ignore=ignore, verbose=0)


def prepare(memory: str | Memory | None, function: Callable[..., Any]) -> None:
    """Let a new cache know the code of a function before other processes ask for it.

    joblib writes it down once a process, in the folder of that time.  A worker that
    does not find it in another folder computes again what is there.
    """
    known: Any = cached(memory, function, [])
    if known is function:
        return
    try:
        known.store_backend.get_cached_func_code([known.func_id])
    except OSError:
        known.clear(warn=False)  # nothing is there; this writes the code
