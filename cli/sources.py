"""From the options to a model, a data set and a profile, the same way in every command."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.analysis.provenance import UNTRAINED_NOTE
from saformer.cli.options import DataOptions, ModelOptions, RunOptions
from saformer.cli.terminal import progress
from saformer.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from saformer.analysis.profiles import Profile
    from saformer.data.dataset import Dataset
    from saformer.models import Model

DEFAULT_LIMIT = 512
DEFAULT_CHECKPOINT = "digits/saformer"


def open_data(data: DataOptions, default: str | None = None) -> "Dataset":
    """Read the data; `default` is the data set to take when none was named."""
    from saformer.data import open_arrays, open_dataset

    if data.input is not None:
        return open_arrays(data.input)
    name = data.dataset or default
    if name is None:
        raise InputError(
            "there is no data to run on: give --dataset NAME (see `saformer datasets`) or --input FILE.npz"
        )
    return open_dataset(name, data.data_dir, data.split)


def resolve_checkpoint(name: str) -> Path:
    """A checkpoint file, or the shipped checkpoint of that name where there is no such file."""
    from saformer.checkpoints.shipped import shipped_path

    path = Path(name)
    return path if path.exists() else shipped_path(name) or path


def load_for(options: ModelOptions, data: "Dataset | None") -> "tuple[Model, list[str]]":
    """The model of the options, fitted to the data where its file leaves a setting open, with remarks on it."""
    import saformer
    from saformer.data import DATASETS

    shape: dict[str, Any] = {}
    if data is not None:
        shape = {"in_channels": data.shape[-3], "image_size": data.shape[-1]}
        if data.kind == "events":
            shape["time_steps"] = data.shape[0]
    if options.checkpoint is None:
        if options.model is None:
            raise InputError("give a checkpoint (--ckpt FILE) or a model (--model NAME)")
        if data is not None and data.classes is not None:
            shape["num_classes"] = data.classes
        return saformer.build(options.model, **{**shape, **options.given}), [UNTRAINED_NOTE]

    path = resolve_checkpoint(options.checkpoint)
    model = saformer.load(path, weights=options.weights, **options.given)
    assert model.origin is not None  # set by load
    open_settings = {a.setting for a in model.origin.assumptions if a.source == "default"}
    fitting = {
        key: value
        for key, value in shape.items()
        if key in open_settings and value != getattr(model.config, key) and key not in options.given
    }
    if fitting:
        model = saformer.load(path, weights=options.weights, **{**options.given, **fitting})
    remarks = []
    assert model.origin is not None
    assumed = [a for a in model.origin.assumptions if a.source == "default" and a.setting not in fitting]
    if assumed:
        values = ", ".join(f"{a.setting} = {a.value}" for a in assumed)
        remarks.append(f"not stored in the checkpoint, taken by default: {values}")
    if fitting:
        values = ", ".join(f"{key} = {value}" for key, value in fitting.items())
        remarks.append(f"not stored in the checkpoint, taken from the data: {values}")
    if model.origin.unused_parameters:
        remarks.append(
            f"the checkpoint holds {model.origin.unused_parameters:,} parameters that no forward pass uses "
            f"({_kinds(model.origin.unused)})"
        )
    trained_on = ((model.origin.details or {}).get("training") or {}).get("dataset")
    if data is not None and trained_on in DATASETS and data.name in DATASETS and trained_on != data.name:
        remarks.append(f"the model was trained on {trained_on}, not on {data.name}")
    return model, remarks


def _kinds(names: tuple[str, ...]) -> str:
    kinds = {name.removesuffix(".weight").removesuffix(".bias").rpartition(".")[2] for name in names}
    return ", ".join(sorted(kinds))


def check_fit(model: "Model", data: "Dataset") -> None:
    """Raise InputError where the data has other images or classes than the model takes."""
    config = model.config
    wanted, found = (config.in_channels, config.image_size, config.image_size), tuple(data.shape[-3:])
    if wanted != found:
        raise InputError(
            f"{config.name} takes images of {_by(wanted)}, {data.name} has {_by(found)}: "
            "choose other data, or a model for these"
        )
    if data.classes is not None and data.classes != config.num_classes:
        raise InputError(
            f"{config.name} has {config.num_classes} classes, {data.name} has {data.classes}: "
            "choose the data set it was trained on"
        )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def choose_device(name: str) -> "torch.device":
    """The device of that name, "auto" for a GPU where there is one.

    Raises:
        InputError: there is no such device here.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name} is not available here: {str(error).splitlines()[0][:120]}") from None
    if device.type == "meta":
        raise InputError("--device meta computes nothing: choose cpu or cuda")
    return device


