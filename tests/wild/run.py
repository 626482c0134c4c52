"""Profiles public networks, counts them a second time, and writes what came out as a table.

    python tests/wild/run.py CHECKOUTS [--only NAME] [--out docs/wild.md]

CHECKOUTS holds one folder OWNER+NAME for each repository, and `pypi/NAME-VERSION` for libraries (see `networks.py`).
Each network runs in a process of its own, with a limit on time and memory. The `saformer` that this Python has
installed is measured.
"""

import argparse
import contextlib
import importlib
import json
import os
import re
import resource
import subprocess
import sys
import time
import traceback
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

LIMIT_SECONDS = 400
LIMIT_BYTES = 8 << 30


def _commit(folder: Path) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


# In the process of one network.


def _prepare(network: Any, checkouts: Path) -> Any:
    """The network with fresh state, and weights under which its neurons fire."""
    import torch
    from torch import nn

    def build() -> nn.Module:
        torch.manual_seed(0)
        model = network.build(folder)
        if network.torch_backend:
            for module in model.modules():
                if getattr(module, "backend", None) == "cupy":
                    module.backend = "torch"
        return model

    folder = checkouts / network.repository.replace("/", "+")
    model = build()
    if network.gain != 1:
        with torch.no_grad():
            for _, parameter in model.named_parameters():
                parameter.mul_(network.gain if parameter.ndim > 1 else 1)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
        for parameter, low, high in ((norm.weight, 0.6, 1.4), (norm.bias, 0.0, 0.6)):
            if parameter is not None:
                nn.init.uniform_(parameter, low, high)
    if norms:
        # BatchNorm learns its statistics from the batch, so that what comes after has the scale it had in training.
        model.train()
        with torch.no_grad():
            model(network.to_input(network.inputs()))
    fresh = build()  # the first one's neurons have a state by now
    fresh.load_state_dict(model.state_dict(), strict=False)
    return fresh.eval()


def _layers(rows: list[tuple[str, int, tuple, tuple, int]]) -> dict[str, tuple]:
    """Layers by path: dense, elements, nonzeros, events; calls of one layer in several rows are one."""
    merged: dict[str, list] = defaultdict(lambda: [0, 0, 0, 0])
    for name, dense, elements, nonzero, events in rows:
        for index, value in enumerate((dense, sum(elements), sum(nonzero), events)):
            merged[name][index] += value
    return {name: tuple(values) for name, values in merged.items()}


def _same(mine: dict, theirs: dict) -> tuple[int, list[str]]:
    """How many are equal, and what is not."""
    differences = []
    left, right = dict(mine), dict(theirs)
    for name in [n for n in left if right.get(n) == left[n]]:
        del left[name], right[name]
    # Named otherwise on the other side (a product, a layer called as a function), but with the same integers.
    for name in list(left):
        twin = next((other for other in right if right[other] == left[name]), None)
        if twin is not None:
            del left[name], right[twin]
    for name, values in left.items():
        if name in right:
            differences.append(f"`{name}`: independent {values}, profile {right.pop(name)}")
        else:
            differences.append(f"`{name}`: only independent, {values}")
    differences += [f"`{name}`: only profile, {values}" for name, values in right.items()]
    return len(mine) - len(left), differences


