"""Ways of charging the counts that a paper printed: which of them gives its energy.

A paper that prints synaptic operations, or ACs and MACs, beside an energy leaves open what an operation costs and what
the first layer adds. A `Reading` is one answer to both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from saformer.analysis.accounting.hardware import Hardware, load_hardware
from saformer.reports.results.architectures import Architecture
from saformer.reports.results.literature import Printed, PublishedEnergy

_GIGA_PJ = 1.0  # 1e9 operations of 1 pJ are 1 mJ
_FLOAT = 1e-9  # of an energy: sums of rounded floats


@dataclass(frozen=True)
class Reading:
    """One way of charging printed counts.

    Args:
        words: what is charged, for a table.
        arithmetic: the sum with its numbers.
        key: the convention that it is, as `PublishedEnergy.charged` names them; empty for one that no source states.
        energy_mj: what it gives.
        slack_mj: by how much the rounding of the printed counts can move that.
        unusual: answers that differ from Eq. 19 on the network itself; readings are sorted by it.
    """

    words: str
    arithmetic: str
    key: str
    energy_mj: float
    slack_mj: float
    unusual: int

    def gives(self, energy: Printed) -> bool:
        """Whether it is the printed energy, as far as printed digits can say."""
        return abs(self.energy_mj - energy.value) <= energy.half + self.slack_mj + _FLOAT * energy.value


@dataclass(frozen=True)
class _First:
    """What a first layer adds: words, its billions of multiply-accumulates, and how unusual that is."""

    words: str
    gmacs: float
    unusual: int
    own: bool = True


def _first_layers(
    own: Architecture | None, others: Sequence[Architecture], published_macs: bool
) -> Iterator[tuple[_First | None, int]]:
    """What may be added for the first layer, and how unusual that is; None for nothing."""
    yield None, 0 if published_macs else 1
    if own is None or published_macs:
        return
    for shape in (own, *others):
        mine = shape is own
        whose = "first layer" if mine else f"first layer of {shape.name}"
        if not shape.first_once and shape.time_steps > 1:
            yield _First(f"{whose}, T times", shape.first * shape.time_steps / 1e9, 0, mine), 0 if mine else 2
        yield (
            _First(f"{whose}, once" if shape.time_steps > 1 else whose, shape.first / 1e9, 0, mine),
            (int(not shape.first_once and shape.time_steps > 1) if mine else 3),
        )


def readings(row: PublishedEnergy, own: Architecture | None, others: Sequence[Architecture] = ()) -> list[Reading]:
    """Every way of charging the printed counts of a row, the usual ones first; none where no count was printed.

    Args:
        row: an energy in print.
        own: the shapes of its network.
        others: networks of the same table that have another first layer.
    """
    usual, low = load_hardware(), load_hardware("77fj")
    assert usual.mac_pj is not None  # of 45 nm CMOS
    found: list[Reading] = []
    events = row.gsops or row.gacs
    name = "SOPs" if row.gsops is not None else "ACs"
    if events is not None:
        for price, cost in ((usual, 0), (low, 1)):
            for first, unusual in _first_layers(own, others, row.gmacs is not None):
                found.append(_charged(row, events, name, price, usual.mac_pj, first, cost + unusual))
    for count, what, keys in ((row.gflops, "FLOPs", ("macs", "")), (row.gops, "operations", ("", "ops"))):
        if count is not None:
            for pj, word, key, cost in ((usual.mac_pj, "MAC", keys[0], 0), (usual.ac_pj, "AC", keys[1], 1)):
                found.append(_each(count, what, pj, f"every one a {word}", key, cost))
    if events is None and row.gmacs is not None:
        found.append(_each(row.gmacs, "MACs", usual.mac_pj, "MACs alone", "macs", 0))
    return sorted(found, key=lambda reading: reading.unusual)


def _each(count: Printed, what: str, pj: float, words: str, key: str, unusual: int) -> Reading:
    arithmetic = f"{pj:g} x {count.text} G {what}"
    return Reading(words, arithmetic, key, pj * count.value * _GIGA_PJ, pj * count.half * _GIGA_PJ, unusual)


def _charged(
    row: PublishedEnergy,
    events: Printed,
    name: str,
    price: Hardware,
    mac_pj: float,
    first: _First | None,
    unusual: int,
) -> Reading:
    """SOPs or ACs at the price of one, with printed MACs or a first layer beside them."""
    energy, slack = price.ac_pj * events.value, price.ac_pj * events.half
    arithmetic = f"{price.ac_pj:g} x {events.text} G {name}"
    cheap = price.name != load_hardware().name
    words = [f"{1000 * price.ac_pj:g} fJ"] if cheap else []
    key = f"{name.lower()}-{price.name}" if cheap else name.lower()
    if row.gmacs is not None:
        energy, slack = energy + mac_pj * row.gmacs.value, slack + mac_pj * row.gmacs.half
        arithmetic += f" + {mac_pj:g} x {row.gmacs.text} G MACs"
        words.append("printed ACs and MACs")
        key += "+macs"
    elif first is not None:
        energy += mac_pj * first.gmacs
        arithmetic += f" + {mac_pj:g} x {first.gmacs:.6g} G"
        words.append(first.words)
        key = f"{key}+first" if first.own else ""
    else:
        words.append("no first layer")
    return Reading(", ".join(words), arithmetic, key, energy * _GIGA_PJ, slack * _GIGA_PJ, unusual)
