"""Accounts as tables: what every command answers, as records that `writers.py` and `drawing.py` give a format."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saformer.analysis.accounting.account import Account, LayerAccount
from saformer.analysis.diagnostics.spike_driven import Audit
from saformer.reports.document.blocks import Facts, Line, Report, note
from saformer.reports.document.numbers import (
    NOT_KNOWN,
    energy_unit,
    fixed,
    fixed_decimals,
    interval,
    level,
    percent,
    si,
)
from saformer.reports.document.table import Align, Cell, Column, Role, Row, Table, TableLayout, count, hidden, number

NOT_BINARY = "†"
CI_SOURCES = {"image": "variance over images", "batch": "from batch means"}


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


def energy_report(account: Account, layers: bool = False) -> Report:
    """What was run, the energy of each block (with `layers`, of each operation too), and the totals."""
    return Report(
        (
            what_was_run(account),
            Line(),
            energy_table(account, layers),
            Line(),
            _energy_line(account),
            *map(note, account.notes),
            counted(account),
        ),
        account.to_json(),
    )


def counted(of: Account | Audit) -> Line:
    """Whether every operation was counted, or which were not."""
    return Line(of.coverage, "warning" if of.uncounted else "dim")


def what_was_run(account: Account, accounting: str | None = None) -> Facts:
    """Model, checkpoint, data, accounting and accuracy; `accounting` replaces the account's own name."""
    model, data, hardware = account.model, account.data, account.hardware
    steps = model.time_steps or NOT_KNOWN
    facts = [("model", f"{model.name}, {si(model.parameters)} parameters, T = {steps}")]
    if model.checkpoint is not None:
        digest = f", SHA-256 {model.sha256[:12]}..." if model.sha256 else ""
        facts.append(("checkpoint", Path(model.checkpoint).name + digest))
    split = f", {data.split} split" if data.split else ""
    facts.append(("data", f"{data.name}{split}, {_images(data.images)} ({data.kind})"))
    mac = NOT_KNOWN if hardware.mac_pj is None else f"{hardware.mac_pj:g} pJ"
    costs = f"MAC {mac}, AC {hardware.ac_pj:g} pJ"
    facts.append(("accounting", f"{accounting or account.accounting}, on {hardware.name}: {costs}"))
    if account.accuracy is not None:
        top5 = account.accuracy.top5
        second = "" if top5 is None else f", top-5 {percent(top5, decimals=2)}"
        facts.append(("accuracy", f"top-1 {percent(account.accuracy.top1, decimals=2)}{second}"))
    return Facts(facts)


def _images(images: int) -> str:
    return "1 image" if images == 1 else f"{images:,} images"


def _steps(account: Account) -> str:
    steps = account.model.time_steps
    return "all time steps" if steps is None else f"all T = {steps} time steps"


def _energy_line(account: Account) -> Line:
    value, half_width = interval(account.energy_mj, account.energy_mj_ci95)
    left_out = f" without {si(account.macs_not_covered)} MACs" if account.macs_not_covered else ""
    if not half_width:
        return Line(f"energy {value} mJ per image{left_out}", "strong")
    source = CI_SOURCES.get(account.ci_unit or "")
    width = level(account.ci_level)
    comment = f"{width} interval" if source is None else f"{width} interval, {source}"
    return Line(f"energy {value} ± {half_width} mJ per image{left_out}", "strong", after=f" ({comment})")


# --- the energy of each block or operation ---------------------------------------------------------------

_ENERGY_LAYOUTS = tuple(TableLayout(gap, bar) for gap, bar in ((2, 12), (2, 6), (1, 6), (2, 0), (1, 0)))


@dataclass(frozen=True)
class _Sum:
    """What a row of the energy table shows: one operation, a block, or the whole model."""

    flops: float
    elements: float
    nonzero: float
    sops: float
    sops_exact: float
    macs: float
    acs: float
    energy_mj: float | None
    rate: float
    rate_ci95: float | None
    binary: bool


def _sum(layers: Sequence[LayerAccount]) -> _Sum:
    flops = sum(layer.flops for layer in layers)
    sops = sum(layer.sops for layer in layers)
    single = layers[0] if len(layers) == 1 else None
    # By Eq. 18 an operation's SOPs / FLOPs is its firing rate, so the sums give the rate of a block.
    rate = single.firing_rate if single else sops / flops if flops else float("nan")
    energies = [layer.energy_mj for layer in layers if layer.energy_mj is not None]
    return _Sum(
        flops=flops,
        elements=sum(layer.input_elements for layer in layers),
        nonzero=sum(layer.input_nonzero for layer in layers),
        sops=sops,
        sops_exact=sum(layer.sops_exact for layer in layers),
        macs=sum(layer.macs for layer in layers),
        acs=sum(layer.acs for layer in layers),
        energy_mj=sum(energies) if energies else None,
        rate=rate,
        rate_ci95=single.firing_rate_ci95 if single else None,
        binary=all(layer.binary for layer in layers),
    )


