"""`saformer summary`: the modules of a network, what they hold, and what a run on data shows of each."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import Format
from saformer.cli.options.panels import Panel
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.fold import fold_for
from saformer.cli.resolve.foreign import model_input, own_errors
from saformer.cli.resolve.layouts import layout_advice
from saformer.cli.resolve.network import (
    RANDOM,
    Network,
    check_reach,
    check_runs,
    checkpoint_of,
    data_of,
    default_data,
    network_of,
)
from saformer.cli.resolve.run import run_profile
from saformer.cli.resolve.source import Source, source_of
from saformer.cli.terminal.outputs import emit
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.analysis.diagnostics.module_tree import ModuleTree
    from saformer.data.dataset import Dataset

Depth = Annotated[
    int,
    typer.Option(
        "--depth", metavar="N", min=0, help="Levels of modules to show; 0 for all.", rich_help_panel=Panel.output
    ),
]
Step = Annotated[
    float | None,
    typer.Option(
        "--dt",
        metavar="SECONDS",
        help="Data time of one time step: adds synaptic operations per second.",
        rich_help_panel=Panel.output,
    ),
]


@command("summary")
def summary(
    model: ModelOptions,
    data: DataOptions,
    run: RunOptions,
    depth: Depth = 2,
    dt: Step = None,
    format: Format = None,
) -> None:
    """Modules of a network: shapes, parameters, bytes, zeros; with data, firing rates, updates and operations of each.

    What torchinfo shows, and the static and workload metrics of NeuroBench, in one run.

      saformer summary digits/saformer --depth 3

      saformer summary --model spikformer-4-384
    """
    from saformer.reports.tables.summary import summary_report

    if dt is not None and not 0 < dt < float("inf"):
        raise InputError(f"--dt is the seconds of one time step, such as 0.001, got {dt:g}")
    source = source_of(model)
    check_runs([source], "summary")
    check_reach([source], model)
    tree = _tree(source, data, run, default_data([source], data))
    if dt is not None and not tree.measured:
        raise InputError("--dt counts operations of a run: give --dataset or --input")
    if dt is not None and tree.execution_rate(dt) is None:
        raise InputError("--dt needs T, which neither the network nor its run shows: say it, --time-steps T")
    emit(summary_report(tree, depth, dt), format)


def _tree(source: Source, data: DataOptions, run: RunOptions, default: str | None) -> "ModuleTree":
    raw = checkpoint_of(source)
    measured = data.named or default is not None
    if not measured and not source.options.random and not source.foreign:
        return _without_data(source, run, network_of(source, None, raw, run.seed))
    found = data_of(source, data, default, raw, {}, run.seed)
    network = network_of(source, found, raw, run.seed)
    return _on_data(source, found, run, network, measured and not source.options.random)


def _on_data(source: Source, data: "Dataset", run: RunOptions, network: Network, measured: bool) -> "ModuleTree":
    from saformer.analysis.diagnostics.module_tree import shapes_of, tree_of
    from saformer.analysis.recording.module_log import ModuleLog

    module, options = network.module, source.options
    remarks = [*network.remarks, *([] if measured else [RANDOM])]
    batch = next(data.batches(1, 1, run.seed))
    if run.fold:
        module, remark = fold_for(module, batch[0], options)
        remarks.append(remark)
    settings = {"time_steps": options.steps, "loop": options.loop, "neurons": options.neurons or ()}
    with own_errors(module, advice=layout_advice(module, options, lambda _: batch[0])):
        shown = shapes_of(module, batch, to_input=model_input(options), **settings)
    log = ModuleLog()
    plain = replace(run, fold=False)
    result = run_profile(module, data, plain, remarks, network.trained, options, source.label, log)
    return tree_of(module, shown, log, result, measured)


def _without_data(source: Source, run: RunOptions, network: Network) -> "ModuleTree":
    from saformer.analysis.diagnostics.module_tree import module_tree
    from saformer.models.config import Model, example_input

    assert isinstance(network.module, Model)
    module, remarks = network.module, list(network.remarks)
    example = example_input(module)
    if run.fold:
        module, remark = fold_for(module, example, source.options)
        remarks.append(remark)
    tree = module_tree(module, [example], measured=False, check_flops=False, name=network.module.config.name)
    labelled = replace(tree.profile.model, label=source.label)
    return replace(tree, profile=replace(tree.profile, model=labelled, notes=tuple(remarks)))
