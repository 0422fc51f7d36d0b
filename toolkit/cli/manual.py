"""The page of all commands, made from their own help.

`python -m toolkit.cli.manual > docs/cli.md` writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

_HEAD = """# The command line

Every command answers `--help` with one runnable example. Exit codes: 0 fine, 1 the data has
errors, 2 wrong usage, 3 cannot read or parse the input, 4 unsafe input refused, 5 cannot write
or out of memory or disk, 6 a service or an extra is missing, 70 the toolkit itself failed (a
bug; please tell us), 130 interrupted. Results go to standard output, with `--json` one JSON
document; progress, notices and errors go to standard error. Nothing is overwritten without
`--force`, what a command reads is not overwritten at all, and outputs are written whole or not
at all.
`toolkit --debug COMMAND` shows the traceback of an error.

This page is made by `python -m toolkit.cli.manual > docs/cli.md`; a test keeps it in step.
"""


def manual_page() -> str:
    """All commands with their options, as Markdown."""
    from toolkit.cli import cli  # it would import us

    context = click.Context(cli, info_name="toolkit")
    return "\n".join([_HEAD, *_sections(cli, context)]) + "\n"


def _sections(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        inner = click.Context(
            command, info_name=name, parent=context, terminal_width=100, max_content_width=100
        )
        yield f"## {inner.command_path}\n"
        yield f"```\n{command.get_help(inner).rstrip()}\n```\n"
        if isinstance(command, click.Group):
            yield from _sections(command, inner)


if __name__ == "__main__":
    sys.stdout.write(manual_page())
