"""Profiles as JSON, and back: a file that was changed since it was written says so."""

import json
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from saformer.analysis.profiles.checks import check
from saformer.analysis.profiles.metadata import SCHEMA
from saformer.analysis.profiles.moments import Moments
from saformer.analysis.profiles.parsing import parsed
from saformer.analysis.profiles.records import RunRecord
from saformer.errors import InputError
from saformer.files import read_text, write_text_atomic
from saformer.text import briefly

R = TypeVar("R", bound=RunRecord)

_KIND = "saformer-profile"
_LARGEST_FILE = 2**26  # bytes; the profile of a network of ten thousand operations has half of them
UNSEALED = "the profile carries no checksum (an earlier version wrote it, or it was edited): nothing vouches for it"


def to_json(profile: RunRecord) -> dict[str, Any]:
    """The profile as plain data; `from_json` is the inverse."""
    moments = profile.moments
    if moments.groups is None:
        # The matrix is symmetric: each row up to the diagonal.
        spread: dict[str, Any] = {"gram": [row[: i + 1] for i, row in enumerate(moments.gram)]}
    else:
        spread = {"squares": moments.groups.squares, "cross": moments.groups.cross, "groups": moments.groups.rows}
    plain = {
        "kind": _KIND,
        "schema": SCHEMA,
        **asdict(replace(profile, moments=Moments(0, (), ()))),  # what is copied, and then put in place of
        "moments": {"units": moments.units, "sums": moments.sums, **spread},
    }
    return {**plain, "checksum": _checksum(plain)}


def from_json(plain: Any, make: type[R]) -> R:
    """A profile, of the class `make`, from the data of `to_json`.

    Raises:
        InputError: it is not a profile, of another schema, incomplete, changed since it was written, or its integers
            contradict each other.
    """
    if not isinstance(plain, dict) or plain.get("kind") != _KIND:
        raise InputError("this is not a saved profile: it was not written by --save-profile")
    if plain.get("schema") != SCHEMA:
        raise InputError(f"the profile has schema {briefly(plain.get('schema'))}, this version reads schema {SCHEMA}")
    try:
        sealed = _is_sealed(plain)
        profile = parsed(plain, make)
    except KeyError as error:
        raise InputError(f"the profile is incomplete: {briefly(error.args[0])} is missing") from None
    except InputError:
        raise
    except (TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise InputError(f"the profile is damaged: {briefly(str(error), quoted=False)}") from None
    check(profile)
    return profile if sealed else replace(profile, notes=tuple(dict.fromkeys((*profile.notes, UNSEALED))))


def _is_sealed(plain: dict[str, Any]) -> bool:
    """Whether there is a checksum. Raise InputError where it does not fit."""
    if "checksum" not in plain:
        return False
    if plain["checksum"] != _checksum({key: value for key, value in plain.items() if key != "checksum"}):
        raise InputError(
            "it was changed after it was written, its checksum does not fit: record it again, or take its entry "
            '"checksum" out to use it all the same, with a note'
        )
    return True


def _checksum(plain: dict[str, Any]) -> str:
    """SHA-256 of the data in the one form that does not hang on the order of keys, spaces and line ends."""
    return sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write(profile: RunRecord, path: str | Path) -> None:
    """Write the profile as JSON, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    write_text_atomic(path, json.dumps(to_json(profile), separators=(",", ":")) + "\n")


def read(path: str | Path, make: type[R]) -> R:
    """Read a profile, of the class `make`, that `write` wrote.

    Raises:
        InputError: the file is missing, no JSON, or no sound profile.
    """
    try:
        text = read_text(path, "the profile", _LARGEST_FILE)
        plain = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_once_each)
    except _Twice as twice:
        raise InputError(f"profile {path}: {twice}") from None
    except InputError:
        raise
    except (ValueError, RecursionError):
        raise InputError(f"profile {path} is not JSON, or was cut short: write it again with --save-profile") from None
    try:
        return from_json(plain, make)
    except InputError as error:
        raise InputError(f"profile {path}: {error}") from None


class _Twice(InputError):
    """A key stands twice: which of the values holds is anybody's guess."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Twice(f"{briefly(twice)} stands twice in one object: it was edited, record it again")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
