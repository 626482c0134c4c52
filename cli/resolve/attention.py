"""From the options to attention maps and spike trains of one image."""

from pathlib import Path
from typing import TYPE_CHECKING

from saformer.cli.options.data import DataOptions
from saformer.cli.options.model import ModelOptions
from saformer.cli.resolve.device import choose_device
from saformer.cli.resolve.model import check_fit, load_for, trained_on
from saformer.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from saformer.analysis.diagnostics.attention_maps import Inspection
    from saformer.data.dataset import Dataset
    from saformer.models import Model


def inspected(
    options: dict[str, ModelOptions], source: "Dataset | str", index: int, data: DataOptions, device: str
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
    channels, size, _ = model.config.sample_shape
    return open_picture(path, like, channels, size)
