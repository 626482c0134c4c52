"""The application: one command per module."""

from typing import Annotated

import typer

from saformer.cli import audit, catalogue, compare, energy, flops, hardware, report, sensitivity, train
from saformer.cli.options import opened

app = typer.Typer(
    name="saformer",
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
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.command("energy")(opened(energy.energy))
app.command("compare")(opened(compare.compare))
app.command("report")(opened(report.report))
app.command("sensitivity")(opened(sensitivity.sensitivity))
app.command("audit")(opened(audit.audit))
app.command("flops")(opened(flops.flops))
app.command("train")(opened(train.train))
app.command("models")(opened(catalogue.models))
app.command("datasets")(opened(catalogue.datasets))
app.command("hardware")(opened(hardware.hardware))
