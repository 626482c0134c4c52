"""How operations are charged: accounting, hardware, first layer, whole multiples, rates, what is left out, memory."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli.options.groups import Options
from saformer.cli.options.panels import Panel

if TYPE_CHECKING:
    from saformer.analysis.accounting.energy import Choices


class Graded(StrEnum):
    """How an input of whole multiples k of a unit is charged, whatever the accounting says."""

    rate = "rate"
    unroll = "unroll"
    mac = "mac"


class FirstLayer(StrEnum):
    """How the layer that reads the input is charged: a static image T times or once; event frames as MACs."""

    repeat = "repeat"
    once = "once"
    mac = "mac"


class RateAt(StrEnum):
    """Where the rate of Eq. 18 is taken: at what an operation reads, or at the neurons that it came from."""

    input = "input"
    output = "output"


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
        help="Of a static image, charged at each step (repeat) or once; of event frames, as MACs (mac).",
        rich_help_panel=Panel.energy,
    ),
]
GradedSpikes = Annotated[
    Graded | None,
    typer.Option(
        "--graded",
        help="Integer spikes and sums of spikes, k units: one AC (rate), k ACs (unroll) or one MAC (mac).",
        show_default="as the accounting says",
        rich_help_panel=Panel.energy,
    ),
]
RateOf = Annotated[
    RateAt,
    typer.Option(
        "--rate-at",
        help="Firing rate of what a layer reads (input), or of the neurons before it, before any pool (output).",
        rich_help_panel=Panel.energy,
    ),
]
LeaveOut = Annotated[
    list[str] | None,
    typer.Option(
        "--leave-out",
        metavar="PATTERN",
        help="Do not charge these operations, such as head or 'patch_embed.*'; repeat it.",
        rich_help_panel=Panel.energy,
    ),
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
    """What an accounting leaves open: the first layer, whole multiples, where rates are taken, what is left out."""

    first_layer: FirstLayerCharge = FirstLayer.repeat
    graded: GradedSpikes = None
    rate_at: RateOf = RateAt.input
    leave_out: LeaveOut = None

    @property
    def choices(self) -> "Choices":
        """The same for `account_for`."""
        return {
            "first_layer": self.first_layer.value,
            "graded": None if self.graded is None else self.graded.value,
            "rate_at": self.rate_at.value,
            "leave_out": tuple(self.leave_out or ()),
        }

    @property
    def unroll(self) -> bool:
        """An input of k units is charged as k events, which a run must count."""
        return self.graded is Graded.unroll


def file_of(hardware: str) -> str | None:
    """The file that --hardware names, if it names one: a word such as `all` is no file, whatever lies in the folder."""
    return hardware if hardware.endswith(".toml") else None
