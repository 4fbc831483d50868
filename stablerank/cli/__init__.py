"""The `stablerank` command: one sub-command a file, all in one table.

A sub-command is a module with a one-line docstring (its help), `add_arguments(parser)`
and `run(arguments)`, which may return an exit status.  Its module level imports the
standard library only, so that `stablerank --help` answers at once; the work is
imported by `run`.

What a user did wrong is said in one line on standard error, with status 2, and what
they interrupted ends with status 130, as in any shell.  A traceback is a bug of ours.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from stablerank import __version__
from stablerank.cli import certify, fit, info, orbit5k, predict, verify
from stablerank.exceptions import StableRankError

__all__ = ["COMMANDS", "main"]

#: The sub-commands, in the order in which `--help` lists them.
COMMANDS: dict[str, ModuleType] = {
    "orbit5k": orbit5k,
    "fit": fit,
    "predict": predict,
    "certify": certify,
    "verify": verify,
    "info": info,
}

_WRONG, _INTERRUPTED = 2, 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stablerank",
        description="Topological deep learning whose predictions are provably stable.",
    )
    parser.add_argument(
        "--version", action="version", version=f"stablerank {__version__}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").partition("\n")[0]
        command = commands.add_parser(
            name,
            help=summary,
            description=summary,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit status: 0 if all went well, 1 if `verify` found something wrong, 2 after
        an error that the message explains, 130 after Ctrl-C.

    Examples
    --------
    >>> main(["orbit5k", "--n-per-class", "0"])
    2
    """
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments) or 0
    except (StableRankError, OSError) as error:  # OSError: a folder, a full disk
        print(f"stablerank: {_one_line(error)}", file=sys.stderr)
        return _WRONG
    except KeyboardInterrupt as stop:
        print(f"stablerank: {_one_line(stop)}", file=sys.stderr)
        return _INTERRUPTED
    return status


def _one_line(error: BaseException) -> str:
    said = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
    notes = getattr(error, "__notes__", [])
    return " ".join("; ".join([said, *notes]).split())
