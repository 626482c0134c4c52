"""The application: one command per module."""

from typing import Annotated

import typer

from saformer.cli.commands import (
    ablate,
    attention,
    audit,
    card,
    catalogue,
    compare,
    complexity,
    energy,
    eval,
    flops,
    hardware,
    plot,
    report,
    sensitivity,
    sweep,
    train,
)
from saformer.cli.options.groups import opened
from saformer.distributed import world_size
from saformer.errors import InputError

app = typer.Typer(
    name="saformer",
    help="Energy and complexity of spiking transformers, from a checkpoint and a data set to a table one can check.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_SEVERAL_PROCESSES = ("energy", "eval", "train")  # commands that share their work under torchrun


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


app.command("energy")(opened(energy.energy))
app.command("compare")(opened(compare.compare))
app.command("sweep")(opened(sweep.sweep))
app.command("ablate")(opened(ablate.ablate))
app.command("attention")(opened(attention.attention))
app.command("report")(opened(report.report))
app.command("sensitivity")(opened(sensitivity.sensitivity))
app.command("audit")(opened(audit.audit))
app.command("complexity")(opened(complexity.complexity))
app.command("flops")(opened(flops.flops))
app.command("train")(opened(train.train))
app.command("eval")(opened(eval.evaluate))
app.command("card")(opened(card.card))
app.command("plot")(opened(plot.plot))
app.command("models")(opened(catalogue.models))
app.command("datasets")(opened(catalogue.datasets))
app.command("hardware")(opened(hardware.hardware))