def run_one(network: Any, checkouts: Path, ratio: bool) -> dict[str, Any]:
    """What both counts say of one network."""
    import stubs
    import torch
    from torch import nn

    torch.set_num_threads(1)
    folder = checkouts / network.repository.replace("/", "+")
    # Much published code moves its tensors to a GPU whether there is one or not.
    torch.Tensor.cuda = nn.Module.cuda = lambda self, *args, **kwargs: self
    stubs.install(network.stubs)
    sys.path[:0] = [str(folder / network.folder), *(str(checkouts / library) for library in network.libraries)]
    os.chdir(folder / network.folder)
    sys.argv = sys.argv[:1]  # some networks parse the arguments of their training script when they are imported
    import independent

    for old, new in network.aliases:
        sys.modules[old] = importlib.import_module(new)
    from saformer.analysis import profile

    network.build(folder)  # code that is imported for the first time may set the seed
    model = _prepare(network, checkouts)
    names = {name: type(module).__name__ for name, module in model.named_modules()}

    def in_neurons(path: str) -> bool:
        parts = path.split(".")
        return any(re.search(network.neurons, names.get(".".join(parts[: i + 1]), "")) for i in range(len(parts)))

    torch.manual_seed(1)
    given = network.to_input(network.inputs())
    counter = independent.count(model, given)
    model = _prepare(network, checkouts)
    options: dict[str, Any] = {"check_flops": False}
    if network.time_first:
        options |= {"time_steps": network.time_steps, "to_input": network.to_input}
    if network.values == "events":
        options["kind"] = "events"
    torch.manual_seed(1)
    started = time.perf_counter()
    result = profile(model, [network.inputs()], **options)
    seconds = time.perf_counter() - started

    def is_elementwise(op: Any) -> bool:
        return len(op.operands) == 2 and op.op in ("product", "mul", "mask", "where")

    mine: dict[str, list] = {"layer": [], "product": [], "elementwise": []}
    for row in counter.rows.values():
        expected = network.products is not None and re.search(network.products, row.path)
        if row.kind == "elementwise" and (in_neurons(row.path) or not expected):
            continue
        mine[row.kind].append((row.path, row.dense, tuple(row.elements), tuple(row.nonzero), row.events))
    theirs: dict[str, list] = {"layer": [], "product": [], "elementwise": []}
    for op in result.operations:
        kind = "layer" if len(op.operands) == 1 else "elementwise" if is_elementwise(op) else "product"
        name = re.sub(r":\d+$", "", op.name)
        theirs[kind].append(
            (name, op.dense, tuple(o.elements for o in op.operands), tuple(o.nonzero for o in op.operands), op.events)
        )

    def products(rows: list) -> dict:
        # Products have no name of their own: the integers identify them, the place is told along.
        named: dict[str, tuple] = {}
        for name, dense, elements, nonzero, events in rows:
            key, number = name, 1
            while key in named:
                number += 1
                key = f"{name}#{number}"
            named[key] = (dense, events, *sorted(zip(elements, nonzero, strict=True)))
        return named

    equal, differences = 0, []
    for kind, group in (("layer", _layers), ("product", products), ("elementwise", products)):
        same, unequal = _same(group(mine[kind]), group(theirs[kind]))
        equal += same
        differences += [f"{kind} {text}" for text in unequal]
    # Which layers read the image decides what Eq. 19 charges as MACs.
    reading = sorted(row.path for row in counter.rows.values() if row.first)
    marked = sorted({re.sub(r":\d+$", "", op.name) for op in result.operations if op.first})
    if marked != reading:
        differences.append(f"reading the image: independent {reading or 'none'}, profile {marked or 'none'}")

    def total(rows: dict[str, list]) -> list[int]:
        every = [row for kind in rows.values() for row in kind]
        return [len(every), sum(r[1] for r in every), sum(sum(r[3]) for r in every), sum(r[4] for r in every)]

    report: dict[str, Any] = {
        "rows": total(theirs)[0], "independent_rows": total(mine)[0], "equal": equal,
        "dense": total(theirs)[1], "independent_dense": total(mine)[1],
        "nonzero": total(theirs)[2], "independent_nonzero": total(mine)[2],
        "events": total(theirs)[3], "independent_events": total(mine)[3],
        "time_steps": result.model.time_steps, "neurons": len(result.neurons), "images": result.images,
        "uncounted": list(result.uncounted), "notes": list(result.notes),
        "silent": sum(not any(r[3]) for r in mine["layer"]),
        "unseen": sorted(counter.unseen), "differences": differences, "seconds": seconds,
    }  # fmt: skip
    if ratio:
        report["ratio"] = _ratio(network, checkouts, profile, options)
    return report


