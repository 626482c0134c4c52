"""How operations are charged: accounting, hardware, first layer, integers, memory."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from saformer.cli.options.groups import Options, Panel


class Graded(StrEnum):
    """How an integer input of 2, 3, ... is charged where an accounting counts events."""

    mac = "mac"
    unroll = "unroll"


class FirstLayer(StrEnum):
    """How often the first layer of a static image is charged."""

    repeat = "repeat"
    once = "once"


AccountingName = Annotated[
    str,
    typer.Option("--accounting", metavar="NAME", help="How operations are charged.", rich_help_panel=Panel.energy),
]
AccountingOrAll = Annotated[
    str,
    typer.Option(
        "--accounting",
        metavar="NAME|all",
        help="How operations are charged, or all side by side.",
        rich_help_panel=Panel.energy,
    ),
]
HardwareName = Annotated[
    str,
    typer.Option(
        "--hardware", metavar="NAME|FILE.toml", help="Picojoules per operation.", rich_help_panel=Panel.energy
    ),
]
HardwareOrAll = Annotated[
    str,
    typer.Option(
        "--hardware",
        metavar="NAME|FILE.toml|all",
        help="Picojoules per operation; see `saformer hardware`. all: a row for each.",
        rich_help_panel=Panel.energy,
    ),
]
FirstLayerCharge = Annotated[
    FirstLayer,
    typer.Option(
        "--first-layer",
        help="Charge the first layer of a static image at each step, or once.",
        rich_help_panel=Panel.energy,
    ),
]
GradedSpikes = Annotated[
    Graded,
    typer.Option("--graded", help="An integer input of k: one MAC, or k ACs.", rich_help_panel=Panel.energy),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="lemaire",
        help="Add what memory costs, after Lemaire et al. 2022, with its assumptions.",
        rich_help_panel=Panel.energy,
    ),
]


@dataclass(frozen=True, kw_only=True)
class ChargeOptions(Options):
    """What an accounting leaves open: how often the first layer is charged, and what an integer costs."""

    first_layer: FirstLayerCharge = FirstLayer.repeat
    graded: GradedSpikes = Graded.mac

    @property
    def once(self) -> bool:
        """The first layer of a static image is charged once."""
        return self.first_layer is FirstLayer.once

    @property
    def unroll(self) -> bool:
        """An integer of k is charged as k events."""
        return self.graded is Graded.unroll


def file_of(hardware: str) -> str | None:
    """The file that --hardware names, if it names one: a word such as `all` is no file, whatever lies in the folder."""
    return hardware if hardware.endswith(".toml") else None
