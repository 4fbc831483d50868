"""Import the library as on a machine without any optional package.

    python tests/bare_imports.py [--without torch ...]

Every public extractor, and every module of the rooms that need no extra.  Run as a
script, in a process of its own: `tests/test_packaging.py` runs it on the checkout,
`.ci/run` on the files that it finds in the wheel.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

#: What the extras bring, and what comes along with torch only by chance.
OPTIONAL = frozenset(
    {"ase", "dask", "distributed", "flint", "gph", "networkx", "pandas", "ray"}
)
#: Rooms that a user enters without naming an extra.
ROOMS = ("stablerank.extract", "stablerank.datasets")


class Missing:
    """A finder that stands first in line and says no to some packages."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"{fullname} is not installed", name=fullname)
        return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--without", nargs="*", default=[])
    missing = OPTIONAL.union(parser.parse_args().without)
    sys.meta_path.insert(0, Missing(missing))

    import stablerank

    for name in stablerank.__all__:
        if name.endswith("Persistence"):
            getattr(stablerank, name)
            print(name)
    for name in ROOMS:
        room = importlib.import_module(name)
        for module in pkgutil.walk_packages(room.__path__, f"{name}."):
            importlib.import_module(module.name)
    print(stablerank.__file__)


if __name__ == "__main__":
    main()
