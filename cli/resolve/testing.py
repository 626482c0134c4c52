"""From a network and its data to a test: right answers, loss and firing rates."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.device import choose_device
from saformer.cli.resolve.fold import fold_for
from saformer.cli.resolve.model import check_fit
from saformer.cli.resolve.network import Network
from saformer.cli.resolve.run import batch_size_of, run_profile
from saformer.cli.resolve.source import Source
from saformer.cli.terminal.console import progress
from saformer.distributed import own_device
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.analysis.profiles import ModelInfo, Profile
    from saformer.data.dataset import Dataset
    from saformer.training import Evaluation


@dataclass(frozen=True)
class Tested:
    """A test: what was found, of which network, and what is to be said of it."""

    found: "Evaluation"
    model: "ModelInfo"
    remarks: list[str]


_OF_RANDOM_WEIGHTS = "the weights are untrained: the accuracy is that of random weights"


def tested_on(source: Source, network: Network, data: "Dataset", run: RunOptions) -> Tested:
    """Test a network: ours as it is trained, a user's own as `saformer energy` runs it.

    Raises:
        InputError: the data has no labels, or the network gives no class scores.
    """
    from saformer.analysis.profiles.origin import UNTRAINED_NOTE
    from saformer.analysis.recording.session import describe_model
    from saformer.models import Model
    from saformer.training import evaluate

    model, remarks = network.module, list(network.remarks)
    if not isinstance(model, Model):
        if data.labels is None:
            raise InputError(f"{data.name} has no labels: eval needs some, as --dataset or --input with an array y has")
        profile = run_profile(model, data, run, remarks, network.trained, source.options, source.label)
        notes = [_OF_RANDOM_WEIGHTS if note == UNTRAINED_NOTE else note for note in profile.notes]
        return Tested(_of_profile(profile), profile.model, notes)
    check_fit(model, data)
    name = model.config.name
    if run.fold:
        example, _ = next(data.batches(1, 1, run.seed))
        model, remark = fold_for(model, example)
        remarks.append(remark)
    device = own_device(choose_device(run.device))
    images = min(run.limit, len(data)) if run.limit else len(data)
    if model.origin is None:
        remarks.insert(0, _OF_RANDOM_WEIGHTS)
    with progress(f"evaluating {name} on {data.name}", images) as advance:
        found = evaluate(
            model.to(device),
            data,
            batch_size=batch_size_of(run, model, data, images),
            device=device,
            limit=run.limit or None,
            seed=run.seed,
            on_batch=advance,
        )
    return Tested(found, replace(describe_model(model), label=source.label), remarks)


def _of_profile(profile: "Profile") -> "Evaluation":
    from saformer.training import Evaluation

    hits = profile.hits
    if hits is None:
        raise InputError(
            f"{profile.model.title} gives no class scores: images x classes, or T x images x classes, of which the "
            "mean over T is taken"
        )
    rates = {neuron.name: neuron.spikes / neuron.elements for neuron in profile.neurons if neuron.elements}
    return Evaluation(profile.images, hits.labelled, hits.top1, hits.top5, math.nan, rates)
