"""The energy of memory as a table beside the energy of the arithmetic, and in the JSON object."""

import json

from rich.console import Group
from rich.text import Text

from saformer.analysis.account import Account
from saformer.analysis.memory import MemoryEnergy, MemoryRow
from saformer.reports.format import energy_unit, fixed, fixed_decimals, percent, significant
from saformer.reports.tables import hanging, number_column, plain_table, text_column
from saformer.reports.writers import json_text

_PARTS = ("weights", "inputs", "membranes", "addressing", "total")


def memory_report(memory: MemoryEnergy, account: Account, layers: bool = False) -> Group:
    """What memory costs in each block (with `layers`, in each operation), the total, and what is assumed.

    Args:
        memory: of the profile.
        account: of the same profile, for the energy of the arithmetic.
        layers: a row for each operation and spiking layer instead of each block.
    """
    groups: dict[str, list[MemoryRow]] = {}
    for row in memory.rows:
        groups.setdefault(row.name if layers else row.block, []).append(row)
    sums = {name: [_sum(rows, part) for part in _PARTS] for name, rows in groups.items()}
    total = [_sum(memory.rows, part) for part in _PARTS]
    unit, factor = energy_unit(max((values[-1] for values in sums.values()), default=0.0))
    decimals = fixed_decimals(max((values[-1] for values in sums.values()), default=0.0) * factor)

    table = plain_table(gap=2)
    text_column(table, f"memory ({unit})")
    for part in (*_PARTS, "share"):
        number_column(table, part)
    for i, (name, values) in enumerate((*sums.items(), ("total", total))):
        share = values[-1] / total[-1] if total[-1] else float("nan")
        table.add_row(
            Text(name),
            *(Text(fixed(value * factor, decimals)) for value in values),
            Text(percent(share)),
            style="bold" if i == len(sums) else None,
            end_section=i == len(sums) - 1,
        )
    arithmetic = account.energy_mj
    line = f"memory {significant(memory.total_mj, 4)} mJ per image, beside the arithmetic above"
    if arithmetic == arithmetic:  # a number
        line += f"; together {significant(memory.total_mj + arithmetic, 4)} mJ"
    return Group(
        Text("inputs: inputs read, spikes and results written. Per image, over all time steps.", style="dim"),
        table,
        Text(line, style="bold"),
        Text(f"memory model {memory.model.name}: {memory.model.source}", style="dim"),
        *(hanging("assumed: ", assumption) for assumption in memory.model.assumptions),
    )


def json_text_with_memory(account: Account, memory: MemoryEnergy) -> str:
    """The account as JSON, schema 1, with the object `memory` added."""
    document = json.loads(json_text(account))
    document["memory"] = memory.to_json()
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _sum(rows: "tuple[MemoryRow, ...] | list[MemoryRow]", part: str) -> float:
    return sum(getattr(row, f"{part}_mj") for row in rows)
