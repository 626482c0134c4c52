"""Does a published energy follow? Each one in print beside what its own counts and its architecture give."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from saformer.analysis.accounting.hardware import load_hardware
from saformer.reports.results.architectures import Architecture, architecture
from saformer.reports.results.literature import PublishedEnergy, partial_rates, published_energies
from saformer.reports.results.readings import Reading, readings
from saformer.reports.results.sheets import sheet_readings


class Verdict(StrEnum):
    """Whether a published energy follows from what was published with it."""

    follows = "follows"
    otherwise = "otherwise"
    contradicts = "does not"
    no_rates = "no rates"
    unknown = "unknown"


MEANINGS = {
    Verdict.follows: "from the printed counts or rates, on the network's own shapes, as its source charges them",
    Verdict.otherwise: "only under a convention that its source does not state, which the last column names",
    Verdict.contradicts: "cannot follow from what was printed: the last column says what breaks it",
    Verdict.no_rates: "neither counts nor rates of all layers were printed; the mean rate is what Eq. 19 would need",
    Verdict.unknown: "neither counts nor the shapes of the network are at hand",
}


@dataclass(frozen=True)
class Assessed:
    """A published energy and what became of it.

    Args:
        row: what was printed.
        shape: of its network, where known.
        recomputed_mj: what `reading` gives, or the bound that `why` names; None where nothing can be computed.
        verdict: whether it follows.
        why: under which convention, or what breaks it.
        arithmetic: the sum with its numbers; empty where there is none.
        mean_rate: of all layers but the first, that Eq. 19 would need for the printed energy.
        tried: ways of charging the printed counts.
    """

    row: PublishedEnergy
    shape: Architecture | None
    recomputed_mj: float | None
    verdict: Verdict
    why: str
    arithmetic: str = ""
    mean_rate: float | None = None
    tried: int = 0

    @property
    def difference(self) -> float | None:
        """(recomputed - published) / published."""
        if self.recomputed_mj is None:
            return None
        return (self.recomputed_mj - self.row.energy.value) / self.row.energy.value


def assess_all() -> list[Assessed]:
    """Every published energy, in the order of the file."""
    rows = published_energies()
    return [assess(row, rows) for row in rows]


def row_readings(row: PublishedEnergy, rows: Sequence[PublishedEnergy]) -> list[Reading]:
    """Every way of charging what was printed with an energy.

    Args:
        row: an energy in print.
        rows: all of them; those of the same table may lend it their first layer.
    """
    if row.layered and (found := sheet_readings(row)):
        return found
    return readings(row, shape_of(row), _neighbours(row, rows))


def shape_of(row: PublishedEnergy) -> Architecture | None:
    """The shapes of the network of a row."""
    return architecture(row.architecture, row.pixels, row.time_steps)


def _neighbours(row: PublishedEnergy, rows: Sequence[PublishedEnergy]) -> list[Architecture]:
    """Networks of the same method in the same table whose first layer has another size, one for each size."""
    own = shape_of(row)
    found: dict[int, Architecture] = {}
    for other in rows:
        if (other.system, other.source) == (row.system, row.source) and own is not None:
            shape = shape_of(other)
            if shape is not None and shape.first != own.first and shape.time_steps == own.time_steps:
                found.setdefault(shape.first, shape)
    return list(found.values())


def assess(row: PublishedEnergy, rows: Sequence[PublishedEnergy]) -> Assessed:
    """One published energy; see `row_readings`."""
    shape = shape_of(row)
    rate = None if shape is None else mean_rate(row, shape)
    ways = row_readings(row, rows)
    hits = [way for way in ways if way.gives(row.energy)]
    stated = [way for way in hits if way.key == row.charged]
    if hits:
        way = (stated or hits)[0]
        verdict = Verdict.follows if stated else Verdict.otherwise
        return Assessed(row, shape, way.energy_mj, verdict, way.words, way.arithmetic, rate, len(ways))
    if ways:
        return _contradicted(row, shape, ways, rate)
    if shape is None or rate is None:
        return Assessed(row, shape, None, Verdict.unknown, _missing(row))
    return _by_rates(row, shape, rate)


def _missing(row: PublishedEnergy) -> str:
    return "detector: shapes not at hand" if row.dataset == "coco" else "shapes and rates not at hand"


def _contradicted(
    row: PublishedEnergy, shape: Architecture | None, ways: Sequence[Reading], rate: float | None
) -> Assessed:
    """Counts were printed, and no way of charging them gives the energy."""
    stated = [way for way in ways if way.key == row.charged]
    nearest = min(stated or ways, key=lambda way: abs(way.energy_mj - row.energy.value))
    why = f"none of {len(ways)} ways of charging the printed counts"
    if row.gops is not None:
        each, least = row.energy.value / row.gops.value, load_hardware().ac_pj
        why = f"{each:.3f} pJ per operation, one AC is {least:g}"
    return Assessed(row, shape, nearest.energy_mj, Verdict.contradicts, why, nearest.arithmetic, rate, len(ways))


def mean_rate(row: PublishedEnergy, shape: Architecture) -> float | None:
    """The mean rate of all layers but the first that Eq. 19 needs for the energy; None for no spiking network."""
    hardware = load_hardware()
    assert hardware.mac_pj is not None  # of 45 nm CMOS
    if row.charged == "macs":
        return None
    rest = row.energy.value * 1e9 - hardware.mac_pj * shape.first_macs
    return rest / (hardware.ac_pj * (shape.dense - shape.first_macs))


def _by_rates(row: PublishedEnergy, shape: Architecture, rate: float) -> Assessed:
    """No counts were printed: the mean rate that the energy needs, beside 1 and beside what was published of rates."""
    hardware = load_hardware()
    assert hardware.mac_pj is not None  # of 45 nm CMOS
    highest = max(partial_rates(row.rates)) if row.rates and row.partial else 1.0
    bound = (hardware.mac_pj * shape.first_macs + hardware.ac_pj * highest * (shape.dense - shape.first_macs)) * 1e-9
    arithmetic = (
        f"({row.energy.text} - {hardware.mac_pj:g} x {shape.first_macs / 1e9:.5g} G) / "
        f"({hardware.ac_pj:g} x {(shape.dense - shape.first_macs) / 1e9:.5g} G) = {rate:.1%}"
    )
    if rate > highest:
        why = f"needs a mean rate of {rate:.1%}; published rates end at {highest:.1%}, which gives this"
        return Assessed(row, shape, bound, Verdict.contradicts, why, arithmetic, rate)
    why = f"needs a mean rate of {rate:.1%}"
    if row.charged == "script":
        why = f"needs {rate:.1%} as ACs; rates of sums of spikes not printed"
    return Assessed(row, shape, None, Verdict.no_rates, why, arithmetic, rate)
