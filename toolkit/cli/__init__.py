"""The command line: one thin file a command.

Each file in this folder defines one click command (or group) of its own name; `COMMANDS`
lists them. A command's module is imported when it runs or when its help is shown, and it
imports the library inside its function body, so that `toolkit --help` stays quick.

Adding a command: write `toolkit/cli/NAME.py` with a click command `NAME`, add one line to
`COMMANDS`, and a section to `docs/cli.md`.
"""

from __future__ import annotations

import warnings
from importlib import import_module

import click

from toolkit import __version__
from toolkit.cli.running import run

# Name → one line for `toolkit --help` (the module is `toolkit.cli.NAME`).
COMMANDS = {
    "adopt": "Take weights that others published as a checkpoint.",
    "agreement": "Say where annotators agree, and who differs in which way.",
    "calibrate": "Make keypoint scores probabilities, by validation data.",
    "benchmark": "Fill the paper's tables, with intervals.",
    "convert": "Convert annotations between formats, losing nothing in silence.",
    "crop": "Say which keypoints fall outside the network's input, by box padding.",
    "datasets": "List the known data sets and what is on disk; add footage of your own.",
    "detect": "Find people and write their boxes.",
    "diff": "Compare two annotation files keypoint by keypoint.",
    "evaluate": "Score predictions against ground truth, and say by which rules.",
    "export": "Write a model as ONNX, checked against PyTorch.",
    "labelstudio": "Label in Label Studio: interface, tasks out, annotations home.",
    "merge": "Merge two edited annotation files; list the conflicts.",
    "predict": "Run a model over annotated images.",
    "publish": "Build a release that anyone can verify, or verify one.",
    "rank": "Put the most likely label errors first.",
    "roundtrip": "Go through a format and back, and list every field that changed.",
    "schema": "Write a first schema from an annotation file.",
    "show": "Draw annotations and predictions over the images.",
    "sigmas": "Estimate OKS sigmas from repeated labels.",
    "split": "Split by clip into train, val and test, and find leaks.",
    "stats": "Count instances, visibility, keypoints outside box and image.",
    "synth": "Render practice data with exact labels.",
    "train": "Train a model.",
    "validate": "Check an annotation file and list every finding.",
    "view": "Look at data, predictions and findings in FiftyOne.",
}


class _Commands(click.Group):
    """A group whose commands are imported by name when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"toolkit.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, epilog="Example: toolkit benchmark --out report")
@click.version_option(__version__, prog_name="toolkit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, *, debug: bool) -> None:
    """Extension keypoints: the parts of a pose that reach beyond the person."""
    ctx.obj = {"debug": debug}
    # Coordinates of 1e300 overflow to infinity, which every command counts or prints as
    # such; numpy's line with a path of the source tells a user nothing.
    warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)


def main() -> None:
    """Entry point of the `toolkit` command."""
    run(cli)
