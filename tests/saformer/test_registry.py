"""Registries: entries by name, in order, each name once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saformer.errors import InputError
from saformer.registry import Registry, View


def colour() -> None: ...


def shade() -> None: ...


@pytest.fixture
def colours() -> Registry[str]:
    registry: Registry[str] = Registry("colour")
    registry.register("red", "#ff0000", colour)
    return registry


def test_an_unknown_name_lists_the_known_ones(colours: Registry[str]) -> None:
    assert colours.find("red") == colours["red"] == "#ff0000"
    colours.register("blue", "#0000ff", shade)
    with pytest.raises(InputError, match=r"^unknown colour 'green': choose one of red, blue$"):
        colours.find("green")


def test_a_second_definition_of_a_name_is_told_where_the_first_is(colours: Registry[str]) -> None:
    with pytest.raises(InputError) as caught:
        colours.register("red", "#ee0000", shade)
    assert str(caught.value) == f"colour 'red' is there already, in {__file__}: register another name"
    assert colours["red"] == "#ff0000"


def test_the_same_definition_run_again_replaces_its_entry(colours: Registry[str]) -> None:
    colours.register("red", "#ee0000", colour)
    assert dict(colours) == {"red": "#ee0000"}


def test_what_is_registered_for_a_while_is_forgotten(colours: Registry[str]) -> None:
    with colours.temporary():
        colours.register("blue", "#0000ff", shade)
        colours.register("red", "#ee0000", colour)
    assert dict(colours) == {"red": "#ff0000"}
    colours.register("blue", "#0000ff", colour)


def test_a_view_follows_its_registry(colours: Registry[str]) -> None:
    view = View(lambda: {name: len(value) for name, value in colours.items()})
    colours.register("blue", "#00f", shade)
    assert dict(view) == {"red": 7, "blue": 4} and len(view) == 2


@pytest.mark.parametrize("first", ["saformer.models.transformers.vit", "saformer.models.registry", "saformer"])
def test_the_order_is_that_of_the_list_whatever_is_imported_first(
    forked_in: Callable[..., Any], tmp_path: Path, first: str
) -> None:
    (found,) = forked_in(tmp_path, "-c", f"import {first}; from saformer.models import FAMILIES; print(*FAMILIES)")
    assert found.out.split()[:4] == ["saformer", "spikformer", "spikingformer", "sdt"], found.err
