"""`torchrun -m saformer.cli energy`: the processes share the images, the first one speaks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saformer.analysis import Profile

BROKEN = """
import os
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        if os.environ.get("RANK") == "1" and x.max() > 0:
            raise ValueError("this process cannot")
        return self.fc(x.flatten(1))

def build():
    import torch
    torch.manual_seed(0)
    return Net()
"""


@pytest.fixture
def torchrun(forked: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: forked("-m", "saformer.cli", *arguments)


def test_two_processes_give_the_profile_of_one(torchrun: Any, saformer: Any, tmp_path: Path) -> None:
    question = ("energy", "--limit", "50", "--json", "-", "--save-profile")
    alone = saformer(*question, tmp_path / "one.json")
    first, second = torchrun(*question, tmp_path / "two.json")
    assert first.code == second.code == 0, first.err
    assert second.out == second.err == ""
    assert json.loads(first.out) == json.loads(alone.out)
    assert first.err == f"wrote {tmp_path / 'two.json'}\n"
    one, two = (Profile.load(tmp_path / f"{name}.json") for name in ("one", "two"))
    assert one.images == 50 and one.passes == 4
    assert two == one


def test_one_process_that_fails_ends_both_with_one_line(torchrun: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    ended = torchrun(
        "energy", "--model", "broken:build", "--input-shape", "1,2,2", "--batch-size", "1", "--save-profile", "p.json"
    )
    assert [e.code for e in ended] == [1, 1]
    (line,) = "".join(e.err for e in ended).splitlines()
    assert "Net failed on the data: ValueError: this process cannot" in line
    assert not (tmp_path / "p.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--precision", "1%"), "--precision"), (("--limit", "16"), "2 processes for 1 batches of 16 images")],
)
def test_what_several_processes_cannot_do(
    saformer: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.setattr("saformer.cli.resolve.run.world_size", lambda: 2)
    assert words in saformer("energy", *arguments).complaint


def test_without_a_run_the_first_process_answers(torchrun: Any, tmp_path: Path) -> None:
    first, second = torchrun("energy", "--model", "spikformer-1-16", "--uniform-rate", "0.1", "--json", "p.json")
    assert first.code == second.code == 0
    assert "energy" in first.out and not second.out
    assert (tmp_path / "p.json").exists()
