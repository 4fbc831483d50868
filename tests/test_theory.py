"""Every theorem that the code names is written down, on one of two pages."""

from __future__ import annotations

import re
from pathlib import Path

import stablerank

ROOT = Path(stablerank.__file__).parents[1]
PAGES = ("theory.md", "theory-networks.md")
THEORY = "\n".join((ROOT / "docs" / p).read_text(encoding="utf-8") for p in PAGES)
ANCHORS = re.findall(r'<a id="([A-Z]\d+)"></a>', THEORY)


def cited(text: str) -> set[str]:
    """Ids in brackets, "[X5]", "[X9, X10]" or "[N6 d]", and ids given to a `Bound`."""
    inside = re.findall(r"\[((?:[XHRNCF]\d+(?:, )?)+)(?: [a-d])?\]", text)
    given = re.findall(r'"((?:[XHRNCF]\d+(?:, )?)+)"', text)
    return {name for group in inside + given for name in group.split(", ") if name}


def test_every_ledger_id_that_the_code_cites_has_its_entry() -> None:
    ids = {
        (name, file.relative_to(ROOT).as_posix())
        for file in (ROOT / "stablerank").rglob("*.py")
        for name in cited(file.read_text(encoding="utf-8"))
    }
    # Called like theorems are a channel, "H0", and a type of number in files, "F64".
    missing = {pair for pair in ids if pair[0] not in {*ANCHORS, "H0", "F64"}}
    assert ids
    assert sorted(missing) == []


def test_every_entry_has_one_anchor_and_its_id_behind_it() -> None:
    assert len(ANCHORS) == len(set(ANCHORS)) > 30
    for name in ANCHORS:
        assert f'<a id="{name}"></a>{name} ' in THEORY


def test_ids_that_the_page_itself_mentions_are_explained_on_it() -> None:
    mentioned = set(re.findall(r"\b([XRNCF]\d+|H[1-9]\d*)\b", THEORY))
    assert sorted(mentioned - set(ANCHORS)) == []
