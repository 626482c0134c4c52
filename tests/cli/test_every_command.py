"""What holds for every command of the program: the same words give the same numbers, from a file too."""

import re

import pytest

from saformer.cli.commands import COMMANDS

OWN = """
import random
import numpy as np
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(64, 8), nn.Linear(8, 10)
        with torch.no_grad():
            self.a.weight[0] += random.random() + float(np.random.rand())

    def forward(self, x):
        return self.b((self.a(x.flatten(1)) > 0).float())
"""
# By their names in a file: arguments first.
RUN = {"limit": 4, "dataset": "digits"}
CASES = {
    "energy": {"network": "own_net:Net", **RUN, "json": "-"},
    "compare": {"networks": ["A=spikformer-1-16", "own_net:Net"], **RUN, "format": "json"},
    "sweep": {"parameter": "time-steps", "values": "1,2", "networks": ["sdt-1-16"], **RUN, "json": "-"},
    "ablate": {"networks": ["saformer-1-16"], **RUN, "json": "-"},
    "attention": {"networks": ["sdt-1-16"], "image": "3", "dataset": "digits", "json": "-"},
    "sensitivity": {"network": "spikformer-1-16", **RUN, "format": "json"},
    "audit": {"network": "spikformer-1-16", **RUN, "json": "-"},
    "complexity": {"format": "csv"},
    "flops": {"network": "own_net:Net", "input-shape": ["1,8,8"], "format": "csv"},
    "summary": {"network": "A=spikformer-1-16", **RUN, "format": "csv"},
    "eval": {"network": "own_net:Net", "dataset": "digits", "limit": 8, "json": "-"},
    "card": {"network": "digits/sdt", **RUN, "out": "made.safetensors"},
    "models": {"name": "sdt", "format": "csv"},
    "attentions": {"format": "csv"},
    "datasets": {"format": "csv"},
    "hardware": {"name": "loihi", "format": "csv"},
    "literature": {"explain": "21.477", "json": "-"},
}
# Runs of training, and pages that take seconds to draw: of the same profiles, tests of their own.
ELSEWHERE = ("train", "plot", "figures", "report")


def test_every_command_is_here() -> None:
    assert {*CASES, *ELSEWHERE} == set(COMMANDS)


def _typed(options):
    words = []
    for key, value in options.items():
        flag = [] if key in ("network", "networks", "parameter", "values", "name") else [f"--{key}"]
        for one in value if isinstance(value, list) else [value]:
            words += flag if one is True else [*flag, one]
    return words


def _toml(command, options):
    lines = [f"{key} = {str(value).lower() if value is True else repr(value)}" for key, value in options.items()]
    return "\n".join([f"[{command}]", *lines])


def _left(folder):
    """What is written, without the words that were typed; times and memory are measured anew."""
    pages = {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: content for name, content in pages.items() if name not in ("paper.toml", "own_net.py")}


def _timeless(text):
    return re.sub(r'"(seconds_per_batch|peak[a-z_]*)": [^,}\n]*', "", text)


@pytest.mark.parametrize("command", CASES)
def test_the_same_words_give_the_same_numbers_typed_or_from_a_file(
    command, saformer, few_digits, tmp_path, monkeypatch
):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "own_net.py").write_text(OWN)
    options, found = CASES[command], []
    for place in ("typed", "file"):
        folder = tmp_path / place
        folder.mkdir()
        monkeypatch.chdir(folder)
        (folder / "paper.toml").write_text(_toml(command, options))
        words = _typed(options) if place == "typed" else ["--config", "paper.toml"]
        monkeypatch.setattr("sys.argv", ["saformer", command])
        result = saformer(command, *words)
        assert result.code == 0, result.err
        found.append((_timeless(result.out), _left(folder)))
    (out, files), (same_out, same_files) = found
    assert out == same_out and (out or files)
    assert files.keys() == same_files.keys()
    assert [name for name in files if files[name] != same_files[name]] == []


@pytest.mark.parametrize("command", ELSEWHERE)
def test_a_file_with_options_is_read_by_the_others_too(command, saformer, tmp_path):
    (tmp_path / "a.toml").write_text(f"[{command}]\nnonsense = 3\n")
    result = saformer(command, "x", "--config", tmp_path / "a.toml")
    assert "a.toml" in result.err and "nonsense" in result.err and result.code == 1
