"""A refusal says what, where and the fix, and leaves everything as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import pytest

from stablerank.extract import Extractor


class Row(NamedTuple):
    """One input, what it raises, and the words that the message must hold."""

    name: str
    X: Any
    error: type[Exception]
    words: tuple[str, ...]


def table(*rows: Row) -> Any:
    """Parametrise a test by rows."""
    assert len({row.name for row in rows}) == len(rows)
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


def assert_refused(
    make: Callable[[], Extractor], good: list[Any], row: Row, cache: Path
) -> None:
    """Assert that `fit` and `transform` refuse the input, and that nothing changed."""
    fresh = make()
    before = joblib.hash(vars(fresh))
    _raises(row, fresh.fit)
    assert joblib.hash(vars(fresh)) == before
    extractor = make().set_params(memory=str(cache)).fit(good)
    dgms = extractor.transform(good)
    before, kept = joblib.hash(vars(extractor)), _files(cache)
    assert kept
    _raises(row, extractor.transform)
    assert joblib.hash(vars(extractor)) == before
    assert _files(cache) == kept
    assert extractor.transform(good).identical(dgms)


def _raises(row: Row, ask: Callable[[Any], Any]) -> None:
    with pytest.raises(row.error) as caught:
        ask(row.X)
    message = str(caught.value)
    for word in row.words:
        assert word in message, message


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
