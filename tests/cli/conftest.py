"""Runs the command line in this process, as a shell would see it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from saformer.analysis.complexity import latency
from saformer.checkpoints import read_checkpoint
from saformer.cli import main
from saformer.data import DATASETS, Dataset, Request

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


def _exit_code(*args: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["saformer", *map(str, args)])
        patch.setattr("saformer.files._written", [])  # as in a process of its own
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


@pytest.fixture
def saformer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")

    def run(*args: object) -> Outcome:
        capsys.readouterr()
        code = _exit_code(*args)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def prepared() -> Callable[..., None]:
    """Runs a command whose files several tests read."""

    def run(*args: object) -> None:
        assert _exit_code(*args) == 0

    return run


@pytest.fixture(autouse=True)
def _short_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    # Here times must be there; that they are the fastest of many passes is tested where they are taken.
    monkeypatch.setattr(latency, "LONG_ENOUGH", 0.0)
    monkeypatch.setattr(latency, "FEWEST", 1)


@contextmanager
def _first_digits() -> Iterator[None]:
    whole = DATASETS["digits"]

    def first(request: Request) -> Dataset:
        data = whole.read(request)
        return replace(data, images=data.images[:64], labels=data.labels[:64])

    with DATASETS.temporary():
        DATASETS.register("digits", replace(whole, read=first), whole.read)
        yield


@pytest.fixture
def few_digits() -> Iterator[None]:
    """The first 64 images of each split of digits, as if there were no more."""
    with _first_digits():
        yield


@pytest.fixture(scope="module")
def few_digits_in_module() -> Iterator[None]:
    """The same for all tests of a module, and for its fixtures."""
    with _first_digits():
        yield


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


@pytest.fixture
def rates(tmp_path):
    """Firing rates as a user writes them into a file."""
    path = tmp_path / "r.csv"
    path.write_text("layer,input_firing_rate\n*,0.2\nhead,1\nblock.0.attn.q,0.1\n")
    return path
