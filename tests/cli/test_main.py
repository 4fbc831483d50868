"""The command answers fast, says what is wrong in one line, and hides no bug."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

import stablerank
from stablerank.cli import COMMANDS, main
from stablerank.exceptions import InvalidInputError


def plant(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[argparse.Namespace], None]
) -> None:
    """Add a sub-command `planted` that does what `run` does."""
    module = ModuleType("planted", "Do what the test wants.")
    vars(module).update(add_arguments=lambda parser: None, run=run)
    monkeypatch.setitem(COMMANDS, "planted", module)


def raising(error: BaseException) -> Callable[[argparse.Namespace], None]:
    def run(arguments: argparse.Namespace) -> None:
        raise error

    return run


def status_of_exit(*argv: str) -> object:
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    return exit_info.value.code


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of_exit("--version") == 0
    assert capsys.readouterr().out == f"stablerank {stablerank.__version__}\n"


def test_help_names_every_command_with_its_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status_of_exit("--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        assert summary.endswith(".")
        assert f"{name} {summary}" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of_exit(name, "--help") == 0
    assert f"usage: stablerank {name}" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_bring_the_standard_library_only(flag: str) -> None:
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        "from stablerank.cli import main\n"
        "try:\n"
        f"    main([{flag!r}])\n"
        "except SystemExit:\n"
        "    print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    brought = json.loads(done.stdout.splitlines()[-1])
    foreign = {name.split(".")[0] for name in brought} - set(sys.stdlib_module_names)
    assert foreign == {"stablerank"}


def test_a_command_that_works_returns_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[argparse.Namespace] = []
    plant(monkeypatch, seen.append)
    assert main(["planted"]) == 0
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidInputError("clouds[3] is empty"), "clouds[3] is empty"),
        (InvalidInputError("one\nline"), "one line"),
        (PermissionError(13, "Permission denied", "out"), "Permission denied: 'out'"),
    ],
)
def test_an_error_of_the_library_or_the_disk_is_one_line_and_status_two(
    error: Exception,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plant(monkeypatch, raising(error))
    assert main(["planted"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("stablerank: ")
    assert captured.err.endswith(f"{said}\n")
    assert captured.err.count("\n") == 1


def test_notes_of_an_error_stand_behind_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = InvalidInputError("broken")
    error.add_note("while extracting sample 7")
    plant(monkeypatch, raising(error))
    main(["planted"])
    said = capsys.readouterr().err
    assert said == "stablerank: broken; while extracting sample 7\n"


def test_ctrl_c_is_one_line_and_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch, raising(KeyboardInterrupt()))
    assert main(["planted"]) == 130
    assert capsys.readouterr().err == "stablerank: interrupted\n"


def test_a_bug_of_ours_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        main(["planted"])


@pytest.mark.parametrize("argv", [[], ["no-such-command"], ["info", "--no-such"]])
def test_a_wrong_call_is_refused_with_the_usage(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of_exit(*argv) == 2
    assert "usage: stablerank" in capsys.readouterr().err
