"""`saformer sweep`: one setting of a network at several values."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saformer.cli.options import groups as opt
from saformer.cli.options.groups import ModelOptions, RunOptions
from saformer.cli.resolve.model import (
    DEFAULT_CHECKPOINT,
    choose_device,
    data_for,
    default_dataset,
    load_for,
    run_profile,
)
from saformer.cli.terminal.console import progress, tell
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.analysis.accounting.hardware import Hardware
    from saformer.analysis.complexity.latency import Resources
    from saformer.data.dataset import Dataset
    from saformer.models import Model
    from saformer.reports.results.sweep import Sweep


class Parameter(StrEnum):
    """What is swept."""

    time_steps = "time-steps"
    aggregated = "aggregated"

    @property
    def setting(self) -> str:
        """Its name in the configuration."""
        return self.value.replace("-", "_")


@dataclass(frozen=True, kw_only=True)
class SweepRunOptions(RunOptions):
    """How to run; batches of 64 as in the paper's section 4.5."""

    batch_size: opt.BatchSize = 64


def sweep(
    parameter: Annotated[Parameter, typer.Argument(metavar="time-steps|aggregated", help="What to vary.")],
    values: Annotated[str, typer.Argument(metavar="A,B,...", help="Its values, such as 1,2,4,6.")],
    data: opt.DataOptions,
    run: SweepRunOptions,
    ckpt: Annotated[
        list[str] | None,
        typer.Option(
            "--ckpt",
            metavar="FILE",
            help="Checkpoint; repeat it for one per value, in their order.",
            rich_help_panel="Model",
        ),
    ] = None,
    model: opt.Untrained = None,
    weights: opt.Weights = None,
    accounting: opt.AccountingName = "paper",
    hardware: opt.HardwareName = "45nm-fp32",
    format: opt.Format = None,
    json: opt.Json = None,
    csv: opt.Csv = None,
    plot: opt.Plot = None,
) -> None:
    """Vary a setting: accuracy, operations, energy, time and memory at each value (Figures 5 and 6).

    saformer sweep time-steps 1,2,4,6 --ckpt digits/saformer

    saformer sweep aggregated 1,2,4,8,16,64 --ckpt digits/saformer
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.accounting.rules import get_accounting
    from saformer.reports.figures.saving import check_format, save_figure
    from saformer.reports.figures.sweep import sweep_figure
    from saformer.reports.tables.sweep import sweep_report

    get_accounting(accounting)
    table = load_hardware(hardware)
    wanted = _values(parameter, values)
    if plot is not None:
        check_format(plot)
    outputs = plan(format, json, csv, files={"--plot": plot}, inputs=[*(ckpt or []), data.input, opt.file_of(hardware)])
    options = _sources(wanted, ckpt, model, weights)
    opened = data_for(options[0], data, default_dataset(one.checkpoint for one in options))
    result = swept(parameter, dict(zip(wanted, options, strict=True)), opened, run, accounting, table)
    if plot is not None:
        save_figure(sweep_figure(result), plot)
        tell(f"wrote {plot}")
    outputs.emit(sweep_report(result))


def swept(
    parameter: Parameter,
    options: dict[int, ModelOptions],
    data: "Dataset",
    run: RunOptions,
    accounting: str,
    hardware: "Hardware",
) -> "Sweep":
    """Run the network of each value on the data, and measure its time and memory."""
    from saformer.reports.results.sweep import Sweep, SweepPoint

    device = choose_device(run.device)
    networks = [_network(one, parameter, value, data) for value, one in options.items()]
    accounts = [
        run_profile(network, data, run, remarks).account(accounting, hardware) for network, remarks, _ in networks
    ]
    resources = _measure([network for network, _, _ in networks], data, run)
    points = [
        SweepPoint(value, account, taken.seconds, taken.peak_bytes, trained_at)
        for value, account, taken, (_, _, trained_at) in zip(options, accounts, resources, networks, strict=True)
    ]
    return Sweep(parameter.setting, points, min(run.batch_size, len(data)), _where(device.type))


def _values(parameter: Parameter, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part.isdecimal() or int(part) < 1:
            raise InputError(f"{parameter} takes whole numbers >= 1 with commas between, such as 1,2,4; got {part!r}")
    found = [int(part) for part in parts]
    if len(set(found)) < len(found):
        raise InputError(f"{parameter}: each value once, got {text}")
    return found


def _sources(values: list[int], ckpt: list[str] | None, model: str | None, weights: str | None) -> list[ModelOptions]:
    """The model of each value: one checkpoint for all, one each, or an untrained network."""
    if model is not None:
        if ckpt:
            raise InputError("give either --ckpt or --model, not both: a checkpoint shows its own architecture")
        if weights is not None:
            raise InputError("--weights chooses among the weights of a checkpoint: give --ckpt, not --model")
        return [ModelOptions(model=model)] * len(values)
    ckpt = ckpt or [DEFAULT_CHECKPOINT]
    if len(ckpt) not in (1, len(values)):
        raise InputError(f"{len(values)} values and {len(ckpt)} checkpoints: give one --ckpt, or one for each value")
    return [ModelOptions(checkpoint=one, weights=weights) for one in (ckpt if len(ckpt) > 1 else ckpt * len(values))]


def _network(
    options: ModelOptions, parameter: Parameter, value: int, data: "Dataset"
) -> "tuple[Model, list[str], int | None]":
    """The network at that value, remarks on it, and the value that it was trained with where that is known."""
    plain, _ = load_for(options, data)
    if not hasattr(plain.config, parameter.setting):
        raise InputError(f"{plain.config.name} has no aggregated tokens: sweep a saformer, or time-steps")
    if parameter is Parameter.aggregated:
        tokens = plain.config.tokens
        if value > tokens or tokens % value:
            raise InputError(
                f"n = {value} does not divide the N = {tokens} tokens of {plain.config.name}: "
                f"choose among {', '.join(str(n) for n in range(1, tokens + 1) if tokens % n == 0)}"
            )
    elif data.kind == "events" and value != data.shape[0]:
        raise InputError(
            f"T = {value} does not fit {data.name}, whose events lie in {data.shape[0]} frames: "
            "T of event data is its number of frames"
        )
    trained_at = getattr(plain.config, parameter.setting)
    if trained_at is None:
        trained_at = plain.config.tokens  # aggregated = None is n = N
    origin = plain.origin
    assumed = {a.setting for a in origin.assumptions if a.source == "default"} if origin else set()
    known = origin is not None and parameter.setting not in assumed
    changed: dict[str, Any] = {parameter.setting: value}
    network, remarks = load_for(replace(options, **changed), data)
    # The sweep says once, for all its values, what the network was trained at.
    said = f"--{parameter} {value} was given"
    return network, [remark for remark in remarks if not remark.startswith(said)], trained_at if known else None


def _measure(networks: "list[Model]", data: "Dataset", run: RunOptions) -> "list[Resources]":
    from saformer.analysis.complexity.latency import measure

    parameter = next(networks[0].parameters())
    batch, _ = next(data.batches(run.batch_size, None, run.seed, parameter.dtype, parameter.device))
    with progress("time and memory", len(networks)) as advance:
        return measure(networks, batch, advance)


def _where(kind: str) -> str:
    import torch

    if kind == "cpu":
        threads = torch.get_num_threads()
        return f"a CPU with {threads} thread{'s' * (threads > 1)}"
    return torch.cuda.get_device_name() if kind == "cuda" else kind
