"""Every field of a saved profile, set to what cannot be: refused in one line, or read and charged like any other."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from awake_models import awake

from saformer.analysis import Profile, profile
from saformer.analysis.profiles.serialization import from_json, to_json
from saformer.errors import InputError
from saformer.reports.tables.what_was_run import what_was_read

VALUES = (10**9, 0, -1, 1.5, float("nan"), "x", "\x1b[31m\u202e\n" * 5000, None, True, [], {}, [[1]] * 20_000)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each table or list of a file with each of its keys; of a list the first entry and the last."""
    keys = list(value) if isinstance(value, dict) else sorted({0, len(value) - 1}) if value else []
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _plain(**run: Any) -> dict[str, Any]:
    model, x = awake("saformer-1-16", batch=3, image_size=16, time_steps=2)
    plain = json.loads(json.dumps(to_json(profile(model, [(x, torch.tensor([1, 2, 3]))], run=run))))
    del plain["checksum"]  # nothing would get past it
    return plain


def _tried(plain: dict[str, Any]) -> bool:
    """Whether it was read."""
    try:
        account = from_json(plain, Profile).account("exact", "45nm-fp32")
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000
        return False
    what_was_read(account)
    return True


def test_every_field_at_every_value() -> None:
    plain = _plain(seed=1, classes=10)
    read = tried = 0
    for holder, key in list(_places(plain)):
        sound = holder[key]
        for value in VALUES:
            holder[key] = value
            tried += 1
            read += _tried(plain)
        holder[key] = sound
    assert tried > 1500 and 0 < read < tried / 4
    assert _tried(plain)


@pytest.mark.parametrize("more", [{"a": json.loads("[" * 50 + "]" * 50)}, {"a": "x" * 20_000}, {"y" * 20_000: 1}])
def test_what_a_run_was_told_is_as_much_as_a_page_can_show(more: dict[str, Any]) -> None:
    plain = _plain()
    plain["run"] |= {"own": {"of": ["a", 1, None, 2.5]}}
    assert _tried(plain)
    plain["run"] |= more
    assert not _tried(plain)
