"""The package as it is handed over: light to import, honest about what it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import stablerank
from tests.architecture import imports_of

ROOT = Path(stablerank.__file__).parents[1]
PACKAGE = ROOT / "stablerank"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

TEST_JOB = "pip install -c constraints.txt '.[test]' && python -m pytest"

#: modules whose distribution goes by another name
DISTRIBUTION = {
    "deel": "deel-torchlip",
    "distributed": "dask",
    "flint": "python-flint",
    "gph": "giotto-ph",
    "sklearn": "scikit-learn",
}
#: triton comes with torch where it can run at all, packaging comes with pytest
COMES_ALONG = {"packaging", "triton"}


def fresh(*arguments: str) -> str:
    """What a new interpreter prints, started in the checkout."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def requirements(*extras: str) -> list[Requirement]:
    """What the package needs, and what some of its extras add."""
    added = [line for extra in extras for line in EXTRAS[extra]]
    return [Requirement(line) for line in [*PROJECT["dependencies"], *added]]


def guests(folder: Path) -> set[str]:
    """Distributions that the files under a folder import."""
    names = {
        imported.module.partition(".")[0]
        for file in folder.rglob("*.py")
        for imported in imports_of(file.read_text(encoding="utf-8"), ["stablerank"])
    }
    names -= {"stablerank", "tests", *COMES_ALONG, *sys.stdlib_module_names}
    names -= {file.stem for file in folder.glob("*.py")}  # scripts beside each other
    return {DISTRIBUTION.get(name, name) for name in names}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


# --- importing -----------------------------------------------------------------------


def test_import_stablerank_brings_the_standard_library_only() -> None:
    code = (
        "import sys, json; before = set(sys.modules); import stablerank;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    brought = {name.split(".")[0] for name in json.loads(fresh("-c", code))}
    assert brought - set(sys.stdlib_module_names) == {"stablerank"}


def test_every_public_name_is_there_and_listed_by_dir() -> None:
    assert stablerank.__all__
    for name in stablerank.__all__:
        assert getattr(stablerank, name) is not None
    assert set(stablerank.__all__) <= set(dir(stablerank))


def test_an_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="AlphaPersistance"):
        stablerank.AlphaPersistance  # noqa: B018 - the access is the test


def test_extractors_import_without_optional_packages() -> None:
    assert "AlphaPersistence" in fresh("tests/bare_imports.py")


def test_extractors_import_without_torch() -> None:
    assert "AlphaPersistence" in fresh("tests/bare_imports.py", "--without", "torch")


# --- what is declared ----------------------------------------------------------------


def test_the_version_is_the_same_wherever_it_is_written() -> None:
    version = PROJECT["version"]
    assert stablerank.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_package_is_typed_and_has_the_promised_extras() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert list(EXTRAS) == [
        *("structures", "dask", "ray", "audit", "docs", "test", "lint", "bench")
    ]
    assert PROJECT["scripts"] == {"stablerank": "stablerank.cli:main"}


def test_every_requirement_is_pinned_once_within_its_bounds() -> None:
    pinned = pins()
    for requirement in requirements(*EXTRAS):
        assert pinned[requirement.name] in requirement.specifier, requirement
    assert set(pinned) == {requirement.name for requirement in requirements(*EXTRAS)}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [("stablerank", list(EXTRAS)), ("tests", ["test"]), ("benchmarks", ["bench"])],
)
def test_every_package_that_is_imported_is_declared(
    folder: str, extras: list[str]
) -> None:
    declared = {requirement.name for requirement in requirements(*extras)}
    assert guests(ROOT / folder) - declared == set()


def test_ci_runs_the_test_command_of_the_readme_to_the_letter() -> None:
    assert TEST_JOB in (ROOT / ".ci" / "run").read_text()


def test_the_changelog_has_a_place_for_changed_certificates() -> None:
    assert "### Changed certificates" in (ROOT / "CHANGELOG.md").read_text()
