"""`stablerank info` tells what is installed, and what is not."""

from __future__ import annotations

import importlib.util
from importlib import metadata

import joblib
import pytest

import stablerank
from stablerank.cli import main


def facts(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line.partition(" ")[2].strip() for line in lines}


def test_versions_are_those_of_the_installed_packages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = facts(capsys)
    assert shown["stablerank"] == stablerank.__version__
    for name in ("gudhi", "ripser", "numpy", "scikit-learn"):
        assert shown[name].split()[0] == metadata.version(name)


def test_threads_are_those_that_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    said = f"{joblib.cpu_count()} usable cores"
    assert facts(capsys)["threads"].startswith(f"{said}, OMP_NUM_THREADS=3")


def test_a_missing_package_is_called_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version(name: str) -> str:
        if name == "pandas":
            raise metadata.PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(metadata, "version", version)
    shown = facts(capsys)
    assert shown["pandas"].startswith("not installed")
    assert shown["ripser"].startswith("1.2.3")


def test_without_torch_the_rest_is_still_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    shown = facts(capsys)
    assert shown["torch"].startswith("not installed")
    assert "gpu" not in shown


def test_torch_is_asked_for_its_gpus(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")

    class Properties:
        name, total_memory = "Planted GPU", 2e9

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: Properties)
    shown = facts(capsys)
    assert shown["torch"].startswith(torch.__version__)
    assert shown["gpu"].split(maxsplit=1) == ["0", "Planted GPU, 2 GB"]
