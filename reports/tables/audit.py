"""The audit of a network as tables: what is no spikes and why, what is left out, and the verdict."""

from collections.abc import Sequence

from saformer.analysis.accounting.classes import starred
from saformer.analysis.diagnostics.spike_driven import Audit, NotBinary
from saformer.analysis.profiles.chains import folding_of
from saformer.analysis.profiles.values import rank
from saformer.reports.document.blocks import Line, Report
from saformer.reports.document.numbers import EnergyUnit, energy_unit, percent
from saformer.reports.document.table import Cell, Column, Table, TableLayout, number
from saformer.reports.tables.what_was_run import counted
from saformer.text import some


def audit_report(audit: Audit, unit: EnergyUnit | None = None) -> Report:
    """Everything an audit found, the verdict last; energies in `unit`, or in that of the network's own energy."""
    unit = unit or energy_unit(audit.energy_mj)
    parts: list[Line | Table] = []
    if audit.not_binary:
        parts += [_not_spikes_table(audit), Line(), Line("where they come from", "strong")]
        for names, members in _grouped(audit.not_binary):
            causes = list(dict.fromkeys(item.cause for item in members))
            more = f" and {len(causes) - 2} more like it" if len(causes) > 2 else ""
            parts.append(Line(f"{names}: {_values(members)}{'; '.join(causes[:2])}{more}", label="  "))
        parts += [Line(), Line("what they are charged", "strong")]
        for kind in dict.fromkeys(item.kind for item in audit.not_binary):
            parts.append(Line(f"{kind}: {_charged([x for x in audit.not_binary if x.kind is kind])}", label="  "))
        parts.append(Line())
    if audit.ternary:
        names = some(starred(audit.ternary))
        parts += [Line(f"spikes of both signs, an addition or a subtraction each: {names}"), Line()]
    if audit.chains:
        parts += [Line(_chains(audit)), Line()]
    if audit.left_out:
        columns = [
            Column("what Eqs. 18-20 leave out", key="left_out"),
            number("modules", write=str),
            number("elements", key="elements_per_image"),
            number("energy", key="energy_mj_per_image", write=unit.text),
            Column("taken as, per element", key="cost_per_element"),
        ]
        rows = [[item.what, item.places, item.elements, item.energy_mj, item.cost] for item in audit.left_out]
        comparison = f"energy under the accounting paper, for comparison: {unit.text(audit.energy_mj)}"
        parts.append(Table("What Eqs. 18-20 leave out", columns, rows, [comparison], quiet=True))
    parts += [counted(audit), Line(), Line(audit.verdict, "strong")]
    return Report(parts, audit.to_json())


def _values(members: Sequence[NotBinary]) -> str:
    """Units and multiples of the same layer in repeated blocks, where they have any."""
    units = list(dict.fromkeys(f"{item.unit:.4g}" for item in members if item.unit is not None))
    if not units:
        return ""
    most = max(item.levels or 0 for item in members)
    return f"multiples of {some(units, 2)} up to {most}; "


def _charged(items: Sequence[NotBinary]) -> str:
    """Which accountings charge operations of one class how."""
    ways: dict[str, list[str]] = {}
    for name in items[0].charged:
        found = dict.fromkeys(item.charged[name] for item in items if item.charged[name] != "nothing")
        ways.setdefault(" or ".join(found) or "nothing", []).append(name)
    return "; ".join(f"{way} by {', '.join(names)}" for way, names in ways.items())


def _chains(audit: Audit) -> str:
    """One line on linear layers with nothing between."""
    share = sum(chain.dense_share for chain in audit.chains)
    several = len(audit.chains) > 1
    first = [chain.first for chain in audit.chains]
    then = [name for chain in audit.chains for name in chain.then]
    return (
        f"linear layers with nothing between: {some(starred(then) if several else then)} follow "
        f"{some(starred(first) if several else first)}, {percent(share)} of the dense multiply-accumulates, charged as "
        f"they run; {folding_of(audit.chains, 'them ')}"
    )


def _not_spikes_table(audit: Audit) -> Table:
    accountings = list(audit.not_binary[0].shares)
    columns = [
        Column("not spikes", key="operations"),
        Column("class"),
        number("rate", key="firing_rate", write=percent),
        *(number(name, key=f"{name}_share_of_energy", write=percent, rank=_RANKS.get(name, 3)) for name in accountings),
    ]
    rows = []
    for names, members in _grouped(audit.not_binary):
        rate = sum(item.firing_rate for item in members) / len(members)
        kind = max((item.kind for item in members), key=rank)
        shares = [sum(item.shares[name] for item in members) for name in accountings]
        rows.append([Cell(names, names), Cell(kind, str(kind)), rate, *shares])
    meaning = "rate: mean nonzero share of the input; then the share of the energy under accountings."
    layouts = [
        TableLayout(gap, rank=top, hyphens=hyphens)
        for top in (9, 2, 1, 0)
        for hyphens in (False, True)
        for gap in (2, 1)
    ]
    return Table("Inputs that are not spikes", columns, rows, [meaning], layouts, quiet=True)


# What is left out first where the terminal is narrow.
_RANKS = {"paper": 0, "integer-spikes": 0, "spike-driven": 1, "exact": 1, "syops": 2}


def _grouped(items: Sequence[NotBinary]) -> list[tuple[str, list[NotBinary]]]:
    """Repeated blocks in one row each, numbers replaced by a star."""
    groups: dict[str, list[NotBinary]] = {}
    for item in items:
        groups.setdefault(starred([item.name])[0], []).append(item)
    return list(groups.items())
