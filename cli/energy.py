"""`saformer energy`: what one inference costs, layer by layer."""

import sys
from dataclasses import replace

from saformer.cli import options as opt
from saformer.cli.rates import profile_for
from saformer.cli.sources import DataOptions, ModelOptions, RunOptions
from saformer.cli.terminal import show, tell
from saformer.errors import InputError


def energy(
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
    precision: opt.PrecisionTarget = None,
    layers: opt.Layers = False,
    neurons: opt.Neurons = False,
    json: opt.Json = None,
    csv: opt.Csv = None,
    plot: opt.Plot = None,
    save_profile: opt.SaveProfile = None,
    accounting: opt.AccountingOrAll = "paper",
    hardware: opt.HardwareOrAll = "45nm-fp32",
    first_layer: opt.FirstLayerCharge = opt.FirstLayer.repeat,
    graded: opt.GradedSpikes = opt.Graded.mac,
    memory: opt.Memory = None,
    weights: opt.Weights = None,
    model_arg: opt.ModelArguments = None,
    time_first: opt.TimeFirst = None,
    input_shape: opt.InputShape = None,
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
    """Energy of one inference, layer by layer, with an error bar.

    Runs a checkpoint on data, counts every synaptic operation exactly and charges it by Eqs. 18-20. Without
    --ckpt and --dataset, a small SAFormer trained on digits is shown.

      saformer energy --ckpt spikformer.pth.tar --dataset cifar10 --data-dir ./data

    Where somebody published firing rates, no data and no weights are needed:

      saformer energy --model spikingformer-8-512 --rates published.csv
    """
    from saformer.analysis.accountings import ACCOUNTINGS, get_accounting
    from saformer.analysis.hardware import hardware_names, load_hardware
    from saformer.analysis.memory import load_memory_model, memory_energy
    from saformer.files import check_distinct, check_target, write_text_atomic
    from saformer.reports.accountings_table import accountings_report
    from saformer.reports.hardware_table import hardware_report
    from saformer.reports.memory_table import json_text_with_memory, memory_report
    from saformer.reports.plots import check_format
    from saformer.reports.tables import energy_report, neuron_table
    from saformer.reports.writers import accounts_json_text, json_text, write_accounts_json, write_csv, write_json

    # Whatever can be wrong with the question is said before the run, not after.
    everywhere, every_way = hardware == "all", accounting == "all"
    if everywhere and every_way:
        raise InputError("--accounting all and --hardware all are two tables: ask for one at a time")
    accountings = list(ACCOUNTINGS) if every_way else [accounting]
    for name in accountings:
        get_accounting(name)
    tables = [load_hardware(name) for name in (hardware_names() if everywhere else [hardware])]
    for option, given in (("--layers", layers and everywhere), ("--csv", csv), ("--plot", plot), ("--memory", memory)):
        if (everywhere or every_way) and given:
            which = "hardware" if everywhere else "accounting"
            raise InputError(f"{option} shows one {which}: it cannot go with --{which} all")
    memory_model = None if memory is None else load_memory_model(memory)
    if plot is not None:
        check_format(plot)
    outputs = [path for path in (csv, plot, save_profile, None if json == "-" else json) if path is not None]
    inputs = [path for path in (ckpt, input, from_profile, rates, hardware) if path is not None]
    check_distinct(outputs, inputs)
    for path in outputs:
        check_target(path)

    settings = {
        "time_steps": time_steps,
        "heads": heads,
        "pooling": pooling,
        "image_size": image_size,
        "aggregated": aggregated,
    }
    model_options = ModelOptions(ckpt, model, weights, settings, tuple(model_arg or ()), input_shape)
    data_options = DataOptions(dataset, data_dir, split, input, split_by, cache_dir)
    unroll = graded is opt.Graded.unroll
    run_options = RunOptions(batch_size, limit, seed, dtype.value, device, precision, unroll, time_first)
    if precision is not None:  # what is to be precise is the energy that is shown; of several, the first
        run_options = replace(
            run_options, accounting=accountings[0], hardware=tables[0].name if everywhere else hardware
        )
    profile = profile_for(model_options, data_options, run_options, from_profile, rates, uniform_rate)
    once = first_layer is opt.FirstLayer.once
    accounts = [
        profile.account(name, table, first_layer_once=once, unroll=unroll) for name in accountings for table in tables
    ]
    account, several = accounts[0], everywhere or every_way
    memory_cost = None if memory_model is None else memory_energy(profile, memory_model, first_layer_once=once)

    if save_profile is not None:
        profile.save(save_profile)
        tell(f"wrote {save_profile}")
    if csv is not None:
        write_csv(account, csv)
        tell(f"wrote {csv}")
    if plot is not None:
        from saformer.reports.plots import energy_figure, save_figure

        save_figure(energy_figure(account), plot)
        tell(f"wrote {plot}")
    if json == "-":
        if memory_cost is not None:
            sys.stdout.write(json_text_with_memory(account, memory_cost))
        else:
            sys.stdout.write(accounts_json_text(accounts) if several else json_text(account))
        return
    if everywhere:
        show(hardware_report(accounts))
    elif every_way:
        show(accountings_report(accounts, layers=layers))
    else:
        show(energy_report(account, layers=layers))
    if memory_cost is not None:
        show("", memory_report(memory_cost, account, layers=layers))
    if neurons:
        show("", neuron_table(account))
    if json is not None:
        if several:
            write_accounts_json(accounts, json)
        elif memory_cost is not None:
            write_text_atomic(json, json_text_with_memory(account, memory_cost))
        else:
            write_json(account, json)
        tell(f"wrote {json}")
