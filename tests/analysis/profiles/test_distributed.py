"""Profiles of several processes become one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import saformer
from saformer.analysis import Profile, profile
from saformer.analysis.profiles.distributed import check_same_model, gather

SCRIPT = """
import sys
from dataclasses import replace
import torch
import saformer
from saformer.analysis import profile
from saformer.analysis.profiles.distributed import check_same_model, gather
from saformer.distributed import process_group, rank
from saformer.errors import InputError

with process_group():
    x, (first, second) = torch.load(sys.argv[1]), (slice(0, 4), slice(4, None))
    torch.manual_seed(rank())
    model = saformer.build("spikingformer-1-16", image_size=16, heads=2).double()
    try:
        check_same_model(model)
    except InputError as error:
        print(error)
    torch.manual_seed(0)
    model = saformer.build("spikingformer-1-16", image_size=16, heads=2).double()
    check_same_model(model)
    mine = x[rank() :: 2]
    p = profile(model, [mine[first], mine[second]], run={"dtype": "float64"}, check_flops=False)
    total = gather(p)
    print(total is None)
    if total is not None:
        total.save("whole.json")
    try:
        gather(replace(p, run={"dtype": "float16"}) if rank() else p)
    except InputError as error:
        print(error)
"""


def images(path: Path) -> torch.Tensor:
    x = torch.randn(11, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.save(x, path)
    return x


def test_one_process_gathers_itself() -> None:
    model = torch.nn.Linear(3, 2)
    p = profile(model, [torch.ones(2, 3)], check_flops=False)
    check_same_model(model)
    assert gather(p) is p


def test_the_sum_of_two_processes_is_that_of_one(forked: Callable[..., Any], tmp_path: Path) -> None:
    x = images(tmp_path / "x.pt")
    ended = forked("-c", SCRIPT, tmp_path / "x.pt")
    assert [e.code for e in ended] == [0, 0], [e.err for e in ended]
    first, second = (e.out.splitlines() for e in ended)
    weights = (
        "the processes hold models with different weights, perhaps drawn at random: save one, and give it as --ckpt"
    )
    settings = "the two profiles cannot be added: run.dtype is 'float64' in one, 'float16' in the other"
    assert first == [weights, "False", settings]
    assert second == [weights, "True"]
    torch.manual_seed(0)
    model = saformer.build("spikingformer-1-16", image_size=16, heads=2).double()
    batches = [x[0::2][:4], x[0::2][4:], x[1::2][:4], x[1::2][4:]]
    whole = profile(model, batches, run={"dtype": "float64"}, check_flops=False)
    assert whole.images == 11 and whole.operations[1].events > 0
    assert Profile.load(tmp_path / "whole.json") == whole
    assert json.loads((tmp_path / "whole.json").read_text()) == json.loads(json.dumps(whole.to_json()))
