"""From sources to attention maps and spike trains of one image."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.cli.options.data import DataOptions
from saformer.cli.resolve.device import choose_device
from saformer.cli.resolve.foreign import import_own, model_input, own_errors
from saformer.cli.resolve.layouts import layout_advice
from saformer.cli.resolve.model import check_fit, trained_on
from saformer.cli.resolve.network import Network, network_of
from saformer.cli.resolve.random_inputs import random_inputs
from saformer.cli.resolve.source import Source
from saformer.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from saformer.analysis.diagnostics.attention_maps import Inspection
    from saformer.data.dataset import Dataset


def inspected(
    sources: Mapping[str, Source],
    image: "Dataset | str",
    index: int,
    data: DataOptions,
    device: str,
    seed: int = 0,
    maps: str | None = None,
) -> "tuple[dict[str, Inspection], Tensor, str, int | None]":
    """Each network's attention and spikes on one image, the image, what it is called, and its label.

    Args:
        sources: the networks by name; no saved profile is among them.
        image: a data set, or the name of a picture file.
        index: of the sample in the data set.
        data: says how a picture is normalised, where the checkpoint does not.
        device: where to run.
        seed: of random weights.
        maps: package.module:function that makes maps of the networks of the user's own.
    """
    function = None if maps is None else import_own(maps)
    inspections = {}
    for name, source in sources.items():
        network = network_of(source, None if isinstance(image, str) else image, seed=seed)
        sample = _picture(image, source, network, data.dataset) if isinstance(image, str) else image
        taken = sample.normalise(sample.images[index : index + 1])
        inspections[name] = _inspected(source, network, sample, taken, device, function)
    if isinstance(image, str):
        return inspections, taken[0], Path(image).name, None
    split = f" ({image.split})" if image.split else ""
    label = None if image.labels is None else int(image.labels[index])
    return inspections, taken[0], f"{image.name}{split}, sample {index}", label


def _inspected(
    source: Source,
    network: Network,
    sample: "Dataset",
    taken: "Tensor",
    device: str,
    function: Callable[..., Any] | None,
) -> "Inspection":
    from saformer.analysis.diagnostics.attention_maps import inspect_image
    from saformer.analysis.diagnostics.foreign_maps import inspect_foreign
    from saformer.models import Model

    where, options = choose_device(device), source.options
    module = network.module.to(where)
    if isinstance(module, Model):
        check_fit(module, sample)
        return inspect_image(module, taken.to(where))
    frames = sample.shape[0] if options.time_axis is not None and sample.kind == "events" else None
    with own_errors(module, advice=layout_advice(module, options, lambda _: taken.to(where))):
        return inspect_foreign(
            module,
            taken.to(where),
            time_steps=options.steps or frames,
            loop=options.loop,
            neurons=options.neurons or (),
            to_input=model_input(options),
            maps=function,
        )


def _picture(path: str, source: Source, network: Network, dataset: str | None) -> "Dataset":
    """The picture as the network takes it, normalised as the data set it was trained on."""
    from saformer.data.pictures import open_picture
    from saformer.models import Model

    model = network.module
    if isinstance(model, Model):
        like = dataset or trained_on(model)
        if like is None:
            raise InputError(
                "the checkpoint does not say how its pixels were normalised: give --dataset, such as cifar10"
            )
        channels, size, _ = model.config.sample_shape
        return open_picture(path, like, channels, size)
    inputs = random_inputs(source.options)
    if dataset is None or len(inputs) != 1 or len(inputs[0].sizes) != 3:
        raise InputError(
            "of a picture for your own model say its size, --input-shape C,H,W, and how its pixels are normalised, "
            "--dataset, such as cifar10"
        )
    channels, size, _ = inputs[0].sizes
    return open_picture(path, dataset, channels, size)
