"""The class of values: what it is for each kind of values, and that it is a join."""

import itertools
import math
import random
from collections.abc import Callable

import pytest

from saformer.analysis.profiles import Operand, ValueClass, Values
from saformer.analysis.profiles.values import MOST_LEVELS, REPEATS, common_unit, rank

EPS = 2**-23


def of(numbers: list[float], provenance: str = "spikes", linear: bool = True, tolerance: float = 4 * EPS) -> Values:
    """What is seen of one tensor of these numbers, by the definitions."""
    if provenance == "real":
        return Values("real", linear)
    magnitudes = sorted({abs(v) for v in numbers if v})
    negative = any(v < 0 for v in numbers)
    if not magnitudes:
        return Values(provenance, linear, tolerance=tolerance)
    unit: float | None = magnitudes[0]
    for magnitude in magnitudes:
        unit = None if unit is None else common_unit(unit, magnitude, tolerance)
    if unit is None:
        return Values(provenance, linear, None, 0, 2, negative, 0, False, (), tolerance)
    multiples = [round(abs(v) / unit) for v in numbers]
    several = 1 if len(magnitudes) == 1 else 2
    return Values(provenance, linear, unit, max(multiples), several, negative, sum(multiples), True, (), tolerance)


KINDS: dict[str, Callable[[random.Random], float]] = {
    "ones": lambda r: r.choice([0.0, 1.0]),
    "as high as a threshold": lambda r: r.choice([0.0, 0.3]),
    "ternary": lambda r: r.choice([-1.0, 0.0, 1.0]),
    "integers": lambda r: float(r.randint(0, 4)),
    "quarters": lambda r: r.randint(0, 4) / 4,
    "many": lambda r: float(r.randint(0, 100)),
    "real": lambda r: r.gauss(0, 1),
    "nothing": lambda r: 0.0,
}


def drawn(r: random.Random) -> tuple[Values, int]:
    kind = r.choice(list(KINDS))
    numbers = [KINDS[kind](r) for _ in range(r.randint(1, 200))]
    provenance = r.choices(["spikes", "none", "real"], [6, 3, 1])[0]
    return of(numbers, provenance, r.random() < 0.7), sum(1 for v in numbers if v)


def said(values: Values) -> tuple[object, ...]:
    """All of it; units to a rounding."""
    unit = None if values.unit is None else round(values.unit, 9)
    told = (values.provenance, values.linear, unit, values.levels, values.magnitudes, values.negative, values.total)
    return (*told, values.multiples, tuple(round(u, 9) for u in values.channels), values.tolerance)


@pytest.mark.parametrize("seed", range(300))
def test_the_join_is_associative_and_in_no_order(seed: int) -> None:
    r = random.Random(seed)
    parts = [drawn(r) for _ in range(4)]
    a, b, c, d = (values for values, _ in parts)
    whole = a.join(b).join(c).join(d)
    for one, two, three, four in itertools.permutations((a, b, c, d)):
        assert said(one.join(two).join(three.join(four))) == said(whole)
        assert said(one.join(two.join(three)).join(four)) == said(whole)
    nonzero = sum(count for _, count in parts)
    assert len({x.join(y).join(z).kind(nonzero) for x, y, z in itertools.permutations((a, b, c.join(d)))}) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_the_join_of_parts_is_what_is_seen_of_the_whole(kind: str, seed: int) -> None:
    r = random.Random(seed)
    numbers = [KINDS[kind](r) for _ in range(300)]
    parts = [numbers[:1], numbers[1:40], numbers[40:]]
    joined = of(parts[0]).join(of(parts[1])).join(of(parts[2]))
    assert said(joined) == said(of(numbers))


def test_nothing_seen_changes_nothing() -> None:
    for numbers in ([1.0, 0.0], [0.3, 0.9], [-1.0, 1.0], [1.7, 2.9, 0.1]):
        for provenance in ("spikes", "none"):
            for linear in (True, False):
                values = of(numbers, provenance, linear)
                assert said(values.join(Values())) == said(Values().join(values)) == said(values)


@pytest.mark.parametrize("seed", range(40))
def test_a_class_that_is_lost_does_not_come_back(seed: int) -> None:
    # With the lineage of spikes the join never names a better class than a part has.
    r = random.Random(seed)
    seen, nonzero = Values(), 0
    before = ValueClass.SILENT
    for _ in range(8):
        kind = r.choice(list(KINDS))
        numbers = [KINDS[kind](r) for _ in range(100)]
        seen, nonzero = seen.join(of(numbers)), nonzero + sum(1 for v in numbers if v)
        after = seen.kind(nonzero)
        assert rank(after) >= rank(before)
        before = after


A_UNIT = Values(unit=0.3, levels=1, magnitudes=1)


