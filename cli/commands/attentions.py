"""`saformer attentions`: which attentions there are, and what each can be put in the place of."""

from saformer.cli.commands import command
from saformer.cli.options.output import Format
from saformer.cli.terminal.outputs import emit


@command("attentions")
def list_attentions(format: Format = None) -> None:
    """List attentions: time and space, what they read and give, whether they have maps; each fits every transformer.

    saformer compare saformer-2-64 saformer-2-64+attention=ssa saformer-2-64+attention=sdsa --dataset digits
    """
    from saformer.analysis.complexity.formulas import attentions
    from saformer.analysis.complexity.growth import order
    from saformer.attention.registry import ATTENTION, ATTENTIONS
    from saformer.reports.document.blocks import Line, Report
    from saformer.reports.document.formulas import big_o
    from saformer.reports.document.table import Column, hidden
    from saformer.reports.tables.catalogue import catalogue_table

    rows = []
    for key, attention in attentions().items():
        entry = ATTENTIONS[key]
        time, space = big_o(order(attention.time(ATTENTION))), big_o(order(attention.space))
        maps = "yes" if hasattr(entry.module, "attention_map") else "no"
        rows.append([key, entry.title, time, space, entry.layout, entry.reads, entry.gives, maps])
    columns: list[str | Column] = [
        "attention",
        hidden("title"),
        *map(Column, ("time", "space")),
        hidden("layout"),
        "reads",
        "gives",
        "maps",
    ]
    notes = [
        "per image and time step; time: of the attention itself, without its projections; space: q, k (v) and the "
        "attention map; T: a step attends to other steps."
    ]
    ways = [
        "In a transformer's body: --set attention=NAME, or MODEL+attention=NAME; embedding, shortcuts and MLP stay, "
        "and neurons stand where the attention reads or gives something else than the body.",
        "Your own: --set attention=package.module:Class, a module that keeps the shape. Its class says layout, reads "
        "and gives (default: linear, membranes, membranes); its constructor takes any of dim, heads, tokens, grid, "
        "aggregated and time_steps. With @register_attention it has formulas, and a row here.",
    ]
    table = catalogue_table("Attentions", columns, rows, notes)
    emit(Report([table, Line(), *map(Line, ways)]), format)
