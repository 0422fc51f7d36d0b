"""A command in several processes: the leader prints, and one of them tells of an error."""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

import click

from toolkit.cli.outcome import INTERRUPTED, outcome
from toolkit.errors import UsageError

COMMANDS = ("benchmark", "predict", "train")


def run_together(command: click.Command, argv: list[str]) -> NoReturn:
    """Run one process's part of a command that `torchrun` started, and end the process."""
    from toolkit.processes import leave, processes

    stderr = sys.stderr
    if not processes().leads:
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    try:
        _check_command(argv)
        result = command.main(args=argv, prog_name="toolkit", standalone_mode=False)
        leave()
    except BaseException as error:
        sys.stderr = stderr
        code = _tell(error, debug="--debug" in argv)
        stderr.flush()
        os._exit(code)  # the others may never come to a meeting at the end
    sys.exit(result if isinstance(result, int) else 0)


def _check_command(argv: list[str]) -> None:
    """Refuse what every process would do in full, and write over the others' output."""
    name = next((word for word in argv if not word.startswith("-")), None)
    if name is not None and name not in COMMANDS and "--help" not in argv:
        raise UsageError(
            f"'toolkit {name}' is not done by several processes; only {', '.join(COMMANDS)} "
            "are. Start it without torchrun"
        )


def _tell(error: BaseException, *, debug: bool) -> int:
    """Print what happened, in one process only, and give the exit code."""
    from toolkit.processes import claim_error, processes

    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if not claim_error():
        return 1
    here = processes()
    who = f" (process {here.rank} of {here.size})"
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    line, code = outcome(error)
    if code == INTERRUPTED:
        who = ""
    elif debug:
        traceback.print_exception(error)
    click.echo(f"{line}{who}", err=True)
    return code
