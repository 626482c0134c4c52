import math

import pytest

from saformer.reports.document.numbers import (
    align_decimal_points,
    energy,
    energy_unit,
    fixed,
    fixed_decimals,
    interval,
    percent,
    si,
    significant,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (12.345, "12.3"),
        (0.5, "0.500"),
        (1000, "1.00k"),
        (4_530_000, "4.53M"),
        (999_499, "999k"),
        (999_600, "1.00M"),
        (1.0622769e9, "1.06G"),
        (2.5e18, "2500P"),
        (-4530.0, "-4.53k"),
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "-"),
    ],
)
def test_counts_have_three_digits_and_the_prefix_of_the_rounded_number(value: float | None, text: str) -> None:
    assert si(value) == text


def test_significant_rounds_before_it_counts_digits() -> None:
    assert significant(9.996) == "10.0"
    assert significant(0.012344, 4) == "0.01234"
    assert significant(1.234e-7) == "1.23e-07"


@pytest.mark.parametrize(
    ("mj", "text"),
    [
        (0.49, "490 µJ"),
        (7.4635, "7.46 mJ"),
        (0, "0 mJ"),
        (2.5e-6, "2.50 nJ"),
        (5400, "5.40 J"),
        (9.999e-4, "1.00 µJ"),
    ],
)
def test_energy_takes_the_unit_that_reads_best(mj: float, text: str) -> None:
    assert energy(mj) == text


def test_energy_column_has_one_unit_never_above_millijoules() -> None:
    assert energy_unit(1234.5) == ("mJ", 1.0)
    assert energy_unit(0.0587) == ("µJ", 1e3)
    assert energy_unit(0.0) == ("mJ", 1.0)
    assert energy_unit(1e-12) == ("pJ", 1e9)


def test_percent_does_not_round_what_is_there_to_nothing() -> None:
    assert percent(0.1234) == "12.3%"
    assert percent(0.0) == "0.0%"
    assert percent(0.0003) == "<0.1%"
    assert percent(0.9548, decimals=2) == "95.48%"
    assert percent(0.90485, sign=True) == "+90.5%"
    assert percent(-0.05, sign=True) == "-5.0%"
    assert percent(math.nan) == percent(None) == "-"


def test_fixed_columns_say_less_than_instead_of_zero() -> None:
    assert fixed_decimals(58.7) == 2
    assert fixed_decimals(0.0) == 0
    assert fixed(0.001, 2) == "<0.01"
    assert fixed(0.0, 2) == "0.00"


@pytest.mark.parametrize(
    ("value", "half_width", "texts"),
    [
        (0.12342, 0.00047, ("0.1234", "0.0005")),
        (0.49, 0.0014, ("0.4900", "0.0014")),
        (0.49, 0.00996, ("0.490", "0.010")),
        (123.4, 12.6, ("123", "13")),
        (0.12342, None, ("0.1234", "")),
        (0.12342, math.nan, ("0.1234", "")),
        (0.12342, 0.0, ("0.1234", "0")),
    ],
)
def test_value_is_cut_where_its_interval_starts(value: float, half_width: float | None, texts: tuple[str, str]) -> None:
    assert interval(value, half_width) == texts


def test_decimal_points_stand_above_each_other() -> None:
    assert align_decimal_points(["22.6", "0.4900", "7"]) == ["22.6   ", " 0.4900", " 7     "]
    assert align_decimal_points([]) == []
