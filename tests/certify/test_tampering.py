"""No change of the file passes: not by chance, and not by a forger with the digest.

A flip without a new digest is always refused.  With a new digest (and new hashes of
the parts) a file is another claim; the checker may confirm it only where it is true.
"""

from __future__ import annotations

import copy
import json
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stablerank.certify import Certificates, certify, checker
from stablerank.certify.file import as_tables
from stablerank.exceptions import FileFormatError
from tests.certify.saved import threshold, trained, vectors

JSON, ARRAYS = "certificates.json", "certificates.safetensors"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    threshold().save(folder)
    return folder


def parts(folder: Path) -> tuple[dict[str, Any], bytes]:
    return json.loads((folder / JSON).read_bytes()), (folder / ARRAYS).read_bytes()


def forged(header: dict[str, Any], raw: bytes, folder: Path) -> Path:
    """Write a file with the right digest, and right hashes of its parts."""
    try:
        tables = checker.read_tensors(raw)
        for part, entry, prefixes in (
            ("model", "program", ("op",)),
            ("data", "diagrams", ("data.", "source.")),
        ):
            own = {k: v for k, v in tables.items() if k.startswith(prefixes)}
            header["hashes"][part] = checker.fingerprint(header[entry], own)
    except (checker.Refused, KeyError, TypeError, ValueError, struct.error):
        header["hashes"] = {}  # what is so broken has none
    (folder / JSON).write_bytes(checker.sealed(header, raw))
    (folder / ARRAYS).write_bytes(raw)
    return folder


def stands(folder: Path) -> bool:
    """Whether the checker confirms every certificate of a file."""
    try:
        verdicts, _ = checker.check(folder)
    except checker.Refused:
        return False
    return not any(v.complaint for v in verdicts)


def with_arrays(raw: bytes, **changes: Callable[[Any], Any]) -> bytes:
    """The array file with some arrays changed; "__" stands for a dot."""
    from safetensors.numpy import load, save

    arrays = load(raw)
    for key, change in changes.items():
        name = key.replace("__", ".")
        arrays[name] = np.ascontiguousarray(change(arrays[name].copy()))
    return save(arrays)


# --- by chance: the digest ------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values that are no containers."""
    if isinstance(value, (dict, list)):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from leaves(value[key], (*path, key))
    else:
        yield path


