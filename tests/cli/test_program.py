"""The program itself: help, version, how it starts, ends and prints, whatever the terminal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest


def test_version_and_help(saformer):
    assert saformer("--version").out.startswith("saformer ")
    for command in ("energy", "compare", "flops", "train", "eval", "plot", "models", "datasets"):
        result = saformer(command, "--help")
        assert result.code == 0 and max(map(len, result.out.splitlines())) <= 100


# What takes longer to import than it takes to answer, and is not needed for that.
_NEEDLESS = {"pandas", "matplotlib", "sklearn", "scipy", "sympy", "torch._dynamo", "torch._inductor", "jinja2"}


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], {"torch", "fvcore"}),
        (["energy", "--limit", "16"], set()),
        (["energy", "--from-profile"], {"torch", "fvcore"}),
    ],
    ids=["help", "energy", "from a profile"],
)
def test_nothing_is_imported_that_the_answer_does_not_need(eight_digits, arguments, heavy):
    given = [*arguments, str(eight_digits)] if arguments[-1] == "--from-profile" else arguments
    code = (
        f"import sys; sys.argv = ['saformer', *{given!r}]\n"
        "from saformer.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"found = {heavy | _NEEDLESS!r} & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_it_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "saformer.cli", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("saformer ")


def test_usage_errors_exit_with_two(saformer):
    assert saformer("energy", "--no-such-flag").code == 2
    assert saformer("energy", "--batch-size", "many").code == 2
    assert saformer("no-such-command").code == 2


def test_an_interrupt_ends_in_one_line(saformer, monkeypatch):
    def interrupt(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("saformer.models.transformers.saformer.SAFormer.forward", interrupt)
    result = saformer("energy")
    assert result.code != 0 and "Traceback" not in result.err
    assert [line for line in result.err.splitlines() if line] == ["saformer: interrupted, nothing was written"]


@pytest.mark.parametrize(
    "words",
    [
        ("energy", "--json", "e.json", "--save-profile", "p.json"),
        ("eval", "digits/saformer", "--json", "e.json"),
        ("flops",),
        ("audit", "--json", "a.json"),
        ("sensitivity",),
        ("compare", "digits/saformer", "digits/sdt", "--plot", "c.png"),
        ("sweep", "time-steps", "1,4", "--json", "s.json"),
        ("report", "--out", "a/b", "digits/saformer"),
        ("attention", "--image", "0", "digits/saformer", "--plot", "a.png"),
    ],
    ids=lambda words: words[0],
)
def test_the_end_of_a_job_ends_every_command_as_ctrl_c_does(saformer, monkeypatch, tmp_path, words):
    def end(self, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("saformer.models.transformers.saformer.SAFormer.forward", end)
    monkeypatch.setattr("saformer.files._written", [])
    result = saformer(*words)
    assert (result.code, result.out) == (130, "")
    assert [line for line in result.err.splitlines() if line] == ["saformer: interrupted, nothing was written"]
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_interrupt_says_so_where_files_were_written(saformer, monkeypatch, tmp_path, eight_digits):
    import saformer.files as files

    whole = files.write_atomic

    def end(path, write):
        if str(path).endswith("b.csv"):
            os.kill(os.getpid(), signal.SIGTERM)
        whole(path, write)

    monkeypatch.setattr(files, "write_atomic", end)
    monkeypatch.setattr(files, "_written", [])
    outputs = ("--json", tmp_path / "a.json", "--csv", tmp_path / "b.csv")
    result = saformer("energy", "--from-profile", eight_digits, *outputs)
    assert result.code == 130 and "saformer: interrupted, what was written is whole" in result.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


@pytest.fixture(scope="module")
def eight_digits(tmp_path_factory):
    """A profile of the shipped network: reading it, a process need not import torch."""
    from saformer import load
    from saformer.analysis import profile
    from saformer.data import open_dataset

    path = tmp_path_factory.mktemp("profile") / "p.json"
    batches = open_dataset("digits", None, "test").batches(8, 8, 0)
    profile(load("digits/saformer"), batches, data="digits", split="test", check_flops=False).save(path)
    return path


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_output_that_lacks_a_character_gets_a_plain_one(encoding, eight_digits):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "90"}
    command = [sys.executable, "-m", "saformer.cli", "energy", "--from-profile", eight_digits]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert "?" not in text and ("─" in text) is (encoding == "utf-8")
    assert ("±" if encoding != "ascii" else "+/-") in text


@pytest.mark.parametrize("variables", [{"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, {"COLUMNS": "0"}])
def test_what_a_notebook_or_a_pseudo_terminal_says(tmp_path, variables, eight_digits):
    command = [sys.executable, "-m", "saformer.cli", "energy", "--from-profile", eight_digits, "--plot", "e.png"]
    done = subprocess.run(command, env={**os.environ, **variables}, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "wrote e.png\n")
    assert "patch_embed" in done.stdout and (tmp_path / "e.png").exists()


def test_a_name_too_long_is_no_fault_of_the_output(saformer):
    assert "File name too long" in (complaint := saformer("energy", "--from-profile", "x" * 5000).complaint)
    assert "cannot write" not in complaint


def test_other_commands_run_in_one_process(saformer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saformer.cli.app.world_size", lambda: 2)
    assert "`saformer audit` runs in one process" in saformer("audit").complaint


LEAVES_WORK = """
import atexit, ctypes, sys, time
from saformer import distributed

last = distributed.rank() == 1
if last:
    atexit.register(ctypes.PyDLL(None).sleep, 3)  # before torch registers its own: called after them

import torch
import torch.distributed as dist
from saformer.cli import app, program

kept = []  # as DistributedDataParallel keeps it

def command():
    kept.append(dist.group.WORLD)
    tensor = torch.zeros(1)
    if last:
        kept[0].allreduce([tensor])
    else:
        time.sleep(1)
        kept[0].allreduce([tensor]).wait()
    sys.exit(int(sys.argv[1]))

app.app = command
dist.all_reduce = lambda tensor: None  # the barrier at the end would wait for the collective, too
program()
print("not reached")
"""


@pytest.mark.parametrize("code", [0, 1])
def test_a_collective_that_ends_late_does_not_abort_the_process(processes: Callable[..., Any], code: int) -> None:
    ended = processes("-c", LEAVES_WORK, code)
    assert [(e.code, e.out, e.err) for e in ended] == [(code, "", "")] * 2