def blocks(layers: Iterable[LayerAccount]) -> dict[str, list[LayerAccount]]:
    """The operations of each block, in the order of execution."""
    found: dict[str, list[LayerAccount]] = {}
    for layer in layers:
        found.setdefault(layer.block, []).append(layer)
    return found


def energy_table(account: Account, layers: bool = False) -> Table:
    """The energy of each block, or of each operation with its block as a subtotal. Per image.

    Accounting and hardware stand in every row of CSV, so that tables of several accountings can be put together.
    """
    found = blocks(account.layers)
    sums = {name: _sum(members) for name, members in found.items()}
    largest = max((total.energy_mj or 0.0 for total in sums.values()), default=0.0)
    unit, factor = energy_unit(largest)
    decimals = fixed_decimals(largest * factor)
    show_macs = any(layer.macs for layer in account.layers)
    show_acs = any(layer.acs for layer in account.layers) or not show_macs
    what = [Column("operation", key="layer"), hidden("block"), Column("op")]
    columns = [
        *(what if layers else [Column("block"), number("ops", key="operations", write=str)]),
        number("FLOPs", key="flops_per_image"),
        hidden("input_elements_per_image"),
        hidden("input_nonzero_per_image"),
        number("rate", key="firing_rate"),
        hidden("firing_rate_ci95"),
        hidden("input_is_binary"),
        number("SOPs", key="sops_per_image"),
        hidden("sops_exact_per_image"),
        number("MACs", key="macs_per_image", shown=show_macs),
        number("ACs", key="acs_per_image", shown=show_acs),
        number(unit, key="energy_mj_per_image"),
        number("share", data=False, write=percent),
        Column("", bar=True, data=False),
        hidden("accounting"),
        hidden("hardware"),
    ]

    def row(first: Sequence[Any], total: _Sum, role: Role = "", strong: bool = False, rule: bool = False) -> Row:
        energy = float("nan") if total.energy_mj is None else total.energy_mj
        share = energy / account.energy_mj if account.energy_mj else float("nan")
        cells = [
            *first,
            total.flops,
            total.elements,
            total.nonzero,
            Cell(total.rate, percent(total.rate), "" if total.binary else NOT_BINARY),
            total.rate_ci95,
            total.binary,
            total.sops,
            total.sops_exact,
            total.macs,
            total.acs,
            Cell(total.energy_mj, fixed(energy * factor, decimals)),
            share,
            None if role == "total" else energy / largest if largest else 0.0,
            account.accounting,
            account.hardware.name,
        ]
        return Row(cells, role, rule, strong)

    rows: list[Row] = []
    for i, (block, members) in enumerate(found.items()):
        last = i == len(found) - 1
        if not layers:
            rows.append(row((block, len(members)), sums[block], rule=last))
        elif len(members) == 1:
            # A block of one operation is its own subtotal.
            only = members[0]
            rows.append(row((only.name, block, only.op), sums[block], strong=True, rule=last))
        else:
            rows.append(row((block, block, ""), sums[block], "subtotal"))
            for j, layer in enumerate(members):
                name = Cell(layer.name, "  " + layer.name.removeprefix(block + "."))
                rows.append(row((name, block, layer.op), _sum([layer]), rule=last and j == len(members) - 1))
    if account.layers:
        first = ("total", "", "") if layers else ("total", len(account.layers))
        rows.append(row(first, _sum(account.layers), "total"))
    caption = [
        f"Per image, over {_steps(account)}. FLOPs: dense multiply-accumulates.",
        "rate: nonzero share of the input; of a block and of the total: SOPs / FLOPs.",
    ]
    if any(not layer.binary for layer in account.layers):
        caption.append(f"{NOT_BINARY} not binary: an input holds values other than 0 and 1.")
    where = f"{account.model.name} on {account.data.name}"
    title = f"Energy per image of {where}; accounting {account.accounting}, on {account.hardware.name}"
    return Table(title, columns, rows, caption, _ENERGY_LAYOUTS, quiet=True)


# --- spiking layers --------------------------------------------------------------------------------------

_NEURON_LAYOUTS = (
    TableLayout(2, fold=8),
    TableLayout(1, fold=8),
    TableLayout(1, fold=8, rank=0),
    TableLayout(1, fold=4, rank=0),
)


def neuron_table(account: Account) -> Table | Line:
    """Spiking layers: neurons and spikes per image, firing rate, and the rate at each time step."""
    if not account.neurons:
        return Line("no spiking layers were recorded")
    steps = max(len(neuron.per_step) for neuron in account.neurons)

    def step(rate: float | None) -> str:
        return "" if rate is None else percent(rate).removesuffix("%")

    columns = [
        Column("spiking layer", key="layer"),
        number("neurons", rank=1),
        number("spikes", key="spikes_per_image", rank=1),
        number("rate", key="firing_rate", write=percent),
        *(number(f"t={t + 1}", key=f"firing_rate_t{t + 1}", write=step, series=True) for t in range(steps)),
    ]
    rows = []
    for neuron in account.neurons:
        padding = [None] * (steps - len(neuron.per_step))
        rows.append([neuron.name, neuron.neurons, neuron.spikes, neuron.firing_rate, *neuron.rate_per_step, *padding])
    meaning = "rate: spikes / (neurons x time steps); t = 1, 2, ...: rate at that step in %."
    title = f"Spiking layers of {account.model.name} on {account.data.name}"
    return Table(title, columns, rows, [meaning], _NEURON_LAYOUTS, quiet=True)


