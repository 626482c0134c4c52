"""Reads TOML: Python's own parser takes time and memory that grow with the square of the parts that a key has."""

import re
import tomllib
from typing import Any

_MOST_PARTS = 100
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_PART}\.[ \t]*+){{{_MOST_PARTS}}}")


def parse_toml(text: str) -> dict[str, Any]:
    """The table that a text of TOML holds.

    Raises:
        tomllib.TOMLDecodeError: it is no TOML, or has a key of more parts than anybody writes.
        ValueError: a number has thousands of digits.
        RecursionError: it has brackets thousands deep.
    """
    if (found := _LONG_KEY.search(text)) is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise tomllib.TOMLDecodeError(f"a key has more than {_MOST_PARTS} parts (at line {line}, column 1)")
    return tomllib.loads(text)
