"""Accounts as tables for the terminal: rich renderables that the command line prints.

A table chooses its layout when it is drawn, because only then is the width known: wide terminals get
bars and air, 80 columns get every number. All text is passed as `Text`, never as markup: a model or a
file may have square brackets in its name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from saformer.analysis.account import Account, LayerAccount
from saformer.reports.format import (
    NOT_KNOWN,
    align_decimal_points,
    energy_unit,
    fixed,
    fixed_decimals,
    interval,
    percent,
    si,
)

NOT_BINARY = "†"
CI_SOURCES = {"image": "variance over images", "batch": "from batch means"}


@dataclass(frozen=True)
class ComparisonRow:
    """One model of a comparison. Per image; energies in millijoules, `top1` a share from 0 to 1.

    `relative_difference` is Eq. 21 for the energy. What a published row does not state is None.
    """

    name: str
    parameters: int | None
    time_steps: int | None
    flops: float | None
    sops: float | None
    energy_mj: float
    energy_ci95: float | None
    top1: float | None
    data: str
    relative_difference: float


@dataclass(frozen=True)
class SensitivityRow:
    """One operation: its input rate and energy, and the change of the whole energy when that rate rises.

    Per image, in millijoules; `energy_mj` is None where the hardware has no energy for the operation.
    """

    name: str
    firing_rate: float
    energy_mj: float | None
    per_point_mj: float
    per_tenth_mj: float


@dataclass(frozen=True)
class FlopsRow:
    """Multiply-accumulates of one operation as two counters see it; None where a counter does not."""

    name: str
    op: str
    recorder: int | None
    fvcore: int | None


def energy_report(account: Account, layers: bool = False) -> Group:
    """What was run, the energy of each block (with `layers`, of each operation too), and the totals."""
    caption = [
        f"Per image, over all T = {account.model.time_steps} time steps. FLOPs: dense multiply-accumulates.",
        "rate: nonzero share of the input; of a block and of the total: SOPs / FLOPs.",
    ]
    if any(not layer.binary for layer in account.layers):
        caption.append(f"{NOT_BINARY} not binary: an input holds values other than 0 and 1.")
    return Group(
        what_was_run(account),
        Text(),
        FirstThatFits([_energy_table(account, layers, *layout) for layout in _ENERGY_LAYOUTS]),
        *(Text(line, style="dim") for line in caption),
        Text(),
        _energy_line(account),
        *(hanging("note: ", note) for note in account.notes),
        Text(account.coverage, style="bold yellow" if account.uncounted else "dim"),
    )


def comparison_table(rows: Sequence[ComparisonRow], ours: str) -> Group:
    """One row for each model; the last column is Eq. 21 against the model called `ours`.

    Rows on several data sets are grouped by data set, in the order in which these first appear.
    """
    data_sets = list(dict.fromkeys(row.data for row in rows))
    title = f"Energy per image on {data_sets[0]}" if len(data_sets) == 1 else "Energy per image"
    return Group(
        Text(title, style="bold"),
        FirstThatFits([_comparison_table(rows, ours, data_sets, gap) for gap in (2, 1)]),
        Text(
            f"diff.: (energy - energy of {ours}) / energy (Eq. 21); positive means that {ours} needs less.",
            style="dim",
        ),
    )


def neuron_table(account: Account) -> RenderableType:
    """Spiking layers: neurons and spikes per image, firing rate, and the rate at each time step."""
    if not account.neurons:
        return Text("no spiking layers were recorded")
    return Group(
        FirstThatFits([_neuron_table(account, *layout) for layout in _NEURON_LAYOUTS]),
        Text("rate: spikes / (neurons x time steps); t = 1, 2, ...: rate at that step in %.", style="dim"),
    )


def flops_table(rows: Sequence[FlopsRow]) -> Group:
    """Dense multiply-accumulates of each operation by the recorder and by fvcore, differences marked ≠."""
    table = plain_table(gap=2)
    text_column(table, "operation")
    table.add_column("op", no_wrap=True)
    number_column(table, "recorder")
    number_column(table, "fvcore")
    table.add_column("", no_wrap=True)
    both = [row for row in rows if row.recorder is not None and row.fvcore is not None]
    different = sum(row.recorder != row.fvcore for row in both)
    for i, row in enumerate(rows):
        differs = row in both and row.recorder != row.fvcore
        cells = (row.name, row.op, _exact(row.recorder), _exact(row.fvcore), "≠" if differs else "")
        table.add_row(*map(Text, cells), style="yellow" if differs else None, end_section=i == len(rows) - 1)
    recorder = sum(row.recorder or 0 for row in rows)
    fvcore = sum(row.fvcore or 0 for row in rows)
    table.add_row(*map(Text, ("total", "", _exact(recorder), _exact(fvcore), "")), style="bold")
    if different:
        verdict = f"≠ {different} of {len(both)} operations differ."
    else:
        verdict = f"Both counters agree on all {len(both)} operations that both count."
    if len(both) < len(rows):
        verdict += f" {NOT_KNOWN}: outside that counter's convention."
    return Group(table, Text(verdict, style="dim"))


def sensitivity_table(rows: Sequence[SensitivityRow], energy_mj: float, shown: int) -> Group:
    """The first `shown` operations with the change of the total `energy_mj` when their input rate rises."""
    unit, factor = energy_unit(max((row.energy_mj or 0.0 for row in rows), default=0.0))
    columns = [[row.energy_mj or 0.0, row.per_point_mj, row.per_tenth_mj] for row in rows]
    decimals = [fixed_decimals(max((abs(row[i]) * factor for row in columns), default=0.0)) for i in range(3)]
    table = plain_table(gap=2)
    text_column(table, "operation")
    for header in ("rate", unit, f"+1 point ({unit})", f"+10% ({unit})", "of total"):
        number_column(table, header)
    for row in rows[:shown]:
        energy = float("nan") if row.energy_mj is None else row.energy_mj
        values = zip((energy, row.per_point_mj, row.per_tenth_mj), decimals, strict=True)
        share = row.per_tenth_mj / energy_mj if energy_mj else float("nan")
        table.add_row(
            Text(row.name),
            Text(percent(row.firing_rate)),
            *(Text(fixed(value * factor, places)) for value, places in values),
            Text(percent(share, decimals=2, sign=True)),
        )
    rest = len(rows) - shown
    lines = [
        "+1 point, +10%: what the network's energy gains when this operation's input rate alone rises by one",
        "percentage point, or by a tenth of itself; of total: the latter. A lower rate saves as much.",
        *([f"{rest} operations that matter less are left out; --top 0 shows all."] if rest > 0 else []),
    ]
    return Group(table, *(Text(line, style="dim") for line in lines))


def catalogue_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A list of things with one line each; columns that hold nothing but numbers are set to the right."""
    rows = [tuple(row) for row in rows]
    table = plain_table(gap=2)
    table.title = Text(title)
    table.title_justify = "left"
    table.title_style = "bold"
    for i, column in enumerate(columns):
        cells = [row[i] for row in rows if row[i] is not None]
        if cells and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells):
            number_column(table, column)
        else:
            text_column(table, column, first=i == 0)
    for row in rows:
        table.add_row(*(Text(NOT_KNOWN if cell is None else str(cell)) for cell in row))
    return table


