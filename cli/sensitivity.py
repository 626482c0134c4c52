"""`saformer sensitivity`: which firing rates move the energy most."""

from saformer.cli import options as opt
from saformer.cli.rates import profile_for
from saformer.cli.sources import DataOptions, ModelOptions, RunOptions
from saformer.cli.terminal import show
from saformer.errors import InputError


def sensitivity(
    ckpt: opt.Checkpoint = None,
    model: opt.Model = None,
    dataset: opt.DatasetName = None,
    data_dir: opt.DataDir = None,
    split: opt.Split = "test",
    input: opt.Input = None,
    split_by: opt.SplitBy = None,
    cache_dir: opt.CacheDir = None,
    from_profile: opt.FromProfile = None,
    rates: opt.Rates = None,
    uniform_rate: opt.UniformRate = None,
    limit: opt.Limit = None,
    top: opt.Top = 20,
    accounting: opt.AccountingName = "paper",
    hardware: opt.HardwareName = "45nm-fp32",
    first_layer: opt.FirstLayerCharge = opt.FirstLayer.repeat,
    weights: opt.Weights = None,
    time_steps: opt.TimeSteps = None,
    heads: opt.Heads = None,
    pooling: opt.Pooling = None,
    image_size: opt.ImageSize = None,
    aggregated: opt.Aggregated = None,
    batch_size: opt.BatchSize = 16,
    dtype: opt.Precision = opt.DType.float32,
    device: opt.Device = "auto",
    seed: opt.Seed = 0,
) -> None:
    """Which layers' firing rates move the energy most: where fewer spikes would save most.

    saformer sensitivity --model spikingformer-8-512 --rates published.csv
    """
    from saformer.analysis.accountings import get_accounting
    from saformer.analysis.hardware import load_hardware
    from saformer.analysis.sensitivity import sensitivities
    from saformer.reports.tables import SensitivityRow, sensitivity_table

    get_accounting(accounting)
    table = load_hardware(hardware)
    if top < 0:
        raise InputError(f"--top must be at least 1, or 0 for all operations, got {top}")
    settings = {
        "time_steps": time_steps,
        "heads": heads,
        "pooling": pooling,
        "image_size": image_size,
        "aggregated": aggregated,
    }
    profile = profile_for(
        ModelOptions(ckpt, model, weights, settings),
        DataOptions(dataset, data_dir, split, input, split_by, cache_dir),
        RunOptions(batch_size, limit, seed, dtype.value, device),
        from_profile,
        rates,
        uniform_rate,
    )
    once = first_layer is opt.FirstLayer.once
    account = profile.account(accounting, table, first_layer_once=once)
    rows = [
        SensitivityRow(s.name, s.firing_rate, s.energy_mj, s.per_point_mj, s.per_tenth_mj)
        for s in sensitivities(profile, accounting, table, once)
    ]
    show(
        f"{account.model.name} on {account.data.name}: {account.energy_mj:.4g} mJ per image "
        f"(accounting {accounting}, on {table.name})",
        sensitivity_table(rows, account.energy_mj, top or len(rows)),
        *(f"note: {note}" for note in account.notes),
    )
