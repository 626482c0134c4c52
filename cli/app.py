"""The application: its own options, and the commands of `commands/`."""

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from saformer.cli import commands
from saformer.cli.commands import COMMANDS, all_commands
from saformer.cli.options.plugins import Plugins
from saformer.cli.terminal.help import Command, help_text, without_types
from saformer.distributed import world_size
from saformer.errors import InputError
from saformer.text import nearest, one_line


# Typer brings a click of its own from some version on, so its types are not named here.
class _Commands(typer.core.TyperGroup):
    """The commands that are there when a line is read: `--plugin` may have added some."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [command.name for command in all_commands()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            self.add_command(_made(COMMANDS[cmd_name]), cmd_name)
        return super().get_command(ctx, cmd_name)

    def get_params(self, ctx: Any) -> Any:
        return without_types(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            ctx.fail(f"No such command {name!r}{nearest(name, self.list_commands(ctx))}.")
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **more: Any) -> Any:
        with _complaints_in_one_line():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        with _complaints_in_one_line():
            return super().invoke(ctx)


@functools.cache
def _made(command: commands.Command) -> Any:
    """A command as typer runs it, made when it is first asked for: there are dozens of options to each."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(command.name, cls=Command, help=help_text(command.run.__doc__ or ""))(command.run)
    return typer.main.get_command(alone)


@contextmanager
def _complaints_in_one_line() -> Iterator[None]:
    """What typer says of the words of a command line, which may be of any length and hold anything."""
    try:
        yield
    except Exception as error:
        if isinstance(message := getattr(error, "message", None), str):
            error.message = one_line(_with_nearest_choice(message))  # type: ignore[attr-defined]
        raise


def _with_nearest_choice(message: str) -> str:
    """Of a value that is none of an option's choices the message also says which was most likely meant."""
    message = message.removeprefix("Value error, ")
    found = re.match(r"'(.*)' is not one of (.*)\.$", message)
    return message if found is None else message + nearest(found[1], re.findall(r"'([^']*)'", found[2]))


app = typer.Typer(
    name="saformer",
    cls=_Commands,
    help="Energy and complexity of spiking transformers, from a checkpoint and a data set to a table one can check.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    plugin: Plugins = None,
) -> None:
    name = context.invoked_subcommand
    if world_size() > 1 and not (name is not None and name in COMMANDS and COMMANDS[name].several_processes):
        raise InputError(f"`saformer {name}` runs in one process: start it without torchrun")