def flipped(value: Any) -> Any:
    """Another value of the same type, or of another."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
    return 1


def changed(header: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    other = copy.deepcopy(header)
    at = other
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = flipped(at[path[-1]])
    return other


def test_every_changed_field_is_refused_by_the_digest(
    original: Path, tmp_path: Path
) -> None:
    header, raw = parts(original)
    (tmp_path / ARRAYS).write_bytes(raw)
    fields = list(leaves(header))
    assert len(fields) > 50
    for path in fields:
        text = json.dumps(changed(header, path), indent=1, sort_keys=True) + "\n"
        (tmp_path / JSON).write_text(text)
        with pytest.raises(checker.Refused, match=r"changed|schema"):
            checker.check(tmp_path)


@pytest.mark.parametrize("name", [JSON, ARRAYS])
def test_every_flipped_bit_is_refused(
    name: str, original: Path, tmp_path: Path
) -> None:
    contents = {n: (original / n).read_bytes() for n in (JSON, ARRAYS)}
    rng = np.random.default_rng(0)
    for other in (JSON, ARRAYS):
        (tmp_path / other).write_bytes(contents[other])
    for bit in rng.integers(0, 8 * len(contents[name]), 150).tolist():
        broken = bytearray(contents[name])
        broken[bit // 8] ^= 1 << bit % 8
        (tmp_path / name).write_bytes(broken)
        assert not stands(tmp_path)
        with pytest.raises(FileFormatError):
            Certificates.load(tmp_path)


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace(b"\n ", b"\n  ", 1),  # white space
        lambda text: text + b"\n",
        lambda text: text.replace(b'"alpha": 0.0', b'"alpha": 0.00'),
        lambda text: text.replace(b'"alpha": 0.0,', b'"alpha": 1.0, "alpha": 0.0,'),
        lambda text: json.dumps(json.loads(text)).encode(),
        lambda text: text.replace(b"alpha", b"\\u0061lpha", 1),
    ],
)
def test_json_in_any_other_form_is_refused(
    rewrite: Callable[[bytes], bytes], original: Path, tmp_path: Path
) -> None:
    text = (original / JSON).read_bytes()
    assert rewrite(text) != text
    assert json.loads(rewrite(text)) == json.loads(text)
    (tmp_path / JSON).write_bytes(rewrite(text))
    (tmp_path / ARRAYS).write_bytes((original / ARRAYS).read_bytes())
    with pytest.raises(checker.Refused, match="canonical"):
        checker.check(tmp_path)


# --- on purpose: a new digest ---------------------------------------------------------


def test_what_a_forger_changes_without_making_it_false_stands(
    original: Path, tmp_path: Path
) -> None:
    header, raw = parts(original)
    header["library"] = "another"
    assert stands(forged(header, raw, tmp_path))
    smaller = with_arrays(raw, claim__radius=lambda r: r / 2)
    assert stands(forged(header, smaller, tmp_path))


FALSE: dict[str, dict[str, Callable[[Any], Any]]] = {
    "radius, a little": {"claim__radius": lambda r: np.where(r > 0, r * (1 + 1e-8), r)},
    "radius, of an abstention": {"claim__radius": lambda r: np.maximum(r, 1e-12)},
    "radius, infinite": {"claim__radius": lambda r: np.full_like(r, np.inf)},
    "radius, negative": {"claim__radius": lambda r: -r - 1},
    "radius, not a number": {"claim__radius": lambda r: r * np.nan},
    "radius, one short": {"claim__radius": lambda r: r[1:]},
    "label": {"claim__label": lambda c: 1 - c},
    "label, beyond": {"claim__label": lambda c: c + 2},
    "rival": {"claim__rival": lambda c: 1 - c},
    "reason": {"claim__reason": lambda c: 1 - c},
    "weights": {"op002__weight": lambda w: 1.001 * w},
    "weights, other class": {"op002__weight": lambda w: -w},
    "weights, infinite": {"op002__weight": lambda w: w * np.inf},
    "bias": {"op002__bias": lambda b: np.add(b, [-1e-3, 1e-3])},
    "bars": {"data__bars": lambda b: np.add(b, [0.0, 1e-3])},
    "bars, born later": {"data__bars": lambda b: b + 1e-3},
    "bars, upside down": {"data__bars": lambda b: b[:, ::-1]},
    "bars, of another sample": {"data__bars": lambda b: b[::-1]},
    "offsets": {"data__offsets": lambda o: o[::-1]},
    "offsets, beyond": {"data__offsets": lambda o: o + 7},
    "error": {"data__error": lambda e: e + 1.0},
    "ranks": {"op001__ranks": lambda r: r + 1},
    "ranks, negative": {"op001__ranks": lambda r: r - 1},
    "stated constant": {"bound__H0__0": lambda k: k * 0.999},
    "stated offset": {"bound__H0__1": lambda k: k - [0.0, 1e-9]},
}


@pytest.mark.parametrize("name", list(FALSE))
def test_a_false_claim_is_rejected_although_its_digest_is_right(
    name: str, original: Path, tmp_path: Path
) -> None:
    header, raw = parts(original)
    assert stands(forged(header, with_arrays(raw), tmp_path))
    assert not stands(forged(header, with_arrays(raw, **FALSE[name]), tmp_path))


def entry(header: dict[str, Any]) -> Any:
    return header["program"]["inputs"][0]


def put(at: Any, **values: Any) -> None:
    at.update(values)


EDITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "threat": lambda h: put(h["threat"], **{"class": "Hausdorff"}),
    "threat, of matrices": lambda h: put(h["threat"], **{"class": "MatrixSup"}),
    "threat, unknown": lambda h: put(h["threat"], **{"class": "Wind"}),
    "weights": lambda h: put(h["threat"], weights="u_iso"),
    "ledger": lambda h: put(h["bounds"]["H0"][0], ledger="X10"),
    "target": lambda h: put(h["bounds"]["H0"][0], target=["SortedDeaths", 2]),
    "no bounds": lambda h: put(h["bounds"], H0=[]),
    "degree": lambda h: h["diagrams"].update(degrees=[1]),
    "extractor": lambda h: put(h["diagrams"]["source"]["spec"], **{"class": "Rips"}),
    "no source": lambda h: put(h["diagrams"], source=None),
    "kind": lambda h: put(h, kind="smoothing"),
    "alpha": lambda h: put(h, alpha=0.05),
    "schema": lambda h: put(h, schema=1),
    "unpinned": lambda h: put(entry(h), pinned=False),
    "few bars": lambda h: put(entry(h), max_bars=0),
    "small error": lambda h: put(entry(h), max_error=0.0),
    "domain": lambda h: put(entry(h), high=0.5),
    "domain, empty": lambda h: put(entry(h), high=-1.0),
    "unit": lambda h: put(entry(h), unit="angstrom"),
    "operation": lambda h: put(h["program"]["operations"][1], kind="Sort"),
    "option": lambda h: put(h["program"]["operations"][1], fast=True),
    "norm": lambda h: put(h["program"]["operations"][1], p=2),
    "norm, odd": lambda h: put(h["program"]["operations"][1], p=3),
    "register": lambda h: put(h["program"]["operations"][1], inputs=[7]),
    "no register": lambda h: put(h["program"]["operations"][1], inputs=[]),
    "no operations": lambda h: put(h["program"], operations=[]),
    "no reasons": lambda h: put(h, reasons=[]),
    "not a table": lambda h: put(h, program=[1, 2]),
}


@pytest.mark.parametrize("name", list(EDITS))
def test_an_edited_header_is_rejected_although_its_digest_is_right(
    name: str, original: Path, tmp_path: Path
) -> None:
    header, raw = parts(original)
    EDITS[name](header)
    # A pair of points has the same Hausdorff radius; it is another claim, and true.
    assert stands(forged(header, raw, tmp_path)) == (name == "threat")


@pytest.mark.parametrize("part", ["model", "data"])
def test_a_hash_of_another_part_is_rejected(
    part: str, original: Path, tmp_path: Path
) -> None:
    header, raw = parts(original)
    header["hashes"][part] = "0" * 64
    (tmp_path / JSON).write_bytes(checker.sealed(header, raw))
    (tmp_path / ARRAYS).write_bytes(raw)
    with pytest.raises(checker.Refused, match=f"the {part} is not that"):
        checker.check(tmp_path)


def test_random_bits_with_a_right_digest_never_confirm_more_than_is_true(
    tmp_path: Path,
) -> None:
    """Whatever stands after a flip would have been certified from these numbers."""
    model, X, threat = trained("maxmin")
    model.certify(X[:3], threat).save(tmp_path)
    header, raw = parts(tmp_path)
    (size,) = struct.unpack_from("<Q", raw)
    rng, stood = np.random.default_rng(1), 0
    for bit in rng.integers(8 * (8 + size), 8 * len(raw), 40).tolist():
        broken = bytearray(raw)
        broken[bit // 8] ^= 1 << bit % 8
        folder = forged(copy.deepcopy(header), bytes(broken), tmp_path)
        if stands(folder):
            stood += 1
            claimed = Certificates.load(folder)
            own = claimed.evidence
            again = certify(own["program"], own["data"], threat, own["bounds"])
            sure = claimed.radius > 0
            names = own["classes"][again.label]
            assert (names == claimed.label)[sure].all()
            # The float radius of the same numbers is a hair below the exact one.
            assert (claimed.radius <= again.radius * (1 + 1e-6))[sure].all()
    assert stood < 40


def test_a_proof_of_a_norm_cannot_be_made_smaller(tmp_path: Path) -> None:
    model, X, threat = trained("table, l_2, ball in l_2")
    model.certify(X, threat).save(tmp_path)
    header, raw = parts(tmp_path)
    assert stands(tmp_path)
    names = list(header["norms"])
    assert names
    for name in names:
        smaller = copy.deepcopy(header)
        smaller["norms"][name][0] *= 0.9
        assert not stands(forged(smaller, raw, tmp_path))
        zero = with_arrays(raw, **{f"norm__{name}": lambda r: 0.9 * r + 0.01})
        assert not stands(forged(copy.deepcopy(header), zero, tmp_path))


def test_bar_functions_that_do_not_vanish_on_the_diagonal_are_rejected(
    tmp_path: Path,
) -> None:
    model, X, threat = trained("maxmin")
    cert = model.certify(X[:2], threat)
    cert.save(tmp_path)
    header, raw = parts(tmp_path)
    kinds = [op["kind"] for op in header["program"]["operations"]]
    name = f"op{kinds.index('BarFunctions'):03d}__forms"
    lifted = with_arrays(raw, **{name: lambda f: np.add(f, [0.0, 0.0, 1e-9])})
    forged(header, lifted, tmp_path)
    with pytest.raises(checker.Refused, match="diagonal"):
        checker.check(tmp_path)


# --- malformed files ------------------------------------------------------------------


def test_pickles_are_refused_by_their_first_bytes(tmp_path: Path) -> None:
    import pickle

    threshold().save(tmp_path)
    for name in (ARRAYS, JSON):
        (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
        with pytest.raises(checker.Refused, match=f"{name} is a pickle"):
            checker.check(tmp_path)


@pytest.mark.parametrize("name", [JSON, ARRAYS])
def test_files_over_the_caps_are_refused_unread(
    name: str, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (original / name).stat().st_size
    monkeypatch.setitem(checker.CAPS, Path(name).suffix, size - 1)
    with pytest.raises(checker.Refused, match=f"{name} is too large"):
        checker.check(original)


@pytest.mark.parametrize("cap", ["header", "count"])
def test_long_headers_and_many_arrays_are_refused(
    cap: str, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checker.CAPS, cap, 4)
    with pytest.raises(checker.Refused, match=r"too (long|many)"):
        checker.check(original)


def repacked(entries: dict[str, Any], body: bytes, pad: bytes = b"") -> bytes:
    head = json.dumps(entries, separators=(",", ":")).encode() + pad
    return struct.pack("<Q", len(head)) + head + body


def test_arrays_that_overlap_or_leave_gaps_are_refused(
    original: Path, tmp_path: Path
) -> None:
    header, raw = parts(original)
    (size,) = struct.unpack_from("<Q", raw)
    entries, body = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    assert stands(forged(header, repacked(entries, body), tmp_path))
    first = min(entries, key=lambda n: entries[n]["data_offsets"])
    first_end = entries[first]["data_offsets"][1]
    breaks: list[Callable[[dict[str, Any]], Any]] = [
        lambda e: e[first].update(dtype="F32"),
        lambda e: e[first].update(shape=[-1, -(first_end // 8)]),
        lambda e: e[first].update(data_offsets=[8, first_end]),
        lambda e: e[first].update(data_offsets=[0, first_end + 8]),
        lambda e: e.update(more={"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}),
        lambda e: e.update(__metadata__={"format": "pt"}),
    ]
    for broken in breaks:
        other = copy.deepcopy(entries)
        broken(other)
        assert not stands(
            forged(copy.deepcopy(header), repacked(other, body), tmp_path)
        )
    for wrong in (
        repacked(entries, body + b"\0" * 8),
        repacked(entries, body[:-8]),
        repacked(entries, body, b"\n"),
        struct.pack("<Q", 2**60) + raw[8:],
        raw[:7],
        b"",
    ):
        assert not stands(forged(copy.deepcopy(header), wrong, tmp_path))


def test_a_key_that_stands_twice_in_the_array_header_is_refused(
    original: Path, tmp_path: Path
) -> None:
    header, raw = parts(original)
    (size,) = struct.unpack_from("<Q", raw)
    head = raw[8 : 8 + size].rstrip()
    name = b'"claim.radius":'
    start = head.index(name)
    entry_ = head[start : head.index(b"}", start) + 1]
    twice = head.replace(entry_, entry_ + b"," + entry_)
    forged(header, struct.pack("<Q", len(twice)) + twice + raw[8 + size :], tmp_path)
    with pytest.raises(checker.Refused, match="as safetensors writes it"):
        checker.check(tmp_path)


def test_json_too_deep_to_read_is_refused(original: Path, tmp_path: Path) -> None:
    _, raw = parts(original)
    (tmp_path / JSON).write_bytes(b"[" * 10**5)
    (tmp_path / ARRAYS).write_bytes(raw)
    with pytest.raises(checker.Refused, match="malformed"):
        checker.check(tmp_path)


def test_hashes_of_the_library_and_the_checker_are_the_same() -> None:
    cert = vectors(np.eye(2), np.zeros(2), [[1.0, 0.0]])
    program = cert.evidence["program"]
    spec, arrays = program.to_arrays()
    assert checker.fingerprint(spec, as_tables(arrays)) == program.digest()
    assert math.isfinite(cert.radius[0])
