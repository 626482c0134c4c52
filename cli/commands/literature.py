"""`saformer literature`: published energies, and whether they follow from what was published with them."""

from typing import Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.output import Csv, Format, Json
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError


@command("literature")
def literature(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A network of the list, such as spikingformer-8-512.")
    ] = None,
    format: Format = None,
    json: Json = None,
    csv: Csv = None,
) -> None:
    """Every published energy beside what its own counts and rates give: does it follow, and if not, why.

    With a name, all that was published of one network, layer by layer where rates of its layers are in print:

      saformer literature spikingformer-8-512
    """
    from saformer.reports.document.blocks import Line, Report
    from saformer.reports.results.decomposition import decomposition
    from saformer.reports.results.implied_rates import implied_rates
    from saformer.reports.results.literature import published_energies
    from saformer.reports.results.published_rows import assess, assess_all, row_readings
    from saformer.reports.results.sheets import sheet
    from saformer.reports.tables.implied_rates import implied_parts
    from saformer.reports.tables.literature import literature_report, network_report

    outputs = plan(format, json, csv)
    if name is None:
        outputs.emit(literature_report(assess_all(), [Line(), *implied_parts(implied_rates())]))
        return
    rows = published_energies()
    chosen = [row for row in rows if row.name == name]
    if not chosen:
        raise InputError(f"no energy of {name!r} is known here{_nearest(name, [row.name for row in rows])}")
    found = []
    for row in chosen:
        layers = sheet(row)
        decomposed = decomposition(row) if row.layered and not layers else None
        found.append((assess(row, rows), row_readings(row, rows), decomposed, layers))
    outputs.emit(network_report(name, found))


def _nearest(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(dict.fromkeys(known)), 3, 0.4)
    return f": did you mean {', '.join(close)}?" if close else ": `saformer literature` lists them"
