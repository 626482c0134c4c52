"""What `saformer literature` prints: every published energy with its verdict, and one of them in full."""

from collections import Counter
from collections.abc import Sequence

from saformer.analysis.accounting.hardware import load_hardware
from saformer.reports.document.blocks import Facts, Heading, Line, Part, Report
from saformer.reports.document.numbers import NOT_KNOWN, percent, significant
from saformer.reports.document.table import Align, Cell, Column, Row, Table, TableLayout, hidden, number
from saformer.reports.results.architectures import PRESET
from saformer.reports.results.decomposition import Decomposition
from saformer.reports.results.literature import records
from saformer.reports.results.published_rows import MEANINGS, Assessed, Verdict
from saformer.reports.results.readings import Reading
from saformer.reports.results.sheets import SheetLayer

_LAYOUTS = (TableLayout(1), TableLayout(1, rank=0))  # narrow terminals do without FLOPs
_USUAL = (224, 32, 128, 640, None)  # pixels of the data sets as they are usually run
_READ_IN = {"translation": "read in a translation", "second hand": "read second hand"}
_DATA = {"imagenet": "ImageNet", "imagenet, 350 images": "350 images of ImageNet", "coco": "COCO"}


def literature_report(rows: Sequence[Assessed], implied: Sequence[Part]) -> Report:
    """The page: every published energy, why some do not follow, and the energies that the SAFormer paper gives others.

    Args:
        rows: in the order of the file.
        implied: what the paper's energies imply.
    """
    tally = Counter(one.verdict for one in rows)
    summary = ", ".join(f"{verdict} {tally[verdict]}" for verdict in Verdict if tally[verdict])
    return Report(
        [
            Heading("Published energies, and whether they follow", 1),
            Line(
                "Each energy in print beside what follows from the counts or rates printed with it and from the shapes "
                "of the network. saformer literature NAME shows one with its arithmetic, and layer by layer where "
                "rates of all layers are in print; saformer literature --explain MJ searches the conventions for one "
                "that gives a number. This page is made by saformer literature --format markdown."
            ),
            literature_table(rows),
            Line(f"{len(rows)} energies: {summary}", "strong"),
            Heading("Why"),
            *(Line(f"{row['about']}: {row['remark']}", label="  ") for row in records("remarks.csv")),
            Heading("What the SAFormer paper's energies of others imply"),
            *implied,
        ]
    )


def literature_table(rows: Sequence[Assessed]) -> Table:
    """A row for each published energy; a line ends those of one source or method."""
    columns = [
        Column("network"),
        hidden("system"),
        hidden("size"),
        hidden("dataset"),
        hidden("pixels"),
        number("T", key="time_steps", write=_whole),
        hidden("parameters"),
        hidden("published_parameters_m"),
        number("FLOPs", key="flops_per_image", rank=1),
        number("printed", key="published_mj_per_image"),
        number("here", key="recomputed_mj_per_image"),
        number("off by", key="difference", write=_signed),
        Column("follows?", key="verdict"),
        Column("how, or what breaks it", key="why"),
        hidden("arithmetic"),
        hidden("mean_rate_of_eq_19"),
        hidden("conventions_tried"),
        hidden("shapes_from"),
        Column("in", data=False),
        hidden("source"),
        hidden("read_in"),
    ]
    numbers = {source: i for i, source in enumerate(dict.fromkeys(map(_source, rows)), 1)}
    made: list[Row] = []
    for one, following in zip(rows, [*rows[1:], None], strict=True):
        ends = following is None or (one.row.system != following.row.system and one.row.source != following.row.source)
        made.append(_row(one, numbers[_source(one)], rule=ends))
    notes = [*_notes(rows), *(f"[{i}] {source}." for source, i in numbers.items())]
    return Table("Published energies, millijoules per image", columns, made, notes, _LAYOUTS)


def _source(one: Assessed) -> str:
    """Where an energy was printed, and how it was read."""
    how = _READ_IN.get(one.row.read_in)
    return one.row.source + (f" ({how})" if how else "")


def _row(one: Assessed, source: int, rule: bool) -> Row:
    row, shape = one.row, one.shape
    unusual = "" if row.pixels in _USUAL else f" at {row.pixels}"
    return Row(
        [
            Cell(row.name, row.name + unusual),
            row.system,
            row.size,
            row.dataset,
            row.pixels,
            row.time_steps,
            None if shape is None else shape.parameters,
            None if row.parameters_m is None else row.parameters_m.value,
            None if shape is None else shape.dense,
            Cell(row.energy.value, _short(row.energy.text)),
            Cell(one.recomputed_mj, _matching(one.recomputed_mj, row.energy.text)),
            one.difference,
            Cell(str(one.verdict), str(one.verdict)),
            one.why,
            one.arithmetic,
            one.mean_rate,
            one.tried,
            None if shape is None else shape.source,
            f"[{source}]",
            row.source,
            row.read_in,
        ],
        rule=rule,
        warning=one.verdict is Verdict.contradicts,
    )


