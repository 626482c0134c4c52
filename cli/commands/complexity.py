"""`saformer complexity`: time, space and energy of attentions, as formulas, as numbers, and measured."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.energy import HardwareName, file_of
from saformer.cli.options.output import Format, Json, PlotOptions
from saformer.cli.options.run import Device, Seed
from saformer.cli.resolve.device import choose_device
from saformer.cli.terminal.console import progress
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.analysis.complexity.benchmark import Measurement
    from saformer.analysis.complexity.formulas import Attention, Sizes

_SIZES, _MEASURED = "Sizes", "Measured"
# The sweeps hold the other size low, so that the terms which grow fastest rule within reach.
_SWEPT_AT_DIM, _SWEPT_AT_TOKENS = 64, 64
_TOKENS, _DIM = 64, 384
_SECONDS = 1.0
_DEVICE = "cpu"


def _size(flag: str, letter: str, help: str) -> typer.models.OptionInfo:
    return typer.Option(flag, metavar=letter, help=help, rich_help_panel=_SIZES)


@command("complexity")
def complexity(
    attention: Annotated[
        str,
        typer.Option(
            "--attention",
            metavar="A,B,...",
            help="Which; all for every one. A wrong name lists them.",
            rich_help_panel=_SIZES,
        ),
    ] = "default",
    tokens: Annotated[int | None, _size("--tokens", "N", f"Tokens. Default: {_TOKENS}, also where D is swept.")] = None,
    dim: Annotated[
        int | None, _size("--dim", "D", f"Channels. Default: {_DIM}, and {_SWEPT_AT_DIM} where N is swept.")
    ] = None,
    aggregated: Annotated[
        int,
        typer.Option(
            "--aggregated",
            "-n",
            metavar="n",
            help="Aggregated tokens (SASA), or those of a window (MST); divides N.",
            rich_help_panel=_SIZES,
        ),
    ] = 16,
    time_steps: Annotated[
        int, typer.Option("--time-steps", "-T", metavar="T", help="Time steps.", rich_help_panel=_SIZES)
    ] = 4,
    rate: Annotated[float, _size("--rate", "R", "Firing rate of everything that spikes, 0 to 1.")] = 0.1,
    heads: Annotated[int, _size("--heads", "H", "Attention heads; divides D.")] = 1,
    hardware: HardwareName = "45nm-fp32",
    verify: Annotated[
        bool, typer.Option("--verify", help="Run the real modules once: does the recorder count the same?")
    ] = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Time and peak memory of the real modules over N and D.", rich_help_panel=_MEASURED
        ),
    ] = False,
    over_tokens: Annotated[
        str | None,
        typer.Option(
            "--over-tokens",
            metavar="A..B",
            help="N: two for each doubling from A to B, where n divides both, or a list. Default: 64..16384; none: -.",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    over_dim: Annotated[
        str | None,
        typer.Option(
            "--over-dim",
            metavar="A..B",
            help="D: two for each doubling from A to B, where H divides both, or a list. Default: 64..2048; none: -.",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds", metavar="S", help="For the repeats of each size. Default: 1.", rich_help_panel=_MEASURED
        ),
    ] = None,
    device: Device = _DEVICE,
    seed: Seed = 0,
    measured: Annotated[
        Path | None,
        typer.Option(
            "--measured",
            metavar="FILE",
            help="Instead of --measure: what it wrote with --json.",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    format: Format = None,
    json: Json = None,
    *,
    drawn: PlotOptions,
) -> None:
    """Time, space and energy of attentions: formulas beside the paper's Tables 4 and 5, numbers, and measured scaling.

    --plot draws what is measured, or else the formulas over N. The numbers equal what the recorder counts on the real
    modules (--verify runs them).

      saformer complexity --tokens 64 --dim 384 --aggregated 16 --time-steps 4 --rate 0.15 --heads 12

    Exponents of time and peak memory, measured here, in some minutes:

      saformer complexity --measure --json scaling.json --plot scaling.pdf
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.complexity.formulas import Sizes, choose
    from saformer.reports.document.blocks import Line, Report
    from saformer.reports.tables.complexity import complexity_report, verification

    # Whatever can be wrong with the question is said before the run, not after.
    chosen, table = choose(attention), load_hardware(hardware)
    sizes = Sizes(_given(tokens, _TOKENS), _given(dim, _DIM), aggregated, time_steps, rate, heads)
    for flag, value in (("--over-tokens", over_tokens), ("--over-dim", over_dim)):
        if value is not None and not measure and not (drawn.plot is not None and flag == "--over-tokens"):
            raise InputError(f"{flag} belongs to --measure: add it")
    if measure and measured is not None:
        raise InputError("give either --measure or --measured, not both: a saved measurement is not made anew")
    for flag, changed in (("--seconds", seconds is not None), ("--device", device != _DEVICE), ("--seed", seed != 0)):
        if changed and not measure:
            raise InputError(f"{flag} belongs to --measure: add it")
    if seconds is not None and not 0 < seconds <= 3600:
        raise InputError(f"--seconds must lie above 0 and up to 3600, got {seconds:g}")
    over_n = _range("--over-tokens", over_tokens or "64..16384", sizes.aggregated)
    over_d = _range("--over-dim", over_dim or "64..2048", sizes.heads)
    by_tokens, by_dim = [], []
    if measure:  # at sizes of its own, which heads and aggregated tokens must divide, too
        swept = replace(sizes, dim=_given(dim, _SWEPT_AT_DIM), tokens=_given(tokens, _SWEPT_AT_TOKENS))
        by_tokens = [replace(swept, tokens=value) for value in over_n]
        by_dim = [replace(swept, dim=value) for value in over_d]
    if measure and not by_tokens and not by_dim:
        raise InputError("--over-tokens - and --over-dim - leave nothing to measure")
    drawn.check()
    outputs = plan(format, json, files={"--plot": drawn.plot}, inputs=[file_of(hardware), measured])

    measurement = _measure(chosen, by_tokens, by_dim, seconds or _SECONDS, device, seed) if measure else None
    if measured is not None:
        from saformer.analysis.complexity.serialization import read_measurement

        measurement = read_measurement(measured)
        known = measurement.attentions
        if missing := [a.key for a in chosen if a not in known]:
            if attention != "default":
                raise InputError(f"{measured} has not measured {missing[0]}: it has {', '.join(a.key for a in known)}")
            chosen = known
    report = complexity_report(chosen, sizes, table, measurement)
    if verify:
        from saformer.analysis.complexity.verify import differences, record

        report += Report([Line()]) + verification((a, differences(a, sizes, record(a, sizes))) for a in chosen)
    if drawn.plot is not None:
        from saformer.reports.figures.complexity import formula_panels, measured_panels, scaling_figure

        if measurement is not None:
            panels = measured_panels(chosen, measurement)
        else:
            plotted = [replace(sizes, tokens=value) for value in over_n]
            panels = formula_panels(chosen, plotted or [sizes], table)
        drawn.write(lambda width: scaling_figure(panels, width))
    outputs.emit(report)


