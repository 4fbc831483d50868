"""Certificates on disk: the evidence, so that a checker needs nothing else.

`certificates.json` and `certificates.safetensors` hold the frozen program with its
weights, the diagrams with their stated errors and the geometry that constants depend
on, the threat, the ledger id and constant of every bound that was used, and the claim:
label, radius, rival and reason of every sample.  One SHA-256 covers the canonical JSON
and all arrays.  Spectral norms come with a factor that proves them: for any R,

    s(W)^2 <= t + |tI - W^T W - R R^T|_F     [N6],

so the checker multiplies where the certificate had to search.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as pack_tensors

from stablerank import __version__, metrics
from stablerank.bounds import Bound
from stablerank.certify import checker
from stablerank.diagrams import Diagrams
from stablerank.diagrams.files import from_parts, to_parts
from stablerank.exceptions import FileFormatError, InvalidInputError, StableRankError
from stablerank.frozen import CPL, Affine, Program, Sandwich
from stablerank.metrics import Metric, Threat

if TYPE_CHECKING:
    from stablerank.certify.certificate import Certificates

__all__ = [
    "as_tables",
    "read_certificates",
    "spectral_proof",
    "spectral_proofs",
    "write_certificates",
]

Array = NDArray[Any]


def write_certificates(cert: Certificates, folder: str | os.PathLike[str]) -> None:
    """Write `certificates.json` and `certificates.safetensors` into a folder.

    Parameters
    ----------
    cert : Certificates
        As `certify` returned them, or made from those by `top` or `abstain`.
    folder : path
        Made if missing; certificates in it are replaced.
    """
    missing = {"program", "data", "bounds", "classes"} - cert.evidence.keys()
    if missing:
        raise InvalidInputError(
            f"these certificates carry no {', '.join(sorted(missing))}, so nobody can "
            "check them; save those that certify returned"
        )
    program, names = cert.evidence["program"], cert.evidence["classes"]
    spec, tables = program.to_arrays()
    diagrams, own = _data(program, cert.evidence["data"])
    bounds, stated = _bounds(program, cert.evidence["bounds"])
    norms, factors = spectral_proofs(program)
    reasons = sorted(set(cert.reason.tolist()))
    position = {name: k for k, name in enumerate(names.tolist())}
    claim = {
        "claim.label": [position[v] for v in cert.label.tolist()],
        "claim.rival": [position[v] for v in cert.rival.tolist()],
        "claim.reason": [reasons.index(v) for v in cert.reason.tolist()],
    }
    tables |= own | stated | factors
    tables |= {name: np.array(values, np.int64) for name, values in claim.items()}
    tables["claim.radius"] = cert.radius
    arrays = {name: np.ascontiguousarray(array) for name, array in tables.items()}
    kind = "str" if names.dtype.kind in "OUS" else str(names.dtype)
    header = {
        "schema": checker.SCHEMA,
        "library": __version__,
        "kind": cert.kind,
        "alpha": cert.alpha,
        "threat": _threat_entry(cert.threat),
        "program": spec,
        "norms": norms,
        "bounds": bounds,
        "diagrams": diagrams,
        "classes": {"dtype": kind, "values": names.tolist()},
        "reasons": reasons,
        "hashes": {
            "model": program.digest(),
            "data": checker.fingerprint(diagrams, as_tables(own)),
        },
    }
    raw = pack_tensors(arrays)
    _write(Path(folder), {".safetensors": raw, ".json": checker.sealed(header, raw)})


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Both files complete beside the folder, then renamed; the digest tells a mix."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".certificates.", dir=folder))
    try:
        for suffix, content in contents.items():
            (fresh / suffix).write_bytes(content)
        for suffix in contents:
            (fresh / suffix).replace(folder / f"{checker.NAME}{suffix}")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def as_tables(arrays: Mapping[str, Array]) -> dict[str, checker.Table]:
    """Arrays in the form in which the checker has them.

    Examples
    --------
    >>> as_tables({"a": np.array([1.0, 2.0])})["a"].values.tolist()
    [1.0, 2.0]
    """
    return {
        name: checker.Table(
            values.shape,
            array("d" if values.dtype.kind == "f" else "q", values.tobytes()),
        )
        for name, values in arrays.items()
    }


# --- what is written ------------------------------------------------------------------


def _data(
    program: Program, data: Any
) -> tuple[dict[str, Any] | None, dict[str, Array]]:
    """JSON and arrays of the channels that the program reads, or of vectors."""
    if not isinstance(data, Diagrams):
        rows = data.detach().cpu().numpy() if hasattr(data, "detach") else data
        return None, {"data.vectors": np.asarray(rows, np.float64)}
    own = data.select([i.channel for i in program.inputs]).compact()  # type: ignore[union-attr]
    return to_parts(own, "data.")


def _bounds(program: Program, bounds: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """Ledger ids and targets by channel, and what was used as (constant, offset)."""
    if bounds is None:
        return {}, {}
    if not isinstance(bounds, Mapping):
        raise InvalidInputError(
            "the moves of a pipeline's steps have no place in the file; certify its "
            "last step on the array that it is handed, and save that"
        )
    entries: dict[str, Any] = {}
    tables = {}
    for entry in program.inputs:
        name = entry.channel  # type: ignore[union-attr]
        entries[name] = [
            {"ledger": b.ledger, "target": _target(b.target), "note": b.note}
            for b in bounds[name]
        ]
        for k, bound in enumerate(bounds[name]):
            pair = np.broadcast_arrays(bound.constant, bound.offset)
            stated = np.stack([np.atleast_1d(v) for v in pair], axis=1)
            same = len(stated) > 0 and (stated == stated[0]).all()
            tables[f"bound.{name}.{k}"] = stated[:1] if same else stated
    return entries, tables


def _target(metric: Metric) -> list[Any]:
    orders = (float(getattr(metric, f.name)) for f in fields(metric))
    return [type(metric).__name__, *map(_plain, orders)]


def _plain(value: Any) -> Any:
    return "inf" if isinstance(value, float) and math.isinf(value) else value


def _threat_entry(threat: Threat) -> dict[str, Any]:
    entry: dict[str, Any] = {"class": type(threat).__name__, "name": str(threat)}
    for f in fields(threat):
        value = getattr(threat, f.name)
        entry[f.name] = {"callable": str(threat)} if callable(value) else _plain(value)
    return entry


def spectral_proofs(program: Program) -> tuple[dict[str, Any], dict[str, Array]]:
    """[t, e] and R of every matrix whose l_2 norm a program rests on.

    Parameters
    ----------
    program : Program
        Frozen.

    Returns
    -------
    dict
        By name of the operation, for the header.
    dict
        R, by name of the array.

    Examples
    --------
    >>> from stablerank.frozen import VectorInput
    >>> head = Affine((0,), np.eye(2), np.zeros(2))
    >>> spectral_proofs(Program((VectorInput(2, 2, 8.0),), (head,)))[0]
    {'op000': [1.0, 0]}
    """
    entries, tables = {}, {}
    for k, op in enumerate(program.operations):
        match op:
            case Affine(to_inf=False) if program.norms[op.inputs[0]] == 2:
                matrix = op.weight
            case CPL():
                matrix = op.weight
            case Sandwich():
                matrix = np.hstack([op.outer, op.inner])
            case _:
                continue
        t, exponent, factor = spectral_proof(matrix)
        entries[f"op{k:03d}"] = [t, exponent]
        tables[f"norm.op{k:03d}"] = factor
    return entries, tables


def spectral_proof(weight: Array) -> tuple[float, int, Array]:
    """Return t, e and R with s(W)^2 <= 4^e (t + |tI - W^T W / 4^e - R R^T|_F), tight.

    For W with more columns than rows, W W^T stands for W^T W.

    Parameters
    ----------
    weight : ndarray of shape (n_out, n_in)
        W.

    Examples
    --------
    >>> t, exponent, factor = spectral_proof(np.diag([3.0, 1.0]))
    >>> 9.0 <= t * 4.0**exponent < 9.0 + 1e-12
    True
    """
    exponent = int(np.frexp(np.abs(weight).max(initial=0.0))[1]) - 1
    w = np.ldexp(weight, -exponent)
    w = w if w.shape[0] >= w.shape[1] else w.T
    gram, n = w.T @ w, w.shape[1]
    nothing, trace = np.zeros((n, 1)), float(np.trace(gram))
    if np.linalg.norm(gram) >= trace * (1 - 2.0**-40):
        return 0.0, exponent, nothing  # of rank one, or zero [N6 a]
    if np.linalg.norm(gram - trace / n * np.eye(n)) <= 2.0**-30 * trace / n:
        return trace / n, exponent, nothing  # all singular values are equal [N6 b]
    values, vectors = np.linalg.eigh(gram)
    largest = float(values[-1])
    # A triangular factor of tI - G, semidefinite whatever the rounding of t and G was.
    root = vectors * np.sqrt(np.maximum(largest - values, 0.0))
    factor = np.linalg.qr(root.T)[1].T
    # Digits far below the others would only make the checker's integers long.
    return largest, exponent, np.round(factor * 2.0**60) / 2.0**60


# --- what is read ---------------------------------------------------------------------


def read_certificates(
    folder: str | os.PathLike[str], threat: Threat | None = None
) -> Certificates:
    """Read what `write_certificates` wrote; constants are computed again.

    Parameters
    ----------
    folder : path
        With the two files.
    threat : Threat, optional
        The threat that was certified, where its weights are a function.

    Returns
    -------
    Certificates
        With the claims of the file.
    """
    from stablerank.certify.programs import certify

    try:
        header, tables = checker.read(Path(folder))
        arrays = {
            name: np.array(t.values).reshape(t.shape) for name, t in tables.items()
        }
        own = {k: v for k, v in arrays.items() if k.startswith("op")}
        program = Program.from_arrays(header["program"], own)
        threat = _restored_threat(header["threat"], threat)
        data = _restored_data(header["diagrams"], arrays)
        bounds = _restored_bounds(header["bounds"], arrays, threat) or None
        kind, values = header["classes"]["dtype"], header["classes"]["values"]
        names = np.asarray(values) if kind == "str" else np.asarray(values, dtype=kind)
        claim = {name: arrays[f"claim.{name}"] for name in ("label", "rival", "reason")}
        fresh = certify(program, data, threat, bounds, names)
        return replace(
            fresh,
            label=names[claim["label"]],
            rival=names[claim["rival"]],
            reason=np.array(header["reasons"], dtype="<U32")[claim["reason"]],
            radius=arrays["claim.radius"],
            kind=header["kind"],
            alpha=header["alpha"],
        )
    except checker.Refused as error:
        raise FileFormatError(f"{folder}: {error}") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, StableRankError):
            raise
        msg = f"{folder} holds no certificates, or is damaged: {error!r}"
        raise FileFormatError(msg) from error


def _restored_threat(entry: Mapping[str, Any], given: Threat | None) -> Threat:
    if given is not None:
        if str(given) != entry["name"]:
            raise InvalidInputError(f"the certificates are about the {entry['name']}")
        return given
    name = entry["class"]
    known = getattr(metrics, name, None) if name in metrics.__all__ else None
    if not (isinstance(known, type) and issubclass(known, Threat)):
        raise FileFormatError(f"unknown threat {name!r}; update stablerank")
    values = {k: v for k, v in entry.items() if k not in ("class", "name")}
    if any(isinstance(v, dict) for v in values.values()):
        raise FileFormatError(
            f"the weights of the {entry['name']} are a function, and no file tells "
            "which code to run; hand the threat to load(folder, threat=...)"
        )
    return known(**{k: math.inf if v == "inf" else v for k, v in values.items()})


def _restored_data(
    header: Mapping[str, Any] | None, arrays: Mapping[str, Array]
) -> Any:
    if header is None:
        return arrays["data.vectors"]
    return from_parts(header, arrays, Diagrams, "data.")


def _restored_bounds(
    entries: Mapping[str, Sequence[Any]], arrays: Mapping[str, Array], threat: Threat
) -> dict[str, list[Bound]]:
    found: dict[str, list[Bound]] = {}
    for channel, listed in entries.items():
        found[channel] = []
        for k, entry in enumerate(listed):
            kind, *orders = entry["target"]
            target = getattr(metrics, kind)(*map(float, orders))
            stated = arrays[f"bound.{channel}.{k}"]
            constant, offset = stated[0].tolist() if len(stated) == 1 else stated.T
            bound = Bound(
                threat, target, constant, entry["ledger"], entry["note"], offset
            )
            found[channel].append(bound)
    return found
