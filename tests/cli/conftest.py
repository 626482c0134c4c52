"""Runs the command line in this process, as a shell would see it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

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
