"""The walls of the house: which room may import which, and which guests.

A certificate is only as good as the code beneath it, so dependencies point one way:
from what learns to what is checked, never back.  `violations` reads every file with
`ast`, without importing it, and returns one line for each import through a wall.

- An import inside a function is *deferred*; it counts for the walls all the same,
  except where a rule says that deferring is the point.
- Imports under `if TYPE_CHECKING:` never run and are left alone.
- `importlib.import_module("name")` counts as an import of that name.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CORE = ["exceptions", "rounding", "matching", "metrics"]
READS_INPUT = [*CORE, "bounds", "diagrams", "validation"]
FROZEN = [*READS_INPUT, "frozen"]
LEARNS = [*FROZEN, "distributed", "extract", "represent", "nn", "training"]
FITS = [*LEARNS, "certify", "explain", "estimators"]

#: room -> the rooms it may import, besides itself
MAY_IMPORT: dict[str, list[str]] = {
    "__init__": [],
    "exceptions": [],
    "rounding": ["exceptions"],
    "matching": ["exceptions", "rounding"],
    "metrics": ["exceptions", "rounding", "matching"],
    "bounds": CORE,
    "diagrams": CORE,
    "validation": [*CORE, "bounds", "diagrams"],
    "datasets": READS_INPUT,
    "frozen": READS_INPUT,
    "extract": FROZEN,
    "represent": FROZEN,
    "distributed": ["exceptions"],
    "nn": [*FROZEN, "distributed"],
    "training": [*FROZEN, "distributed", "extract", "represent", "nn"],
    "certify": FROZEN,
    "attack": [*FROZEN, "extract"],
    "explain": [*FROZEN, "extract", "represent", "certify"],
    "plotting": [*FROZEN, "certify"],
    "estimators": [*LEARNS, "certify", "explain"],
    "io": FITS,
    "cli": [*FITS, "attack", "datasets", "io", "plotting"],
}

#: engine -> the one folder that knows it
ENGINES = {
    "ase": "extract/engines",
    "gudhi": "extract/engines",
    "persim": "extract/engines",
    "ripser": "extract/engines",
    "triton": "nn/kernels",
}

#: Heavy or optional: imported inside functions only, so that none is loaded before it
#: is used.  Two rooms are entered that way as a whole: figures and Triton kernels.
DEFERRED = {
    "dask",
    "distributed",
    "flint",
    "gph",
    "matplotlib",
    "networkx",
    "pandas",
    "ray",
} | set(ENGINES)
ENTERED_LAZILY = {"matplotlib": "plotting", "triton": "nn/kernels"}

#: Rooms where torch appears nowhere, and rooms where only a method may ask for it.
WITHOUT_TORCH = {"extract", "bounds", "datasets", *CORE}
TORCH_DEFERRED = {"diagrams", "validation", "plotting"}

#: Rooms that know nobody but the standard library and numpy.
NUMPY_ALONE = {"exceptions", "rounding"}
#: The checker believes nobody: standard library, and flint where it is there.
CHECKER = "certify/checker.py"
#: Run before the checker does, so their module level is standard library only.
LAZY_FACES = {"__init__.py", "certify/__init__.py"}


@dataclass(frozen=True)
class Import:
    """One imported module name, where it stands and how."""

    module: str
    line: int
    deferred: bool  # inside a function
    tried: bool  # inside the body of a `try`


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


class _Collector(ast.NodeVisitor):
    """Walks one file and keeps its imports as absolute module names."""

    def __init__(self, package: list[str]) -> None:
        self.package = package  # of the file: ["stablerank", "extract"]
        self.found: list[Import] = []
        self.deferred = self.tried = False

    def _add(self, module: str, node: ast.AST) -> None:
        line = getattr(node, "lineno", 0)
        self.found.append(Import(module, line, self.deferred, self.tried))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self.package[: len(self.package) + 1 - node.level] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        for alias in node.names:
            # `from stablerank import metrics` names a room, not a public name.
            whole = f"{module}.{alias.name}"
            self._add(whole if module == "stablerank" else module, node)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        name = getattr(called, "attr", getattr(called, "id", ""))
        first = node.args[0] if node.args else None
        if name in {"import_module", "__import__"} and isinstance(first, ast.Constant):
            self._add(str(first.value), node)
        self.generic_visit(node)

    def _defer(self, node: ast.AST) -> None:
        before, self.deferred = self.deferred, True
        self.generic_visit(node)
        self.deferred = before

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _defer

    def visit_Try(self, node: ast.Try) -> None:
        before, self.tried = self.tried, True
        for statement in node.body:
            self.visit(statement)
        self.tried = before
        for rest in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(rest)

    def visit_If(self, node: ast.If) -> None:
        if not _is_type_checking(node.test):
            self.generic_visit(node)
            return
        for statement in node.orelse:
            self.visit(statement)


def imports_of(source: str, package: list[str]) -> list[Import]:
    """The imports of a file that lies in `package`, such as ["stablerank", "nn"]."""
    collector = _Collector(package)
    collector.visit(ast.parse(source))
    return collector.found


def _own(imported: Import, path: str, room: str) -> Iterator[str]:
    """What is wrong with an import of one of our own rooms."""
    target = [*imported.module.split("."), "__init__"][1]
    if path == CHECKER:
        yield "the checker stands alone, without any room of the package"
    elif target == "__version__":
        return
    elif path in LAZY_FACES:
        if not imported.deferred:
            yield "a lazy face imports nothing of the package when it is imported"
    elif target == room or (target == "plotting" and imported.deferred):
        return  # `.plot()` methods reach up for the figure
    elif target not in MAY_IMPORT or target == "__init__":
        yield "take a name from its room, not from the package's face"
    elif target not in MAY_IMPORT[room]:
        yield f"{room} may import {', '.join(MAY_IMPORT[room]) or 'no other room'}"


def _foreign(imported: Import, path: str, room: str) -> Iterator[str]:
    """What is wrong with an import of a module from outside."""
    guest = imported.module.split(".")[0]
    if guest in sys.stdlib_module_names:
        return
    if path == CHECKER:
        if not (guest == "flint" and imported.tried):
            yield "the checker is standard library only (flint inside a try)"
        return
    if room in NUMPY_ALONE:
        if guest != "numpy":
            yield f"{room} is standard library and numpy only"
        return
    home = ENGINES.get(guest, "")
    if not path.startswith(home):
        yield f"{guest} is a guest of {home}/ alone"
    if guest == "torch" and room in WITHOUT_TORCH:
        yield f"{room} never imports torch"
    if imported.deferred:
        return
    if path in LAZY_FACES:
        yield "a lazy face imports the standard library only"
    if guest in DEFERRED and not path.startswith(ENTERED_LAZILY.get(guest, "?")):
        yield f"{guest} is optional or heavy: import it inside the function"
    if guest == "torch" and room in TORCH_DEFERRED:
        yield f"{room} imports torch inside the method that needs it"


def violations(root: Path) -> list[str]:
    """Every import through a wall in the package at `root`, one line each."""
    found = []
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root).as_posix()
        room = path.split("/")[0].removesuffix(".py")
        if room not in MAY_IMPORT:
            found.append(f"{path}: a room without a row in MAY_IMPORT; add one")
            continue
        package = ["stablerank", *path.split("/")[:-1]]
        for imported in imports_of(file.read_text(encoding="utf-8"), package):
            ours = imported.module.split(".")[0] == "stablerank"
            for reason in (_own if ours else _foreign)(imported, path, room):
                found.append(f"{path}:{imported.line} {imported.module}: {reason}")
    return found
