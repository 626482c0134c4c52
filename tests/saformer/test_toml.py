"""TOML of any shape is read or refused in a moment."""

import contextlib
import time
import tomllib

import pytest

from saformer.toml import parse_toml


@pytest.mark.parametrize(
    "text",
    [
        "a." * 60_000 + "a = 1",
        "x = 1\n[" + "a . " * 60_000 + "a]",
        "'a'." * 40_000 + "a = 1",
        "x = {" + '"a" . ' * 40_000 + "a = 1}",
    ],
)
def test_a_key_of_thousands_of_parts_is_refused_with_its_line(text):
    begun = time.process_time()
    with pytest.raises(tomllib.TOMLDecodeError, match=r"more than 100 parts \(at line [12],"):
        parse_toml(text)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "text", ["a" * 250_000 + " = 1", "a = '" + "\"'" * 100_000, "a = [" + "0.5, " * 40_000 + "]", "-" * 250_000]
)
def test_what_is_long_otherwise_takes_no_longer(text):
    begun = time.process_time()
    with contextlib.suppress(tomllib.TOMLDecodeError):
        assert parse_toml(text) == tomllib.loads(text)
    assert time.process_time() - begun < 3
