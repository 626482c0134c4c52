"""A published energy layer by layer: published rates on the shapes of the network, beside the published operations."""

from dataclasses import dataclass
from importlib import resources

from saformer.analysis.accounting.account import Account
from saformer.analysis.profiles import Profile
from saformer.reports.results.literature import PublishedEnergy, published_file, records


@dataclass(frozen=True)
class DecomposedLayer:
    """One operation: what it is charged here, and what the source printed for it (None where it printed nothing)."""

    name: str
    flops: float
    firing_rate: float
    macs: float
    acs: float
    energy_mj: float
    published_operations: float | None


@dataclass(frozen=True)
class Decomposition:
    """An energy under the accounting of its source.

    Args:
        account: of the network at the published rates.
        layers: its operations.
    """

    account: Account
    layers: tuple[DecomposedLayer, ...]


def profile_of(row: PublishedEnergy) -> Profile:
    """The network of a row at its published rates.

    Args:
        row: with `layered` rates and the name of a preset as its architecture.
    """
    from saformer.analysis.recording.rates.from_rates import profile_from_rates
    from saformer.analysis.recording.rates.rates_table import read_rates
    from saformer.models import build

    model = build(row.architecture, image_size=row.pixels, time_steps=row.time_steps)
    with resources.as_file(published_file(row.rates)) as path:
        return profile_from_rates(model, read_rates(path), name=row.rates)


def decomposition(row: PublishedEnergy, accounting: str = "spikingformer") -> Decomposition:
    """The layers of a published energy whose source printed the rates of all of them; `accounting` is the source's."""
    from saformer.analysis.recording.rates.rates_table import present_name
    from saformer.models.names import parse_name

    family, _ = parse_name(row.architecture)
    account = profile_of(row).account(accounting)
    printed = {
        present_name(line["layer"], family.name): float(line["acs_per_image"]) + float(line["macs_per_image"])
        for line in records(row.rates)
        if line["acs_per_image"]
    }
    layers = [
        DecomposedLayer(
            layer.name,
            layer.flops,
            layer.firing_rate,
            layer.macs,
            layer.acs,
            layer.energy_mj or 0.0,
            printed.get(layer.name),
        )
        for layer in account.layers
    ]
    return Decomposition(account, tuple(layers))
