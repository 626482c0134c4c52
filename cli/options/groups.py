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
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from saformer.cli.options.config import Config
from saformer.cli.options.plugins import Plugins
from saformer.process import wake_collector


@dataclass(frozen=True, kw_only=True)
class Options:
    """A group of options; fields that are annotated with an option become one on the command line.

    Args:
        flags: the options of the group that stand on the command line or in --config, such as `--limit`.
    """

    flags: tuple[str, ...] = ()


def opened(command: Callable[..., None]) -> Callable[..., None]:
    """The command with each group of its parameters opened into the options of its fields; also --config, --plugin."""
    parameters = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    groups: dict[str, tuple[type[Options], list[str]]] = {}
    contexts = []
    for name, parameter in inspect.signature(command).parameters.items():
        group = parameter.annotation
        if group is typer.Context:
            contexts.append(name)
            continue
        if not (isinstance(group, type) and issubclass(group, Options)):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        options = _options(group)
        groups[name] = (group, [option.name for option in options])
        parameters += [
            inspect.Parameter(o.name, inspect.Parameter.KEYWORD_ONLY, default=o.default, annotation=o.type)
            for o in options
        ]

    for name, kind in (("config", Config), ("plugin", Plugins)):
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind))

    @functools.wraps(command)
    def run(context: typer.Context, config: Path | None, plugin: list[Path] | None, **values: Any) -> None:
        wake_collector()  # what the words of the command line need has been imported
        spelled = {p.name: max(p.opts, key=len) for p in context.command.params}
        for name, (group, names) in groups.items():
            flags = tuple(spelled[n] for n in names if spelled[n].startswith("-") and _stands_there(context, n))
            values[name] = group(flags=flags, **{n: values.pop(n) for n in names})
        command(**values, **dict.fromkeys(contexts, context))

    del run.__wrapped__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _options(group: type[Options]) -> list[Field[Any]]:
    """The fields of a group that are options, those that it adds before those that it inherits."""
    found = {f.name: f for f in fields(group) if get_origin(f.type) is Annotated}
    added = [[name for name in inspect.get_annotations(one) if name in found] for one in group.__mro__]
    return [found[name] for name in dict.fromkeys(name for names in added for name in names)]


def _stands_there(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "DEFAULT_MAP")
