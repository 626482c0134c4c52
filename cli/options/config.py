"""`--config FILE.toml`: options of any command from a file, a table for each command, by their long names.

    [compare]
    networks = ["digits/saformer", "digits/sdt"]
    accounting = "all"

`saformer compare --config FILE.toml` then is `saformer compare digits/saformer digits/sdt --accounting all`. What
stands on the command line wins. Paths start from the folder that the program is started in, as on the command line.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from saformer.cli.options.panels import Panel
from saformer.errors import InputError
from saformer.files import BY_HAND, read_text
from saformer.text import briefly, nearest
from saformer.toml import parse_toml

#: Tables that say what `saformer figures` makes, beside those of commands.
OF_FIGURES = ("networks", "data", "output")
_NEVER = ("config", "help")


@dataclass(frozen=True)
class ConfigFile:
    """A TOML file, with the lines on which its keys stand.

    Args:
        path: the file.
        data: what it holds.
        text: the file itself.
    """

    path: Path
    data: dict[str, Any]
    text: str

    def where(self, *keys: str | int) -> str:
        """File and line of a key, given by the tables around it; the file alone where it cannot be found.

        Args:
            *keys: names of tables and of the key, numbers of entries in lists of tables.
        """
        line = _line(self.text, keys)
        return str(self.path) if line is None else f"{self.path}, line {line}"


def _line(text: str, keys: tuple[str | int, ...]) -> int | None:
    """The line on which a key stands, or else the nearest table around it."""
    names = [key for key in keys if isinstance(key, str)]
    entry = next((key for key in keys if isinstance(key, int)), 0)
    table: list[str] = []
    count, deepest = -1, 0
    found: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if (head := re.match(r"\s*(\[\[?)([^\]]+)\]", line)) is not None and not re.match(r"\s*\[.*=", line):
            table = [part.strip().strip("\"'") for part in head[2].split(".")]
            count += head[1] == "[[" and table == names[:1]
            here = table
        elif (key := re.match(r"\s*([\w-]+|\"[^\"]*\"|'[^']*')\s*=", line)) is not None:
            here = [*table, key[1].strip("\"'")]
        else:
            continue
        listed = isinstance(keys[1] if len(keys) > 1 else None, int)
        if listed and count != entry:
            continue
        depth = min(len(here), len(names)) if here[: len(names)] == names[: len(here)] else 0
        if depth > deepest:
            deepest, found = depth, number
    return found


def read_config(path: Path) -> ConfigFile:
    """Read a TOML file.

    Raises:
        InputError: it is missing, too large, or no TOML; with the line.
    """
    text = read_text(path, most=BY_HAND)
    try:
        return ConfigFile(path, parse_toml(text), text)
    except tomllib.TOMLDecodeError as error:
        words, at = str(error), re.search(r"\(at line (\d+), .*\)$", str(error))
        line = f", line {at[1]}" if at else ""
        raise InputError(f"{path}{line}: no TOML: {briefly(words.partition(' (at ')[0], quoted=False)}") from None
    except (ValueError, RecursionError) as error:  # a number of 5000 digits; 5000 brackets
        raise InputError(f"{path}: no TOML: {briefly(str(error), quoted=False)}") from None


def defaults(
    file: ConfigFile, keys: tuple[str | int, ...], given: Mapping[str, Any], parameters: Collection[Any], context: Any
) -> dict[str, Any]:
    """The values of a table by the names of a command's parameters, each one that the option takes.

    Args:
        file: where the table stands, for messages.
        keys: of the table.
        given: the table.
        parameters: of the command.
        context: of its call.

    Raises:
        InputError: there is no such option, or it does not take the value; with file and line.
    """
    known = {name: p for p in parameters if p.name not in _NEVER for name in _names(p)}
    found = {}
    for key, value in given.items():
        parameter = known.get(key.replace("_", "-"))
        if parameter is None:
            close = nearest(key.replace("_", "-"), known)
            raise InputError(f"{file.where(*keys, key)}: there is no option {briefly(key)}{close}")
        try:
            found[parameter.name] = _taken(parameter, value, context)
        except (_Refused, typer.BadParameter) as error:
            words = " ".join(str(getattr(error, "message", error)).split()).removeprefix("Value error, ")
            raise InputError(f"{file.where(*keys, key)}: {key}: {words}") from None
    return found


class _Refused(Exception):
    """A value of another type than the option takes."""


def _names(parameter: Any) -> list[str]:
    """What stands for a parameter in a file: the long names of an option, the name of an argument."""
    if parameter.param_type_name == "argument":
        return [parameter.name.replace("_", "-")]
    return [option.removeprefix("--") for option in parameter.opts if option.startswith("--")]


def _taken(parameter: Any, value: Any, context: Any) -> Any:
    """The value as the command line would give it: text, true or false, or a list of these."""
    several = parameter.multiple or parameter.nargs == -1
    if isinstance(value, list) and not several:
        raise _Refused(f"one value is wanted, not a list: {briefly(value)}")
    flag = bool(getattr(parameter, "is_flag", False))
    taken = [_plain(item, flag) for item in (value if isinstance(value, list) else [value])]
    callback, parameter.callback = parameter.callback, None  # which is for the call itself
    try:
        parameter.process_value(context, taken if several else taken[0])
    finally:
        parameter.callback = callback
    return taken if several else taken[0]


def _plain(item: Any, flag: bool) -> str | bool:
    if isinstance(item, bool) and flag:
        return item
    if flag or isinstance(item, bool) or not isinstance(item, str | int | float):
        raise _Refused(f"{'true or false' if flag else 'text or a number'} is wanted, got {briefly(item)}")
    return str(item)


def _apply(context: typer.Context, path: Path | None) -> Path | None:
    """Make the table of the command the defaults of its options."""
    if path is None or context.resilient_parsing:
        return path
    file, name = read_config(path), context.info_name or ""
    group: Any = context.parent
    commands: list[str] = [] if group is None else group.command.list_commands(group)
    for table, content in file.data.items():
        if table not in commands and table not in OF_FIGURES:
            raise InputError(f"{file.where(table)}: {briefly(table)} is no command{nearest(table, commands)}")
        if table in commands and not isinstance(content, dict):
            raise InputError(f"{file.where(table)}: the options of {table} are a table, [{table}]")
    if name not in file.data:
        there = ", ".join(f"[{table}]" for table in file.data) or "nothing"
        raise InputError(f"{path} has no table [{name}] with options of this command; it has {there}")
    context.default_map = defaults(file, (name,), file.data[name], context.command.params, context)
    return path


# Eager: what the file says must be known when the other options are read.
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        help="Options from a file, in a table named as the command; those given here win.",
        is_eager=True,
        callback=_apply,
        show_default=False,
        rich_help_panel=Panel.general,
    ),
]
