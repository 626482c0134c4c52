"""`saformer models`: families and their networks, one family with its settings, or a search; shipped checkpoints."""

from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.output import Format
from saformer.cli.terminal.outputs import emit

if TYPE_CHECKING:
    from saformer.models.registry import Family
    from saformer.reports.document.blocks import Report
    from saformer.reports.document.table import Table


@command("models")
def models(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A family or a network: sizes, and settings for --set. Part of a name: the networks that have it.",
        ),
    ] = None,
    format: Format = None,
) -> None:
    """List models: families and the networks of papers they hold, and trained checkpoints that come with the program.

    saformer models spikformer

    saformer models resnet-18
    """
    emit(_families() if name is None else _named(name), format)


def _families() -> "Report":
    from saformer.models.registry import MODELS
    from saformer.reports.document.blocks import Line, Report
    from saformer.reports.tables.catalogue import catalogue_table

    rows = [(family.name, family.title, ", ".join(family.presets)) for family in MODELS.values()]
    sized = [family.name for family in MODELS.values() if family.sized]
    notes = [
        "saformer models NAME lists sizes and settings of a family. A setting stands behind the name, or goes in by "
        "--set: saformer-4-384+time_steps=6.",
        f"Any other size of {', '.join(sized)}: FAMILY-DEPTH-DIM, for instance saformer-6-256.",
    ]
    table = catalogue_table("Models (--model NAME, untrained)", ("family", "architecture", "networks"), rows, notes)
    return Report([table, Line(), _shipped()])


def _named(name: str) -> "Report":
    """A family, that of a network, or the networks that have `name` in theirs."""
    from saformer.errors import InputError
    from saformer.models import PRESETS, configure
    from saformer.models.registry import MODELS
    from saformer.reports.document.blocks import Report
    from saformer.reports.tables.catalogue import catalogue_table
    from saformer.text import nearest

    if name in MODELS:
        return _one(MODELS[name], [])
    try:
        return _one(MODELS[configure(name).family], [name])
    except InputError:
        if name.split("+")[0] in PRESETS:
            raise  # a setting is wrong
    word = name.lower()
    found = [
        (family.name, family.title, ", ".join(preset for preset in family.presets if word in preset))
        for family in MODELS.values()
    ]
    rows = [row for row in found if row[2]]
    if not rows:
        close = nearest(name, [*MODELS, *PRESETS])
        raise InputError(f"no family and no network has {name!r} in its name{close}: `saformer models` lists them")
    return Report(
        [catalogue_table(f"Networks with {name} in their name", ("family", "architecture", "networks"), rows)]
    )


def _one(family: "Family", others: list[str]) -> "Report":
    from saformer.reports.document.blocks import Line, Report

    return Report([_networks(family, others), Line(), _settings(family)])


def _networks(family: "Family", others: list[str]) -> "Table":
    import torch

    from saformer.models import configure, from_config
    from saformer.reports.document.table import Column, number
    from saformer.reports.tables.catalogue import catalogue_table

    rows = []
    for name in dict.fromkeys([*family.presets, *others]):
        config = configure(name)
        with torch.device("meta"):
            parameters = sum(p.numel() for p in from_config(config).parameters())
        rows.append([name, parameters, config.time_steps, config.input_size, config.num_classes])
    columns = [
        Column("network"),
        number("parameters"),
        number("T", key="time_steps", write=str),
        Column("input"),
        number("classes", write=str),
    ]
    return catalogue_table(family.title, columns, rows, ["Two input channels stand for event frames."])


def _settings(family: "Family") -> "Table":
    from dataclasses import MISSING, fields

    from saformer.models.settings import meanings, setting_text
    from saformer.reports.tables.catalogue import catalogue_table

    said = meanings(family.config)
    rows = [
        (entry.name, "" if entry.default is MISSING else setting_text(entry.default), said.get(entry.name, ""))
        for entry in fields(family.config)
    ]
    return catalogue_table("Settings (--set K=V)", ("setting", "default", "meaning"), rows)


def _shipped() -> "Table":
    from saformer.checkpoints import load
    from saformer.checkpoints.shipped import SHIPPED, resolve_checkpoint
    from saformer.reports.document.numbers import percent
    from saformer.reports.document.table import Column, number
    from saformer.reports.tables.catalogue import catalogue_table

    rows = []
    for name in SHIPPED:
        path = resolve_checkpoint(name)
        if not path.exists():
            continue
        model = load(path)
        accuracy = model.origin.training.get("accuracy") if model.origin else None
        parameters = sum(p.numel() for p in model.parameters())
        rows.append([name, model.config.name, parameters, model.config.time_steps, accuracy])
    columns = [
        *map(Column, ("checkpoint", "model")),
        number("parameters"),
        number("T", key="time_steps", write=str),
        number("accuracy", write=percent),
    ]
    return catalogue_table("Trained checkpoints in the package (--ckpt NAME)", columns, rows)
