"""The audit of a network as tables: what is not binary and why, what is left out, and the verdict."""

import re
from collections.abc import Sequence

from saformer.analysis.diagnostics.spike_driven import Audit, NotBinary
from saformer.reports.document.blocks import Line, Report
from saformer.reports.document.numbers import energy, percent
from saformer.reports.document.table import Cell, Column, Table, TableLayout, number
from saformer.reports.tables.what_was_run import counted


def audit_report(audit: Audit) -> Report:
    """Everything an audit found, the verdict last."""
    parts: list[Line | Table] = []
    if audit.not_binary:
        parts += [_not_binary_table(audit), Line(), Line("where they come from", "strong")]
        for names, members in _grouped(audit.not_binary):
            causes = list(dict.fromkeys(item.cause for item in members))
            more = f" and {len(causes) - 2} more like it" if len(causes) > 2 else ""
            parts.append(Line(f"{names}: {'; '.join(causes[:2])}{more}", label="  "))
        parts.append(Line())
    if audit.left_out:
        columns = [
            Column("what Eqs. 18-20 leave out", key="left_out"),
            number("modules", write=str),
            number("elements", key="elements_per_image"),
            number("energy", key="energy_mj_per_image", write=energy),
            Column("taken as, per element", key="cost_per_element"),
        ]
        rows = [[item.what, item.places, item.elements, item.energy_mj, item.cost] for item in audit.left_out]
        comparison = f"energy under the accounting paper, for comparison: {energy(audit.energy_mj)}"
        parts.append(Table("What Eqs. 18-20 leave out", columns, rows, [comparison], quiet=True))
    parts += [counted(audit), Line(), Line(audit.verdict, "strong")]
    return Report(parts, audit.to_json())


def _not_binary_table(audit: Audit) -> Table:
    accountings = list(audit.not_binary[0].shares)
    columns = [
        Column("not binary", key="operations"),
        number("rate", key="firing_rate", write=percent),
        *(
            number(name, key=f"{name}_share_of_energy", write=percent, rank=0 if i < 2 else 1 if i < 4 else 2)
            for i, name in enumerate(accountings)
        ),
    ]
    rows = []
    for names, members in _grouped(audit.not_binary):
        rate = sum(item.firing_rate for item in members) / len(members)
        shares = [sum(item.shares[name] for item in members) for name in accountings]
        rows.append([Cell(names, names), rate, *shares])
    meaning = "rate: mean nonzero share of the input; then the share of the energy under accountings."
    layouts = [TableLayout(2), TableLayout(1), TableLayout(2, rank=1), TableLayout(2, rank=0)]
    return Table("Inputs that are not binary", columns, rows, [meaning], layouts, quiet=True)


def _grouped(items: Sequence[NotBinary]) -> list[tuple[str, list[NotBinary]]]:
    """Repeated blocks in one row each, numbers replaced by a star."""
    groups: dict[str, list[NotBinary]] = {}
    for item in items:
        groups.setdefault(re.sub(r"(?<=\.)\d+(?=\.|$)", "*", item.name), []).append(item)
    return list(groups.items())
