"""`saformer train`: train a network by the recipe of its data set."""

from pathlib import Path
from typing import Annotated

import typer

from saformer.cli import options as opt
from saformer.cli.sources import choose_device
from saformer.cli.terminal import show, training_progress
from saformer.errors import InputError


def train(
    dataset: opt.DatasetName = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Preset or FAMILY-DEPTH-DIM. Default: the recipe's.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="File to write. Default: MODEL-DATASET.safetensors"),
    ] = None,
    data_dir: opt.DataDir = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training set.")] = None,
    learning_rate: Annotated[float | None, typer.Option(metavar="LR", help="AdamW's, at its peak.")] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="B", help="Images per step.")] = None,
    time_steps: opt.TimeSteps = None,
    device: opt.Device = "auto",
    seed: opt.Seed = 0,
) -> None:
    """Train a network and write it as a checkpoint that every other command reads.

    saformer train --dataset digits --model saformer-2-64 --seed 0
    """
    from saformer.checkpoints import save
    from saformer.data import open_dataset
    from saformer.files import check_target
    from saformer.training import load_recipe
    from saformer.training import train as run

    if dataset is None:
        raise InputError("say what to train on: --dataset digits, or another of `saformer datasets`")
    recipe = load_recipe(
        dataset,
        model=model,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        time_steps=time_steps,
        seed=seed,
    )
    recipe.model_config()  # a wrong name should not wait for the data
    target = out or Path(f"{recipe.model}-{dataset}.safetensors")
    check_target(target)
    chosen = choose_device(device)
    training, test = open_dataset(dataset, data_dir, "train"), open_dataset(dataset, data_dir, "test")
    show(
        f"{recipe.model} on {dataset}: {len(training):,} training images, {recipe.epochs} epochs, seed {seed}, {chosen}"
    )
    with training_progress() as (on_step, on_epoch):
        result = run(recipe, training, test, device=str(chosen), on_step=on_step, on_epoch=on_epoch)
    save(result.model, target, training=result.details())
    show(f"{result.accuracy:.2%} of {len(test):,} test images right after {recipe.epochs} epochs")
    show(f"wrote {target}; next: saformer energy --ckpt {target} --dataset {dataset}")
