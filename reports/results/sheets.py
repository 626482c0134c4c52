"""Sheets of layers that were published with FLOPs and mean integer spikes: no network is needed to add them up."""

from dataclasses import dataclass
from math import ceil

from saformer.analysis.accounting.hardware import load_hardware
from saformer.reports.results.literature import PublishedEnergy, rates_columns, records
from saformer.reports.results.readings import Reading


@dataclass(frozen=True)
class SheetLayer:
    """One line of a sheet.

    Args:
        name: as published.
        flops: from its sizes: channels, kernel, stride, input and groups.
        published_flops: in the sheet.
        mean_spikes: mean integer per input; None for the layer that reads the image.
        published_mj: in the sheet.
    """

    name: str
    flops: int
    published_flops: int
    mean_spikes: float | None
    published_mj: float

    def energy_mj(self, first_pj: float) -> float:
        """0.9 pJ for each integer spike and operation; of the layer that reads the image, `first_pj` for each."""
        each = first_pj if self.mean_spikes is None else load_hardware().ac_pj * self.mean_spikes
        return each * self.flops * 1e-9


def sheet(row: PublishedEnergy) -> list[SheetLayer]:
    """The layers of a sheet; empty where the published rates are those of a network without one."""
    if not row.rates or "flops" not in rates_columns(row.rates):
        return []
    layers = []
    for line in records(row.rates):
        c_in, c_out, kernel, stride, height, width, groups, flops = (
            int(line[key]) for key in ("c_in", "c_out", "kernel", "stride", "h_in", "w_in", "groups", "flops")
        )
        counted = c_in // groups * c_out * kernel**2 * ceil(height / stride) * ceil(width / stride)
        mean = float(line["mean_spikes"]) if line["mean_spikes"] else None
        layers.append(SheetLayer(line["layer"], counted, flops, mean, float(line["picojoules"]) * 1e-9))
    return layers


def sheet_readings(row: PublishedEnergy) -> list[Reading]:
    """Ways of adding up a sheet: what each multiply-accumulate of the layer that reads the image costs."""
    layers = sheet(row)
    if not layers:
        return []
    hardware = load_hardware()
    mac, ac = hardware.mac_pj, hardware.ac_pj
    assert mac is not None  # of 45 nm CMOS
    ways = (
        (f"first layer at {mac:g} pJ", mac, "integers", 0),
        (f"first layer at {mac:g} x {ac:g} pJ", mac * ac, "", 1),
        ("no first layer", 0.0, "", 1),
        (f"first layer at {ac:g} pJ", ac, "", 1),
    )
    return [
        Reading(
            words,
            f"{ac:g} x the sum of {len(layers) - 1} layers + {pj:g} x {layers[0].flops / 1e9:.6g} G",
            key,
            sum(layer.energy_mj(pj) for layer in layers),
            0.0,
            unusual,
        )
        for words, pj, key, unusual in ways
    ]
