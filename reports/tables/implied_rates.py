"""The twelve energies of the SAFormer paper: the mean rates that each would need."""

from collections.abc import Sequence

from saformer.reports.document.blocks import Line, Part
from saformer.reports.document.numbers import NOT_KNOWN, percent
from saformer.reports.document.table import Align, Cell, Column, Row, Table, TableLayout, hidden, number
from saformer.reports.results.implied_rates import Implied, sentences


def implied_parts(rows: Sequence[Implied]) -> list[Part]:
    """The table, and what follows from it in words."""
    return [implied_table(rows), *(Line(text, label="  ") for text in sentences(rows))]


def implied_table(rows: Sequence[Implied]) -> Table:
    """A row for each energy; a rate that cannot be is marked."""
    columns = [
        Column("method"),
        hidden("dataset"),
        Column("network"),
        number("T", key="time_steps", write=str),
        hidden("dense_macs_per_image"),
        hidden("sums_of_spikes_macs_per_image"),
        number("paper", key="published_mj_per_image", align=Align.decimal, write=lambda value: f"{value:.2f}"),
        number("rate 1", key="bound_mj_per_image", align=Align.decimal, write=lambda value: f"{value:.2f}"),
        number("all ACs", key="rate_all_acs", write=_rate),
        number("Eq. 19", key="rate_first_layer_repeated", write=_rate),
        number("once", key="rate_first_layer_once", write=_rate),
        number("sums MACs", key="rate_sums_dense_macs", write=_rate),
        number("at rate", key="rate_sums_macs_at_rate", write=_rate),
    ]
    made: list[Row] = []
    before = ""
    for row in rows:
        if row.dataset != before:
            made.append(Row([row.dataset], "heading"))
            before = row.dataset
        made.append(
            Row(
                [
                    Cell(row.method, f"  {row.method}"),
                    row.dataset,
                    row.network,
                    row.shape.time_steps,
                    row.shape.dense,
                    row.sums_macs,
                    row.energy_mj,
                    row.bound_mj,
                    row.all_acs,
                    row.first_repeated,
                    row.first_once,
                    row.sums_dense,
                    row.sums_at_rate,
                ],
                warning=row.all_acs > 1,
            )
        )
    notes = [
        "paper: its energy; rate 1: the energy if every operation were an AC and every input a spike.",
        "Then the mean firing rate that the paper's energy implies: all ACs: no MACs at all. Eq. 19: first layer of an "
        "image as MACs, T times. once: the same, once.",
        "sums MACs: layers that read sums of spikes, or membranes, as dense MACs, too; at rate: as MACs at the rate.",
        f"A rate above 100 % or below 0 cannot be (!). {NOT_KNOWN}: no such layer, or event frames.",
    ]
    return Table(
        "The SAFormer paper's energies of others, mJ per image, and the mean firing rates that they imply",
        columns,
        made,
        notes,
        (TableLayout(2), TableLayout(1)),
    )


def _rate(value: float | None) -> str:
    if value is None:
        return NOT_KNOWN
    return percent(value) + ("" if 0 <= value <= 1 else "!")
