"""What the energy gains when a firing rate rises: what `saformer sensitivity` prints."""

from collections.abc import Sequence
from dataclasses import dataclass

from saformer.reports.document.numbers import energy_unit, percent
from saformer.reports.document.table import Column, Table, number


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


def sensitivity_table(rows: Sequence[SensitivityRow], energy_mj: float, shown: int) -> Table:
    """The first `shown` operations with the change of the total `energy_mj` when their input rate rises."""
    unit = energy_unit(energy_mj)
    gains: dict[str, tuple[str, list[float | None]]] = {
        "energy_mj_per_image": (unit.name, [row.energy_mj for row in rows]),
        "per_point_mj": (f"+1 point ({unit.name})", [row.per_point_mj for row in rows]),
        "per_tenth_mj": (f"+10% ({unit.name})", [row.per_tenth_mj for row in rows]),
    }
    columns = [
        Column("operation"),
        number("rate", key="firing_rate", write=percent),
        *(number(title, key=key, write=unit.column(values)) for key, (title, values) in gains.items()),
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
