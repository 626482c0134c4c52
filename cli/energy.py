"""`saformer energy`: what one inference costs, layer by layer."""

import sys

from saformer.cli import options as opt
from saformer.cli.sources import DataOptions, ModelOptions, RunOptions, profile_from
from saformer.cli.terminal import show, tell
from saformer.errors import InputError


def energy(
    ckpt: opt.Checkpoint = None,
    model: opt.Model = None,
    dataset: opt.DatasetName = None,
    data_dir: opt.DataDir = None,
    split: opt.Split = "test",
    input: opt.Input = None,
    from_profile: opt.FromProfile = None,
    limit: opt.Limit = None,
    layers: opt.Layers = False,
    neurons: opt.Neurons = False,
    json: opt.Json = None,
    csv: opt.Csv = None,
    plot: opt.Plot = None,
    save_profile: opt.SaveProfile = None,
    accounting: opt.AccountingName = "paper",
    hardware: opt.HardwareOrAll = "45nm-fp32",
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
    """Energy of one inference, layer by layer, with an error bar.

    Runs a checkpoint on data, counts every synaptic operation exactly and charges it by Eqs. 18-20. Without
    --ckpt and --dataset, a small SAFormer trained on digits is shown.

      saformer energy --ckpt spikformer.pth.tar --dataset cifar10 --data-dir ./data
    """
    from saformer.analysis.accountings import get_accounting
    from saformer.analysis.hardware import hardware_names, load_hardware
    from saformer.analysis.profiles import Profile
    from saformer.files import check_target
    from saformer.reports.hardware_table import hardware_report
    from saformer.reports.plots import check_format
    from saformer.reports.tables import energy_report, neuron_table
    from saformer.reports.writers import accounts_json_text, json_text, write_accounts_json, write_csv, write_json

    # Whatever can be wrong with the question is said before the run, not after.
    get_accounting(accounting)
    everywhere = hardware == "all"
    tables = [load_hardware(name) for name in (hardware_names() if everywhere else [hardware])]
    for option, given in (("--layers", layers), ("--csv", csv), ("--plot", plot)):
        if everywhere and given:
            raise InputError(f"{option} shows one hardware: it cannot go with --hardware all")
    if plot is not None:
        check_format(plot)
    for path in (csv, plot, save_profile, None if json == "-" else json):
        if path is not None:
            check_target(path)

    settings = {
        "time_steps": time_steps,
        "heads": heads,
        "pooling": pooling,
        "image_size": image_size,
        "aggregated": aggregated,
    }
    model_options = ModelOptions(ckpt, model, weights, settings)
    data_options = DataOptions(dataset, data_dir, split, input)
    run_options = RunOptions(batch_size, limit, seed, dtype.value, device)
    if from_profile is not None:
        if ckpt or model or data_options.named:
            raise InputError(
                "--from-profile answers from the file alone: leave out --ckpt, --model, --dataset and --input"
            )
        profile = Profile.load(from_profile)
    else:
        profile = profile_from(model_options, data_options, run_options)
    once = first_layer is opt.FirstLayer.once
    accounts = [profile.account(accounting, table, first_layer_once=once) for table in tables]
    account = accounts[0]

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
        sys.stdout.write(accounts_json_text(accounts) if everywhere else json_text(account))
        return
    show(hardware_report(accounts) if everywhere else energy_report(account, layers=layers))
    if neurons:
        show("", neuron_table(account))
    if json is not None:
        if everywhere:
            write_accounts_json(accounts, json)
        else:
            write_json(account, json)
        tell(f"wrote {json}")
