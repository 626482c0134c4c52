"""An option for every field of a recipe, made from what the field says of itself."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Annotated, Any

import typer

from saformer.training.recipe import Recipe

# The fields that have another name, or a short one, on the command line.
_NAMES = {"settings": ("--set",), "time_steps": ("--time-steps", "-T")}
_TYPES = {int: int, int | float: float, bool: bool, str: str, dict: list[str]}


def recipe_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command, which takes `**flags`, an option for each field; a field that was not given is None."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    flags = [
        inspect.Parameter(entry.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(entry))
        for entry in fields(Recipe)
    ]

    @wraps(command)
    def with_flags(**given: Any) -> None:
        command(**given)

    with_flags.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*flags, *own]]
    )
    return with_flags


def _option(entry: Any) -> Any:
    known = entry.metadata
    name = entry.name.replace("_", "-")
    names = _NAMES.get(entry.name, (f"--{name}/--no-{name}" if known["kind"] is bool else f"--{name}",))
    option = typer.Option(*names, metavar=known["metavar"] or None, help=known["help"], rich_help_panel=known["group"])
    kind: Any = _TYPES[known["kind"]]
    return Annotated[kind | None, option]
