"""Dense multiply-accumulates by two counters: what `saformer flops` prints."""

from collections.abc import Sequence
from dataclasses import dataclass

from saformer.reports.document.numbers import NOT_KNOWN
from saformer.reports.document.table import Column, Row, Table, count, number


@dataclass(frozen=True)
class FlopsRow:
    """Multiply-accumulates of one operation as two counters see it; None where a counter does not."""

    name: str
    op: str
    recorder: int | None
    fvcore: int | None


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