@contextmanager
def _enough_memory(batch_size: int) -> Iterator[None]:
    """Turn running out of memory into advice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        if not isinstance(error, MemoryError) and not any(
            sign in text for sign in ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate")
        ):
            raise
        advice = f"try --batch-size {batch_size // 2}" if batch_size > 1 else "the model does not fit even one image"
        raise InputError(f"out of memory with --batch-size {batch_size}: {advice}") from None


def run_profile(model: "nn.Module", data: "Dataset", run: RunOptions, remarks: list[str]) -> "Profile":
    """Profile the model on the data, with progress; the remarks become notes of the profile."""
    import torch

    from saformer.analysis import profile
    from saformer.analysis.energy import account_for
    from saformer.analysis.stopping import PrecisionRule
    from saformer.models import Model

    if isinstance(model, Model):
        check_fit(model, data)
    name = model.config.name if isinstance(model, Model) else type(model).__name__
    device = choose_device(run.device)
    dtype = {"float32": torch.float32, "float64": torch.float64}[run.dtype.value]
    torch.manual_seed(run.seed)
    limit, rule, target = run.limit, None, run.target()
    if target is not None:

        def half_width(so_far: "Profile", confidence: float) -> tuple[float | None, float]:
            account = account_for(so_far, run.accounting, run.hardware, confidence=confidence)
            return account.energy_mj_ci95, account.energy_mj

        rule = PrecisionRule(target, len(data), half_width)
    elif limit is None and data.split is not None:
        limit = DEFAULT_LIMIT
    limit = limit or None
    total = len(data) if limit is None else min(limit, len(data))
    settings = {"seed": run.seed, "batch_size": run.batch_size}
    to_input = None
    if run.time_first:
        steps = run.time_first
        to_input = lambda x: x.expand(steps, *x.shape) if x.ndim == 4 else x.transpose(0, 1)  # noqa: E731
    with _enough_memory(run.batch_size):
        try:
            model = model.to(device=device, dtype=dtype)
        except TypeError as error:
            raise InputError(
                f"--device {device} does not support {run.dtype.value}: {str(error).splitlines()[0]}"
            ) from None
        with progress(f"profiling {name} on {data.name}", total) as advance, _own_errors(model):
            result = profile(
                model,
                data.batches(run.batch_size, limit, run.seed, dtype, device, shuffled=rule is not None),
                data=data.name,
                split=data.split,
                name=name,
                time_steps=run.time_first,
                run=settings,
                graded=run.graded,
                to_input=to_input,
                enough=rule,
                progress=advance,
            )
    images = f"{result.images:,} of {len(data):,} images, drawn with seed {run.seed}"
    if rule is not None:
        result = replace(result, run={**result.run, "confidence": rule.confidence})
    if rule is not None and rule.reached is not None:
        looks = f"the interval is widened for the looks taken on the way ({rule.confidence:.2%} each)"
        remarks = [*remarks, f"{images}: enough for ±{rule.reached:.2%}; {looks}"]
    elif result.images < len(data):
        remarks = [*remarks, f"{images}; --limit 0 takes all"]
    return replace(result, notes=(*remarks, *result.notes))


@contextmanager
def _own_errors(model: "nn.Module") -> Iterator[None]:
    """A user's model may fail on the data in any way: one line, with its own words. Ours must not fail."""
    from saformer.models import Model

    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if isinstance(model, Model) or "memory" in str(error).lower():
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{type(model).__name__} failed on the data: {type(error).__name__}: {reason}") from None


def profile_from(options: ModelOptions, data: DataOptions, run: RunOptions) -> "Profile":
    """What the options ask for; with neither model nor data, the shipped SAFormer on digits."""
    if options.foreign:
        return _profile_foreign(options, data, run)
    if options.arguments or options.input_shape or options.time_first:
        raise InputError(
            "--model-arg, --input-shape and --time-first go with a model of your own: --model package.module:factory"
        )
    shown: list[str] = []
    if options.checkpoint is None and options.model is None:
        if data.named and data.dataset != "digits":
            raise InputError("give a checkpoint (--ckpt FILE) or a model (--model NAME) to run on this data")
        options = replace(options, checkpoint=DEFAULT_CHECKPOINT)
        shown = [f"no --ckpt given: this is {DEFAULT_CHECKPOINT}, a small SAFormer that comes with the program"]
    from saformer.checkpoints.shipped import SHIPPED

    default = "digits" if options.checkpoint in SHIPPED else None
    # The model first: a checkpoint at fault should not wait for a data set to be read.
    if options.checkpoint is not None:
        load_for(options, None)
    opened = open_data(data, default)
    model, remarks = load_for(options, opened)
    return run_profile(model, opened, run, [*shown, *remarks])


def _profile_foreign(options: ModelOptions, data: DataOptions, run: RunOptions) -> "Profile":
    from saformer.cli.foreign import load_foreign, random_data

    if options.given:
        option = next(iter(options.given)).replace("_", "-")
        raise InputError(f"--{option} is for our own models; yours takes --model-arg")
    run = replace(run, time_first=options.time_first)
    model = load_foreign(options.model or "", options.arguments or [], options.checkpoint, options.weights)
    remarks = [] if options.checkpoint else [UNTRAINED_NOTE]
    if data.named:
        if options.input_shape:
            raise InputError("--input-shape makes random inputs: leave it out where there is data")
        opened = open_data(data)
    elif options.input_shape:
        opened = random_data(options.input_shape, run.seed)
        remarks.append("the inputs are random: give --dataset or --input for rates that mean something")
    else:
        raise InputError("say what to run your model on: --input-shape C,H,W for random inputs, --dataset or --input")
    return run_profile(model, opened, run, remarks)
