"""From the options to a model, a data set and a profile, the same way in every command."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.analysis.profiles.origin import UNTRAINED_NOTE
from saformer.cli.options.groups import DataOptions, ModelOptions, RunOptions
from saformer.cli.terminal.console import progress
from saformer.distributed import own_device, rank, world_size
from saformer.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from saformer.analysis.profiles import Profile
    from saformer.checkpoints import RawCheckpoint
    from saformer.data.dataset import Dataset
    from saformer.models import Model

DEFAULT_LIMIT = 512
_MANY_STEPS = 64  # more than any published network takes
DEFAULT_CHECKPOINT = "digits/saformer"


def open_data(
    data: DataOptions, default: str | None = None, time_steps: int | None = None, image_size: int | None = None
) -> "Dataset":
    """Read the data.

    Args:
        data: what to open.
        default: the data set to take when none was named.
        time_steps: T of event frames, where the data set leaves it open.
        image_size: of event frames and of the images of a folder.
    """
    from saformer.data import open_arrays, open_dataset

    if data.input is not None:
        if data.split_by is not None:
            raise InputError("--split-by makes frames of events: the frames of --input are made already")
        if unused := [flag for flag in data.flags if flag != "--input"]:
            raise InputError(f"--input is all the data there is: leave out {', '.join(unused)}")
        return open_arrays(data.input)
    name = data.dataset or default
    if name == "digits" and (unused := [flag for flag in data.flags if flag in ("--data-dir", "--cache-dir")]):
        raise InputError(f"digits lies in the program: leave out {', '.join(unused)}, or name another --dataset")
    if name is None:
        raise InputError(
            "there is no data to run on: give --dataset NAME (see `saformer datasets`) or --input FILE.npz"
        )
    return open_dataset(
        name,
        data.data_dir,
        data.split,
        time_steps=time_steps,
        split_by=data.split_by,
        image_size=image_size,
        cache_dir=data.cache_dir,
        progress=progress,
    )


def default_dataset(names: Iterable[str | None]) -> str | None:
    """The data set where none is named: digits where a shipped checkpoint is among the names, else none."""
    from saformer.checkpoints.shipped import SHIPPED

    return "digits" if any(name in SHIPPED for name in names) else None


def read_for(options: ModelOptions) -> "RawCheckpoint | None":
    """The checkpoint file of the options, read once; None where they name a model."""
    from saformer.checkpoints import read_checkpoint
    from saformer.checkpoints.shipped import resolve_checkpoint

    return (
        None if options.checkpoint is None else read_checkpoint(resolve_checkpoint(options.checkpoint), options.weights)
    )


@contextmanager
def _flags_named(given: dict[str, Any], path: Path | None = None) -> Iterator[None]:
    """What is wrong with a setting that the user gave is said of the flag, not of the checkpoint."""
    try:
        yield
    except InputError as error:
        reason = str(error).removeprefix(f"checkpoint {path}: ")
        words = re.findall(r"\w+", reason)
        about = {key: value for key, value in given.items() if key in words} or given
        flags = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in about.items())
        raise InputError(f"{flags}: {reason}" + ("" if path is None else f" (checkpoint {path.name})")) from None


def _fitted(raw: "RawCheckpoint", options: ModelOptions, fitting: dict[str, Any] | None = None) -> "Model":
    """The model of a checkpoint with the settings of the user, and with those that the data show."""
    from saformer.checkpoints import model_from

    try:
        return model_from(raw, **{**options.given, **(fitting or {})})
    except InputError as error:
        if not options.given:
            raise
        try:
            model_from(raw)
        except InputError:
            raise error from None  # the checkpoint is at fault without the flags, too
        with _flags_named(options.given, raw.path):
            raise


def load_for(
    options: ModelOptions, data: "Dataset | None", raw: "RawCheckpoint | None" = None
) -> "tuple[Model, list[str]]":
    """The model of the options, fitted to the data where its file leaves a setting open, with remarks on it.

    Args:
        options: a checkpoint or the name of a model.
        data: what it is to run on, if that is known.
        raw: the checkpoint, if it has been read.
    """
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
        settings = {**shape, **options.given}
        if options.given:
            with _flags_named(options.given):
                return saformer.build(options.model, **settings), [UNTRAINED_NOTE]
        return saformer.build(options.model, **settings), [UNTRAINED_NOTE]

    raw = raw or read_for(options)
    assert raw is not None
    model = _fitted(raw, options)
    assert model.origin is not None  # set by load
    open_settings = {a.setting for a in model.origin.assumptions if a.source == "default"}
    fitting = {
        key: value
        for key, value in shape.items()
        if key in open_settings and value != getattr(model.config, key) and key not in options.given
    }
    if fitting:
        model = _fitted(raw, options, fitting)
    remarks = []
    if Path(options.checkpoint).is_dir():
        remarks.append(f"{options.checkpoint} is the network in the package, not the folder of that name here")
    assert model.origin is not None
    assumed = [a for a in model.origin.assumptions if a.source == "default" and a.setting not in fitting]
    if assumed:
        values = ", ".join(f"{a.setting} = {a.value}" for a in assumed)
        remarks.append(f"not stored in the checkpoint, taken by default: {values}")
    for a in model.origin.assumptions:
        if a.source == "given" and a.stored is not None and a.stored != a.value and a.setting in options.given:
            flag = "--" + a.setting.replace("_", "-")
            remarks.append(f"{flag} {a.value} was given; the checkpoint stores {a.setting} = {a.stored}")
    if fitting:
        values = ", ".join(f"{key} = {value}" for key, value in fitting.items())
        remarks.append(f"not stored in the checkpoint, taken from the data: {values}")
    if model.origin.unused_parameters:
        remarks.append(
            f"the checkpoint holds {model.origin.unused_parameters:,} parameters that no forward pass uses "
            f"({_kinds(model.origin.unused)})"
        )
    before = trained_on(model)
    if data is not None and before is not None and data.name in DATASETS and before != data.name:
        remarks.append(f"the model was trained on {before}, not on {data.name}")
    return model, remarks


def trained_on(model: "Model") -> str | None:
    """The data set that the checkpoint of the model was trained on, where it says one that can be opened."""
    from saformer.data import DATASETS

    name = model.origin.training.get("dataset") if model.origin else None
    return name if isinstance(name, str) and name in DATASETS else None


def data_for(
    options: ModelOptions,
    data: DataOptions,
    default: str | None = None,
    raw: "RawCheckpoint | None" = None,
    opened: "dict[tuple[Any, ...], Dataset] | None" = None,
) -> "Dataset":
    """The data as the model takes it: event frames of its T and size, images of a folder of its size.

    Args:
        options: the model; a checkpoint is loaded first, as one at fault should not wait for data to be read.
        data: what to open.
        default: the data set to take when none was named.
        raw: the checkpoint, if it has been read.
        opened: what has been opened for other models of the same command, and is taken again.
    """
    settings = {key: options.given.get(key) for key in ("time_steps", "image_size")}
    if options.checkpoint is not None:
        model, _ = load_for(options, None, raw)
        assert model.origin is not None  # set by load
        open_settings = {a.setting for a in model.origin.assumptions if a.source == "default"}
        for key in settings.keys() - open_settings:
            settings[key] = getattr(model.config, key)
    opened = {} if opened is None else opened
    wanted = tuple(settings.values())
    if wanted not in opened:
        opened[wanted] = open_data(data, default, **settings)
    return opened[wanted]


def _kinds(names: tuple[str, ...]) -> str:
    kinds = {name.removesuffix(".weight").removesuffix(".bias").rpartition(".")[2] for name in names}
    return ", ".join(sorted(kinds))


def check_fit(model: "Model", data: "Dataset") -> None:
    """Raise InputError where the data has other images or classes than the model takes."""
    config = model.config
    wanted, found = (config.in_channels, config.image_size, config.image_size), tuple(data.shape[-3:])
    if found[-1] != found[-2]:
        raise InputError(
            f"{data.name} has images of {_by(found)}, and the models here take square ones only: crop or pad them to "
            f"{_by(wanted)}, or bring a model of your own (--model package.module:factory)"
        )
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
    except (RuntimeError, AssertionError, ImportError, NotImplementedError):
        available = ["auto", "cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        if torch.backends.mps.is_available():
            available.append("mps")
        raise InputError(
            f"--device {name}: there is no such device here, choose one of {', '.join(available)}"
        ) from None
    if device.type == "meta":
        raise InputError("--device meta computes nothing: choose cpu or cuda")
    return device


def out_of_memory(error: BaseException) -> bool:
    """The error says that there is not enough memory, in the words of Python, torch or a GPU."""
    text = str(error).lower()
    signs = (
        "out of memory",
        "can't allocate memory",
        "not enough memory",
        "cannot allocate",
        "storage size calculation overflowed",
        "invalid shape dimension",
    )
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(sign in text for sign in signs))


@contextmanager
def _enough_memory(images: int, time_steps: int | None) -> Iterator[None]:
    """Turn running out of memory into advice: fewer images at a time, or fewer steps where their number is unusual."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        if time_steps is not None and time_steps > _MANY_STEPS:
            what, advice = f"T = {time_steps:,} time steps", "try fewer (--time-steps; published networks have 4 to 16)"
        elif images > 1:
            what, advice = f"{images:,} images at a time", f"try --batch-size {images // 2}"
        else:
            what, advice = "one image at a time", "the model does not fit even one image"
        raise InputError(f"out of memory with {what}: {advice}") from None


