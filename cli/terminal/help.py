"""What `--help` shows of a command: its docstring in paragraphs of any width, and no types of Python."""

import inspect
from typing import Any

import typer.core


class Command(typer.core.TyperCommand):
    """A command whose flags and arguments are listed without `<bool>` and `<str>`, and --help among the last."""

    def get_params(self, ctx: Any) -> Any:
        """As they are listed."""
        return without_types(super().get_params(ctx))


def without_types(parameters: list[Any]) -> list[Any]:
    """The same parameters; flags take nothing, and what an argument takes is its name."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda ctx: None
        if parameter.name == "help":
            parameter.rich_help_panel = "General"
    return parameters


def help_text(docstring: str) -> str:
    """A docstring with each paragraph in one line, so that it fits any terminal; what is indented is a command."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(
        "\n".join(f"$ {line.strip()}" for line in paragraph.splitlines())
        if paragraph.startswith(" ")
        else " ".join(paragraph.split())
        for paragraph in paragraphs
    )