@pytest.mark.parametrize(
    ("values", "nonzero", "kind"),
    [
        (Values(), 0, "silent"),
        (Values("real"), 0, "silent"),
        (A_UNIT, 1, "spikes"),
        (Values(unit=1.0, levels=1, magnitudes=1, negative=True), 9, "ternary"),
        (Values(unit=0.5, levels=4, magnitudes=2), 9, "graded"),
        (Values(unit=0.5, levels=MOST_LEVELS, magnitudes=2, linear=False), 9, "graded"),
        (Values(unit=0.5, levels=MOST_LEVELS + 1, magnitudes=2, linear=False), 9, "real"),
        (Values(unit=0.5, levels=1000, magnitudes=2), 9, "graded"),  # the lineage vouches for sums of spikes
        (Values(unit=1 / 77, levels=1, magnitudes=1), 9, "spikes"),
        (Values(magnitudes=2, multiples=False), 9, "averaged"),
        (Values(magnitudes=2, multiples=False, linear=False), 9, "real"),
        (Values(magnitudes=2, multiples=False, channels=(0.3, 0.7)), 9, "spikes"),
        (Values(magnitudes=2, multiples=False, channels=(0.3, 0.7), negative=True), 9, "ternary"),
        # Without a lineage as many must repeat a magnitude.
        (Values("none", unit=1.0, levels=1, magnitudes=1), REPEATS, "unproven"),
        (Values("none", unit=1.0, levels=1, magnitudes=1), REPEATS + 1, "spikes"),
        (Values("none", unit=1.0, levels=3, magnitudes=2), REPEATS + 1, "unproven"),
        (Values("none", unit=1.0, levels=3, magnitudes=2), REPEATS + 2, "graded"),
        (Values("none", unit=1.0, levels=40, magnitudes=2), 10**6, "real"),
        (Values("none", magnitudes=2, multiples=False), 10**6, "real"),
        (Values("none", magnitudes=2, multiples=False, channels=(0.3, 0.7)), REPEATS + 2, "spikes"),
        (Values("none", magnitudes=2, multiples=False, channels=(0.3, 0.7)), REPEATS + 1, "real"),
        (Values("real", unit=1.0, levels=1, magnitudes=1), 10**6, "real"),
    ],
)
def test_the_class_of_values(values: Values, nonzero: int, kind: str) -> None:
    assert str(values.kind(nonzero)) == kind


def test_units_of_channels_join_channel_by_channel() -> None:
    def units(*channels: float) -> Values:
        return Values(magnitudes=2, multiples=False, channels=channels, tolerance=4 * EPS)

    assert units(0.3, 0.0, 0.7).join(units(0.3, 0.5, 0.0)).channels == (0.3, 0.5, 0.7)
    assert units(0.3, 0.5).join(units(0.3, 0.6)).kind(99) is ValueClass.AVERAGED
    assert units(0.3, 0.5).join(units(0.3, 0.5, 0.7)).channels == ()
    assert units(0.3, 0.5).join(Values()).channels == (0.3, 0.5)  # a silent part
    assert units(0.3, 0.5).join(Values("real")).kind(99) is ValueClass.REAL


@pytest.mark.parametrize(
    ("a", "b", "unit"),
    [(1.0, 1.0, 1.0), (2.0, 3.0, 1.0), (0.25, 0.75, 0.25), (0.3, 0.9, 0.3), (1 / 3, 1 / 2, 1 / 6), (0.7, 4.9, 0.7)],
)
def test_the_common_unit(a: float, b: float, unit: float) -> None:
    for one, other in ((a, b), (b, a)):
        found = common_unit(one, other, 4 * EPS)
        assert found is not None and math.isclose(found, unit, rel_tol=1e-6)


def test_numbers_without_a_common_unit() -> None:
    assert common_unit(1.0, math.sqrt(2), 4 * EPS) is None
    assert common_unit(1.0, math.pi, 1e-12) is None
    assert common_unit(1.0, 1e-9, 4 * EPS) is None  # a billion levels are no levels


def test_an_operand_at_another_rate_keeps_its_class() -> None:
    for values, ones in ((A_UNIT, 0), (Values(unit=0.5, levels=4, magnitudes=2, total=50), 3), (Values("real"), 0)):
        x = Operand(100, 20, ones, values)
        assert x.at(40).kind is x.kind and x.at(40).nonzero == 40
        if x.total is not None:
            assert x.at(40).total == 2 * x.total
    silent = Operand(100, 0, 0, Values())
    assert (silent.at(7).kind, silent.at(7).total, silent.at(7).ones) == (ValueClass.SPIKES, 7, 7)
    assert Operand(100, 20, 20, A_UNIT).at(0).kind is ValueClass.SILENT
