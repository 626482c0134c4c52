"""From the options to a sweep: a network at several values of one setting."""

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from saformer.cli.options.model import ModelOptions
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.device import choose_device
from saformer.cli.resolve.model import load_for
from saformer.cli.resolve.run import run_profile
from saformer.cli.terminal.console import progress
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.analysis.accounting.energy import Choices
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


def swept(
    parameter: Parameter,
    options: dict[int, ModelOptions],
    data: "Dataset",
    run: RunOptions,
    accounting: str,
    hardware: "Hardware",
    choices: "Choices",
) -> "Sweep":
    """Run the network of each value on the data, and measure its time and memory."""
    from saformer.reports.results.sweep import Sweep, SweepPoint

    device = choose_device(run.device)
    networks = [_network(one, parameter, value, data, run.seed) for value, one in options.items()]
    accounts = [
        run_profile(network, data, run, remarks, options=_at(one, parameter, value)).account(
            accounting, hardware, **choices
        )
        for (network, remarks, _), (value, one) in zip(networks, options.items(), strict=True)
    ]
    resources = _measure([network for network, _, _ in networks], data, run)
    points = [
        SweepPoint(value, account, taken.seconds, taken.peak_bytes, trained_at)
        for value, account, taken, (_, _, trained_at) in zip(options, accounts, resources, networks, strict=True)
    ]
    return Sweep(parameter.setting, points, min(run.batch_size, len(data)), _where(device.type))


def _at(options: ModelOptions, parameter: Parameter, value: int) -> ModelOptions:
    changed: dict[str, Any] = {parameter.setting: value}
    return replace(options, **changed)


def _network(
    options: ModelOptions, parameter: Parameter, value: int, data: "Dataset", seed: int
) -> "tuple[Model, list[str], int | None]":
    """The network at that value, remarks on it, and the value that it was trained with where that is known."""
    plain, _ = load_for(options, data)
    if not hasattr(plain.config, parameter.setting):
        raise InputError(f"{plain.config.name} has no aggregated tokens: sweep a saformer, or time-steps")
    if parameter is Parameter.aggregated:
        tokens = plain.config.tokens or 0
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
    network, remarks = load_for(_at(options, parameter, value), data, seed=seed)
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
