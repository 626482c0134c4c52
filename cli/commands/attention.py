"""`saformer attention`: where the attentions look in one image, and which neurons fire when."""

from pathlib import Path
from typing import Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.model import NetworksOptions
from saformer.cli.options.output import Format, Json, PlotOptions, figure_file
from saformer.cli.options.run import Device, Seed
from saformer.cli.resolve.attention import inspected
from saformer.cli.resolve.network import check_reach, check_runs, data_of, default_data, network_of
from saformer.cli.resolve.source import DEFAULT_CHECKPOINT, files_of, names_of, sources_of
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError


@command("attention")
def attention(
    networks: NetworksOptions,
    data: DataOptions,
    image: Annotated[
        str, typer.Option("--image", metavar="FILE|INDEX", help="PNG or JPEG file, or a sample of the data set.")
    ],
    maps: Annotated[
        str | None,
        typer.Option(
            "--maps",
            metavar="package.module:function",
            help="Makes maps of your own model: called with it and its input, returns h x w, T x h x w or "
            "T x heads x h x w by name.",
        ),
    ] = None,
    device: Device = "auto",
    seed: Seed = 0,
    format: Format = None,
    json: Json = None,
    raster: Annotated[Path | None, figure_file("Draw the spikes of every layer (of one network).", "--raster")] = None,
    *,
    drawn: PlotOptions,
) -> None:
    """Attention maps over an image (Figure 4), and spike rasters of all layers.

    saformer attention digits/saformer digits/sdt --image 3 --plot maps.png
    """
    from saformer.reports.figures.attention import attention_figure
    from saformer.reports.figures.raster import raster_figure
    from saformer.reports.tables.attention import attention_report

    sources = sources_of(networks, [DEFAULT_CHECKPOINT])
    check_runs(sources, "attention")
    names = names_of(sources)
    if len(set(names)) < len(names):
        raise InputError("attention takes each network once")
    if raster is not None and len(names) > 1:
        raise InputError("--raster draws one network: name one")
    drawn.check(raster, pixels=True)
    check_reach(sources, networks)
    if maps is not None and not any(source.foreign for source in sources):
        raise InputError("--maps makes maps of a model of your own, package.module:factory, and there is none here")
    outputs = plan(
        format, json, files={"--plot": drawn.plot, "--raster": raster}, inputs=[*files_of(sources), data.input, image]
    )
    for source in sources:
        if source.options.checkpoint is not None and not source.foreign:
            network_of(source, None)  # a file at fault should not wait for the data
    opened = None
    if image.isdecimal():
        opened = data_of(sources[0], data, default_data(sources, data), seed=seed)
        if int(image) >= len(opened):
            raise InputError(f"{opened.name} has {len(opened):,} samples: --image takes 0 to {len(opened) - 1}")
    elif not Path(image).exists():
        raise InputError(f"--image {image}: no such file; give a PNG or JPEG file, or an index of the data set")
    inspections, taken, title, label = inspected(
        dict(zip(names, sources, strict=True)), opened or image, int(image) if opened else 0, data, device, seed, maps
    )
    if raster is None and not any(one.maps for one in inspections.values()):
        which = ", ".join(inspections)
        raise InputError(
            f"{which} has no attention with maps (`saformer attentions` lists them, --maps takes a function of your "
            "own): --raster FILE draws its spikes"
        )
    drawn.write(lambda width: attention_figure(inspections, taken, title, width))
    if raster is not None:
        trains, about = inspections[names[0]].trains, f"{names[0]}: {title}"
        drawn.write(lambda width: raster_figure(trains, about, width), raster)
    outputs.emit(attention_report(inspections, title, label))
