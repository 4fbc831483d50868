"""The README keeps its word: commands, links, code and constants."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path
from typing import Any

import pytest

import stablerank

ROOT = Path(stablerank.__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

COMMANDS = [
    "pip install -c constraints.txt '.' && stablerank orbit5k",
    "pip install -c constraints.txt '.[test]' && python -m pytest",
]

NEIGHBORS = 5  # k
KAPPA = math.sqrt((NEIGHBORS - 1) / NEIGHBORS)
CONSTANTS = {
    "1": 1.0,
    "2": 2.0,
    "√2": math.sqrt(2),
    "1/2": 0.5,
    "1/√2": 1 / math.sqrt(2),
    "1/√k": 1 / math.sqrt(NEIGHBORS),
    "2+4κ": 2 + 4 * KAPPA,
    "1+2κ": 1 + 2 * KAPPA,
    "√2(1+2κ)": math.sqrt(2) * (1 + 2 * KAPPA),
}


def claims() -> list[tuple[str, str, str]]:
    """(extractor, threat, cell) of every constant in the tables of constants."""
    found: list[tuple[str, str, str]] = []
    columns: list[str] = []
    for line in README.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            columns = []
        elif cells[:2] == ["extractor", "reads"]:
            columns = cells[2:]
        elif columns and cells[0].startswith("`"):
            if columns == ["threat", "K"]:
                pairs = [(cells[2], cells[3])]
            else:
                pairs = list(zip(columns, cells[2:], strict=True))
            extractor = cells[0].strip("`")
            found += [(extractor, t.split("`")[1], cell) for t, cell in pairs]
    return found


def build(written: str) -> Any:
    """`Name(option="value")`, as it stands in the table, built."""
    name, _, options = written.rstrip(")").partition("(")
    pairs = (option.split("=") for option in options.split(", ") if option)
    parameters = {key: ast.literal_eval(value) for key, value in pairs}
    built = getattr(stablerank, name)(**parameters)
    if "n_neighbors" in built.get_params():
        built.set_params(n_neighbors=NEIGHBORS)
    return built


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_gives_the_command_to_the_letter(command: str) -> None:
    assert command in README.splitlines()


def test_every_link_of_the_readme_leads_somewhere() -> None:
    inline = re.findall(r"\]\((?!https?:)([^)]+)\)", README)
    defined = dict(re.findall(r"^\[(\w+)\]: (\S+)$", README, flags=re.MULTILINE))
    assert {claim[2].partition(" [")[2].rstrip("]") for claim in claims()} - {""} == (
        set(defined)
    )
    for link in [*inline, *defined.values()]:
        file, _, anchor = link.partition("#")
        assert (ROOT / file).is_file(), link
        assert not anchor or f'id="{anchor}"' in (ROOT / file).read_text("utf-8"), link


def test_the_python_of_the_readme_runs_as_printed() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_table_names_every_extractor_that_stands_alone() -> None:
    named = {extractor.partition("(")[0] for extractor, _, _ in claims()}
    public = {name for name in stablerank.__all__ if name.endswith("Persistence")}
    assert named == public


@pytest.mark.parametrize(
    ("extractor", "threat", "cell"), [c for c in claims() if c[2] != "refused"]
)
def test_the_constant_in_the_table_is_the_one_that_the_code_proves(
    extractor: str, threat: str, cell: str
) -> None:
    said = re.fullmatch(r"(\S+) \[(\w+)\]", cell)
    assert said is not None
    bound = build(extractor).bound(getattr(stablerank, threat)())
    assert bound.constant == pytest.approx(CONSTANTS[said[1]], rel=1e-12)
    assert said[2] in bound.ledger


@pytest.mark.parametrize(
    ("extractor", "threat"), [c[:2] for c in claims() if c[2] == "refused"]
)
def test_what_the_table_calls_refused_is_refused(extractor: str, threat: str) -> None:
    with pytest.raises(stablerank.NoStabilityTheorem):
        build(extractor).bound(getattr(stablerank, threat)())
