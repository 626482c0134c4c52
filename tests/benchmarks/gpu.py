"""All that is measured on a GPU, in one table: gpu.md and gpu.json in the folder $OUT (or out/).

    tests/benchmarks/gpu.sh [--dry-run] [--only NAME]

Each part of `gpu_parts.py` runs in a process of its own with a limit on time: what fails or does not fit is named in
the table, and the rest goes on. What the parts print is in gpu.log. The exit code is 0 if everything was measured.
`--dry-run` runs all of it on a CPU, tiny, and writes gpu-dry-run.md: whether it works, not how fast it is.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import torch
from gpu_parts import DRY, PARTS, Sizes

from saformer.errors import brief
from saformer.files import write_text_atomic
from saformer.neurons.integrate_and_fire import kernels

#: Seconds for everything, and those without which a part is not begun.
LIMIT, LEAST = 520.0, 10.0


@dataclass
class Outcome:
    """What came of a part."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""
    seconds: float = 0.0


def in_process(work: Callable[[], Iterator[dict[str, Any]]], limit: float, log: Path) -> Outcome:
    """Run it in a forked process, which alone touches the GPU and is ended after so many seconds.

    Rows that it had found by then count.
    """
    start, (read, write) = time.monotonic(), os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _become(work, write, log)
    os.close(write)
    os.set_blocking(read, False)
    outcome, text, late = Outcome(), b"", False
    while True:
        late = time.monotonic() - start > limit
        if late:
            os.killpg(child, signal.SIGKILL)
        ended, status = os.waitpid(child, 0 if late else os.WNOHANG)
        text += b"".join(iter(lambda: _read(read), b""))
        if ended:
            break
        time.sleep(0.02)
    os.close(read)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # a compiler's helpers
    for line in text[: text.rfind(b"\n") + 1].decode().splitlines():
        found = json.loads(line)
        if isinstance(found, str):
            outcome.problem = found
        else:
            outcome.rows.append(found)
    if late:
        outcome.problem = f"skipped after {limit:.0f} s: it did not fit"
    elif status and not outcome.problem:
        outcome.problem = f"failed: its process ended with {os.waitstatus_to_exitcode(status)}; see {log.name}"
    outcome.seconds = time.monotonic() - start
    return outcome


def _become(work: Callable[[], Iterator[dict[str, Any]]], write: int, log: Path) -> NoReturn:
    """In the forked process: write a line of JSON for each row, at the end one for an error, and leave."""
    code = 1
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        with open(write, "w", buffering=1) as found:
            try:
                for row in work():
                    found.write(json.dumps(row) + "\n")
                code = 0
            except Exception as error:
                traceback.print_exc()
                verb = "skipped" if isinstance(error, ImportError) else "failed"
                found.write(json.dumps(f"{verb}: {type(error).__name__}: {brief(error)}") + "\n")
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _read(pipe: int) -> bytes:
    try:
        return os.read(pipe, 1 << 16)
    except BlockingIOError:
        return b""


def about(device: str) -> Iterator[dict[str, Any]]:
    """The machine and the versions; nothing where the device is missing."""
    if device == "cuda" and not torch.cuda.is_available():
        return
    ours = "kernels of Triton" if device == "cuda" and kernels() else "operators of PyTorch"
    packages = {}
    for name in ("saformer", "torch", "triton", "spikingjelly", "cupy-cuda12x", "cupy-cuda13x", "fvcore"):
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    yield {
        "device": torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,  # with the build, which the package's version leaves out
        "cuda": torch.version.cuda,
        "neurons": f"our neurons are {ours}",
        "fp32": f"fp32 means float32_matmul_precision {torch.get_float32_matmul_precision()} and, in convolutions, "
        f"{'TF32' if torch.backends.cudnn.allow_tf32 and device == 'cuda' else 'no TF32'}",
        "packages": packages,
    }


def rows_of(name: str, sizes: Sizes, machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of a part, each complete in itself."""
    for row in PARTS[name].run(sizes):
        where = {"device": machine["device"], "torch": machine["torch"]}
        yield {"part": name, **asdict(row), "ratio": row.ratio, **where}


def markdown(machine: dict[str, Any], outcomes: dict[str, Outcome], dry: bool) -> str:
    """The table."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["packages"].items() if name != "torch")
    lines = [
        f"# {machine['device']}, torch {machine['torch']}",
        "",
        f"{versions}. CUDA {machine['cuda'] or 'is missing'}; {machine['neurons']}; {machine['fp32']}.",
        "",
        "T = 4, medians of repeats in turns; a ratio is the value over what it is set against.",
        *(["", "Dry run at tiny sizes on a CPU: it shows that everything runs, and no figure means anything."] * dry),
        "",
        "| part | measured | value | against | its value | ratio | note |",
        "|---|---|---:|---|---:|---:|---|",
    ]
    for name, outcome in outcomes.items():
        for row in outcome.rows:
            value, reference = (_shown(row[key], row["unit"]) for key in ("value", "reference"))
            ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
            note = row["problem"] or row["note"]
            lines.append(_line(name, row["measured"], value, row["against"], reference, ratio, note))
        if outcome.problem:
            lines.append(_line(name, outcome.problem, "", "", "", "", ""))
    return "\n".join(lines) + "\n"


def _shown(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.{3 if value < 10 else 1 if value < 1000 else 0}f} {unit}"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def main(dry: bool, only: str) -> int:
    """Measure, print a line for each part, write after each; the exit code."""
    begun = time.monotonic()
    sizes = DRY if dry else Sizes()
    folder = Path(os.environ.get("OUT") or "out")
    stem = "gpu-dry-run" if dry else "gpu"
    log = folder / f"{stem}.log"
    folder.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    if dry:
        # Once, for all parts. With a GPU each imports them for itself: a process that has touched one must not fork.
        import torch._dynamo

        torch.set_num_threads(1)
    machine = in_process(lambda: about(sizes.device), 60, log).rows
    if not machine:
        print("gpu.sh: torch finds no GPU here; --dry-run tries everything on a CPU", file=sys.stderr)
        return 1
    outcomes: dict[str, Outcome] = {}
    for name in (name for name in PARTS if only in name):
        left = LIMIT - (time.monotonic() - begun)
        if left < LEAST:
            outcomes[name] = Outcome(problem=f"skipped: the {LIMIT:.0f} s of all parts are spent")
        else:
            limit = min(PARTS[name].seconds, left)
            outcomes[name] = in_process(lambda name=name: rows_of(name, sizes, machine[0]), limit, log)
        outcome = outcomes[name]
        print(f"{name}: {len(outcome.rows)} rows, {outcome.seconds:.1f} s {outcome.problem}".rstrip(), flush=True)
        found = {"dry_run": dry, **machine[0], "parts": {name: asdict(one) for name, one in outcomes.items()}}
        write_text_atomic(folder / f"{stem}.json", json.dumps(found, indent=1) + "\n")
        write_text_atomic(folder / f"{stem}.md", markdown(machine[0], outcomes, dry))
    print(f"{folder / stem}.md: {time.monotonic() - begun:.0f} s", flush=True)
    complete = outcomes and not any(o.problem or any(row["problem"] for row in o.rows) for o in outcomes.values())
    return 0 if complete else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="everything on a CPU, tiny")
    parser.add_argument("--only", default="", metavar="NAME", help="only the parts with NAME in their names")
    arguments = parser.parse_args()
    sys.exit(main(arguments.dry_run, arguments.only))