def _ratio(network: Any, checkouts: Path, profile: Any, options: dict[str, Any]) -> float:
    """How many times as long as the forward pass alone a profile takes; the fastest of five each."""
    import copy

    import torch

    model, times = _prepare(network, checkouts), ([], [])
    with torch.no_grad():
        for _ in range(5):
            plain = copy.deepcopy(model)
            started = time.perf_counter()
            plain(network.to_input(network.inputs()))
            times[0].append(time.perf_counter() - started)
            started = time.perf_counter()
            profile(model, [network.inputs()], **options)
            times[1].append(time.perf_counter() - started)
    return min(times[1]) / min(times[0])


def child(name: str, checkouts: Path, ratio: bool) -> None:
    """Run one network and print its report as JSON, in the last line."""
    from networks import NETWORKS

    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
    network = next(n for n in NETWORKS if n.name == name)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            report = run_one(network, checkouts, ratio)
    except BaseException as error:
        traceback.print_exc()
        report = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    print(json.dumps(report))


# In the process that starts them.


def main() -> None:
    """Run all networks, or those of a name, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", type=Path)
    parser.add_argument("--only", action="append", default=[], help="part of a name or repository; may be given again")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--ratio", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    checkouts = arguments.checkouts.resolve()
    if arguments.child:
        child(arguments.child, checkouts, arguments.ratio)
        return
    from networks import NETWORKS, RATIO, REASONS

    reports = {}
    for network in NETWORKS:
        title = f"{network.name} {network.repository}".lower()
        if arguments.only and not any(word.lower() in title for word in arguments.only):
            continue
        command = [sys.executable, str(Path(__file__).resolve()), str(checkouts), "--child", network.name]
        started = time.perf_counter()
        try:
            done = subprocess.run(
                command + ["--ratio"] * (network.name == RATIO), capture_output=True, text=True, timeout=LIMIT_SECONDS,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}, check=False,
            )  # fmt: skip
            lines = done.stdout.strip().splitlines()
            report = json.loads(lines[-1]) if lines else {"error": f"exit code {done.returncode}"}
            if arguments.verbose or "error" in report:
                print(done.stderr[-3000:], file=sys.stderr)
        except subprocess.TimeoutExpired:
            report = {"error": f"not done after {LIMIT_SECONDS} s"}
        report["commit"] = _commit(checkouts / network.repository.replace("/", "+"))
        reports[network.name] = report
        _print(network, report, time.perf_counter() - started)
    if arguments.json:
        arguments.json.write_text(json.dumps(reports, indent=1))
    if arguments.out:
        from page import page

        command = "python tests/wild/run.py CHECKOUTS --out docs/wild.md"
        arguments.out.write_text(page(NETWORKS, reports, command, _about(), REASONS))


def _about() -> str:
    """The commit of the saformer that was measured."""
    import saformer.analysis

    return f"saformer {_commit(Path(saformer.analysis.__file__).parent)}"


def _print(network: Any, report: dict[str, Any], seconds: float) -> None:
    if "error" in report:
        print(f"ERROR  {network.name}: {report['error']}  ({seconds:.0f} s)", flush=True)
        return
    steps = report["time_steps"]
    agrees = not report["differences"] and steps == network.time_steps
    counts = ", ".join(
        f"{key} {report[key]} / {report[f'independent_{key}']}" for key in ("dense", "nonzero", "events")
    )
    print(
        f"{'same  ' if agrees else 'DIFFER'} {network.name}: {report['equal']}/{report['independent_rows']} rows of "
        f"{report['rows']}, {counts}, T {steps} / {network.time_steps}, {report['neurons']} neurons, "
        f"uncounted {len(report['uncounted'])}  ({seconds:.0f} s)",
        flush=True,
    )
    for text in [*report["differences"][:12], *report["uncounted"][:3], *report["unseen"][:3]]:
        print(f"         {text[:230]}")
    for text in report["notes"][:3]:
        print(f"         note: {text[:260]}")
    if len(report["notes"]) > 3:
        print(f"         and {len(report['notes']) - 3} more notes")
    if "ratio" in report:
        print(f"         profile / forward: {report['ratio']:.2f}")


if __name__ == "__main__":
    main()
