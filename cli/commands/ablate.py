"""`saformer ablate`: SAFormer without its parts, and SDSA (the paper's Table 3)."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.energy import AccountingName, ChargeOptions, HardwareName, file_of
from saformer.cli.options.groups import Panel
from saformer.cli.options.model import ModelOptions, checkpoints
from saformer.cli.options.output import Csv, Format, Json, Plot
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.data import default_dataset, open_data
from saformer.cli.resolve.device import choose_device
from saformer.cli.resolve.model import DEFAULT_CHECKPOINT, load_for
from saformer.cli.resolve.run import run_profile
from saformer.cli.terminal.console import tell, training_progress
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset
    from saformer.models import Model


@command("ablate")
def ablate(
    data: DataOptions,
    run: RunOptions,
    ckpt: Annotated[
        list[str] | None, checkpoints("A trained network; repeat it. Its settings say which row it is.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="saformer-DEPTH-DIM",
            help="Size. Default: that of the checkpoints, or saformer-2-64.",
            rich_help_panel=Panel.model,
        ),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train what no --ckpt gives, by the recipe of the data set.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training set.")] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Write the trained networks into this folder.")
    ] = None,
    published: Annotated[bool, typer.Option("--published", help="Lay the paper's accuracies beside.")] = False,
    accounting: AccountingName = "paper",
    hardware: HardwareName = "45nm-fp32",
    format: Format = None,
    json: Json = None,
    csv: Csv = None,
    plot: Plot = None,
    *,
    charge: ChargeOptions,
) -> None:
    """Ablation of SAFormer (Table 3): parameters, operations, energy, and accuracy of what was trained.

    saformer ablate --train --keep out

    saformer ablate --ckpt sdsa.safetensors --ckpt full.safetensors --dataset cifar10 --data-dir data
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.accounting.rules import get_accounting
    from saformer.models.ablations import ABLATIONS, ablation_model
    from saformer.reports.document.blocks import Report, note
    from saformer.reports.figures.comparison import comparison_figure
    from saformer.reports.figures.saving import check_format, save_figure
    from saformer.reports.results.comparison import comparison_rows
    from saformer.reports.tables.ablation import ablation_table
    from saformer.reports.tables.what_was_run import remarks, what_each_read

    get_accounting(accounting)
    table = load_hardware(hardware)
    for option, given in (("--epochs", epochs is not None), ("--keep", keep is not None)):
        if given and not train:
            raise InputError(f"{option} is for --train")
    if keep is not None:
        from saformer.files import make_folder

        make_folder(keep)
    if plot is not None:
        check_format(plot)
    outputs = plan(format, json, csv, files={"--plot": plot}, inputs=[*(ckpt or []), data.input, file_of(hardware)])
    opened = open_data(data, default_dataset(ckpt or [DEFAULT_CHECKPOINT]))
    if train and (data.input is not None or opened.kind != "static"):
        raise InputError("--train needs a data set by name that has a recipe: --dataset digits")
    if train and data.split == "train":
        raise InputError("--train learns from the train split: test on another, --split test")
    found = _given(ckpt or [], opened)
    size = model or _size({network.config.name for network, _ in found.values()})
    names = {ablation: ablation_model(ablation, size) for ablation in ABLATIONS}
    for ablation, (network, _) in found.items():
        if network.config.name != names[ablation]:
            raise InputError(f"{ablation} is given as {network.config.name}, the others are of the size of {size}")
    for ablation, (_, settings) in ABLATIONS.items():
        if ablation in found:
            continue
        if train:
            network = _trained(ablation, names[ablation], settings, opened, data, run, epochs, keep)
            found[ablation] = network, [f"trained here by the recipe of {opened.name}, seed {run.seed}"]
        else:
            found[ablation] = _untrained(names[ablation], settings, opened, run.seed)
    run = replace(run, graded=charge.unroll)
    accounts = [
        (
            ablation,
            run_profile(network, opened, run, said, train or None).account(accounting, table, **charge.choices),
        )
        for ablation in ABLATIONS
        for network, said in [found[ablation]]
    ]
    rows = comparison_rows(accounts, ["SAFormer"])
    notes: dict[str, list[str]] = {}
    for ablation, account in accounts:
        for text in remarks(account):
            notes.setdefault(text, []).append(ablation)
    lines = [note(text, about="" if len(who) == len(rows) else ", ".join(who)) for text, who in notes.items()]
    if plot is not None:
        save_figure(comparison_figure(rows), plot)
        tell(f"wrote {plot}")
    outputs.emit(Report([ablation_table(rows, published), *what_each_read(accounts), *lines]))


_Network = tuple["Model", list[str]]


def _given(ckpt: list[str], data: "Dataset") -> dict[str, _Network]:
    """The networks of checkpoints, by the row of the table that their settings make them."""
    from saformer.checkpoints.shipped import resolve_checkpoint
    from saformer.models.ablations import ABLATIONS, ablation_of

    found: dict[str, _Network] = {}
    for name in ckpt:
        network, remarks = load_for(ModelOptions(checkpoint=name), data)
        ablation = ablation_of(network.config.to_dict(), network.config.tokens)
        if ablation is None:
            raise InputError(f"{name} holds {network.config.name}, which is none of {', '.join(ABLATIONS)}")
        if ablation in found:
            raise InputError(f"{name} is {ablation}, as is a checkpoint before it: give one of each")
        found[ablation] = network, [f"from {resolve_checkpoint(name).name}", *remarks]
    return found


def _size(names: set[str]) -> str:
    """The size that the checkpoints share, as the name of a saformer."""
    sizes = {name.partition("-")[2] for name in names} or {"2-64"}
    if len(sizes) > 1:
        raise InputError(f"the checkpoints differ in size ({', '.join(sorted(names))}): compare networks of one size")
    return f"saformer-{sizes.pop()}"


def _untrained(name: str, settings: dict[str, Any], data: "Dataset", seed: int) -> _Network:
    import torch

    from saformer.models import build

    shape: dict[str, Any] = {"in_channels": data.shape[-3], "image_size": data.shape[-1]}
    if data.kind == "events":
        shape["time_steps"] = data.shape[0]
    if data.classes is not None:
        shape["num_classes"] = data.classes
    torch.manual_seed(seed)
    return build(name, **shape, **settings), []


def _trained(
    ablation: str,
    name: str,
    settings: dict[str, Any],
    test: "Dataset",
    data: DataOptions,
    run: RunOptions,
    epochs: int | None,
    keep: Path | None,
) -> "Model":
    """Train the network by the recipe of the data set; with `keep` write it there."""
    from saformer.checkpoints import save
    from saformer.data import open_dataset
    from saformer.training import load_recipe
    from saformer.training import train as train_by

    recipe = load_recipe(test.name, model=name, epochs=epochs, seed=run.seed)
    # A recipe holds what a TOML file can: n = N where the settings say None.
    tokens = recipe.model_config().tokens
    said = {key: tokens if value is None else value for key, value in settings.items()}
    recipe = replace(recipe, settings=said)
    tell(f"training {ablation}: {name}, {recipe.epochs} epochs")
    training = open_dataset(test.name, data.data_dir, "train")
    with training_progress() as (on_step, _):
        result = train_by(
            recipe,
            training,
            test,
            device=str(choose_device(run.device)),
            on_step=on_step,
            on_warning=lambda text: tell(f"warning: {text}"),
        )
    if keep is not None:
        file = keep / f"{ablation.lower().replace('/', '').replace(' ', '-')}.safetensors"
        save(result.model, file, training=result.details())
        tell(f"wrote {file}")
    return result.model
