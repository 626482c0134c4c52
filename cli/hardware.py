"""`saformer hardware`: what one operation costs where, and who says so."""

from typing import Annotated

import typer

from saformer.cli.terminal import show


def hardware(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE.toml]", help="One of the list, or a file of your own.")
    ] = None,
) -> None:
    """List hardware; with a name or a file, everything about one: picojoules, source, what it leaves out."""
    from saformer.analysis.hardware import hardware_names, load_hardware
    from saformer.reports.hardware_table import hardware_details, hardware_list

    if name is not None:
        show(hardware_details(load_hardware(name)))
        return
    show(
        hardware_list([load_hardware(name) for name in hardware_names()]),
        "A chip's number per synaptic operation applies to ACs. MAC -: none; MACs are left out, and named.",
        "Source, and what it leaves out: saformer hardware NAME. Your own: FILE.toml.",
    )