@dataclass(frozen=True)
class ShareBar:
    """A bar of at most `width` cells, in eighths of a cell; `#` where the output cannot show blocks."""

    fraction: float
    width: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fraction = min(max(self.fraction, 0.0), 1.0) if self.fraction == self.fraction else 0.0
        if options.ascii_only:
            text = "#" * round(fraction * self.width)
        else:
            whole, rest = divmod(round(fraction * self.width * 8), 8)
            text = "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
        yield Segment(text.ljust(self.width), Style(color="blue"))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.width, self.width)


@dataclass(frozen=True)
class FirstThatFits:
    """Draws the first of several layouts, widest first, that the console has room for; else the last."""

    layouts: Sequence[Table]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # A measurement within the options' width never exceeds it, so the natural width is asked for.
        unbounded = options.update_width(10_000)
        for table in self.layouts[:-1]:
            if Measurement.get(console, unbounded, table).maximum <= options.max_width:
                yield table
                return
        yield self.layouts[-1]


def plain_table(gap: int) -> Table:
    """A table with rules above and below its rows, in the style of all tables here."""
    # `gap` columns of white between the numbers: one is the column separator, the rest is padding.
    return Table(
        box=box.HORIZONTALS,
        show_edge=False,
        pad_edge=False,
        padding=(0, gap - 1, 0, 0),
        header_style="bold",
    )


def text_column(table: Table, header: str, first: bool = True) -> None:
    """Add a column of names."""
    # Folded, not cut: half a layer's name does not say which layer it is.
    table.add_column(Text(header), overflow="fold", min_width=8 if first else None)


def number_column(table: Table, header: str) -> None:
    """Add a column of numbers, set to the right."""
    table.add_column(Text(header), justify="right", no_wrap=True)


def _exact(count: int | None) -> str:
    return NOT_KNOWN if count is None else f"{count:,}"


