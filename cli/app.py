"""The application: one command per module."""

from typing import Annotated

import typer

from saformer.cli import audit, catalogue, compare, complexity, energy, flops, hardware, sensitivity, train

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


app.command("energy")(energy.energy)
app.command("compare")(compare.compare)
app.command("sensitivity")(sensitivity.sensitivity)
app.command("audit")(audit.audit)
app.command("complexity")(complexity.complexity)
app.command("flops")(flops.flops)
app.command("train")(train.train)
app.command("models")(catalogue.models)
app.command("datasets")(catalogue.datasets)
app.command("hardware")(hardware.hardware)
