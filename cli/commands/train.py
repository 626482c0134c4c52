"""`saformer train`: train a network by the recipe of its data set."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import CacheDir, DataDir
from saformer.cli.options.panels import Panel
from saformer.cli.options.recipe import recipe_flags
from saformer.cli.options.run import Device
from saformer.cli.resolve.device import choose_device
from saformer.cli.terminal.console import progress, show, tell, training_progress
from saformer.cli.terminal.outputs import folder_named
from saformer.cli.terminal.signals import stop_requests
from saformer.errors import InputError


@command("train", several_processes=True)
@recipe_flags
def train(
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe",
            metavar="FILE.toml",
            help="Recipe to start from, instead of the data set's own; options win over it.",
            rich_help_panel=Panel.run,
        ),
    ] = None,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="DIR", help="Folder of the run. Default: MODEL-DATASET.", rich_help_panel=Panel.run
        ),
    ] = None,
    device: Device = "auto",
    keep: Annotated[int, typer.Option(metavar="K", help="Last checkpoints to keep.", rich_help_panel=Panel.run)] = 2,
    checkpoint_minutes: Annotated[
        float,
        typer.Option(
            metavar="MINUTES", help="Between checkpoints within an epoch; 0: none.", rich_help_panel=Panel.run
        ),
    ] = 5.0,
    checkpoint_steps: Annotated[
        int,
        typer.Option(metavar="STEPS", help="Between checkpoints within an epoch; 0: none.", rich_help_panel=Panel.run),
    ] = 0,
    **flags: Any,
) -> None:
    """Train a network by the recipe of its data set, or go on with a run that was interrupted.

      saformer train --dataset cifar10 --data-dir ./data --model saformer-4-384 --out run

    The folder holds the recipe, a table of epochs (metrics.csv), the last checkpoints and best.safetensors. The same
    command continues the run, after a crash too, and ends with the same weights. Several processes:

      torchrun --nproc-per-node=2 -m saformer.cli train --dataset cifar10 ...
    """
    from saformer.data import DATASETS, open_dataset
    from saformer.distributed import own_device
    from saformer.models.names import parse_name
    from saformer.models.settings import parse_settings, typed
    from saformer.training import RunFolder, load_recipe
    from saformer.training import train as run
    from saformer.training.augmentation import check_augmentation
    from saformer.training.folder import RECIPE

    settings = parse_settings(flags.pop("settings") or [], "--set")
    given = None if out is None else folder_named(out, "--out")
    if recipe is None and flags["dataset"] is None and given is not None and (given / RECIPE).is_file():
        recipe = given / RECIPE
    if recipe is None and flags["dataset"] is None:
        if out is not None:
            raise InputError(
                f"there is no run in {out} to go on with: say what to train on, --dataset digits for instance"
            )
        raise InputError(
            "say what to train on: --dataset digits, or another of `saformer datasets`; "
            "or which run to go on with: --out with its folder"
        )
    resolved = load_recipe(file=recipe, **flags)
    if settings:
        family, _ = parse_name(resolved.model)
        resolved = replace(
            resolved, settings=typed(family.config.types(), settings, family.name, family.config.without)
        )
    config = resolved.model_config()  # a wrong name should not wait for the data
    target = given or Path(f"{resolved.model}-{resolved.dataset}")
    if target.suffix == ".safetensors":
        raise InputError(f"--out is the folder of the run, {target.stem} for instance: it will hold best.safetensors")

    with stop_requests(tell) as stop, ExitStack() as at_end:
        folder = RunFolder(
            target,
            keep=keep,
            minutes=checkpoint_minutes,
            steps=checkpoint_steps,
            warn=lambda text: tell(f"warning: {text}"),
            data=data_dir or "data",
        )
        at_end.callback(folder.release)
        folder.check(resolved)
        info = DATASETS[resolved.dataset]  # a value out of its range should not wait for the data either
        check_augmentation(resolved, info.name, info.kind, info.shape)
        chosen = own_device(choose_device(device))
        training, test = (
            open_dataset(
                resolved.dataset,
                data_dir,
                split,
                time_steps=resolved.time_steps,
                split_by=None if resolved.split_by == "number" else resolved.split_by,
                cache_dir=cache_dir,
                progress=progress,
            )
            for split in ("train", "test")
        )
        going_on = f", going on from {kept[-1].name}" if (kept := folder.checkpoints()) else ""
        show(
            f"{config.name} on {resolved.dataset}: {len(training):,} training {training.unit}, "
            f"{resolved.epochs} epochs, seed {resolved.seed}, {chosen}{going_on}"
        )
        with training_progress() as (on_step, on_epoch):
            result = run(
                resolved,
                training,
                test,
                device=chosen,
                folder=folder,
                on_step=on_step,
                on_epoch=on_epoch,
                on_warning=lambda text: tell(f"warning: {text}"),
                stop=stop,
            )
        labels = 0 if test.labels is None else test.labels.numel()
        best = max(epoch.test_accuracy for epoch in result.history)
        show(
            f"{result.accuracy:.2%} of {labels:,} test {test.labelled} right after {resolved.epochs} epochs, "
            f"at best {best:.2%}"
        )
        own = getattr(config, "attention", None) or ""
        # A file does not decide what is imported: who reads it says the attention again.
        said = f" --set attention={own}" if ":" in own else ""
        show(f"wrote {folder.best}; next: saformer energy --ckpt {folder.best}{said} --dataset {resolved.dataset}")
