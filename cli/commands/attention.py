"""`saformer attention`: where the attentions look in one image, and which neurons fire when."""

from pathlib import Path
from typing import Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.model import ModelOptions, Weights, checkpoints
from saformer.cli.options.output import Format, Json, PlotOptions, figure_file
from saformer.cli.options.run import Device
from saformer.cli.resolve.attention import inspected
from saformer.cli.resolve.data import data_for, default_dataset
from saformer.cli.resolve.model import DEFAULT_CHECKPOINT, load_for
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError


@command("attention")
def attention(
    data: DataOptions,
    image: Annotated[
        str, typer.Option("--image", metavar="FILE|INDEX", help="PNG or JPEG file, or a sample of the data set.")
    ],
    ckpt: Annotated[list[str] | None, checkpoints("Checkpoint; repeat it to compare.")] = None,
    weights: Weights = None,
    device: Device = "auto",
    format: Format = None,
    json: Json = None,
    raster: Annotated[
        Path | None, figure_file("Draw the spikes of every layer (of one checkpoint).", "--raster")
    ] = None,
    *,
    drawn: PlotOptions,
) -> None:
    """Attention maps over an image (Figure 4), and spike rasters of all layers.

    saformer attention --ckpt digits/saformer --ckpt digits/sdt --image 3 --plot maps.png
    """
    from saformer.reports.figures.attention import attention_figure
    from saformer.reports.figures.raster import raster_figure
    from saformer.reports.tables.attention import attention_report

    names = ckpt or [DEFAULT_CHECKPOINT]
    if len(set(names)) < len(names):
        raise InputError("--ckpt: each checkpoint once")
    if raster is not None and len(names) > 1:
        raise InputError("--raster draws one network: give one --ckpt")
    drawn.check(raster, pixels=True)
    outputs = plan(format, json, files={"--plot": drawn.plot, "--raster": raster}, inputs=[*names, data.input, image])
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
    if raster is None and not any(one.maps for one in inspections.values()):
        which = ", ".join(inspections)
        raise InputError(
            f"{which} has no attention with maps (`saformer attentions` lists them): --raster FILE draws its spikes"
        )
    drawn.write(lambda width: attention_figure(inspections, taken, title, width))
    if raster is not None:
        trains, about = inspections[names[0]].trains, f"{names[0]}: {title}"
        drawn.write(lambda width: raster_figure(trains, about, width), raster)
    outputs.emit(attention_report(inspections, title, label))
