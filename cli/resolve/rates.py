"""From the options to a profile: a saved one, one made from given firing rates, or a run."""

from pathlib import Path
from typing import TYPE_CHECKING

from saformer.cli.options.groups import DataOptions, ModelOptions, RunOptions, SavedOptions
from saformer.cli.resolve.model import check_ours, load_for, profile_from
from saformer.distributed import is_main
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.analysis.profiles import Profile


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
    if options.model is None or options.weights is not None:
        raise InputError(f"{option} needs an architecture alone: give --model NAME, and no --ckpt or --weights")
    if options.foreign:
        raise InputError(f"{option} needs one of our own models: see `saformer models`")
    check_ours(options)
    if uniform_rate is not None and not 0 <= uniform_rate <= 1:
        raise InputError(f"--uniform-rate is a firing rate from 0 to 1, got {uniform_rate:g}")
    from saformer.analysis.profiles.from_rates import profile_from_rates, read_rates

    table = None if rates is None else read_rates(rates)  # before the model: a file at fault should not wait
    network, _ = load_for(options, None)
    return profile_from_rates(network, table, uniform_rate, name=None if rates is None else rates.name)
