"""What `saformer literature --explain` prints: the conventions that give a stated energy."""

from saformer.reports.document.blocks import Line, Part, Report
from saformer.reports.document.table import Align, Column, Table, number
from saformer.reports.results.explanation import Explanation


def explanation_report(explanation: Explanation) -> Report:
    """All hits, the simplest first; or that there is none, and what comes closest."""
    total, found = explanation.total, len(explanation.hits)
    tried = f"{explanation.tried:,} combinations tried, {explanation.different:,} different energies"
    parts: list[Part] = []
    if found:
        columns = [
            Column("of", key="what"),
            Column("how"),
            number("energy", "mJ", key="energy_mj_per_image", write=lambda value: f"{value:.10g}", align=Align.decimal),
            number("departures", key="unusual", write=str),
        ]
        rows = [(hit.what, hit.how, hit.energy_mj, hit.unusual) for hit in explanation.hits]
        note = "departures: from Eqs. 18-20 on the network itself; the simplest first."
        parts.append(Table(f"Conventions that give {total.text} mJ", columns, rows, [note]))
        count = "1 hit" if found == 1 else f"{found} hits"
        parts.append(Line(f"{tried}: {count}; by chance about {_number(explanation.by_chance)} would be", "strong"))
        if explanation.by_chance > _DOUBTFUL * found:
            parts.append(Line("as many would be found for any total of that size: this explains nothing", "warning"))
    else:
        parts.append(Line(f"no convention gives {total.text} mJ: {tried}", "strong"))
        if (near := explanation.nearest) is not None:
            off = near.energy_mj / total.value - 1
            parts.append(Line(f"nearest: {near.energy_mj:.6g} mJ ({off:+.2%}), {near.what}, {near.how}"))
    data = {
        "schema": 1,
        "total_mj": total.value,
        "half_unit_mj": total.half,
        "combinations": explanation.tried,
        "different_energies": explanation.different,
        "expected_by_chance": explanation.by_chance,
        "hits": [
            {"of": hit.what, "how": hit.how, "energy_mj": hit.energy_mj, "departures": hit.unusual}
            for hit in explanation.hits
        ],
    }
    return Report(parts, data)


_DOUBTFUL = 0.5  # of the hits may be expected by chance


def _number(value: float) -> str:
    return f"{value:.2g}" if value >= 0.001 else "0.000"
