"""Models on disk: `model.safetensors` and `model.json`; no pickle, nothing trusted.

The files hold the frozen program, the extractor's spec, the classes, and one SHA-256
over the canonical JSON and all arrays.  `load` checks the hash, builds every operation
anew, so that every check runs and every constant is recomputed from the numbers, and
never imports anything that a file names: only classes of this library are known, and
an extractor from elsewhere is handed to `load`.

A model that is replaced is there all the time.  No file system renames two files at
once, so new tensors first lie beside the old ones, under a name with the hash that
stands in the new JSON; renaming the JSON is the moment at which the new model is the
model, and only then do its tensors take their usual name.  `load` looks for them in
both places, so wherever a crash strikes, it finds the old model or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as pack_tensors
from sklearn.utils.validation import check_is_fitted

from stablerank import __version__
from stablerank.exceptions import FileFormatError, InvalidInputError, NonFiniteError
from stablerank.extract import Extractor
from stablerank.extract.restore import restore_extractor
from stablerank.frozen import Program

__all__ = ["load", "save"]

SCHEMA = 1
_HEADER, _TENSORS = "model.json", "model.safetensors"
#: A hash, and the names of files that wait for the rename.
_SHA256 = re.compile("[0-9a-f]{64}")
_WAITING = re.compile(r"model-[0-9a-f]{16}\.(json|safetensors)")
#: Files above this size are refused before they are read.
LARGEST_FILE = 4 * 2**30
#: First bytes of pickles (protocol 2 and up) and of zip files, which torch.save makes.
_PICKLE_MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")

#: Fitted attributes that are plain JSON values, by estimator.
_SCALARS = (
    "inverse_temperature_",
    "unit_",
    "n_features_in_",
    "feature_register_",
    "feature_names_",
    "n_targets_",
    "single_",
)


def _estimators() -> dict[str, Any]:
    from stablerank.estimators.classifier import SRNClassifier
    from stablerank.estimators.lipschitz import LipschitzClassifier, LipschitzRegressor
    from stablerank.estimators.regressor import SRNRegressor

    known = (SRNClassifier, SRNRegressor, LipschitzClassifier, LipschitzRegressor)
    return {cls.__name__: cls for cls in known}


def save(estimator: Any, folder: str | os.PathLike[str]) -> None:
    """Write a fitted estimator into a folder; an older model stays until all is there.

    Parameters
    ----------
    estimator : SRNClassifier, SRNRegressor, LipschitzClassifier or LipschitzRegressor
        Fitted.
    folder : path
        Made if missing; a model in it is replaced.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> import stablerank as sr
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sr.LipschitzClassifier(epochs=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sr.save(clf, folder)
    ...     bool((sr.load(folder).predict(X) == clf.predict(X)).all())
    True
    """
    name = type(estimator).__name__
    known = _estimators()
    if known.get(name) is not type(estimator):
        raise InvalidInputError(f"{name} is not an estimator that save knows")
    check_is_fitted(estimator, "program_")
    program, arrays = estimator.program_.to_arrays()
    if hasattr(estimator, "classes_"):
        classes = np.asarray(estimator.classes_)
        labels: Any = {"dtype": _label_kind(classes), "values": classes.tolist()}
    else:
        labels = None
    extractor = getattr(estimator, "extractor_", None)
    header = {
        "schema": SCHEMA,
        "library": __version__,
        "estimator": name,
        "params": _plain_params(estimator),
        "program": program,
        "classes": labels,
        "extractor": None if extractor is None else extractor.spec(),
        "fitted": {k: getattr(estimator, k) for k in _SCALARS if hasattr(estimator, k)},
        "columns": _columns(estimator),
    }
    header["sha256"] = digest(header, arrays)
    whole = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
    text = json.dumps(header, indent=1) + "\n"
    _replace(Path(folder), header["sha256"], text.encode(), pack_tensors(whole))


def _columns(estimator: Any) -> list[str] | None:
    """Names of the columns of a table, without which their order is not checked."""
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else np.asarray(names).tolist()


def _label_kind(classes: NDArray[Any]) -> str:
    if classes.dtype.kind in "OUS":
        return "str"
    return str(classes.dtype)


def _plain_params(estimator: Any) -> dict[str, Any]:
    """Constructor parameters that are JSON values; the rest are runtime objects."""
    params = {}
    for key, value in estimator.get_params(deep=False).items():
        if key in ("extractor", "memory", "checkpoint", "random_state"):
            continue
        if isinstance(value, float) and np.isinf(value):
            value = "inf"  # noqa: PLW2901 - JSON has no infinity
        try:
            json.dumps(value)
        except TypeError:
            continue
        params[key] = value
    return params


def digest(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of the canonical JSON (without its own hash) and of all arrays."""
    body = {k: v for k, v in header.items() if k != "sha256"}
    sha = hashlib.sha256(json.dumps(body, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def _waiting(folder: Path, name: str, sha256: str) -> Path:
    """Where a file of the model with this hash lies before it takes its name."""
    stem, suffix = name.split(".")
    return folder / f"{stem}-{sha256[:16]}.{suffix}"


def _replace(folder: Path, sha256: str, header: bytes, tensors: bytes) -> None:
    """Write a model; see the module for why in this order."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    files = {_TENSORS: tensors, _HEADER: header}
    waiting = {name: _waiting(folder, name, sha256) for name in files}
    with ExitStack() as undo:
        if is_new:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
        for name, content in files.items():
            undo.callback(waiting[name].unlink, missing_ok=True)
            with waiting[name].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        waiting[_HEADER].replace(folder / _HEADER)
        undo.pop_all()  # the new model it is
    waiting[_TENSORS].replace(folder / _TENSORS)
    for path in folder.iterdir():  # of a process that was killed
        if _WAITING.fullmatch(path.name):
            path.unlink()


def load(folder: str | os.PathLike[str], extractor: Extractor | None = None) -> Any:
    """Read what `save` wrote; every constant is computed again.

    Parameters
    ----------
    folder : path
        With `model.safetensors` and `model.json`.
    extractor : Extractor, optional
        Fitted, for a model whose extractor is not one of this library.

    Returns
    -------
    estimator
        Fitted, ready to predict and certify.
    """
    header, arrays = _read(Path(folder))
    if header.get("schema") != SCHEMA:
        raise FileFormatError(
            f"{folder} has schema {header.get('schema')}, this version reads {SCHEMA}"
        )
    if header.get("sha256") != digest(header, arrays):
        raise FileFormatError(
            f"{folder} was changed since it was saved (hash mismatch); fit again"
        )
    try:
        return _rebuild(header, arrays, extractor)
    except KeyError as error:
        raise FileFormatError(f"{folder}: model.json has no {error}") from error


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        header = json.loads(_content(folder / _HEADER))
        if not isinstance(header, dict):
            raise FileFormatError(f"{folder}/{_HEADER} is not a JSON object")
        arrays = parse_tensors(_content(_tensors_of(folder, header)))
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        msg = f"{folder} is not a saved model, or is damaged: {error}"
        raise FileFormatError(msg) from error
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise NonFiniteError(f"{folder}: array {name} holds NaN or infinity")
    return header, arrays


def _tensors_of(folder: Path, header: Mapping[str, Any]) -> Path:
    """Tensors of a header: they wait still, or have their name."""
    sha256 = header.get("sha256")
    if isinstance(sha256, str) and _SHA256.fullmatch(sha256):
        waiting = _waiting(folder, _TENSORS, sha256)
        if waiting.is_file():
            return waiting
    return folder / _TENSORS


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise FileFormatError(f"{path.parent} has no {path.name}; is it a saved model?")
    if path.stat().st_size > LARGEST_FILE:
        raise FileFormatError(f"{path} is larger than {LARGEST_FILE} bytes")
    content = path.read_bytes()
    if content.startswith(_PICKLE_MAGIC):
        raise FileFormatError(f"{path} is a pickle; only safetensors are read")
    return content


def _rebuild(
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    extractor: Extractor | None,
) -> Any:
    cls = _estimators().get(header["estimator"])
    if cls is None:
        raise FileFormatError(f"unknown estimator {header['estimator']!r}")
    params = {k: np.inf if v == "inf" else v for k, v in header["params"].items()}
    estimator: Any = cls(**params)
    estimator.program_ = Program.from_arrays(header["program"], arrays)
    for name, value in header["fitted"].items():
        if name not in _SCALARS:
            raise FileFormatError(f"unknown fitted attribute {name!r}")
        setattr(estimator, name, value)
    if header["columns"] is not None:
        estimator.feature_names_in_ = np.asarray(header["columns"], dtype=object)
    if header["classes"] is not None:
        kind = header["classes"]["dtype"]
        dtype = object if kind == "str" else np.dtype(kind)
        values = header["classes"]["values"]
        estimator.classes_ = (
            np.asarray(values) if kind == "str" else np.asarray(values, dtype=dtype)
        )
    if "SRN" in header["estimator"]:
        spec = header["extractor"]
        own = (
            extractor
            if extractor is not None or spec is None
            else restore_extractor(spec)
        )
        estimator.extractor_ = own
        estimator.extractor = "precomputed" if own is None else own
    return estimator
