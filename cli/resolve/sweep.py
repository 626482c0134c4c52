"""From sources to a sweep: networks at several values of one setting, a curve for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.device import choose_device
from saformer.cli.resolve.foreign import model_input, own_errors
from saformer.cli.resolve.model import load_for
from saformer.cli.resolve.network import Network, network_of
from saformer.cli.resolve.run import batch_size_of, run_profile
from saformer.cli.resolve.source import CHECKPOINT, Source, names_of
from saformer.cli.terminal.console import progress
from saformer.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from saformer.analysis.accounting.energy import Choices
    from saformer.analysis.accounting.hardware import Hardware
    from saformer.analysis.complexity.latency import Resources
    from saformer.analysis.recording.calling import NetworkCall
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

    @property
    def placeholder(self) -> str:
        """What stands for its value in an argument of a user's own factory."""
        return "{T}" if self is Parameter.time_steps else "{n}"


@dataclass(frozen=True)
class Curve:
    """A network of a sweep: what it is called, and its source at each value."""

    name: str
    sources: Mapping[int, Source]


def curves_of(sources: Sequence[Source], parameter: Parameter, values: Sequence[int]) -> list[Curve]:
    """Group networks into curves: one at all values, or several that differ in the setting alone, one at each value.

    Networks of one label belong together, and so do checkpoints without one of the same settings, but for the one that
    is swept, in which they differ.

    Raises:
        InputError: a group has neither one network nor one for each value, or two curves would have one name.
    """
    groups: dict[object, list[tuple[Source, int | None]]] = {}
    for source in sources:
        trained_at, rest = _settings(source, parameter)
        key = (source.label, "") if source.label is not None else (None, rest)
        if source.label is None and any(at == trained_at for _, at in groups.get(key, [])):
            key = (None, source.text)  # the same network trained twice is two networks
        groups.setdefault(key, []).append((source, trained_at))
    curves = []
    for group in groups.values():
        first = group[0][0]
        if len(group) == 1:
            curves.append(Curve("", dict.fromkeys(values, first)))
            continue
        if len(group) != len(values):
            called = f"called {first.label}" if first.label is not None else "of one network"
            raise InputError(
                f"{len(values)} values and {len(group)} checkpoints {called}: give one, or one for each value; "
                "LABEL=... tells different networks apart"
            )
        placed = {at: source for source, at in group if at is not None}
        in_order = dict(zip(values, [source for source, _ in group], strict=True))
        curves.append(Curve("", placed if placed.keys() == set(values) else in_order))
    if len(curves) == 1:
        return curves  # it goes by the network's own name, or its label
    firsts = [next(iter(curve.sources.values())) for curve in curves]
    if twice := [curve for curve in curves if len(set(map(id, curve.sources.values()))) > 1]:
        # Of several files the first one's name would say too little.
        firsts = [_named_by_settings(s) if c in twice else s for s, c in zip(firsts, curves, strict=True)]
    names = names_of(firsts)
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two networks of the sweep would be called {name}: give each a label, LABEL=...")
    return [replace(curve, name=name) for curve, name in zip(curves, names, strict=True)]


def _settings(source: Source, parameter: Parameter) -> tuple[int | None, object]:
    """The value at which a checkpoint of ours was trained, and what tells its network from others."""
    if source.kind is not CHECKPOINT:
        return None, source.text
    config = load_for(source.options, None)[0].config
    rest = {key: value for key, value in config.to_dict().items() if key != parameter.setting}
    return getattr(config, parameter.setting, None), repr(sorted(rest.items()))


def _named_by_settings(source: Source) -> Source:
    if source.label is not None:
        return source
    return replace(source, label=load_for(source.options, None)[0].config.name)


def swept(
    parameter: Parameter,
    curves: Sequence[Curve],
    data: "Dataset",
    run: RunOptions,
    accounting: str,
    hardware: "Hardware",
    choices: "Choices",
) -> "Sweep":
    """Run the networks of each curve on the data, and measure their time and memory."""
    from saformer.reports.results.sweep import Sweep, SweepPoint

    device = choose_device(run.device)
    cases = [
        (curve.name, value, _source_at(source, parameter, value), source)
        for curve in curves
        for value, source in curve.sources.items()
    ]
    networks = [_network(plain, at, parameter, value, data, run.seed) for _, value, at, plain in cases]
    accounts = [
        run_profile(network.module, data, run, network.remarks, network.trained, at.options, at.label).account(
            accounting, hardware, **choices
        )
        for (network, _), (_, _, at, _) in zip(networks, cases, strict=True)
    ]
    resources = _measure([n for n, _ in networks], [at for _, _, at, _ in cases], data, run)
    points = [
        SweepPoint(value, account, taken.seconds, taken.peak_bytes, trained_at, name)
        for (name, value, _, _), account, taken, (_, trained_at) in zip(
            cases, accounts, resources, networks, strict=True
        )
    ]
    batch_size = batch_size_of(run, networks[0][0].module, data, len(data))
    return Sweep(parameter.setting, points, min(batch_size, len(data)), _where(device.type))


