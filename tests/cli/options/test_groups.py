"""Groups of options: a command names a group, its users see the options of its fields."""

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from saformer.cli.options.groups import Options, opened
from saformer.cli.options.run import BatchSize, RunOptions

Colour = Annotated[str, typer.Option("--colour", "-c", metavar="NAME", help="Of the line.")]


@dataclass(frozen=True, kw_only=True)
class LineOptions(Options):
    colour: Colour = "black"
    width: int = 1  # no option: the command's to set


@dataclass(frozen=True, kw_only=True)
class LargeBatches(RunOptions):
    batch_size: BatchSize = 64


def told(command, *arguments):
    app = typer.Typer()
    app.command()(opened(command))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_field_that_is_annotated_with_an_option_is_one_and_another_is_not():
    def draw(line: LineOptions, dashed: bool = False) -> None:
        print(line.colour, line.width, line.flags, dashed)

    assert told(draw) == "black 1 () False\n"
    assert told(draw, "-c", "red", "--dashed") == "red 1 ('--colour',) True\n"
    help = told(draw, "--help")
    assert "--colour" in help and "--width" not in help


def test_flags_are_those_that_were_given_not_those_that_differ():
    def draw(line: LineOptions) -> None:
        print(line.flags)

    assert told(draw, "--colour", "black") == "('--colour',)\n"


def test_a_command_may_change_the_default_of_an_option():
    def run(run: LargeBatches) -> None:
        print(run.batch_size)

    assert told(run) == "64\n"
    assert told(run, "--batch-size", "8") == "8\n"
