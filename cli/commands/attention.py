"""`saformer attention`: where the attentions look in one image, and which neurons fire when."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli.options import groups as opt
from saformer.cli.options.groups import ModelOptions
from saformer.cli.resolve.model import (
    DEFAULT_CHECKPOINT,
    check_fit,
    choose_device,
    data_for,
    default_dataset,
    load_for,
    trained_on,
)
from saformer.cli.terminal.console import tell
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from saformer.analysis.diagnostics.attention_maps import Inspection
    from saformer.data.dataset import Dataset
    from saformer.models import Model


def attention(
    data: opt.DataOptions,
    image: Annotated[
        str, typer.Option("--image", metavar="FILE|INDEX", help="PNG or JPEG file, or a sample of the data set.")
    ],
    ckpt: Annotated[
        list[str] | None,
        typer.Option("--ckpt", metavar="FILE", help="Checkpoint; repeat it to compare.", rich_help_panel="Model"),
    ] = None,
    weights: opt.Weights = None,
    device: opt.Device = "auto",
    format: opt.Format = None,
    json: opt.Json = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.{png,pdf,svg}", help="Draw the attention maps.", rich_help_panel="Output"),
    ] = None,
    raster: Annotated[
        Path | None,
        typer.Option(
            "--raster",
            metavar="FILE.{png,pdf,svg}",
            help="Draw the spikes of every layer (of one checkpoint).",
            rich_help_panel="Output",
        ),
    ] = None,
) -> None:
    """Attention maps of SASA, SDSA and SSA over an image (Figure 4), and spike rasters of all layers.

    saformer attention --ckpt digits/saformer --ckpt digits/sdt --image 3 --plot maps.png
    """
    from saformer.reports.figures.attention import attention_figure
    from saformer.reports.figures.raster import raster_figure
    from saformer.reports.figures.saving import check_format, save_figure
    from saformer.reports.tables.attention import attention_report

    names = ckpt or [DEFAULT_CHECKPOINT]
    if len(set(names)) < len(names):
        raise InputError("--ckpt: each checkpoint once")
    if raster is not None and len(names) > 1:
        raise InputError("--raster draws one network: give one --ckpt")
    for path in (plot, raster):
        if path is not None:
            check_format(path)
    outputs = plan(format, json, files={"--plot": plot, "--raster": raster}, inputs=[*names, data.input, image])
    options = {name: ModelOptions(checkpoint=name, weights=weights) for name in names}
    for one in options.values():
        load_for(one, None)  # a file at fault should not wait for the data
    opened = None
    if image.isdecimal():
        opened = data_for(options[names[0]], data, default_dataset(names))
        if int(image) >= len(opened):
            raise InputError(f"{opened.name} has {len(opened):,} samples: --image takes 0 to {len(opened) - 1}")
    elif not Path(image).exists():
        raise InputError(f"--image {image}: no such file; give a PNG or JPEG file, or an index of the data set")
    inspections, taken, title, label = inspected(options, opened or image, int(image) if opened else 0, data, device)
    if plot is not None:
        save_figure(attention_figure(inspections, taken, title), plot)
        tell(f"wrote {plot}")
    if raster is not None:
        save_figure(raster_figure(inspections[names[0]].trains, f"{names[0]}: {title}"), raster)
        tell(f"wrote {raster}")
    outputs.emit(attention_report(inspections, title, label))


def inspected(
    options: dict[str, ModelOptions], source: "Dataset | str", index: int, data: opt.DataOptions, device: str
) -> "tuple[dict[str, Inspection], Tensor, str, int | None]":
    """Each network's attention and spikes on one image, the image, what it is called, and its label.

    Args:
        options: the networks.
        source: a data set, or the name of a picture file.
        index: of the sample in the data set.
        data: says how a picture is normalised, where the checkpoint does not.
        device: where to run.
    """
    from saformer.analysis.diagnostics.attention_maps import inspect_image

    where = choose_device(device)
    inspections = {}
    for name, one in options.items():
        model, _ = load_for(one, None if isinstance(source, str) else source)
        sample = _picture(source, model, data.dataset) if isinstance(source, str) else source
        check_fit(model, sample)
        taken = sample.normalise(sample.images[index : index + 1])
        inspections[name] = inspect_image(model.to(where), taken.to(where))
    if isinstance(source, str):
        return inspections, taken[0], Path(source).name, None
    split = f" ({source.split})" if source.split else ""
    label = None if source.labels is None else int(source.labels[index])
    return inspections, taken[0], f"{source.name}{split}, sample {index}", label


def _picture(path: str, model: "Model", dataset: str | None) -> "Dataset":
    """The picture as the model takes it, normalised as the data set it was trained on."""
    from saformer.data.pictures import open_picture

    like = dataset or trained_on(model)
    if like is None:
        raise InputError("the checkpoint does not say how its pixels were normalised: give --dataset, such as cifar10")
    return open_picture(path, like, model.config.in_channels, model.config.image_size)
