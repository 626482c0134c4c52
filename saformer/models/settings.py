"""Settings given as text: `--set heads=8`, and names such as `saformer-4-384+heads=8`."""

import inspect
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from saformer.errors import InputError
from saformer.text import nearest


class Text(str):
    """The value of a setting as a user typed it; what type it has, the family of the model knows."""

    __slots__ = ()


def parse_settings(pairs: Iterable[str], where: str) -> dict[str, Any]:
    """KEY=VALUE texts as settings.

    Args:
        pairs: such as "heads=8".
        where: what they belong to, for messages, such as "--set".

    Raises:
        InputError: a text has another form, or a key is given twice.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"{where} takes KEY=VALUE, such as heads=8, got {pair!r}")
        if key in settings:
            raise InputError(f"{where}: {key} is given twice")
        settings[key] = Text(value)
    return settings


def setting_text(value: Any) -> str:
    """A setting as a user types it: the inverse of what `parse_settings` and `typed` read."""
    return ",".join(map(setting_text, value)) if isinstance(value, tuple | list) else str(value)


def typed(
    hints: Mapping[str, Any], settings: Mapping[str, Any], family: str, without: Mapping[str, str] = {}
) -> dict[str, Any]:
    """Settings with each `Text` read as the type of its field.

    Args:
        hints: type by name of setting.
        settings: what was given.
        family: of the model, for messages.
        without: why it has no such setting, by names that others have.

    Raises:
        InputError: no such setting, or a text that is none of its type.
    """
    if unknown := [key for key in settings if key not in hints]:
        key = min(unknown)
        if key in without:
            raise InputError(f"{family} has no setting {key!r}: {without[key]}")
        raise InputError(f"{family} has no setting {key!r}{nearest(key, hints)}; it has {', '.join(sorted(hints))}")
    return {
        key: _read(value, hints[key], f"{family}: {key}") if isinstance(value, Text) else value
        for key, value in settings.items()
    }


def _read(text: str, hint: Any, what: str) -> Any:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    word = text.strip().lower()
    if types.NoneType in kinds and word == "none":
        return None
    for kind in kinds:
        if kind is bool and word in ("true", "false"):
            return word == "true"
        if kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        if typing.get_origin(kind) is tuple:
            return tuple(_read(part, typing.get_args(kind)[0], what) for part in text.split(",") if part.strip())
    if str in kinds:
        return str(text)
    names = {bool: "true or false", int: "a whole number", float: "a number", types.NoneType: "none"}
    wanted = " or ".join(names.get(kind, "numbers with commas between") for kind in kinds)
    raise InputError(f"{what} must be {wanted}, got {str(text)!r}")


def meanings(config: type) -> dict[str, str]:
    """What each setting means, by name, as the docstrings of a class of settings and of its bases list them."""
    found: dict[str, str] = {}
    for each in reversed(config.__mro__):
        _, heading, listed = (inspect.cleandoc(each.__doc__) if each.__doc__ else "").partition("Args:\n")
        for name, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed, re.MULTILINE) if heading else ():
            found[name] = " ".join(text.split())
    return found