_DECIMALS = 5


def _short(text: str) -> str:
    """A printed number; one of many digits is cut, `saformer literature NAME` has them all."""
    decimals = text.partition(".")[2]
    return text if len(decimals) <= _DECIMALS else f"{float(text):.{_DECIMALS - 1}f}"


def _matching(value: float | None, text: str) -> str:
    """A value with one decimal more than a printed number, at most five."""
    if value is None:
        return NOT_KNOWN
    return f"{value:.{min(len(text.partition('.')[2]) + 1, _DECIMALS - 1)}f}"


def _whole(value: int | None) -> str:
    return NOT_KNOWN if value is None else str(value)


def _signed(value: float | None) -> str:
    """A difference in percent, small ones with two digits more."""
    return percent(value, 2 if value is not None and abs(value) < 0.1 else 0, sign=True)


def _notes(rows: Sequence[Assessed]) -> list[str]:
    used = {one.verdict for one in rows}
    notes = [f"{verdict}: {meaning}." for verdict, meaning in MEANINGS.items() if verdict in used]
    notes.append(
        "FLOPs: dense multiply-accumulates over all T steps, masks left out, counted here: of presets on the meta "
        "device, of other networks once, on their public code. --csv and --json have parameters and arithmetic, too."
    )
    notes.append("MAC 4.6 pJ, AC 0.9 pJ (45 nm); here agrees if the rounding of all printed numbers explains off by.")
    if differing := parameters_that_differ(rows):
        notes.append(f"Parameters in print that differ from those counted: {'; '.join(differing)}.")
    return notes


def parameters_that_differ(rows: Sequence[Assessed]) -> list[str]:
    """Networks whose published number of parameters is not the one counted, by more than a rounding."""
    found = {}
    for one in rows:
        stated, shape = one.row.parameters_m, one.shape
        # Authors cut as often as they round.
        if shape is not None and stated is not None and abs(shape.parameters / 1e6 - stated.value) > 2 * stated.half:
            found[one.row.name] = f"{one.row.name} {stated.text} M, counted {significant(shape.parameters / 1e6, 4)} M"
    return list(found.values())


# --- one network ---


def network_report(
    rows: Sequence[tuple[Assessed, Sequence[Reading], Decomposition | None, Sequence[SheetLayer]]],
) -> Report:
    """All that was published of one network, with the arithmetic.

    Args:
        rows: each energy with the ways of charging it, its layers, and its sheet.
    """
    parts: list[Part] = []
    for i, (one, ways, layers, sheet) in enumerate(rows):
        if i:
            parts.append(Line())
        parts += _opening(one)
        if ways:
            parts.append(_ways(one, ways))
        if layers is not None:
            parts += [_layers(one, layers), Line(_sum_of(one, layers), "strong")]
        if sheet:
            parts.append(_sheet(sheet))
    return Report(parts)


def _opening(one: Assessed) -> list[Part]:
    row, shape = one.row, one.shape
    printed = [("SOPs", row.gsops), ("ACs", row.gacs), ("MACs", row.gmacs), ("FLOPs", row.gflops), ("OPs", row.gops)]
    counts = ", ".join(f"{count.text} G {what}" for what, count in printed if count is not None)
    size = "" if row.pixels is None else f", {row.pixels} x {row.pixels}"
    steps = "" if row.time_steps is None else f", T = {row.time_steps}"
    facts = [
        ("network", f"{row.system} {row.size}, {_DATA.get(row.dataset, row.dataset)}{size}{steps}"),
        ("printed", f"{row.energy.text} mJ" + (f" beside {counts}" if counts else "")),
        ("source", row.source + (f" ({_READ_IN[row.read_in]})" if row.read_in in _READ_IN else "")),
    ]
    if shape is not None:
        stated = f"; printed {row.parameters_m.text} M" if row.parameters_m is not None else ""
        runs = "once" if shape.first_once else "at every step"
        facts += [
            ("parameters", f"{shape.parameters:,}{stated}"),
            ("FLOPs", f"{shape.dense:,}; first layer {shape.first:,} for one step, runs {runs}"),
            ("shapes", "our preset " + shape.name if shape.source == PRESET else shape.source),
        ]
    facts.append(("verdict", f"{one.verdict}: {one.why}"))
    if one.arithmetic:
        facts.append(("arithmetic", one.arithmetic))
    return [Facts(facts)]


