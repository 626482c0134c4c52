"""From a model and its data to a profile: the run itself, with its device, its images and its progress."""

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from saformer.analysis.profiles.metadata import StepsFrom
from saformer.analysis.profiles.origin import UNTRAINED_NOTE, Origin
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.device import choose_device, enough_memory
from saformer.cli.resolve.fold import fold_for
from saformer.cli.resolve.foreign import model_input, own_errors
from saformer.cli.resolve.layouts import layout_advice
from saformer.cli.resolve.model import check_fit
from saformer.cli.terminal.console import progress
from saformer.distributed import own_device, rank, world_size
from saformer.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from saformer.analysis.profiles import Profile
    from saformer.analysis.recording.module_log import ModuleLog
    from saformer.analysis.statistics.stopping import PrecisionRule
    from saformer.data.dataset import Dataset

DEFAULT_LIMIT = 512
# Images per forward pass, where nobody says: memory for these is there at any published size.
_BATCH = 16
# Of images so small that an operator takes longer to start than to compute: no more memory than 16 of 32 x 32 take.
_LARGE_BATCH, _SMALL_IMAGE = 64, 16 * 16  # pixels
_FEWEST_BATCHES = 4  # large ones: several processes share whole batches


def batch_size_of(run: RunOptions, model: "nn.Module", data: "Dataset", images: int) -> int:
    """Images per forward pass: as many as were asked for, or else as their size and number say.

    A model of a user's own may mix the images of a batch: its variance is one over batches, and wants many.
    """
    from saformer.models import Model

    if run.batch_size is not None:
        return run.batch_size
    small = data.kind in ("static", "events") and prod(data.shape[-2:]) <= _SMALL_IMAGE
    large = small and isinstance(model, Model) and images >= _FEWEST_BATCHES * _LARGE_BATCH
    return _LARGE_BATCH if large else _BATCH


def run_profile(
    model: "nn.Module",
    data: "Dataset",
    run: RunOptions,
    remarks: list[str],
    trained: bool | None = None,
    options: ModelOptions | None = None,
    label: str | None = None,
    log: "ModuleLog | None" = None,
) -> "Profile":
    """Profile the model on the data, with progress; the remarks become notes of the profile.

    Args:
        model: ours or somebody's.
        data: what it is run on.
        run: how.
        remarks: on model and data.
        trained: its weights are not random; None: of one of ours, that shows in where they came from.
        options: how the model takes its input, and which of its modules are neurons.
        label: what the user calls it.
        log: is told what its modules put out.
    """
    import torch

    from saformer.analysis import profile
    from saformer.analysis.profiles.distributed import check_same_model, gather
    from saformer.models import Model

    if isinstance(model, Model):
        check_fit(model, data)
    name = model.config.name if isinstance(model, Model) else getattr(model, "network_name", type(model).__name__)
    device = own_device(choose_device(run.device))
    dtype = {"float32": torch.float32, "float64": torch.float64}[run.dtype.value]
    torch.manual_seed(run.seed)
    rule = _stopping_rule(run, len(data))
    limit = run.limit
    if limit is None and rule is None and data.split is not None:
        limit = DEFAULT_LIMIT
    limit = limit or None
    total = len(data) if limit is None else min(limit, len(data))
    batch_size = batch_size_of(run, model, data, total)
    _check_processes(run, total, batch_size)
    said = options or ModelOptions()
    if isinstance(model, Model):  # which lays out time by itself
        said = replace(said, time_first=None, time_axis=None, loop=None)
    given = None if isinstance(model, Model) else said.steps or _frames(said, data)
    steps = given or said.loop or (model.config.time_steps if isinstance(model, Model) else None)
    read_from = {}
    if said.loop or (said.steps and said.steps == steps):  # a network that does not spike runs once, whatever is said
        read_from = {"time_steps_from": str(StepsFrom.GIVEN)}
    elif said.time_axis is not None:
        read_from = {"time_steps_from": str(StepsFrom.FRAMES)}
    with enough_memory(min(batch_size, total), steps):
        if run.fold:
            example, _ = next(data.batches(1, 1, run.seed))
            model, remark = fold_for(model, example, said)
            remarks = [*remarks, remark]
        with own_errors(model, when=f"when it was moved to {device}"):
            model = _moved(model, device, dtype)
            check_same_model(model)
        part = (rank(), world_size())
        batches = data.batches(batch_size, limit, run.seed, dtype, device, shuffled=rule is not None, part=part)
        advice = layout_advice(model, said, lambda count: next(data.batches(count, count, 0, dtype, device))[0])
        with progress(f"profiling {name} on {data.name}", total) as advance, own_errors(model, advice=advice):
            result = profile(
                model,
                batches,
                data=data.name,
                split=data.split,
                name=name,
                time_steps=given,
                loop=said.loop,
                neurons=said.neurons or (),
                kind=None if run.kind is None else run.kind.value,
                run={
                    "seed": run.seed,
                    "batch_size": batch_size,
                    **read_from,
                    **({"fold": True} if run.fold else {}),
                },
                graded=run.graded,
                to_input=model_input(said),
                enough=rule,
                progress=lambda images: advance(images * world_size()),
                log=log,
            )
    whole = gather(result)
    if whole is None:
        raise SystemExit(0)  # this process has done its part: the first goes on with the sum
    if rule is not None:
        whole = replace(whole, run={**whole.run, "confidence": rule.confidence})
    remarks = [*remarks, *_chosen_images(whole, len(data), run.seed, rule)]
    if trained is None:
        trained = getattr(model, "origin", None) is not None
    origin, untrained = (Origin.MEASURED, []) if trained else (Origin.UNTRAINED, [UNTRAINED_NOTE])
    return replace(
        whole,
        model=replace(whole.model, label=label),
        notes=(*untrained, *remarks, *whole.notes),
        origin=origin,
    )


