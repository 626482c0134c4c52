"""Commands, one file each, named as the command; `@command` makes a function of the file one.

Every file of this folder is found by itself. A command imports from `resolve`, `options` and `terminal`, and never from
another command.
"""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from saformer.cli.options.groups import opened
from saformer.registry import Registry

_F = TypeVar("_F", bound=Callable[..., None])

# As `saformer --help` lists them: what a network costs, its training, what there is. One that is not here comes last.
_ORDER = (
    *(
        "energy",
        "compare",
        "sweep",
        "ablate",
        "attention",
        "report",
        "figures",
        "sensitivity",
        "audit",
        "complexity",
        "flops",
        "summary",
    ),
    *("train", "eval", "card", "plot"),
    *("models", "attentions", "datasets", "hardware", "literature"),
)


@dataclass(frozen=True)
class Command:
    """A command of the program.

    Args:
        name: on the command line.
        run: what typer calls; the groups among its parameters are opened into options.
        several_processes: it shares its work among the processes of torchrun; other commands run in one.
    """

    name: str
    run: Callable[..., None]
    several_processes: bool = False


COMMANDS: Registry[Command] = Registry(
    "command", builtin=[f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
)


def command(name: str, several_processes: bool = False) -> Callable[[_F], _F]:
    """Make the function a command of that name; its docstring is the help, its parameters are the options.

    Raises:
        InputError: another command has this name.
    """

    def add(function: _F) -> _F:
        COMMANDS.register(name, Command(name, opened(function), several_processes), function)
        return function

    return add


def all_commands() -> list[Command]:
    """The commands of this folder and of plugins, in the order of the help."""
    places = {name: place for place, name in enumerate(_ORDER)}
    return sorted(COMMANDS.values(), key=lambda one: (places.get(one.name, len(places)), one.name))
