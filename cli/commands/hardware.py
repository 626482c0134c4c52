"""`saformer hardware`: what one operation costs where, and who says so."""

from typing import Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.output import Format
from saformer.cli.terminal.outputs import emit


@command("hardware")
def hardware(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE.toml]", help="One of the list, or a file of your own.")
    ] = None,
    format: Format = None,
) -> None:
    """List hardware; with a name or a file, everything about one: picojoules, source, what it leaves out."""
    from saformer.analysis.accounting.hardware import hardware_names, load_hardware
    from saformer.reports.tables.hardware import hardware_details, hardware_list

    if name is not None:
        emit(hardware_details(load_hardware(name)), format)
    else:
        emit(hardware_list([load_hardware(name) for name in hardware_names()]), format)