def _ways(one: Assessed, ways: Sequence[Reading]) -> Table:
    columns = [
        Column("charged", key="charged"),
        Column("arithmetic"),
        number("energy", "mJ", key="energy_mj_per_image", write=lambda value: f"{value:.10g}", align=Align.decimal),
        number("off by", key="difference", write=_signed),
        Column("", key="gives_the_printed_energy", write=lambda gives: "=" if gives else ""),
    ]
    printed = one.row.energy
    shown = [way for way in ways if way.unusual <= 1 or way.gives(printed)]
    rows = [
        Row(
            [
                way.words,
                way.arithmetic,
                way.energy_mj,
                (way.energy_mj - printed.value) / printed.value,
                way.gives(printed),
            ],
            strong=way.gives(printed),
        )
        for way in shown
    ]
    note = f"=: {printed.text} mJ, within the rounding of the printed numbers."
    return Table(f"{len(shown)} of {len(ways)} ways of charging what was printed", columns, rows, [note])


def _operations(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _layers(one: Assessed, decomposed: Decomposition) -> Table:
    columns = [
        Column("operation"),
        number("FLOPs", key="flops", write=_operations, rank=1),
        number("rate", key="firing_rate", write=lambda rate: percent(rate, 2)),
        hidden("macs"),
        hidden("acs"),
        number("MACs + ACs", key="operations", write=_operations),
        number("printed", key="published_operations", write=_operations),
        number("energy", "mJ", key="energy_mj_per_image", write=lambda value: f"{value:.6f}"),
    ]
    rows = [
        Row(
            [
                layer.name,
                layer.flops,
                layer.firing_rate,
                layer.macs,
                layer.acs,
                layer.macs + layer.acs,
                layer.published_operations,
                layer.energy_mj,
            ],
            rule=layer is decomposed.layers[-1],
        )
        for layer in decomposed.layers
    ]
    account = decomposed.account
    sums = [account.macs, account.acs, account.macs + account.acs, _printed_total(one), account.energy_mj]
    rows.append(Row(["total", account.flops, Cell(None, ""), *sums], "total"))
    notes = [
        f"accounting {account.accounting}: a bias counts once per output and step; attention by a formula of its own, "
        "which the source does not print for each product.",
    ]
    return Table(f"Layer by layer, at the rates of {one.row.rates}", columns, rows, notes)


def _printed_total(one: Assessed) -> float | None:
    counts = [count.value for count in (one.row.gacs, one.row.gmacs) if count is not None]
    return sum(counts) * 1e9 if counts else None


def _sum_of(one: Assessed, decomposed: Decomposition) -> str:
    here, printed = decomposed.account.energy_mj, one.row.energy
    return f"sum of the layers {here:.13g} mJ, printed {printed.text} mJ: off by {abs(here / printed.value - 1):.1e}"


def _sheet(layers: Sequence[SheetLayer]) -> Table:
    columns = [
        Column("layer"),
        number("FLOPs", key="flops", write=_operations),
        hidden("published_flops"),
        number("mean integer", key="mean_spikes", write=lambda mean: "image" if mean is None else f"{mean:.4f}"),
        number("energy", "mJ", key="energy_mj_per_image", write=lambda value: f"{value:.6f}"),
        number("printed", "mJ", key="published_mj_per_image", write=lambda value: f"{value:.6f}"),
    ]
    first_pj = load_hardware().mac_pj
    assert first_pj is not None  # of 45 nm CMOS
    rows = [
        Row(
            [
                layer.name,
                layer.flops,
                layer.published_flops,
                layer.mean_spikes,
                layer.energy_mj(first_pj),
                layer.published_mj,
            ],
            rule=layer is layers[-1],
        )
        for layer in layers
    ]
    flops, blank = sum(layer.flops for layer in layers), Cell(None, "")
    energies = [sum(layer.energy_mj(first_pj) for layer in layers), sum(layer.published_mj for layer in layers)]
    rows.append(Row(["total", flops, blank, blank, *energies], "total"))
    note = "FLOPs follow from the sizes in the sheet. The layer that reads the image: 4.6 pJ here, 4.6 x 0.9 in print."
    return Table("Layer by layer, from the published sheet", columns, rows, [note])
