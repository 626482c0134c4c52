"""Which convention gives a stated energy: all that can be reached are tried, and chance hits are reckoned with."""

from collections.abc import Sequence
from dataclasses import dataclass

from saformer.analysis.accounting.conventions import combinations, conventions
from saformer.analysis.profiles import Profile
from saformer.reports.results.literature import Printed, PublishedEnergy
from saformer.reports.results.published_rows import row_readings

_NEAR = 0.1  # of the total: how densely energies lie around it


@dataclass(frozen=True)
class Hit:
    """A convention that gives the stated energy.

    Args:
        what: the published row, or the profile.
        how: in words, or as options of the commands.
        energy_mj: that it gives.
        unusual: how far it is from Eqs. 19-20; the simplest hits come first.
    """

    what: str
    how: str
    energy_mj: float
    unusual: int


@dataclass(frozen=True)
class Explanation:
    """What a search found.

    Args:
        total: the stated energy.
        hits: all conventions that give it, the simplest first.
        tried: combinations that were tried.
        different: energies among them that differ.
        by_chance: hits to be expected if energies lay around the total at random, as densely as they do.
        nearest: of all that were tried, the one that comes closest.
    """

    total: Printed
    hits: tuple[Hit, ...]
    tried: int
    different: int
    by_chance: float
    nearest: Hit | None


def explain_rows(total: Printed, rows: Sequence[PublishedEnergy], table: Sequence[PublishedEnergy]) -> Explanation:
    """Every way of charging the printed counts of some rows.

    Args:
        total: the stated energy.
        rows: whose counts may give it.
        table: all rows.
    """
    found = [
        (Hit(f"{row.name} ({row.energy.text} mJ)", f"{way.words}: {way.arithmetic}", way.energy_mj, way.unusual), way)
        for row in rows
        for way in row_readings(row, table)
    ]
    hits = [hit for hit, way in found if way.gives(total)]
    windows = [(hit, total.half + way.slack_mj) for hit, way in found]
    return _explanation(total, hits, windows, len(found))


def explain_profile(total: Printed, profile: Profile) -> Explanation:
    """Every convention that the options of the commands reach, on one profile."""
    name = profile.model.title
    ways = [
        Hit(name, " ".join(one.options) or "as it is, Eqs. 18-20", one.energy_mj, one.unusual)
        for one in conventions(profile)
    ]
    # Published rates have about nine digits.
    half = total.half + 1e-9 * total.value
    hits = [way for way in ways if abs(way.energy_mj - total.value) <= half]
    return _explanation(total, hits, [(way, half) for way in ways], combinations(profile))


def together(first: Explanation, second: Explanation) -> Explanation:
    """Both searches in one."""
    nearest = [one.nearest for one in (first, second) if one.nearest is not None]
    return Explanation(
        first.total,
        tuple(sorted((*first.hits, *second.hits), key=lambda hit: hit.unusual)),
        first.tried + second.tried,
        first.different + second.different,
        first.by_chance + second.by_chance,
        min(nearest, key=lambda hit: abs(hit.energy_mj - first.total.value), default=None),
    )


def _explanation(total: Printed, hits: Sequence[Hit], windows: Sequence[tuple[Hit, float]], tried: int) -> Explanation:
    near = [half for hit, half in windows if abs(hit.energy_mj / total.value - 1) <= _NEAR]
    return Explanation(
        total,
        tuple(sorted(hits, key=lambda hit: hit.unusual)),
        tried,
        len({f"{hit.energy_mj:.9g}" for hit, _ in windows}),
        sum(half / (_NEAR * total.value) for half in near),
        min((hit for hit, _ in windows), key=lambda hit: abs(hit.energy_mj - total.value), default=None),
    )
