"""A group that may be given a file in place of a command: `toolkit split annotations.json`."""

from __future__ import annotations

import click


class FileOrCommand(click.Group):
    """A group whose first argument is a file, unless it names a command.

    A subclass sets two attributes.

    Attributes:
        on_file: The command that a file goes to.
        usage: What help and usage errors show in place of `COMMAND [ARGS]...`.
    """

    on_file: str
    usage: str

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command before what is no command."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "--debug"):
            args = [self.on_file, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The ways to call it, for help and for usage errors alike."""
        formatter.write(f"{self.usage}\n")