def run_profile(model: "nn.Module", data: "Dataset", run: RunOptions, remarks: list[str]) -> "Profile":
    """Profile the model on the data, with progress; the remarks become notes of the profile."""
    import torch

    from saformer.analysis import profile
    from saformer.analysis.accounting.energy import account_for
    from saformer.analysis.profiles.distributed import check_same_model, gather
    from saformer.analysis.statistics.stopping import PrecisionRule
    from saformer.models import Model

    if isinstance(model, Model):
        check_fit(model, data)
    name = model.config.name if isinstance(model, Model) else type(model).__name__
    device = own_device(choose_device(run.device))
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
    _check_processes(run, total)
    settings = {"seed": run.seed, "batch_size": run.batch_size}
    to_input = time_first_input(run.time_first) if run.time_first else None
    steps = run.time_first or (model.config.time_steps if isinstance(model, Model) else None)
    with _enough_memory(min(run.batch_size, total), steps):
        try:
            model = model.to(device=device, dtype=dtype)
        except TypeError as error:
            raise InputError(
                f"--device {device} does not support {run.dtype.value}: {str(error).splitlines()[0]}"
            ) from None
        check_same_model(model)
        with progress(f"profiling {name} on {data.name}", total) as advance, own_errors(model):
            result = profile(
                model,
                data.batches(
                    run.batch_size,
                    limit,
                    run.seed,
                    dtype,
                    device,
                    shuffled=rule is not None,
                    part=(rank(), world_size()),
                ),
                data=data.name,
                split=data.split,
                name=name,
                time_steps=run.time_first,
                run=settings,
                graded=run.graded,
                to_input=to_input,
                enough=rule,
                progress=lambda images: advance(images * world_size()),
            )
    whole = gather(result)
    if whole is None:
        raise SystemExit(0)  # this process has done its part: the first goes on with the sum
    result = whole
    images = f"{result.images:,} of {len(data):,} images, drawn with seed {run.seed}"
    if rule is not None:
        result = replace(result, run={**result.run, "confidence": rule.confidence})
    if rule is not None and rule.reached is not None:
        looks = f"the interval is widened for the looks taken on the way ({rule.confidence:.2%} each)"
        remarks = [*remarks, f"{images}: enough for ±{rule.reached:.2%}; {looks}"]
    elif result.images < len(data):
        remarks = [*remarks, f"{images}; --limit 0 takes all"]
    return replace(result, notes=(*remarks, *result.notes))