# --- dense operations, sensitivity, lists ----------------------------------------------------------------


def flops_table(rows: Sequence[FlopsRow]) -> Table:
    """Dense multiply-accumulates of each operation by the recorder and by fvcore, differences marked ≠."""
    both = [row for row in rows if row.recorder is not None and row.fvcore is not None]
    different = sum(row.recorder != row.fvcore for row in both)
    columns = [
        Column("operation"),
        Column("op"),
        number("recorder", key="recorder_macs", write=count),
        number("fvcore", key="fvcore_macs", write=count),
        Column("", key="differs", write=lambda differs: "≠" if differs else ""),
    ]
    made = []
    for i, row in enumerate(rows):
        differs = row in both and row.recorder != row.fvcore
        cells = [row.name, row.op, row.recorder, row.fvcore, differs]
        made.append(Row(cells, rule=i == len(rows) - 1, warning=differs))
    sums = [sum(row.recorder or 0 for row in rows), sum(row.fvcore or 0 for row in rows)]
    made.append(Row(["total", "", *sums, False], "total"))
    if different:
        verdict = f"≠ {different} of {len(both)} operations differ."
    else:
        verdict = f"Both counters agree on all {len(both)} operations that both count."
    if len(both) < len(rows):
        verdict += f" {NOT_KNOWN}: outside that counter's convention."
    return Table("Dense multiply-accumulates by two counters", columns, made, [verdict], quiet=True)


def sensitivity_table(rows: Sequence[SensitivityRow], energy_mj: float, shown: int) -> Table:
    """The first `shown` operations with the change of the total `energy_mj` when their input rate rises."""
    unit, factor = energy_unit(max((row.energy_mj or 0.0 for row in rows), default=0.0))
    values = [[row.energy_mj or 0.0, row.per_point_mj, row.per_tenth_mj] for row in rows]
    decimals = [fixed_decimals(max((abs(row[i]) * factor for row in values), default=0.0)) for i in range(3)]

    def millijoules(title: str, key: str, places: int) -> Column:
        def write(value: float | None) -> str:
            return fixed(float("nan") if value is None else value * factor, places)

        return number(title, key=key, write=write)

    columns = [
        Column("operation"),
        number("rate", key="firing_rate", write=percent),
        millijoules(unit, "energy_mj_per_image", decimals[0]),
        millijoules(f"+1 point ({unit})", "per_point_mj", decimals[1]),
        millijoules(f"+10% ({unit})", "per_tenth_mj", decimals[2]),
        number("of total", key="per_tenth_of_total", write=lambda share: percent(share, decimals=2, sign=True)),
    ]
    made = []
    for row in rows[:shown]:
        share = row.per_tenth_mj / energy_mj if energy_mj else float("nan")
        made.append([row.name, row.firing_rate, row.energy_mj, row.per_point_mj, row.per_tenth_mj, share])
    rest = len(rows) - shown
    notes = [
        "+1 point, +10%: what the network's energy gains when this operation's input rate alone rises by one "
        "percentage point, or by a tenth of itself; of total: the latter. A lower rate saves as much.",
        *([f"{rest} operations that matter less are left out; --top 0 shows all."] if rest > 0 else []),
    ]
    return Table("What the energy gains when a firing rate rises", columns, made, notes, quiet=True)


def catalogue_table(
    title: str, columns: Sequence[str | Column], rows: Iterable[Sequence[Any]], notes: Sequence[str] = ()
) -> Table:
    """A list of things with one line each; columns named by text that hold nothing but numbers are set to the right."""
    rows = [tuple(row) for row in rows]
    made = []
    for i, column in enumerate(columns):
        if isinstance(column, Column):
            made.append(column)
            continue
        cells = [row[i] for row in rows if row[i] is not None]
        numbers = cells and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)
        made.append(Column(column, align=Align.right if numbers else Align.left))
    return Table(title, made, rows, notes)


def accounts_data(accounts: Sequence[Account]) -> Mapping[str, Any]:
    """Several accounts of one profile as an object, schema 1: what was run once, the rest of each account in a list."""
    documents = [account.to_json() for account in accounts]
    shared = {key: documents[0][key] for key in ("schema", "model", "data", "accuracy")}
    each = [{key: document[key] for key in ("accounting", "hardware", "totals", "notes")} for document in documents]
    return {**shared, "accounts": each}
