"""The benchmark for CPUs runs, with small networks, where the rivals are installed."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_a_dry_run_sets_our_forward_pass_against_others():
    pytest.importorskip("spikingjelly")
    command = [sys.executable, "-W", "ignore", Path(__file__).with_name("run.py"), "--dry-run", "--only", "forward"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 8 and "failed" not in done.stdout
    assert all(float(row[4]) > 0 for row in rows)
