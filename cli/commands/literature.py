"""`saformer literature`: published energies, and whether they follow from what was published with them."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions, InsteadOptions
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import Csv, Format, Json
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.profile import profile_for
from saformer.cli.resolve.source import NAME, Source, parse, source_of
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.reports.document.blocks import Report
    from saformer.reports.results.explanation import Explanation
    from saformer.reports.results.literature import PublishedEnergy

Explain = Annotated[
    str | None,
    typer.Option(
        "--explain",
        metavar="MJ",
        help="Search the conventions in print for one that gives this energy, of NAME, or of a network with rates.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class _Architecture(ModelOptions):
    """The network of --explain, which the argument of the command may name, too."""

    network: str | None = None
    label: str | None = None


@command("literature")
def literature(
    model: _Architecture,
    instead: InsteadOptions,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A network of the list, such as spikingformer-8-512, or a family; with --explain and rates, any.",
        ),
    ] = None,
    explain: Explain = None,
    format: Format = None,
    json: Json = None,
    csv: Csv = None,
) -> None:
    """Every published energy beside what its own counts and rates give: does it follow, and if not, why.

    With a name, all that was published of one network, layer by layer where rates of its layers are in print:

      saformer literature spikingformer-8-512

    Which convention gives an energy that you read somewhere:

      saformer literature --explain 21.477
    """
    from saformer.reports.results.implied_rates import implied_rates
    from saformer.reports.results.published_rows import assess_all
    from saformer.reports.tables.explanation import explanation_report
    from saformer.reports.tables.implied_rates import implied_parts
    from saformer.reports.tables.literature import literature_report

    outputs = plan(format, json, csv, inputs=[instead.rates, instead.from_profile])
    if explain is not None:
        outputs.emit(explanation_report(_explained(explain, name, model, instead)))
    elif flags := (*model.flags, *instead.flags):
        raise InputError(f"{flags[0]} goes with --explain MJ: it says on what conventions are tried")
    elif name is not None:
        if (own := _own(name)) is not None:
            raise InputError(
                f"{name} is a {own.kind.title}, and this lists published networks: `saformer energy` says what yours "
                "costs, and --explain MJ with --rates or a saved profile which convention gives an energy of it"
            )
        outputs.emit(_network(name))
    else:
        outputs.emit(literature_report(assess_all(), implied_parts(implied_rates())))


def _own(name: str) -> "Source | None":
    """The network of the user's own that is named so; None for names of published ones, and for what is no name."""
    with suppress(InputError):
        source = parse(name)
        return None if source.kind is NAME else source
    return None


def _network(name: str) -> "Report":
    """All that was published of one network."""
    from saformer.reports.results.decomposition import decomposition
    from saformer.reports.results.literature import published_energies
    from saformer.reports.results.published_rows import assess, row_readings
    from saformer.reports.results.sheets import sheet
    from saformer.reports.tables.literature import network_report

    rows, found = published_energies(), []
    for row in _called(name, rows):
        layers = sheet(row)
        decomposed = decomposition(row) if row.layered and not layers else None
        found.append((assess(row, rows), row_readings(row, rows), decomposed, layers))
    return network_report(found)


def _explained(text: str, name: str | None, model: ModelOptions, instead: InsteadOptions) -> "Explanation":
    """What gives a stated energy: counts in print, published rates of a network, or the rates of the options."""
    from saformer.reports.results.decomposition import profile_of
    from saformer.reports.results.explanation import explain_profile, explain_rows, together
    from saformer.reports.results.literature import printed, published_energies
    from saformer.reports.results.sheets import sheet

    total = printed(text)
    own = None if name is None else _own(name)
    if own is not None and own.saved and not model.flags:
        return explain_profile(total, profile_for(own, DataOptions(), RunOptions(), instead))
    if own is not None or model.flags or instead.flags:
        if name is not None and (model.checkpoint, model.model, instead.from_profile) != (None, None, None):
            raise InputError("--explain looks at NAME or at the network of the options, not at both")
        if instead.rates is None and instead.uniform_rate is None and instead.from_profile is None:
            raise InputError("--explain needs rates: add --rates FILE.csv or --uniform-rate R, or give --from-profile")
        source = source_of(replace(model, network=name), instead.from_profile)
        return explain_profile(total, profile_for(source, DataOptions(), RunOptions(), instead))
    rows = published_energies()
    same = [row for row in rows if row.energy.value == total.value]
    chosen = _called(name, rows) if name is not None else same or rows
    found = explain_rows(total, chosen, rows)
    for row in chosen if name is not None else same:
        if row.layered and not sheet(row):
            found = together(found, explain_profile(total, profile_of(row)))
    return found


def _called(name: str, rows: "list[PublishedEnergy]") -> "list[PublishedEnergy]":
    for chosen in ([row for row in rows if row.name == name], [row for row in rows if row.name.startswith(f"{name}-")]):
        if chosen:
            return chosen
    raise InputError(f"no energy of {name!r} is known here{_nearest(name, [row.name for row in rows])}")


def _nearest(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(dict.fromkeys(known)), 3, 0.4)
    return f": did you mean {', '.join(close)}?" if close else ": `saformer literature` lists them"
