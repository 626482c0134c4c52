"""From sources to profiles: saved ones, ones made from given firing rates, or runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from saformer.analysis.profiles.metadata import StepsFrom
from saformer.cli.options.data import DataOptions, SavedOptions
from saformer.cli.options.groups import Options
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.foreign import model_input, own_errors
from saformer.cli.resolve.layouts import layout_advice
from saformer.cli.resolve.model import load_for
from saformer.cli.resolve.network import (
    RANDOM,
    Opened,
    check_reach,
    checkpoint_of,
    data_of,
    default_data,
    network_of,
)
from saformer.cli.resolve.random_inputs import random_data
from saformer.cli.resolve.run import run_profile
from saformer.cli.resolve.source import Source
from saformer.distributed import is_main
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.analysis.profiles import Profile

_ALWAYS = ("--label", "--from-profile")  # what a saved profile takes, too


def profile_for(source: Source, data: DataOptions, run: RunOptions, instead: SavedOptions) -> "Profile":
    """The profile of the one network of a command; ways of getting one that exclude each other are refused."""
    given = instead.rates is not None or instead.uniform_rate is not None
    if source.saved:
        if given:
            raise InputError("--from-profile holds firing rates: leave out --rates and --uniform-rate")
        _check_saved(source.options, data, run)
    elif not given:
        return _run(source, data, run)
    if not is_main():
        raise SystemExit(0)  # there is nothing to share
    if source.saved:
        return _loaded(source)
    return _from_rates(source, data, run, instead.rates, instead.uniform_rate)


def _check_saved(*groups: Options) -> None:
    if flags := [flag for group in groups for flag in group.flags if flag not in _ALWAYS]:
        raise InputError(f"a saved profile answers from the file alone, nothing is run: leave out {', '.join(flags)}")


def _loaded(source: Source) -> "Profile":
    from saformer.analysis.profiles import Profile

    found = Profile.load(source.what)
    return found if source.label is None else replace(found, model=replace(found.model, label=source.label))


def _from_rates(
    source: Source, data: DataOptions, run: RunOptions, rates: Path | None, uniform_rate: float | None
) -> "Profile":
    option, options = "--rates" if rates is not None else "--uniform-rate", source.options
    if flags := (*data.flags, *run.flags):
        raise InputError(f"{option} stands for data, and nothing is run: leave out {', '.join(flags)}")
    if source.implied or options.checkpoint is not None or options.weights is not None:
        raise InputError(f"{option} needs an architecture alone: give --model NAME, and no --ckpt or --weights")
    if source.foreign and not options.input_shape:
        raise InputError(f"{option} needs to know what your model reads: --input-shape C,H,W")
    if uniform_rate is not None and not 0 <= uniform_rate <= 1:
        raise InputError(f"--uniform-rate is a firing rate from 0 to 1, got {uniform_rate:g}")
    from saformer.analysis.recording.rates.from_rates import profile_from_rates
    from saformer.analysis.recording.rates.rates_table import read_rates

    check_reach([source], options)
    table = None if rates is None else read_rates(rates)  # before the model: a file at fault should not wait
    made = profile_from_rates(
        None if source.foreign else load_for(options, None)[0],
        table,
        uniform_rate,
        shapes=_foreign_shapes(source, run.seed) if source.foreign else None,
        rate_at=(run.choices or {}).get("rate_at", "input"),
        name=None if rates is None else rates.name,
    )
    made = replace(made, model=replace(made.model, label=source.label))
    if source.foreign:
        return made
    steps = StepsFrom.SETTINGS if options.time_steps is None else StepsFrom.GIVEN
    return replace(made, run={**made.run, "time_steps_from": str(steps)})


def _foreign_shapes(source: Source, seed: int) -> "Profile":
    """Shapes of a model that is not ours, on one random input of the shape that the options give."""
    from saformer.analysis import profile
    from saformer.analysis.recording.beforehand.random_spikes import foreign_shapes_of

    options = source.options
    opened = random_data(options, seed)  # complains before a model is built
    batch = next(opened.batches(1))
    model = network_of(source, None, seed=seed).module
    with own_errors(model, advice=layout_advice(model, options, lambda count: next(opened.batches(count))[0])):
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


def _run(source: Source, data: DataOptions, run: RunOptions) -> "Profile":
    """A run of the network that was named; where none was, of the shipped SAFormer on digits."""
    from saformer.data import DATASETS

    if source.implied and data.named and data.dataset != "digits":
        if data.dataset is not None:
            DATASETS.find(data.dataset)  # a name that is none is what is wrong
        raise InputError("give a checkpoint (--ckpt FILE) or a model (--model NAME) to run on this data")
    check_reach([source], source.options)
    shown = []
    if source.implied:
        shown = [f"no --ckpt given: this is {source.what}, a small SAFormer that comes with the program"]
    return _profile(source, data, run, default_data([source], data), {}, shown)


def _profile(
    source: Source,
    data: DataOptions,
    run: RunOptions,
    default: str | None,
    opened: Opened,
    shown: Sequence[str] = (),
) -> "Profile":
    # Data at fault should not wait for a user's model, and a checkpoint at fault not for data.
    raw = checkpoint_of(source)
    found = data_of(source, data, default, raw, opened, run.seed)
    network = network_of(source, found, raw, run.seed)
    del raw  # a second copy of the weights
    random = [RANDOM] if source.options.random else []
    remarks = [*shown, *network.remarks, *random]
    return run_profile(network.module, found, run, remarks, network.trained, source.options, source.label)


# --- several, to lay side by side ---


def check_run_options(sources: Sequence[Source], *groups: Options, also: tuple[str, ...] = ()) -> None:
    """Raise InputError for options of a run where there are profiles alone; `also` are flags that say something."""
    flags = [flag for group in groups for flag in group.flags if flag not in (*also, *_ALWAYS, "--ckpt", "--model")]
    if flags and all(source.saved for source in sources):
        raise InputError(f"nothing is run, the numbers are there already: leave out {', '.join(flags)}")


def profiles_of(sources: Sequence[Source], data: DataOptions, run: RunOptions, opened: Opened) -> "list[Profile]":
    """A profile of each: read where it is one, else recorded; `opened` keeps the data for who needs them again."""
    default = default_data(sources, data)
    return [_loaded(s) if s.saved else _profile(s, data, run, default, opened) for s in sources]
