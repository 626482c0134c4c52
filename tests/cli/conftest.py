"""Runs the command line in this process, as a shell would see it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from saformer.checkpoints import read_checkpoint
from saformer.cli import main

ORACLES = Path(__file__).parent.parent / "data" / "oracles"


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that a failed command prints."""
        lines = [line for line in self.err.splitlines() if line]
        assert self.code == 1, (self.code, self.out, self.err)
        assert self.out == "", self.out
        assert len(lines) == 1, self.err
        assert lines[0].startswith("saformer: ")
        assert "Traceback" not in self.err
        return lines[0]


@pytest.fixture
def saformer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")

    def run(*args: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["saformer", *map(str, args)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def oracle() -> Callable[[str], Path]:
    """Path of an oracle file, such as `oracle("sdt_2_64_cifar.pth.tar")`."""
    return ORACLES.joinpath


@pytest.fixture
def weights(oracle):
    return read_checkpoint(oracle("spikformer_2_64_cifar.pth.tar")).weights


@pytest.fixture
def energy(saformer, oracle, tmp_path):
    """`saformer energy` on the oracle's input, with outputs asked for that must not appear."""

    def run(ckpt, *more, input=None):
        outputs = [tmp_path / "o.json", tmp_path / "o.csv", tmp_path / "o.png", tmp_path / "o.profile"]
        options = [
            x for pair in zip(["--json", "--csv", "--plot", "--save-profile"], outputs, strict=True) for x in pair
        ]
        source = [] if input is False else ["--input", input or oracle("spikformer_2_64_cifar.input.npz")]
        result = saformer("energy", "--ckpt", ckpt, *source, *options, *more)
        assert not [path for path in outputs if path.exists()]
        return result

    return run