def _given(value: int | None, default: int) -> int:
    return default if value is None else value


def _range(flag: str, text: str, divisor: int) -> list[int]:
    """`64..256` is 64, 96, 128, 192, 256, without what lies between doublings and is no multiple of `divisor`.

    `64,100` is a list; `-` is none.
    """
    if text.strip() == "-":
        return []
    try:
        first, dots, last = text.partition("..")
        if not dots:
            values = sorted({int(part) for part in text.split(",")})
        else:
            start, end = int(first), int(last)
            doubled = [start << i for i in range(max(end, 1).bit_length()) if 0 < start << i <= end]
            between = {value + value // 2 for value in doubled if value % 2 == 0}
            values = sorted({*doubled, *(value for value in between if value <= end and value % divisor == 0)})
    except ValueError:
        values = []
    if not values or values[0] < 1:
        raise InputError(f"{flag} takes A..B with 1 <= A <= B, a list such as 64,256,1024, or -; got {text!r}")
    return values


def _measure(
    chosen: "list[Attention]", by_tokens: "list[Sizes]", by_dim: "list[Sizes]", seconds: float, device: str, seed: int
) -> "Measurement":
    from saformer.analysis.complexity.benchmark import measure

    where = choose_device(device)
    if where.type not in ("cpu", "cuda"):
        raise InputError(f"--measure knows the clock and the memory of cpu and cuda, not of {where.type}")
    with progress("measuring (%)", 100) as advance:
        shown = 0

        def tell_share(share: float) -> None:
            nonlocal shown
            percent = int(100 * share)
            if percent > shown:
                advance(percent - shown)
                shown = percent

        return measure(chosen, by_tokens, by_dim, seconds, where, seed, tell_share)
