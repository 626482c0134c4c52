"""From the options to a profile: a saved one, one made from given firing rates, or a run."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.analysis.profiles.metadata import StepsFrom
from saformer.cli.options.data import DataOptions, SavedOptions
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.data import data_for, default_dataset, open_data, reader_of, reads_tokens
from saformer.cli.resolve.foreign import foreign_model, model_input, own_errors
from saformer.cli.resolve.model import DEFAULT_CHECKPOINT, check_ours, load_for, read_for
from saformer.cli.resolve.random_inputs import random_data, random_inputs
from saformer.cli.resolve.run import run_profile
from saformer.distributed import is_main
from saformer.errors import InputError
from saformer.files import open_file

if TYPE_CHECKING:
    from saformer.analysis.profiles import Profile
    from saformer.data.dataset import Dataset
    from saformer.models import Model


RANDOM = "the inputs are random: give --dataset or --input for rates that mean something"


def profile_for(model: ModelOptions, data: DataOptions, run: RunOptions, instead: SavedOptions) -> "Profile":
    """The profile that the options ask for; ways of getting one that exclude each other are refused."""
    from saformer.analysis.profiles import Profile

    given = instead.rates is not None or instead.uniform_rate is not None
    if instead.from_profile is not None:
        if given:
            raise InputError("--from-profile holds firing rates: leave out --rates and --uniform-rate")
        if flags := (*model.flags, *data.flags, *run.flags):
            raise InputError(
                f"--from-profile answers from the file alone, nothing is run: leave out {', '.join(flags)}"
            )
    elif not given:
        return profile_from(model, data, run)
    if not is_main():
        raise SystemExit(0)  # there is nothing to share
    if instead.from_profile is not None:
        return Profile.load(instead.from_profile)
    return _from_rates(model, data, run, instead.rates, instead.uniform_rate)


def _from_rates(
    options: ModelOptions, data: DataOptions, run: RunOptions, rates: Path | None, uniform_rate: float | None
) -> "Profile":
    option = "--rates" if rates is not None else "--uniform-rate"
    if flags := (*data.flags, *run.flags):
        raise InputError(f"{option} stands for data, and nothing is run: leave out {', '.join(flags)}")
    if options.model is None or options.checkpoint is not None or options.weights is not None:
        raise InputError(f"{option} needs an architecture alone: give --model NAME, and no --ckpt or --weights")
    if options.foreign and not options.input_shape:
        raise InputError(f"{option} needs to know what your model reads: --input-shape C,H,W")
    if uniform_rate is not None and not 0 <= uniform_rate <= 1:
        raise InputError(f"--uniform-rate is a firing rate from 0 to 1, got {uniform_rate:g}")
    from saformer.analysis.recording.from_rates import profile_from_rates
    from saformer.analysis.recording.rates_table import read_rates

    table = None if rates is None else read_rates(rates)  # before the model: a file at fault should not wait
    network, shapes = (None, _foreign_shapes(options, run.seed)) if options.foreign else (_ours(options), None)
    made = profile_from_rates(
        network,
        table,
        uniform_rate,
        shapes=shapes,
        rate_at=(run.choices or {}).get("rate_at", "input"),
        name=None if rates is None else rates.name,
    )
    if options.foreign:
        return made
    steps = StepsFrom.SETTINGS if options.time_steps is None else StepsFrom.GIVEN
    return replace(made, run={**made.run, "time_steps_from": str(steps)})


def _ours(options: ModelOptions) -> "Model":
    check_ours(options)
    return load_for(options, None)[0]


def _foreign_shapes(options: ModelOptions, seed: int) -> "Profile":
    """Shapes of a model that is not ours, on one random input of the shape that the options give."""
    from saformer.analysis import profile
    from saformer.analysis.recording.random_spikes import foreign_shapes_of

    opened = random_data(options, seed)  # complains before a model is built
    batch = next(opened.batches(1))
    model, _ = foreign_model(options, seed)
    with own_errors(model):
        return foreign_shapes_of(
            model,
            lambda: profile(
                model,
                [batch],
                name=type(model).__name__,
                time_steps=options.steps,
                loop=options.loop,
                neurons=options.neurons or (),
                to_input=model_input(options),
                check_flops=False,
            ),
        )


def profile_from(options: ModelOptions, data: DataOptions, run: RunOptions) -> "Profile":
    """What the options ask for; with neither model nor data, the shipped SAFormer on digits."""
    if options.foreign:
        return _profile_foreign(options, data, run)
    raw = read_for(options)
    check_ours(options, tokens=options.random and reads_tokens(reader_of(options, raw)))
    shown = [RANDOM] if options.random else []
    if options.checkpoint is None and options.model is None:
        if data.named and data.dataset != "digits":
            raise InputError("give a checkpoint (--ckpt FILE) or a model (--model NAME) to run on this data")
        options = replace(options, checkpoint=DEFAULT_CHECKPOINT)
        shown = [f"no --ckpt given: this is {DEFAULT_CHECKPOINT}, a small SAFormer that comes with the program"]
        raw = read_for(options)
    opened = data_for(options, data, default_dataset([options.checkpoint]), raw, seed=run.seed)
    model, remarks = load_for(options, opened, raw, run.seed)
    del raw  # a second copy of the weights
    return run_profile(model, opened, run, [*shown, *remarks], options=options)


def _profile_foreign(options: ModelOptions, data: DataOptions, run: RunOptions) -> "Profile":
    random_inputs(options)  # complains before a model is built
    model, remarks = foreign_model(options, run.seed)
    if data.named:
        if options.random:
            raise InputError("--input-shape, --input-dtype and --high make random inputs: leave them out where data is")
        opened = open_data(data, time_steps=options.steps or options.loop, foreign=True)
    elif options.input_shape:
        opened = random_data(options, run.seed)
        remarks.append(RANDOM)
    else:
        raise InputError("say what to run your model on: --input-shape C,H,W for random inputs, --dataset or --input")
    if options.steps and opened.kind == "events" and opened.shape[0] != options.steps:
        option = "--time-steps" if options.time_first is None else "--time-first"
        raise InputError(f"the events have {opened.shape[0]} frames, not {options.steps}: {option} {opened.shape[0]}")
    return run_profile(model, opened, run, remarks, trained=bool(options.checkpoint), options=options)


# --- several, to lay side by side ---


def is_profile(path: str | Path) -> bool:
    """A JSON object, whatever it is called; checkpoints are binary."""
    try:
        with open_file(path) as file:
            return file.read(64).lstrip().startswith(b"{")
    except (InputError, OSError):
        return False


def check_run_options(models: list[str], data: DataOptions, run: RunOptions, also: tuple[str, ...] = ()) -> None:
    """Raise InputError for options of a run where there are profiles alone; `also` are flags that say something."""
    flags = [flag for flag in (*data.flags, *run.flags) if flag not in also]
    if flags and all(is_profile(what) for what in models):
        raise InputError(f"nothing is run, the numbers are there already: leave out {', '.join(flags)}")


def options_of(what: str) -> ModelOptions:
    """A checkpoint (file or shipped), or a model by its name; either with settings behind "+"."""
    from saformer.checkpoints.shipped import resolve_checkpoint
    from saformer.models.names import parse_name

    options = ModelOptions(checkpoint=what)
    assert options.checkpoint is not None
    if resolve_checkpoint(options.checkpoint).exists():
        return options
    try:
        parse_name(what)
    except InputError:
        raise InputError(
            f"{what!r} is no file, no shipped checkpoint and no model name: see `saformer models`"
        ) from None
    return ModelOptions(model=what)


def profiles_of(
    models: list[str], data: DataOptions, run: RunOptions, opened: "dict[tuple[Any, ...], Dataset]"
) -> "list[Profile]":
    """A profile of each: read where it is one, else recorded; `opened` keeps the data for who needs them again."""
    from saformer.analysis.profiles import Profile

    sources = [(what, None if is_profile(what) else options_of(what)) for what in models]
    default = default_dataset(models)
    profiles: list[Profile] = []
    for what, source in sources:
        if source is None:
            profiles.append(Profile.load(what))
            continue
        raw = read_for(source)
        found = data_for(source, data, default, raw, opened)
        model, remarks = load_for(source, found, raw, run.seed)
        profiles.append(run_profile(model, found, run, remarks))
    return profiles


def ours_of(ours: list[str] | None, models: list[str], names: list[str]) -> list[str]:
    """The short names of the models that --ours names, by that name or as they were given."""
    wanted = [names[models.index(name)] if name in models else name for name in ours or []]
    if missing := [name for name in wanted if name not in names]:
        raise InputError(f"--ours {missing[0]!r} is none of the models compared: {', '.join(names)}")
    return wanted


def names_of(models: list[str]) -> list[str]:
    """Short names that are still told apart: the file's own name, or the whole path where two are alike."""
    short = [Path(what).name if Path(what).is_file() else what for what in models]
    return [what if short.count(name) > 1 else name for what, name in zip(models, short, strict=True)]
