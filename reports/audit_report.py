"""The audit of a network as tables: what is not binary and why, what is left out, and the verdict."""

import re
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from saformer.analysis.audit import Audit, NotBinary
from saformer.reports.format import energy, percent, si
from saformer.reports.tables import FirstThatFits, hanging, number_column, plain_table, text_column


def audit_report(audit: Audit) -> Group:
    """Everything an audit found, the verdict last."""
    parts: list[RenderableType] = []
    if audit.not_binary:
        parts += [
            FirstThatFits([_not_binary_table(audit, count) for count in (None, 4, 2)]),
            Text("rate: mean nonzero share of the input; then the share of the energy under accountings.", style="dim"),
            Text(),
            Text("where they come from", style="bold"),
        ]
        for names, members in _grouped(audit.not_binary):
            causes = list(dict.fromkeys(item.cause for item in members))
            more = f" and {len(causes) - 2} more like it" if len(causes) > 2 else ""
            parts.append(hanging("  ", f"{names}: {'; '.join(causes[:2])}{more}"))
        parts.append(Text())
    if audit.left_out:
        table = plain_table(gap=2)
        text_column(table, "what Eqs. 18-20 leave out")
        for header in ("modules", "elements", "energy"):
            number_column(table, header)
        text_column(table, "taken as, per element", first=False)
        for item in audit.left_out:
            table.add_row(
                *map(Text, (item.what, str(item.places), si(item.elements), energy(item.energy_mj), item.cost))
            )
        parts += [
            table,
            Text(f"energy under the accounting paper, for comparison: {energy(audit.energy_mj)}", style="dim"),
        ]
    parts += [Text(audit.coverage, style="bold yellow" if audit.uncounted else "dim"), Text()]
    return Group(*parts, Text(audit.verdict, style="bold"))


def _not_binary_table(audit: Audit, count: int | None) -> Table:
    """The first `count` accountings, or all."""
    accountings = list(audit.not_binary[0].shares)[:count]
    table = plain_table(gap=2)
    table.add_column("not binary", no_wrap=True)
    for header in ("rate", *accountings):
        number_column(table, header)
    for names, members in _grouped(audit.not_binary):
        rate = sum(item.firing_rate for item in members) / len(members)
        shares = [percent(sum(item.shares[name] for item in members)) for name in accountings]
        table.add_row(*map(Text, (names, percent(rate), *shares)))
    return table


def _grouped(items: Sequence[NotBinary]) -> list[tuple[str, list[NotBinary]]]:
    """Repeated blocks in one row each, numbers replaced by a star."""
    groups: dict[str, list[NotBinary]] = {}
    for item in items:
        groups.setdefault(re.sub(r"(?<=\.)\d+(?=\.|$)", "*", item.name), []).append(item)
    return list(groups.items())
