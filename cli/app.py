"""The application: its own options, and the commands of `commands/`."""

from typing import Annotated

import typer

from saformer.cli.commands import all_commands
from saformer.distributed import world_size
from saformer.errors import InputError

app = typer.Typer(
    name="saformer",
    help="Energy and complexity of spiking transformers, from a checkpoint and a data set to a table one can check.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_commands = {command.name: command for command in all_commands()}


def _version(value: bool) -> None:
    if value:
        import saformer

        typer.echo(f"saformer {saformer.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    name = context.invoked_subcommand
    if world_size() > 1 and not (name in _commands and _commands[name].several_processes):
        raise InputError(f"`saformer {name}` runs in one process: start it without torchrun")


for command in _commands.values():
    app.command(command.name)(command.run)