def _check_processes(run: RunOptions, images: int) -> None:
    """Complain of what several processes cannot do."""
    if world_size() == 1:
        return
    if run.precision is not None:
        raise InputError("--precision runs in one process: leave out torchrun, or give --limit")
    batches = -(-images // run.batch_size)
    if batches < world_size():
        raise InputError(
            f"{world_size()} processes for {batches} batches of {images:,} images: start fewer, or lower --batch-size"
        )


@contextmanager
def own_errors(model: "nn.Module") -> Iterator[None]:
    """A user's model may fail on the data in any way: one line, with its own words. Ours must not fail."""
    from saformer.models import Model

    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if isinstance(model, Model) or out_of_memory(error):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{type(model).__name__} failed on the data: {type(error).__name__}: {reason}") from None


def check_ours(options: ModelOptions) -> None:
    """Raise InputError for what only a model of the user's own takes."""
    if options.arguments or options.input_shape or options.time_first:
        raise InputError(
            "--model-arg, --input-shape and --time-first go with a model of your own: --model package.module:factory"
        )


def profile_from(options: ModelOptions, data: DataOptions, run: RunOptions) -> "Profile":
    """What the options ask for; with neither model nor data, the shipped SAFormer on digits."""
    if options.foreign:
        return _profile_foreign(options, data, run)
    check_ours(options)
    shown: list[str] = []
    if options.checkpoint is None and options.model is None:
        if data.named and data.dataset != "digits":
            raise InputError("give a checkpoint (--ckpt FILE) or a model (--model NAME) to run on this data")
        options = replace(options, checkpoint=DEFAULT_CHECKPOINT)
        shown = [f"no --ckpt given: this is {DEFAULT_CHECKPOINT}, a small SAFormer that comes with the program"]
    raw = read_for(options)
    opened = data_for(options, data, default_dataset([options.checkpoint]), raw)
    model, remarks = load_for(options, opened, raw)
    del raw  # a second copy of the weights
    return run_profile(model, opened, run, [*shown, *remarks])


def time_first_input(steps: int) -> "Callable[[torch.Tensor], torch.Tensor]":
    """What makes T x B x ... of images, by repeating them, or of event frames."""
    return lambda x: x.expand(steps, *x.shape) if x.ndim == 4 else x.transpose(0, 1)


def foreign_model(options: ModelOptions) -> "nn.Module":
    """The user's own model; settings that only our own models have are refused."""
    from saformer.cli.resolve.foreign import load_foreign

    if options.given:
        option = next(iter(options.given)).replace("_", "-")
        raise InputError(f"--{option} is for our own models; yours takes --model-arg")
    return load_foreign(options.model or "", options.arguments or [], options.checkpoint, options.weights)


def _profile_foreign(options: ModelOptions, data: DataOptions, run: RunOptions) -> "Profile":
    from saformer.cli.resolve.foreign import random_data

    run = replace(run, time_first=options.time_first)
    model = foreign_model(options)
    remarks = [] if options.checkpoint else [UNTRAINED_NOTE]
    if data.named:
        if options.input_shape:
            raise InputError("--input-shape makes random inputs: leave it out where there is data")
        opened = open_data(data, time_steps=run.time_first)
    elif options.input_shape:
        opened = random_data(options.input_shape, run.seed)
        remarks.append("the inputs are random: give --dataset or --input for rates that mean something")
    else:
        raise InputError("say what to run your model on: --input-shape C,H,W for random inputs, --dataset or --input")
    if run.time_first and opened.kind == "events" and opened.shape[0] != run.time_first:
        raise InputError(
            f"the events have {opened.shape[0]} frames, not {run.time_first}: --time-first {opened.shape[0]}"
        )
    return run_profile(model, opened, run, remarks)
