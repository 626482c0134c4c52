"""`saformer audit`: is this network spike-driven?"""

import sys

from saformer.cli import options as opt
from saformer.cli.sources import DataOptions, ModelOptions, RunOptions, profile_from
from saformer.cli.terminal import show, tell
from saformer.errors import InputError


def audit(
    ckpt: opt.Checkpoint = None,
    model: opt.Model = None,
    model_arg: opt.ModelArguments = None,
    dataset: opt.DatasetName = None,
    data_dir: opt.DataDir = None,
    split: opt.Split = "test",
    input: opt.Input = None,
    split_by: opt.SplitBy = None,
    cache_dir: opt.CacheDir = None,
    input_shape: opt.InputShape = None,
    from_profile: opt.FromProfile = None,
    limit: opt.Limit = None,
    hardware: opt.HardwareName = "45nm-fp32",
    json: opt.Json = None,
    weights: opt.Weights = None,
    time_steps: opt.TimeSteps = None,
    time_first: opt.TimeFirst = None,
    heads: opt.Heads = None,
    pooling: opt.Pooling = None,
    image_size: opt.ImageSize = None,
    aggregated: opt.Aggregated = None,
    batch_size: opt.BatchSize = 16,
    dtype: opt.Precision = opt.DType.float32,
    device: opt.Device = "auto",
    seed: opt.Seed = 0,
) -> None:
    """Is this network spike-driven? Inputs that are not binary, where they come from, and what equations leave out.

    saformer audit --ckpt digits/spikformer
    """
    from json import dumps

    from saformer.analysis.audit import audit as examine
    from saformer.analysis.hardware import load_hardware
    from saformer.analysis.profiles import Profile
    from saformer.files import check_target, write_text_atomic
    from saformer.reports.audit_report import audit_report

    table = load_hardware(hardware)
    if json is not None and json != "-":
        check_target(json)
    settings = {
        "time_steps": time_steps,
        "heads": heads,
        "pooling": pooling,
        "image_size": image_size,
        "aggregated": aggregated,
    }
    model_options = ModelOptions(ckpt, model, weights, settings, tuple(model_arg or ()), input_shape)
    data_options = DataOptions(dataset, data_dir, split, input, split_by, cache_dir)
    if from_profile is not None:
        if ckpt or model or data_options.named:
            raise InputError(
                "--from-profile answers from the file alone: leave out --ckpt, --model, --dataset and --input"
            )
        profile = Profile.load(from_profile)
    else:
        run = RunOptions(batch_size, limit, seed, dtype.value, device, time_first=time_first)
        profile = profile_from(model_options, data_options, run)
    result = examine(profile, table)
    text = dumps(result.to_json(), indent=2) + "\n"
    if json == "-":
        sys.stdout.write(text)
        return
    show(f"{profile.model.name} on {profile.data.name}, {profile.images} images", "", audit_report(result))
    for note in profile.notes:
        show(f"note: {note}")
    if json is not None:
        write_text_atomic(json, text)
        tell(f"wrote {json}")
