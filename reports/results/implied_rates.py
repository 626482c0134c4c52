"""The energies of the SAFormer paper: which mean firing rate each of them would need under each convention."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from saformer.analysis.accounting.hardware import load_hardware
from saformer.analysis.profiles.values import SPIKES
from saformer.reports.results.architectures import PRESET, Architecture, architecture
from saformer.reports.results.literature import records


@dataclass(frozen=True)
class Implied:
    """One energy of the paper and the mean firing rates that it would need; a rate above 1 or below 0 cannot be.

    Args:
        dataset: of the energy.
        method: in the paper.
        network: its network here.
        energy_mj: of the paper, stated or solved by Eq. 21.
        shape: of the network.
        bound_mj: all operations as ACs, at a rate of 1.
        all_acs: the rate if each operation is an AC.
        first_repeated: the rate of all but the first layer, which is charged MACs at every step (Eq. 19).
        first_once: the same, the first layer charged once.
        sums_dense: the rate of what reads spikes, where the first layer and what reads sums of spikes are charged dense
            MACs; None without such layers or where they are not known.
        sums_at_rate: the rate of all layers, where those that read sums of spikes are charged MACs at that rate.
        sums_macs: multiply-accumulates of what reads sums of spikes, or membranes, over all T steps.
    """

    dataset: str
    method: str
    network: str
    energy_mj: float
    shape: Architecture
    bound_mj: float
    all_acs: float
    first_repeated: float | None
    first_once: float | None
    sums_dense: float | None
    sums_at_rate: float | None
    sums_macs: int | None


def implied_rates() -> list[Implied]:
    """Each comparator of the paper with an energy, in the order of the file; a network of unknown input size twice."""
    energies = {(row["dataset"], row["method"]): float(row["energy_mj"]) for row in records("published_energy.csv")}
    found = []
    for row in records("comparators.csv"):
        pixels, steps = int(row["pixels"]), int(row["time_steps"])
        shape = architecture(row["architecture"], pixels, steps)
        if shape is not None:
            energy = energies[row["dataset"], row["method"]]
            sums = sums_of_spikes(shape, pixels)
            found.append(_implied(row["dataset"], row["method"], row["shown"], energy, shape, sums))
    return found


def _implied(
    dataset: str, method: str, network: str, energy_mj: float, shape: Architecture, sums: int | None
) -> Implied:
    hardware = load_hardware()
    mac, ac = hardware.mac_pj, hardware.ac_pj
    assert mac is not None  # of 45 nm CMOS
    energy, first = energy_mj * 1e9, shape.first * shape.time_steps
    dense = shape.dense + (first - shape.first_macs)
    rest = dense - first
    events = dataset in ("cifar10-dvs", "dvs128-gesture")  # their first layer reads events: ACs (Eq. 20)
    static = None if events else (energy - mac * first) / (ac * rest)
    reads_image = 0 if events else first
    return Implied(
        dataset,
        method,
        network,
        energy_mj,
        shape,
        ac * dense * 1e-9,
        energy / (ac * dense),
        static,
        None if events else (energy - mac * shape.first) / (ac * rest),
        (energy - mac * (reads_image + sums)) / (ac * (dense - reads_image - sums)) if sums else None,
        (energy - mac * reads_image) / (mac * sums + ac * (dense - reads_image - sums)) if sums else None,
        sums,
    )


@cache
def sums_of_spikes(shape: Architecture, pixels: int) -> int | None:
    """Multiply-accumulates per image of the layers with weights, but the first, that read other values than spikes.

    None for a network that is no preset.
    """
    from saformer.analysis.recording.beforehand.random_spikes import shapes_of
    from saformer.models import build

    if shape.source != PRESET:
        return None
    profile = shapes_of(build(shape.name, image_size=pixels, time_steps=1))  # every step reads the same classes
    layers = [o for o in profile.operations if not o.first and len(o.operands) == 1]
    return shape.time_steps * sum(o.dense for o in layers if o.gate.kind not in SPIKES)


@dataclass(frozen=True)
class Counted:
    """What a counter says of a network on its own shapes, with the accumulates that somebody measured.

    Args:
        network: of ours.
        accounting: the counter.
        macs: that the accounting charges here, whatever the rates.
        measured_macs: that the source printed.
        gacs: billions of accumulates that the source measured on a trained network.
        energy_mj: of both.
        source: of the accumulates.
    """

    network: str
    accounting: str
    macs: float
    measured_macs: int
    gacs: float
    energy_mj: float
    source: str


def counted_elsewhere() -> list[Counted]:
    """Networks whose accumulates somebody published under an accounting that is here."""
    from saformer.analysis.recording.rates.from_rates import profile_from_rates
    from saformer.models import build

    hardware = load_hardware()
    assert hardware.mac_pj is not None  # of 45 nm CMOS
    found = []
    for row in records("counts.csv"):
        # MACs of this accounting are dense: any rate will do.
        account = profile_from_rates(build(row["network"]), None, 0.5).account(row["accounting"], hardware)
        gacs = float(row["gacs"])
        energy = hardware.mac_pj * account.macs * 1e-9 + hardware.ac_pj * gacs
        found.append(
            Counted(
                row["network"], row["accounting"], account.macs, int(row["macs_exact"]), gacs, energy, row["source"]
            )
        )
    return found


def sentences(rows: Sequence[Implied]) -> list[str]:
    """What follows, with the arithmetic: energies above the bound, mean rates that no network has, sums of spikes."""
    hardware = load_hardware()
    ac = hardware.ac_pj
    said = []
    for row in rows:
        what = f"{row.method} ({row.network}) on {row.dataset}: {row.energy_mj:g} mJ"
        bound = f"{ac:g} pJ x {row.bound_mj / ac:.4g} G = {row.bound_mj:.2f} mJ"
        if row.all_acs > 1:
            said.append(f"{what} is more than all of its operations as ACs at a rate of 1, {bound}: MACs must be in it")
        elif row.all_acs > _HARDLY:
            said.append(
                f"{what} would be a mean rate of {row.all_acs:.0%} ({bound} at a rate of 1): MACs must be in it"
            )
        if row.sums_dense is not None and row.sums_dense < 0:
            said.append(
                f"{what} is less than what its layers that read sums of spikes cost as dense MACs: if they are MACs, "
                f"then at their nonzero rate, {row.sums_at_rate:.0%}"
            )
        if row.sums_macs and row.sums_dense is not None and row.sums_dense > 1:
            said.append(
                f"{what} is out of reach even if the {row.sums_macs / 1e9:.4g} G operations that read sums of spikes "
                "are dense MACs and all others ACs at a rate of 1"
            )
    for one in counted_elsewhere():
        theirs = [row for row in rows if row.shape.name == one.network]
        printed = " and ".join(f"{row.energy_mj:g} ({row.dataset})" for row in theirs)
        difference = abs(one.energy_mj - theirs[0].energy_mj) / theirs[0].energy_mj
        said.append(
            f"{one.network} under {one.accounting}: {hardware.mac_pj:g} pJ x {one.macs:,.0f} MACs, no training needed "
            f"(the source has {one.measured_macs:,}, biases at every step), + {hardware.ac_pj:g} pJ x "
            f"{one.gacs * 1e3:g} M ACs of a trained network ({one.source}) = {one.energy_mj:.2f} mJ; the paper's "
            f"{printed} mJ is within {difference:.1%} of it"
        )
    return said


_HARDLY = 0.9  # a mean rate that no spiking network was published with
