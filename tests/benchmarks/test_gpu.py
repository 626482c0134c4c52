"""The benchmark for GPUs runs as a whole where there is none, says what is missing, and outlives its parts."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def benchmark(folder, *arguments):
    """Run in the checkout as on a machine where nothing of it is installed."""
    environment = {**os.environ, "OUT": str(folder), "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    command = [HERE / "gpu.sh", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    return importlib.import_module("gpu")


def test_a_dry_run_measures_everything_and_writes_one_table(tmp_path, gpu):
    pytest.importorskip("spikingjelly")
    done = benchmark(tmp_path, "--dry-run")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    text = (tmp_path / "gpu-dry-run.md").read_text()
    written = json.loads((tmp_path / "gpu-dry-run.json").read_text())
    assert "no figure means anything" in text and "refuses" not in text
    assert list(written["parts"]) == list(gpu.PARTS)
    rows = [row for part in written["parts"].values() for row in part["rows"]]
    assert all(row["value"] > 0 and row["ratio"] > 0 and row["against"] and row["torch"] for row in rows)
    assert text.count("\n| ") == len(rows) + 1
    # Without one of them the run would not end in time.
    assert sum(part.seconds for part in gpu.PARTS.values()) <= gpu.LIMIT


def test_without_a_gpu_it_says_so_in_one_line(tmp_path):
    done = benchmark(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "gpu.sh: torch finds no GPU here; --dry-run tries everything on a CPU\n"


def slow():
    yield {"measured": 1}
    time.sleep(60)


def failing():
    yield {"measured": 1}
    raise ValueError("a kernel\nfailed")


def dying():
    yield {"measured": 1}
    os.kill(os.getpid(), signal.SIGKILL)


def lacking():
    yield {"measured": 1}
    import no_such_package  # noqa: F401


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        (slow, "skipped after 1 s: it did not fit"),
        (failing, "failed: ValueError: a kernel failed"),
        (dying, "failed: its process ended with -9; see log"),
        (lacking, "skipped: ModuleNotFoundError: No module named 'no_such_package'"),
    ],
)
def test_a_part_that_does_not_end_well_is_named_and_keeps_its_rows(tmp_path, gpu, part, problem):
    outcome = gpu.in_process(part, 1 if part is slow else 60, tmp_path / "log")
    assert (outcome.rows, outcome.problem) == ([{"measured": 1}], problem)
    assert outcome.seconds < 10
