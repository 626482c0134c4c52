"""Groups of options, and how a command takes them.

An option is declared once, in the file of its subject beside this one. Options that belong together are the fields of a
group. A command names the group as a parameter, and `opened` gives it the options of the fields instead:

    @command("energy")
    def energy(model: ModelOptions, data: DataOptions, run: RunOptions, format: Format = None) -> None:
        profile = profile_from(model, data, run)
        ...
        emit(report, format)
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from saformer.cli.options.plugins import Plugins


class Panel(StrEnum):
    """Headings under which --help lists the options."""

    model = "Model"
    data = "Data"
    run = "Run"
    energy = "Energy"
    output = "Output"


@dataclass(frozen=True, kw_only=True)
class Options:
    """A group of options; fields that are annotated with an option become one on the command line.

    Args:
        flags: the options of the group that stand on the command line, such as `--limit`.
    """

    flags: tuple[str, ...] = ()


def opened(command: Callable[..., None]) -> Callable[..., None]:
    """The command with each group among its parameters opened into the options of its fields, and with `--plugin`."""
    parameters = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    groups: dict[str, tuple[type[Options], list[str]]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        group = parameter.annotation
        if not (isinstance(group, type) and issubclass(group, Options)):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        options = [f for f in fields(group) if get_origin(f.type) is Annotated]
        groups[name] = (group, [option.name for option in options])
        parameters += [
            inspect.Parameter(o.name, inspect.Parameter.KEYWORD_ONLY, default=o.default, annotation=o.type)
            for o in options
        ]

    parameters.append(inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugins))

    @functools.wraps(command)
    def run(context: typer.Context, plugin: list[Path] | None, **values: Any) -> None:
        spelled = {p.name: max(p.opts, key=len) for p in context.command.params}
        for name, (group, names) in groups.items():
            flags = tuple(spelled[n] for n in names if spelled[n].startswith("-") and _stands_there(context, n))
            values[name] = group(flags=flags, **{n: values.pop(n) for n in names})
        command(**values)

    del run.__wrapped__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _stands_there(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
