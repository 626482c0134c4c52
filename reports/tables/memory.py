"""The energy of memory as a table beside the energy of the arithmetic, and in the JSON object."""

from collections.abc import Sequence

from saformer.analysis.accounting.account import Account
from saformer.analysis.accounting.memory_access import MemoryEnergy, MemoryRow
from saformer.reports.document.blocks import Line, Part, Report
from saformer.reports.document.numbers import EnergyUnit, energy_unit, percent
from saformer.reports.document.table import Column, Row, Table, number

_PARTS = ("weights", "inputs", "membranes", "addressing", "total")


def memory_report(
    memory: MemoryEnergy, account: Account, layers: bool = False, unit: EnergyUnit | None = None
) -> Report:
    """What memory costs in each block (with `layers`, in each operation), the total, and what is assumed.

    In JSON, the object of the account with the object `memory` added.

    Args:
        memory: of the profile.
        account: of the same profile, for the energy of the arithmetic.
        layers: a row for each operation and spiking layer instead of each block.
        unit: of all energies; chosen here where it is not given.
    """
    groups: dict[str, list[MemoryRow]] = {}
    for row in memory.rows:
        groups.setdefault(row.name if layers else row.block, []).append(row)
    sums = {name: [_sum(rows, part) for part in _PARTS] for name, rows in groups.items()}
    total = [_sum(memory.rows, part) for part in _PARTS]
    largest = max((values[-1] for values in sums.values()), default=0.0)
    arithmetic = account.energy_mj
    # The arithmetic stands above, and the two are added.
    unit = unit or energy_unit(memory.total_mj, arithmetic)
    write = unit.column([largest])
    columns = [
        Column(f"memory ({unit.name})", key="layer" if layers else "block"),
        *(number(part, key=f"{part}_mj_per_image", write=write) for part in _PARTS),
        number("share", data=False, write=percent),
    ]
    rows = [
        Row([name, *values, values[-1] / total[-1] if total[-1] else None], rule=i == len(sums) - 1)
        for i, (name, values) in enumerate(sums.items())
    ]
    rows.append(Row(["total", *total, 1.0 if total[-1] else None], "total"))
    line = f"memory {unit.text(memory.total_mj, digits=4)} per image, beside the arithmetic above"
    if arithmetic == arithmetic:  # a number
        line += f"; together {unit.text(memory.total_mj + arithmetic, digits=4)}"
    parts: list[Part] = [
        Line("inputs: inputs read, spikes and results written. Per image, over all time steps.", "dim"),
        Table("What memory costs", columns, rows, quiet=True),
        Line(line, "strong"),
        Line(f"memory model {memory.model.name}: {memory.model.source}", "dim"),
        *(Line(assumption, label="assumed: ") for assumption in memory.model.assumptions),
    ]
    return Report(parts, {**account.to_json(), "memory": memory.to_json()})


def _sum(rows: Sequence[MemoryRow], part: str) -> float:
    return sum(getattr(row, f"{part}_mj") for row in rows)
