"""`saformer card`: trained weights for others, small on disk, with a page that says what they are."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.energy import HardwareName
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.run import DType, RunOptions
from saformer.cli.resolve.device import choose_device
from saformer.cli.resolve.model import check_fit, load_for, read_for
from saformer.cli.resolve.network import data_of, default_data
from saformer.cli.resolve.run import batch_size_of, run_profile
from saformer.cli.resolve.source import source_of
from saformer.cli.terminal.console import progress, show
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.training import Recipe


@dataclass(frozen=True, kw_only=True)
class _RunOptions(RunOptions):
    """How to run; in the type of the training."""

    dtype: DType = DType.float32
    fold: bool = False  # no option: the card is that of the file's layers


@dataclass(frozen=True, kw_only=True)
class _CheckpointOptions(ModelOptions):
    """A checkpoint of ours: its copy can be loaded again, which that of a user's own network cannot."""

    # No options: nothing but a file holds what a card says.
    model: str | None = None
    arguments: list[str] | None = None
    input_shape: list[str] | None = None
    input_type: str | None = None
    high: int | None = None
    time_first: int | None = None
    time_axis: int | None = None
    loop: int | None = None
    neurons: list[str] | None = None


@command("card")
def card(
    model: _CheckpointOptions,
    data: DataOptions,
    run: _RunOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE.safetensors", help="Copy of the weights to write; the card goes beside it, as .md."
        ),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Keep the weights in half precision.")] = False,
    remark: Annotated[
        list[str] | None, typer.Option("--remark", metavar="TEXT", help="A sentence for the card; repeat it.")
    ] = None,
    hardware: HardwareName = "45nm-fp32",
) -> None:
    """Copy a checkpoint for others, with a card: command, configuration, data, accuracy, firing rates, energies.

      saformer card --ckpt run/best.safetensors --dataset cifar10 --half --out weights/saformer-4-384.safetensors

    All numbers of the card are measured on the copy, after rounding. Without --dataset, on what it was trained on.
    """
    import torch

    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.accounting.rules import ACCOUNTINGS
    from saformer.checkpoints import save
    from saformer.files import check_distinct, check_target, write_text_atomic
    from saformer.reports.tables.card import card_report
    from saformer.reports.writers.markdown import markdown_text
    from saformer.training import Recipe, evaluate

    source = source_of(model)
    if source.implied or out is None:
        raise InputError("say which weights and where to: --ckpt run/best.safetensors --out weights/NAME.safetensors")
    if out.suffix != ".safetensors":
        raise InputError(f"--out {out}: the name must end in .safetensors; the card goes beside it, as .md")
    page = out.with_suffix(".md")
    table = load_hardware(hardware)
    if source.foreign or source.options.checkpoint is None or source.saved:
        raise InputError(
            f"{source.text} is a {source.kind.title}, and a card goes with a copy of weights: name a "
            "checkpoint of ours, such as run/best.safetensors; `saformer report` describes any network"
        )
    options = source.options
    check_distinct([out, page], [*source.files])
    for path in (out, page):
        check_target(path)
    raw = read_for(options)
    opened = data_of(source, data, default_data([source], data), raw)
    original, _ = load_for(options, opened, raw)
    check_fit(original, opened)
    details = dict((original.origin.details if original.origin else None) or {})
    details.pop("version", None)  # of the program that writes it
    save(original, out, dtype=torch.float16 if half else None, **details)

    options = replace(options, checkpoint=str(out))
    network, remarks = load_for(options, opened)
    profile = run_profile(network, opened, run, remarks, label=source.label)
    device = choose_device(run.device)
    with progress(f"testing {network.config.name}", len(opened)) as advance:
        batch_size = batch_size_of(run, network, opened, len(opened))
        found = evaluate(network.to(device), opened, batch_size=batch_size, device=device, on_batch=advance)
    training = network.origin.training if network.origin else {}
    recipe = Recipe.from_stored(training) if training else None
    report = card_report(
        out.name,
        network,
        opened,
        found,
        [profile.account(name, table) for name in ACCOUNTINGS],
        recipe,
        None if recipe is None else _command(recipe),
        [*(["the weights are kept in half precision"] if half else []), *(remark or [])],
    )
    write_text_atomic(page, markdown_text(report))
    show(f"wrote {out} and {page}")


def _command(recipe: "Recipe") -> str:
    """What trains it again: the options in which it differs from the shipped recipe of its data set."""
    from saformer.data import DATASETS
    from saformer.models.settings import setting_text
    from saformer.training import load_recipe

    where = ["--data-dir", "DIR"] if DATASETS[recipe.dataset].download else []
    words = ["saformer", "train", "--dataset", recipe.dataset, *where, "--model", recipe.model]
    for key, value, _ in recipe.differences(load_recipe(recipe.dataset)):
        flag = key.replace("_", "-")
        if key == "settings":
            words += [word for name, setting in value.items() for word in ("--set", f"{name}={setting_text(setting)}")]
        elif isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif key not in ("dataset", "model"):
            words += [f"--{flag}", repr(value) if isinstance(value, float) else str(value)]
    return shlex.join([*words, "--out", "run"])