def hanging(label: str, text: str) -> Table:
    """A label with text that wraps beside it, not under it."""
    grid = Table.grid(padding=0)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(label), Text(text))
    return grid


def what_was_run(account: Account, accounting: str | None = None) -> Table:
    """Model, checkpoint, data, accounting and accuracy, a line each; `accounting` replaces the account's own name."""
    model, data, hardware = account.model, account.data, account.hardware
    lines = [("model", f"{model.name}, {si(model.parameters)} parameters, T = {model.time_steps}")]
    if model.checkpoint is not None:
        digest = f", SHA-256 {model.sha256[:12]}..." if model.sha256 else ""
        lines.append(("checkpoint", Path(model.checkpoint).name + digest))
    split = f", {data.split} split" if data.split else ""
    images = "1 image" if data.images == 1 else f"{data.images:,} images"
    lines.append(("data", f"{data.name}{split}, {images} ({data.kind})"))
    mac = NOT_KNOWN if hardware.mac_pj is None else f"{hardware.mac_pj:g} pJ"
    costs = f"MAC {mac}, AC {hardware.ac_pj:g} pJ"
    lines.append(("accounting", f"{accounting or account.accounting}, on {hardware.name}: {costs}"))
    if account.accuracy is not None:
        top5 = account.accuracy.top5
        second = "" if top5 is None else f", top-5 {percent(top5, decimals=2)}"
        lines.append(("accuracy", f"top-1 {percent(account.accuracy.top1, decimals=2)}{second}"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in lines:
        grid.add_row(Text(label), Text(text))
    return grid


def _energy_line(account: Account) -> Text:
    value, half_width = interval(account.energy_mj, account.energy_mj_ci95)
    left_out = f" without {si(account.macs_not_covered)} MACs" if account.macs_not_covered else ""
    if not half_width:
        return Text(f"energy {value} mJ per image{left_out}", style="bold")
    source = CI_SOURCES.get(account.ci_unit or "")
    comment = "95 % interval" if source is None else f"95 % interval, {source}"
    return Text.assemble((f"energy {value} ± {half_width} mJ per image{left_out}", "bold"), f" ({comment})")


# Gap between columns and width of the bars, from the roomiest layout to the tightest.
_ENERGY_LAYOUTS = ((2, 12), (2, 6), (1, 6), (2, 0), (1, 0))


@dataclass(frozen=True)
class _Sum:
    """What a row of the energy table shows: one operation, a block, or the whole model."""

    flops: float
    sops: float
    macs: float
    acs: float
    energy_mj: float | None
    rate: float
    binary: bool


def _sum(layers: Sequence[LayerAccount]) -> _Sum:
    flops = sum(layer.flops for layer in layers)
    sops = sum(layer.sops for layer in layers)
    # By Eq. 18 an operation's SOPs / FLOPs is its firing rate, so the sums give the rate of a block.
    rate = layers[0].firing_rate if len(layers) == 1 else sops / flops if flops else float("nan")
    energies = [layer.energy_mj for layer in layers if layer.energy_mj is not None]
    return _Sum(
        flops=flops,
        sops=sops,
        macs=sum(layer.macs for layer in layers),
        acs=sum(layer.acs for layer in layers),
        energy_mj=sum(energies) if energies else None,
        rate=rate,
        binary=all(layer.binary for layer in layers),
    )


def _blocks(layers: Sequence[LayerAccount]) -> dict[str, list[LayerAccount]]:
    blocks: dict[str, list[LayerAccount]] = {}
    for layer in layers:
        blocks.setdefault(layer.block, []).append(layer)
    return blocks


def _energy_table(account: Account, layers: bool, gap: int, bar_width: int) -> Table:
    blocks = _blocks(account.layers)
    sums = {name: _sum(members) for name, members in blocks.items()}
    largest = max((total.energy_mj or 0.0 for total in sums.values()), default=0.0)
    unit, factor = energy_unit(largest)
    decimals = fixed_decimals(largest * factor)
    show_macs = any(layer.macs for layer in account.layers)
    show_acs = any(layer.acs for layer in account.layers) or not show_macs

    table = plain_table(gap)
    text_column(table, "operation" if layers else "block")
    if layers:
        table.add_column("op", no_wrap=True)
    else:
        number_column(table, "ops")
    number_column(table, "FLOPs")
    # Padded here: the mark stands outside the column of percentages.
    table.add_column(Text("rate".rjust(6)), no_wrap=True)
    for header in ("SOPs", *(["MACs"] if show_macs else []), *(["ACs"] if show_acs else [])):
        number_column(table, header)
    number_column(table, unit)
    number_column(table, "share")
    if bar_width:
        table.add_column("", no_wrap=True)

    def add(name: str, second: str, row: _Sum, style: str | None, last: bool = False, bar: bool = True) -> None:
        energy = float("nan") if row.energy_mj is None else row.energy_mj
        share = energy / account.energy_mj if account.energy_mj else float("nan")
        rate = percent(row.rate).rjust(6)
        cells: list[RenderableType] = [
            Text(name),
            Text(second),
            Text(si(row.flops)),
            Text(rate) if row.binary else Text.assemble(rate, (NOT_BINARY, "bold yellow")),
            Text(si(row.sops)),
            *([Text(si(row.macs))] if show_macs else []),
            *([Text(si(row.acs))] if show_acs else []),
            Text(fixed(energy * factor, decimals)),
            Text(percent(share)),
        ]
        if bar_width and bar:
            cells.append(ShareBar(energy / largest if largest else 0.0, bar_width))
        table.add_row(*cells, style=style, end_section=last)

    for i, (block, members) in enumerate(blocks.items()):
        last_block = i == len(blocks) - 1
        if not layers:
            add(block, str(len(members)), sums[block], None, last_block)
        elif len(members) == 1:
            # A block of one operation is its own subtotal.
            add(members[0].name, members[0].op, sums[block], "bold", last_block)
        else:
            add(block, "", sums[block], "bold")
            for j, layer in enumerate(members):
                name = "  " + layer.name.removeprefix(block + ".")
                add(name, layer.op, _sum([layer]), None, last_block and j == len(members) - 1)
    if account.layers:
        total = _sum(account.layers)
        add("total", "" if layers else str(len(account.layers)), total, "bold", bar=False)
    return table


def _comparison_table(rows: Sequence[ComparisonRow], ours: str, data_sets: Sequence[str], gap: int) -> Table:
    table = plain_table(gap)
    text_column(table, "model")
    for header in ("params", "T", "FLOPs", "SOPs"):
        number_column(table, header)
    # Padded here, so that the decimal points of 0.49 and 22.6 stand above each other.
    table.add_column("energy (mJ)", no_wrap=True)
    for header in ("top-1", "diff."):
        number_column(table, header)
    rows = [row for data in data_sets for row in rows if row.data == data]
    written = [interval(row.energy_mj, row.energy_ci95, digits=3) for row in rows]
    values = align_decimal_points([value for value, _ in written])
    several = len(data_sets) > 1
    before = None
    for row, value, (_, half_width) in zip(rows, values, written, strict=True):
        if several and row.data != before:
            if before is not None:
                table.add_section()
            table.add_row(Text(row.data, style="italic"))
            before = row.data
        is_ours = row.name == ours
        cells = [
            f"  {row.name}" if several else row.name,
            si(row.parameters),
            NOT_KNOWN if row.time_steps is None else str(row.time_steps),
            si(row.flops),
            si(row.sops),
            f"{value} ± {half_width}" if half_width else value,
            percent(row.top1, decimals=2),
            NOT_KNOWN if is_ours else percent(row.relative_difference, sign=True),
        ]
        table.add_row(*map(Text, cells), style="bold" if is_ours else None)
    return table


# Gap between columns, time steps on a line, and whether there is room for counts.
_NEURON_LAYOUTS = ((2, 8, True), (1, 8, True), (1, 8, False), (1, 4, False))


def _neuron_table(account: Account, gap: int, per_line: int, counts: bool) -> Table:
    steps = max(len(neuron.per_step) for neuron in account.neurons)
    columns = min(steps, per_line)
    table = plain_table(gap)
    text_column(table, "spiking layer")
    for header in ("neurons", "spikes", "rate") if counts else ("rate",):
        number_column(table, header)
    # More steps than fit on a line continue on the next, in the headers as in the rows.
    for first in range(columns):
        number_column(table, "\n".join(f"t={t + 1}" for t in range(first, steps, per_line)))
    for neuron in account.neurons:
        # `elements` counts a neuron once for each time step.
        neurons = neuron.elements / len(neuron.per_step) if neuron.per_step else float("nan")
        rates = [percent(spikes / neurons if neurons else None).removesuffix("%") for spikes in neuron.per_step]
        table.add_row(
            Text(neuron.name),
            *([Text(si(neurons)), Text(si(neuron.spikes))] if counts else []),
            Text(percent(neuron.firing_rate)),
            *(Text("\n".join(rates[first::per_line])) for first in range(columns)),
        )
    return table
