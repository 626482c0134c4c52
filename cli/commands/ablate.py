"""`saformer ablate`: SAFormer without its parts (the paper's Table 3), or one body with several attentions."""

import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.energy import AccountingName, ChargeOptions, HardwareName, file_of
from saformer.cli.options.model import ModelOptions, NetworksOptions
from saformer.cli.options.output import Csv, Format, Json, PlotOptions
from saformer.cli.options.panels import Panel
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.data import open_data
from saformer.cli.resolve.device import choose_device
from saformer.cli.resolve.model import load_for
from saformer.cli.resolve.network import default_data
from saformer.cli.resolve.run import run_profile
from saformer.cli.resolve.source import CHECKPOINT, DEFAULT_CHECKPOINT, Source, files_of, sources_of
from saformer.cli.terminal.console import tell, training_progress
from saformer.cli.terminal.outputs import folder_named, plan
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset
    from saformer.models import Model


@command("ablate")
def ablate(
    data: DataOptions,
    run: RunOptions,
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LABEL=]A B ...", help="Checkpoints, or names of models; their settings say which rows they are."
        ),
    ] = None,
    ckpt: Annotated[
        list[str] | None,
        typer.Option(
            "--ckpt",
            metavar="FILE",
            help="A checkpoint, as if it were named; repeat it.",
            rich_help_panel=Panel.model,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="saformer-DEPTH-DIM",
            help="Size. Default: that of the checkpoints, or saformer-2-64. With --attention any transformer.",
            rich_help_panel=Panel.model,
        ),
    ] = None,
    attention: Annotated[
        str | None,
        typer.Option(
            "--attention",
            metavar="A,B,...",
            help="Instead of Table 3: the same body with each of these (`saformer attentions`, or your own).",
            rich_help_panel=Panel.model,
        ),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train what no --ckpt gives, by the recipe of the data set.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training set.")] = None,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="DIR", help="Write the trained networks into this folder.")
    ] = None,
    published: Annotated[bool, typer.Option("--published", help="Lay the paper's accuracies beside.")] = False,
    accounting: AccountingName = "paper",
    hardware: HardwareName = "45nm-fp32",
    format: Format = None,
    json: Json = None,
    csv: Csv = None,
    *,
    drawn: PlotOptions,
    charge: ChargeOptions,
) -> None:
    """Ablation of SAFormer (Table 3): parameters, operations, energy, and accuracy of what was trained.

    saformer ablate --train --keep out

    saformer ablate sdsa.safetensors full.safetensors --dataset cifar10 --data-dir data

    saformer ablate --attention ssa,sdsa,qk --model saformer-2-64 --train
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.accounting.rules import get_accounting
    from saformer.files import made_folder
    from saformer.models.ablations import OWN, table_3, with_attentions
    from saformer.reports.document.blocks import Report
    from saformer.reports.figures.comparison import comparison_figure
    from saformer.reports.results.comparison import comparison_rows
    from saformer.reports.tables.ablation import ablation_table
    from saformer.reports.tables.what_was_run import remarks_of_several, what_each_read

    get_accounting(accounting)
    table = load_hardware(hardware)
    for option, given in (("--epochs", epochs is not None), ("--keep", keep is not None)):
        if given and not train:
            raise InputError(f"{option} is for --train")
    kept = None if keep is None else folder_named(keep, "--keep")
    with nullcontext() if kept is None else made_folder(kept):
        drawn.check()
        sources = sources_of(NetworksOptions(networks=networks, checkpoints=ckpt))
        outputs = plan(
            format, json, csv, files={"--plot": drawn.plot}, inputs=[*files_of(sources), data.input, file_of(hardware)]
        )
        opened = open_data(data, default_data(sources or sources_of(NetworksOptions(), [DEFAULT_CHECKPOINT]), data))
        if train and (data.input is not None or opened.kind != "static"):
            raise InputError("--train needs a data set by name that has a recipe: --dataset digits")
        if train and data.split == "train":
            raise InputError("--train learns from the train split: test on another, --split test")
        if published and attention is not None:
            raise InputError("--published lays the paper's Table 3 beside: leave out --attention")
        others = None if attention is None else [one.strip() for one in attention.split(",") if one.strip()]
        found = _given(sources, opened, others is not None, run.seed)
        size = model or _size({_plain(network.config.name) for network, *_ in found.values()}, others is not None)
        variants = table_3(size) if others is None else with_attentions(size, others)
        for row, (network, *_) in found.items():
            if row not in variants or _plain(network.config.name) != _plain(variants[row][0]):
                wanted = variants[row][0] if row in variants else ", ".join(variants)
                raise InputError(f"{row} is given as {network.config.name}, where {wanted} is of the size of {size}")
        for row, (name, settings) in variants.items():
            if row in found:
                continue
            if train:
                network = _trained(row, name, dict(settings), opened, data, run, epochs, kept)
                found[row] = network, [f"trained here by the recipe of {opened.name}, seed {run.seed}"], None
            else:
                found[row] = _untrained(name, dict(settings), opened, run.seed)
        run = replace(run, graded=charge.unroll)
        accounts = [
            (
                row,
                run_profile(network, opened, run, said, train or None, label=label).account(
                    accounting, table, **charge.choices
                ),
            )
            for row in variants
            for network, said, label in [found[row]]
        ]
        rows = comparison_rows(accounts, ["SAFormer" if others is None else OWN])
        lines = remarks_of_several(accounts, {})
        drawn.write(lambda width: comparison_figure(rows, width=width))
        outputs.emit(Report([ablation_table(rows, published), *what_each_read(accounts), *lines]))


_Network = tuple["Model", list[str], str | None]  # with remarks and its label


def _plain(name: str) -> str:
    """The name without the settings behind it, which say the row."""
    return name.partition("+")[0]


def _given(sources: list[Source], data: "Dataset", attentions: bool, seed: int) -> dict[str, _Network]:
    """The networks that were named, by the row of the table that their settings make them."""
    from saformer.checkpoints.shipped import resolve_checkpoint
    from saformer.models.ablations import ABLATIONS, row_of

    found: dict[str, _Network] = {}
    for source in sources:
        name = source.text
        if source.saved or source.foreign:
            raise InputError(
                f"{name} is a {source.kind.title}, and an ablation takes a network of this program apart: name "
                "checkpoints or models of it; `saformer compare` lays any networks side by side"
            )
        network, remarks = load_for(source.options, data, seed=seed)
        row = row_of(network.config.to_dict(), network.config.tokens, attentions)
        if row is None:
            raise InputError(f"{name} holds {network.config.name}, which is none of {', '.join(ABLATIONS)}")
        if row in found:
            raise InputError(f"{name} is {row}, as is a network before it: give one of each")
        if source.kind is CHECKPOINT:
            file = resolve_checkpoint(source.what).name
            remarks = [f"from {file}" if source.label is None else f"{source.label}, from {file}", *remarks]
        found[row] = network, remarks, source.label
    return found


def _size(names: set[str], attentions: bool) -> str:
    """The size that the checkpoints share, as the name of a saformer; of one body with several attentions, its name."""
    if attentions and len(names) == 1:
        return names.pop()
    sizes = {name.partition("-")[2] for name in names} or {"2-64"}
    if len(sizes) > 1:
        raise InputError(f"the checkpoints differ in size ({', '.join(sorted(names))}): compare networks of one size")
    return f"saformer-{sizes.pop()}"


def _untrained(name: str, settings: dict[str, Any], data: "Dataset", seed: int) -> _Network:
    from saformer.models.settings import setting_text

    said = [f"{key}={setting_text(value)}" for key, value in settings.items()]
    return *load_for(ModelOptions(model=name, settings=said), data, seed=seed), None


def _trained(
    row: str,
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
    tell(f"training {row}: {name}, {recipe.epochs} epochs")
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
        file = keep / f"{re.sub('[^a-z0-9+]+', '-', row.lower().replace('/', ''))}.safetensors"
        save(result.model, file, training=result.details())
        tell(f"wrote {file}")
    return result.model