def _source_at(source: Source, parameter: Parameter, value: int) -> Source:
    """The source with the setting at that value.

    Raises:
        InputError: nothing says how the value reaches a user's own network.
    """
    options = source.options
    changed: dict[str, Any] = {"time_first": None, "time_axis": None, "loop": None, parameter.setting: value}
    if source.foreign:
        held = parameter.placeholder
        changed = {"arguments": [text.replace(held, str(value)) for text in options.arguments or []]}
        steps = parameter is Parameter.time_steps
        if steps and options.loop is not None:
            changed["loop"] = value
        elif steps and (options.time_first is not None or options.time_axis is not None):
            axis = 0 if options.time_first is not None else options.time_axis
            changed |= {"time_first": None, "time_axis": axis, "time_steps": value}
        elif not any(held in text for text in options.arguments or []):
            layout = " --time-axis N, --loop 1, or" if steps else ""
            raise InputError(
                f"{source.text}: say how {held[1:-1]} reaches your model:{layout} by an argument of its factory, "
                f"{source.text}+NAME={held}"
            )
    return replace(source, options=replace(options, **changed))


def _network(
    plain: Source, at: Source, parameter: Parameter, value: int, data: "Dataset", seed: int
) -> tuple[Network, int | None]:
    """The network at that value, and the value that it was trained with where that is known."""
    if at.foreign:
        return network_of(at, data, seed=seed), None
    trained_at = _trained_at(load_for(plain.options, data)[0], parameter, value, data)
    network = network_of(at, data, seed=seed)
    # The sweep says once, for all its values, what the network was trained at.
    said = f"--{parameter} {value} was given"
    remarks = [remark for remark in network.remarks if not remark.startswith(said)]
    return replace(network, remarks=remarks), trained_at


def _trained_at(model: "Model", parameter: Parameter, value: int, data: "Dataset") -> int | None:
    """The value in the checkpoint; None where it holds none, or nothing was trained.

    Raises:
        InputError: the network, or the data, cannot have the value that is wanted.
    """
    if not hasattr(model.config, parameter.setting):
        raise InputError(f"{model.config.name} has no aggregated tokens: sweep a saformer, or time-steps")
    if parameter is Parameter.aggregated:
        tokens = model.config.tokens or 0
        if value > tokens or tokens % value:
            raise InputError(
                f"n = {value} does not divide the N = {tokens} tokens of {model.config.name}: "
                f"choose among {', '.join(str(n) for n in range(1, tokens + 1) if tokens % n == 0)}"
            )
    elif data.kind == "events" and value != data.shape[0]:
        raise InputError(
            f"T = {value} does not fit {data.name}, whose events lie in {data.shape[0]} frames: "
            "T of event data is its number of frames"
        )
    trained_at: int | None = getattr(model.config, parameter.setting)
    if trained_at is None:
        trained_at = model.config.tokens  # aggregated = None is n = N
    origin = model.origin
    assumed = {a.setting for a in origin.assumptions if a.source == "default"} if origin else set()
    return trained_at if origin is not None and parameter.setting not in assumed else None


def _measure(
    networks: Sequence[Network], sources: Sequence[Source], data: "Dataset", run: RunOptions
) -> "list[Resources]":
    import torch

    from saformer.analysis.complexity.latency import measure

    calls = [_call(network, source) for network, source in zip(networks, sources, strict=True)]
    dtype = {"float32": torch.float32, "float64": torch.float64}[run.dtype.value]
    batch_size = batch_size_of(run, networks[0].module, data, len(data))
    batch, _ = next(data.batches(batch_size, None, run.seed, dtype, choose_device(run.device)))
    with progress("time and memory", len(calls)) as advance, own_errors(networks[0].module):
        return measure(calls, batch, advance)


def _call(network: Network, source: Source) -> "nn.Module | NetworkCall":
    from saformer.analysis.recording.calling import NetworkCall

    options = source.options
    if not source.foreign:
        return network.module
    return NetworkCall(network.module, model_input(options), options.loop)


def _where(kind: str) -> str:
    import torch

    if kind == "cpu":
        threads = torch.get_num_threads()
        return f"a CPU with {threads} thread{'s' * (threads > 1)}"
    return torch.cuda.get_device_name() if kind == "cuda" else kind
