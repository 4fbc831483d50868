"""Models on disk: `model.safetensors` and `model.json`; no pickle, nothing trusted.

The files hold the frozen program, the extractor's spec, the classes, and one SHA-256
over the canonical JSON and all arrays.  `load` checks the hash, builds every operation
anew, so that every check runs and every constant is recomputed from the numbers, and
never imports anything that a file names: only classes of this library are known, and
an extractor from elsewhere is handed to `load`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
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
    _replace_folder(
        Path(folder),
        {
            "model.safetensors": pack_tensors(
                {k: np.ascontiguousarray(v) for k, v in arrays.items()}
            ),
            "model.json": (json.dumps(header, indent=1) + "\n").encode(),
        },
    )


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


def _replace_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all files beside the folder, then swap; any failure leaves the old one."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, content in files.items():
            with (fresh / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        fresh.chmod(0o755)
        if folder.is_dir():
            # Other files of the folder (certificates, plots) stay where they are:
            # each model file is replaced by one atomic rename, the hash tells a mix.
            for name in files:
                (fresh / name).replace(folder / name)
        else:
            fresh.replace(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


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
    contents = {}
    for name in ("model.json", "model.safetensors"):
        path = folder / name
        if not path.is_file():
            raise FileFormatError(f"{folder} has no {name}; is it a saved model?")
        if path.stat().st_size > LARGEST_FILE:
            raise FileFormatError(f"{path} is larger than {LARGEST_FILE} bytes")
        contents[name] = path.read_bytes()
        if contents[name].startswith(_PICKLE_MAGIC):
            raise FileFormatError(f"{path} is a pickle; only safetensors are read")
    try:
        header = json.loads(contents["model.json"])
        arrays = parse_tensors(contents["model.safetensors"])
    except (ValueError, SafetensorError) as error:
        msg = f"{folder} is not a saved model, or is damaged: {error}"
        raise FileFormatError(msg) from error
    if not isinstance(header, dict):
        raise FileFormatError(f"{folder}/model.json is not a JSON object")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise NonFiniteError(f"{folder}: array {name} holds NaN or infinity")
    return header, arrays


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
