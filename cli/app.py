"""The application: one command per module."""

from typing import Annotated

import typer

from saformer.cli import audit, catalogue, compare, energy, flops, hardware, sensitivity, train
from saformer.distributed import world_size
from saformer.errors import InputError

app = typer.Typer(
    name="saformer",
    help="Energy and complexity of spiking transformers, from a checkpoint and a data set to a table one can check.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_SEVERAL_PROCESSES = ("energy",)  # commands that share their work under torchrun


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
    if world_size() > 1 and context.invoked_subcommand not in _SEVERAL_PROCESSES:
        raise InputError(f"`saformer {context.invoked_subcommand}` runs in one process: start it without torchrun")


app.command("energy")(energy.energy)
app.command("compare")(compare.compare)
app.command("sensitivity")(sensitivity.sensitivity)
app.command("audit")(audit.audit)
app.command("flops")(flops.flops)
app.command("train")(train.train)
app.command("models")(catalogue.models)
app.command("datasets")(catalogue.datasets)
app.command("hardware")(hardware.hardware)