def _stopping_rule(run: RunOptions, images: int) -> "PrecisionRule | None":
    """When the energy is precise enough, of at most so many images; None where the number of images is given."""
    from saformer.analysis.accounting.energy import account_for
    from saformer.analysis.statistics.stopping import PrecisionRule

    target = run.target()
    if target is None:
        return None

    def half_width(so_far: "Profile", confidence: float) -> tuple[float | None, float]:
        account = account_for(so_far, run.accounting, run.hardware, confidence=confidence, **(run.choices or {}))
        return account.energy_mj_ci95, account.energy_mj

    return PrecisionRule(target, images, half_width)


def _frames(said: ModelOptions, data: "Dataset") -> int | None:
    """T of event frames or series whose time is put on another axis: what they have of it."""
    return data.shape[0] if said.time_axis is not None and len(data.shape) in (2, 4) else None


def _moved(model: "nn.Module", device: "torch.device", dtype: "torch.dtype") -> "nn.Module":
    """The model on the device, in the floating type, with the layers that it keeps in plain lists.

    Raises:
        InputError: the device does not know the type.
    """
    from saformer.analysis.recording.beforehand.plain_modules import hidden_modules, named_modules

    hidden = set(hidden_modules(model))
    try:
        for path, module in named_modules(model):
            if path in hidden:
                module.to(device=device, dtype=dtype)
        return model.to(device=device, dtype=dtype)
    except TypeError as error:
        kind = str(dtype).removeprefix("torch.")
        raise InputError(f"--device {device} does not support {kind}: {str(error).splitlines()[0]}") from None


def _chosen_images(profile: "Profile", available: int, seed: int, rule: "PrecisionRule | None") -> list[str]:
    """A remark on how many of the images were taken, and why; none where all were."""
    images = f"{profile.images:,} of {available:,} images, drawn with seed {seed}"
    if rule is not None and rule.reached is not None:
        looks = f"the interval is widened for the looks taken on the way ({rule.confidence:.2%} each)"
        return [f"{images}: enough for ±{rule.reached:.2%}; {looks}"]
    return [f"{images}; --limit 0 takes all"] if profile.images < available else []


def _check_processes(run: RunOptions, images: int, batch_size: int) -> None:
    """Complain of what several processes cannot do."""
    if world_size() == 1:
        return
    if run.precision is not None:
        raise InputError("--precision runs in one process: leave out torchrun, or give --limit")
    batches = -(-images // batch_size)
    if batches < world_size():
        raise InputError(
            f"{world_size()} processes for {batches} batches of {images:,} images: start fewer, or lower --batch-size"
        )
