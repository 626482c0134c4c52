"""The page of commands, as the parser of the program has them: usage, what it does, and every option."""

import inspect
from collections import defaultdict
from enum import StrEnum
from typing import Any, get_args

import typer.main

from saformer.cli.app import app


def commands_page() -> str:
    """All commands in the order of `saformer --help`, in Markdown."""
    group = typer.main.get_command(app)
    context = group.make_context("saformer", [], resilient_parsing=True)
    names = group.list_commands(context)  # type: ignore[attr-defined]  # typer's group, whose click may be its own
    commands = {name: group.get_command(context, name) for name in names}  # type: ignore[attr-defined]
    lines = ["# Commands", "", "`saformer COMMAND --help` says the same in a terminal.", ""]
    lines += [f"* [`{name}`](#saformer-{name}): {_first_line(command)}" for name, command in commands.items()]
    for name, command in commands.items():
        lines += ["", *_section(name, command)]
    return "\n".join(lines) + "\n"


def _first_line(command: Any) -> str:
    return inspect.cleandoc(command.help or "").partition("\n")[0]


def _section(name: str, command: Any) -> list[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join(["saformer", name, "[OPTIONS]", *(p.metavar or f"[{p.name.upper()}]" for p in arguments)])
    first, _, rest = inspect.cleandoc(command.help or "").partition("\n")
    lines = [f"## saformer {name}", "", first, "", f"```console\n{usage}\n```"]
    for paragraph in rest.strip().split("\n\n"):
        lines += ["", f"```console\n{paragraph}\n```" if paragraph.startswith("$ ") else paragraph]
    panels: dict[str, list[Any]] = defaultdict(list)
    for option in options:
        panels[getattr(option, "rich_help_panel", None) or "Options"].append(option)
    for panel, members in panels.items():
        lines += ["", f"| {panel} | |", "|---|---|"]
        lines += [f"| {_names(option)} | {_cell(option.help or '')} |" for option in members]
    return lines


def _names(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or _kind(option)}"
    return ", ".join(f"`{_cell(name + value)}`" for name in [*option.opts, *option.secondary_opts])


def _kind(option: Any) -> str:
    """What an option without a metavar takes: one of its words, or a number."""
    kind = next((a for a in get_args(option.type_descriptor.annotation) if a is not type(None)), None)
    kind = kind or option.type_descriptor.annotation
    return "|".join(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else kind.__name__.upper()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
