"""Hardware as tables for the terminal: what there is, where its numbers come from, and one profile on all of it."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from saformer.analysis.account import Account
from saformer.analysis.hardware import Hardware
from saformer.reports.format import NOT_KNOWN, align_decimal_points, energy_unit, interval, si
from saformer.reports.tables import catalogue_table

_NO_MAC = "none in this table: MACs are left out of the energy, and a note says how many"


def hardware_list(tables: Sequence[Hardware]) -> Table:
    """One line for each hardware: name, title, picojoules of a MAC and of an AC."""
    macs = align_decimal_points([_picojoules(table.mac_pj) for table in tables])
    acs = align_decimal_points([_picojoules(table.ac_pj) for table in tables])
    rows = [(table.name, _title(table), mac, ac) for table, mac, ac in zip(tables, macs, acs, strict=True)]
    return catalogue_table("Hardware (--hardware NAME)", ["name", "hardware", "MAC pJ", "AC pJ"], rows)


def hardware_details(hardware: Hardware) -> Table:
    """Everything about one hardware, wrapped to the terminal."""
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
    return _labelled([(label, text) for label, text in lines if text])


def hardware_report(accounts: Sequence[Account]) -> Group:
    """One profile on several hardware: energy per image with its 95 % interval, and the MACs that it lacks.

    Args:
        accounts: at least one; all of the same profile under the same accounting.
    """
    first = accounts[0]
    model, data = first.model, first.data
    images = "1 image" if data.images == 1 else f"{data.images:,} images"
    title = f"Energy per image of {model.name} on {data.name}, {images}; accounting {first.accounting}"

    known = [account.energy_mj for account in accounts if account.energy_mj == account.energy_mj]
    unit, factor = energy_unit(max(known, default=0.0))
    energies = []
    for account in accounts:
        half_width = account.energy_mj_ci95
        energies.append(interval(account.energy_mj * factor, None if half_width is None else half_width * factor))
    values = align_decimal_points([value for value, _ in energies])
    written = [
        f"{value} ± {half_width}" if half_width else value
        for value, (_, half_width) in zip(values, energies, strict=True)
    ]
    left_out = [si(account.macs_not_covered) if account.macs_not_covered else NOT_KNOWN for account in accounts]
    header = "MACs left out"
    columns = ["name", "hardware", f"energy ({unit})", header]
    rows = [
        (account.hardware.name, _title(account.hardware), energy, macs.rjust(len(header)))
        for account, energy, macs in zip(accounts, written, left_out, strict=True)
    ]
    caption = []
    if any(account.energy_mj_ci95 for account in accounts):
        caption.append("±: 95 % interval.")
    if any(account.macs_not_covered for account in accounts):
        caption.append("MACs left out: per image, in no energy, because the hardware has none for a MAC.")
    caption.append("Technologies, precisions and workloads differ: see `saformer hardware NAME`.")
    # What holds on every hardware; what one lacks stands in its row.
    notes = [note for note in first.notes if all(note in account.notes for account in accounts)]
    return Group(
        catalogue_table(title, columns, rows),
        *(Text(line, style="dim") for line in caption),
        _labelled([("note:", note) for note in notes], gap=1, style=""),
        Text(first.coverage, style="bold yellow" if first.uncounted else "dim"),
    )


def _labelled(lines: Sequence[tuple[str, str]], gap: int = 2, style: str = "dim") -> Table:
    grid = Table.grid(padding=(0, gap, 0, 0))
    grid.add_column(style=style, no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in lines:
        grid.add_row(Text(label), Text(text))
    return grid


def _picojoules(value: float | None) -> str:
    return NOT_KNOWN if value is None else f"{value:g}"


def _title(hardware: Hardware) -> str:
    known = not hardware.technology or hardware.technology in hardware.title
    return hardware.title if known else f"{hardware.title}, {hardware.technology}"
