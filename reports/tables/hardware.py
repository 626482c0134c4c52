"""Hardware as tables: what there is, where its numbers come from, and one profile on all of it."""

from collections.abc import Sequence

from saformer.analysis.accounting.account import Account
from saformer.analysis.accounting.hardware import Hardware
from saformer.reports.document.blocks import Facts, Part, Report, note
from saformer.reports.document.numbers import NOT_KNOWN, energy_unit, level, si
from saformer.reports.document.table import Align, Column, Table, energy_cells, energy_columns, hidden, number
from saformer.reports.results.accounts import accounts_data
from saformer.reports.tables.what_was_run import counted

_NO_MAC = "none in this table: MACs are left out of the energy, and a note says how many"


def hardware_list(tables: Sequence[Hardware]) -> Table:
    """One line for each hardware: name, title, picojoules of a MAC and of an AC."""

    def picojoules(value: float | None) -> str:
        return NOT_KNOWN if value is None else f"{value:g}"

    columns = [
        Column("name"),
        Column("hardware"),
        Column("MAC pJ", key="mac_pj", align=Align.decimal, write=picojoules),
        Column("AC pJ", key="ac_pj", align=Align.decimal, write=picojoules),
        hidden("source"),
        hidden("leaves_out"),
    ]
    rows = [(t.name, _title(t), t.mac_pj, t.ac_pj, t.source, t.leaves_out) for t in tables]
    notes = [
        "A chip's number per synaptic operation applies to ACs. MAC -: none; MACs are left out, and named.",
        "Source, and what it leaves out: saformer hardware NAME. Your own: FILE.toml.",
    ]
    return Table("Hardware (--hardware NAME)", columns, rows, notes)


def hardware_details(hardware: Hardware) -> Report:
    """Everything about one hardware."""
    lines = [
        ("name", hardware.name),
        ("hardware", hardware.title),
        ("technology", hardware.technology),
        ("MAC", _NO_MAC if hardware.mac_pj is None else f"{hardware.mac_pj:g} pJ"),
        ("AC", f"{hardware.ac_pj:g} pJ"),
        ("multiply", "" if hardware.multiply_pj is None else f"{hardware.multiply_pj:g} pJ"),
        ("source", hardware.source or "not stated"),
        ("leaves out", hardware.leaves_out or "not stated"),
        *(("also stated", text) for text in hardware.alternatives),
    ]
    return Report([Facts([(label, text) for label, text in lines if text])])


def hardware_report(accounts: Sequence[Account]) -> Report:
    """One profile on several hardware: energy per image with its 95 % interval, and the MACs that it lacks.

    Args:
        accounts: at least one; all of the same profile under the same accounting.
    """
    first = accounts[0]
    model, data = first.model, first.data
    images = "1 image" if data.images == 1 else f"{data.images:,} images"
    title = f"Energy per image of {model.title} on {data.name}, {images}; accounting {first.accounting}"

    unit = energy_unit(*(account.energy_mj for account in accounts))
    columns = [
        Column("name"),
        Column("hardware"),
        *energy_columns(unit),
        number("MACs left out", key="macs_not_covered", write=lambda macs: si(macs) if macs else NOT_KNOWN),
    ]
    rows = []
    for account in accounts:
        energy = energy_cells(unit, account.energy_mj, account.energy_mj_ci95, digits=4)
        rows.append([account.hardware.name, _title(account.hardware), *energy, account.macs_not_covered])
    caption = []
    with_interval = next((account for account in accounts if account.energy_mj_ci95), None)
    if with_interval is not None:
        caption.append(f"±: {level(with_interval.ci_level)} interval.")
    if any(account.macs_not_covered for account in accounts):
        caption.append("MACs left out: per image, in no energy, because the hardware has none for a MAC.")
    caption.append("Technologies, precisions and workloads differ: see `saformer hardware NAME`.")
    # What holds on every hardware; what one lacks stands in its row.
    notes = [text for text in first.notes if all(text in account.notes for account in accounts)]
    parts: list[Part] = [Table(title, columns, rows, caption), *map(note, notes), counted(first)]
    return Report(parts, accounts_data(accounts))


def _title(hardware: Hardware) -> str:
    known = not hardware.technology or hardware.technology in hardware.title
    return hardware.title if known else f"{hardware.title}, {hardware.technology}"
