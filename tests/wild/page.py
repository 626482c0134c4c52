"""Writes `docs/wild.md` from the reports of `run.py`."""

import platform
from typing import Any

import torch

HEAD = """# Networks that nobody here wrote

Is the recorder right on code that was written without it in mind? The networks below are public, at the commits given.
Each runs unmodified, with its own code and the layers and neurons of its own library; nothing of them is in this
repository. Code that trains when it is imported, and notebooks, lend the class of the network as it stands. Weights are
random, and so are images: the integers are the point, not the energy. So that neurons fire, BatchNorm takes its
statistics from the batch, and some networks without it get weights two or three times as large.

Every network was counted twice on the same input and weights: by `profile`, which watches the operators below
PyTorch's dispatcher, and by `tests/wild/independent.py`, which watches the functions that the network's Python code
calls and shares no code with it. A row is a layer with weights, a matrix product, or (where an attention or a gate is
made of it) an elementwise product of two activations. Rows agree if dense multiply-accumulates, elements, nonzeros and
events (nonzeros with their true fan-out) are the same integers. The layers that read the image itself, which Eq. 19
charges as MACs, must be the same, too. T, and which elementwise products are part of an attention, were read from the
network's code by hand (`tests/wild/networks.py`).

```console
{command}
```

CHECKOUTS holds a clone of each repository, `OWNER+NAME`, and in `pypi/` the libraries that they ask for, one folder
each: `spikingjelly-0.0.0.0.2`, `spikingjelly-0.0.0.0.12`, `spikingjelly-0.0.0.0.14`, and `extras` (einops, nir,
nirtorch, pbr), all installed with `pip install --no-deps --target FOLDER NAME`. A network takes from a second to half a
minute; `--only NAME` runs one.

What stands between a network and a machine without a GPU is replaced, and nothing else: initialisers and decorators
of `timm`; `torchvision`, `matplotlib` and the like, which only training needs; `.cuda()`, which does nothing; neurons
that ask for CuPy, which are told to use PyTorch; the compiled neurons of early SpikingJelly, which are gone, by those
in plain PyTorch of the same names. STBP-simple gets the variable `steps`, which its model file takes from nowhere.
"""


def _integer(number: int) -> str:
    return f"{number:,}"


def _link(network: Any, report: dict[str, Any]) -> str:
    commit = report["commit"][:7]
    return f"[{network.repository}](https://github.com/{network.repository}/tree/{report['commit']}) {commit}"


def _steps(report: dict[str, Any], network: Any) -> str:
    seen = report["time_steps"]
    return str(seen) if seen == network.time_steps else f"**{seen or '-'}** ({network.time_steps})"


def agrees(report: dict[str, Any]) -> bool:
    """Both counts are the same, row by row."""
    return "error" not in report and not report["differences"] and not report["unseen"]


def page(
    networks: list[Any], reports: dict[str, dict[str, Any]], command: str, about: str, reasons: dict[str, str]
) -> str:
    """The page as Markdown."""
    done = [(network, reports[network.name]) for network in networks if network.name in reports]
    ran = [(network, report) for network, report in done if "error" not in report]
    same = [network for network, report in done if agrees(report)]
    steps = [network for network, report in ran if report["time_steps"] == network.time_steps]
    lines = [HEAD.format(command=command)]
    lines.append(
        f"**{len(done)} networks of {len({n.repository for n, _ in done})} repositories.** In {len(same)} both counts "
        f"agree in every row; T is right in {len(steps)}. Made by {about}, PyTorch "
        f"{torch.__version__.partition('+')[0]}, Python {platform.python_version()}, one thread."
    )
    rows, silent = (sum(report[key] for _, report in ran) for key in ("independent_rows", "silent"))
    lines.append(f"\nOf {_integer(rows)} rows, {silent} are layers that saw zeros alone.")
    for network, report in ran:
        if "ratio" in report:
            lines.append(
                f"A profile of {network.name} took {report['ratio']:.1f} times as long as the forward pass alone "
                "(two images, the runs that look at the model first included; the fastest of five each, in the same "
                "run)."
            )
    lines.append(
        "\nNumbers are for the whole batch, over all steps. A number in parentheses is the independent count, or T as "
        "the network's code has it, where `profile` says something else.\n"
    )
    lines.append(
        "| network | repository, commit | kind | input | rows | dense MACs | nonzeros | events | T | neurons | counts |"
    )
    lines.append("|---|---|---|---|--:|--:|--:|--:|--:|--:|---|")
    for network, report in done:
        shape = " x ".join(map(str, (network.batch, *network.shape)))
        head = f"| {network.name} | {_link(network, report)} | {network.kind} | {shape} |"
        if "error" in report:
            lines.append(f"{head} | | | | {network.time_steps} | | **stopped** |")
            continue
        cells = []
        for key in ("rows", "dense", "nonzero", "events"):
            mine, theirs = report[key], report[f"independent_{key}"]
            cells.append(_integer(mine) if mine == theirs else f"**{_integer(mine)}** ({_integer(theirs)})")
        verdict = "equal" if agrees(report) else f"**{report['equal']} of {report['independent_rows']} rows**"
        lines.append(f"{head} {' | '.join(cells)} | {_steps(report, network)} | {report['neurons']} | {verdict} |")
    lines.append("\n## What differs, and why\n")
    lines.append(
        "Of a layer: dense, elements, nonzeros, events. Of a product: dense, events, then elements and nonzeros of "
        "both factors.\n"
    )
    different = [(network, report) for network, report in done if not agrees(report) or (network, report) in ran]
    empty = True
    for network, report in different:
        texts = []
        if "error" in report:
            texts.append(f"`profile` or the network stopped: {report['error']}")
        else:
            texts += _differences(report)
            if report["time_steps"] != network.time_steps:
                texts.append(f"T is {report['time_steps'] or 'not known'}, its code runs {network.time_steps}")
            texts += [f"not counted: {text}" for text in report["uncounted"]]
            texts += [f"not seen by the independent count: {text}" for text in report["unseen"]]
        if texts:
            empty = False
            why = f" {reasons[network.name]}" if network.name in reasons else ""
            lines.append(f"* **{network.name}**: {'; '.join(texts)}.{why}")
    if empty:
        lines.append("Nothing.")
    notes = [(network.name, network.note) for network, _ in done if network.note]
    lines.append("\n## Notes\n")
    lines += [f"* {name}: {note}." for name, note in notes]
    return "\n".join(lines) + "\n"


def _differences(report: dict[str, Any]) -> list[str]:
    """One sentence for each kind of row that differs."""
    found = report["differences"]
    shown = [text.replace("(", "").replace(")", "") for text in found[:2]]
    return shown + ([f"and {len(found) - 2} more rows"] if len(found) > 2 else [])
