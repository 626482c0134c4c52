"""`saformer eval`: how many images of a data set a checkpoint classifies correctly."""

from typing import Annotated

import typer

from saformer.cli import options as opt
from saformer.cli.sources import DataOptions, ModelOptions, check_fit, choose_device, data_for, load_for
from saformer.cli.terminal import progress, show, tell
from saformer.errors import InputError


def evaluate(
    ckpt: opt.Checkpoint = None,
    dataset: opt.DatasetName = None,
    data_dir: opt.DataDir = None,
    split: opt.Split = "test",
    input: opt.Input = None,
    split_by: opt.SplitBy = None,
    cache_dir: opt.CacheDir = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="Images to draw at random; 0 for all.", rich_help_panel="Data")
    ] = 0,
    json: opt.Json = None,
    neurons: opt.Neurons = False,
    weights: opt.Weights = None,
    time_steps: opt.TimeSteps = None,
    heads: opt.Heads = None,
    pooling: opt.Pooling = None,
    image_size: opt.ImageSize = None,
    aggregated: opt.Aggregated = None,
    batch_size: opt.BatchSize = 64,
    device: opt.Device = "auto",
    seed: opt.Seed = 0,
) -> None:
    """Accuracy of a checkpoint on a data set: all of its test images unless told otherwise.

      saformer eval --ckpt run/best.safetensors --dataset cifar10 --data-dir ./data

    A static image can be shown for another number of steps than the network was trained with: -T 2.
    """
    import sys

    from saformer.checkpoints.shipped import SHIPPED
    from saformer.distributed import is_main, own_device, process_group
    from saformer.files import check_distinct, check_target, write_text_atomic
    from saformer.reports.evaluation import evaluation_json, evaluation_report
    from saformer.training import evaluate as run

    if ckpt is None:
        raise InputError("say which network: --ckpt FILE, such as run/best.safetensors")
    if limit < 0 or batch_size < 1:
        raise InputError(f"--limit must be at least 0 and --batch-size at least 1, got {limit} and {batch_size}")
    if json not in (None, "-"):
        check_distinct([json], [ckpt])
        check_target(json)
    settings = {
        "time_steps": time_steps,
        "heads": heads,
        "pooling": pooling,
        "image_size": image_size,
        "aggregated": aggregated,
    }
    options = ModelOptions(ckpt, None, weights, settings)
    data_options = DataOptions(dataset, data_dir, split, input, split_by, cache_dir)
    with process_group():
        data = data_for(options, data_options, "digits" if ckpt in SHIPPED else None)
        model, remarks = load_for(options, data)
        check_fit(model, data)
        chosen = own_device(choose_device(device))
        images = min(limit, len(data)) if limit else len(data)
        with progress(f"evaluating {model.config.name} on {data.name}", images) as advance:
            found = run(
                model.to(chosen),
                data,
                batch_size=batch_size,
                device=chosen,
                limit=limit or None,
                seed=seed,
                on_batch=advance,
            )
        if not is_main():
            return
        if json == "-":
            sys.stdout.write(evaluation_json(found, model, data))
            return
        show(evaluation_report(found, model, data, neurons=neurons))
        for remark in remarks:
            show(f"note: {remark}")
        if json is not None:
            write_text_atomic(json, evaluation_json(found, model, data))
            tell(f"wrote {json}")
