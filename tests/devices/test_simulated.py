"""Everything that a GPU would compute, on a device that is not the CPU: the same numbers, and nothing left behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PARTS = ("profiles", "foreign", "test", "images", "settings", "events", "gone on")


@pytest.fixture(scope="module")
def found(forked_in: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    # In a process of its own: a device cannot be unregistered.
    (done,) = forked_in(tmp_path_factory.mktemp("devices"), Path(__file__).with_name("two_devices.py"))
    assert not done.code, done.err
    return json.loads(done.out)


def test_the_device_refuses_what_a_gpu_would(found: dict[str, Any]) -> None:
    assert found["sim"]["mixing fails"] and not found["cpu"]["mixing fails"]


@pytest.mark.parametrize("part", PARTS)
def test_numbers_are_those_of_the_cpu(found: dict[str, Any], part: str) -> None:
    assert found["cpu"].keys() == found["sim"].keys() == {"mixing fails", *PARTS}
    assert found["sim"][part] == found["cpu"][part]


def test_a_batch_waits_for_the_device_as_often_however_deep_the_network(found: dict[str, Any]) -> None:
    shallow, deep = found["waits"]["saformer-1-16"], found["waits"]["saformer-3-16"]
    assert 2 <= shallow == deep <= 8


def test_numbers_of_several_devices_are_read_with_one_wait_for_each(found: dict[str, Any]) -> None:
    *read, waits = found["read"]
    assert read == [[[1, 2], [3, 4]]] * 2 + [5] * 2 + [[]] * 2 + [[6]] * 2
    assert waits == 1
