import math

import pytest

from saformer.reports.document.numbers import (
    align_decimal_points,
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
    ("mj", "half_width", "text"),
    [
        (0.49, None, "490 µJ"),
        (7.4635, None, "7.46 mJ"),
        (0, None, "0 mJ"),
        (2.5e-6, None, "2.50 nJ"),
        (5400, None, "5.40 J"),
        (9.999e-4, None, "1.00 µJ"),
        (1e-12, None, "0.00100 pJ"),
        (7.3950e-5, 1.5e-8, "73.950 ± 0.015 nJ"),
        (0.00458, 0.0000438, "4.580 ± 0.044 µJ"),
        (0.00458, 0.0, "4.58 ± 0 µJ"),
        (None, None, "-"),
        (math.nan, 0.1, "-"),
    ],
)
def test_an_energy_has_the_unit_that_reads_best_and_the_digits_of_its_error(mj, half_width, text) -> None:
    assert energy_unit(mj).text(mj, half_width) == text


def test_all_energies_of_an_output_have_the_unit_of_the_largest() -> None:
    unit = energy_unit(0.0587, 0.0001, None, math.nan)
    assert unit.name == "µJ"
    assert [unit.text(mj) for mj in (0.0587, 1e-4, 1e-8)] == ["58.7 µJ", "0.100 µJ", "<0.0001 µJ"]
    write = unit.column([0.0587, 0.0001])
    assert [write(mj) for mj in (0.0587, 0.0001, 1e-9, None)] == ["58.70", "0.10", "<0.01", "-"]


def test_percent_does_not_round_what_is_there_to_nothing() -> None:
    assert percent(0.1234) == "12.3%"
    assert percent(0.0) == percent(0.0, sign=True) == percent(0.0001, sign=True) == "0.0%"
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
        (0.12342, 0.00047, ("0.12342", "0.00047")),
        (0.49, 0.0014, ("0.4900", "0.0014")),
        (0.49, 0.00996, ("0.490", "0.010")),
        (123.4, 12.6, ("123", "13")),
        (1234.5, 126.0, ("1230", "130")),
        (0.12342, None, ("0.1234", "")),
        (0.12342, math.nan, ("0.1234", "")),
        (0.12342, 0.0, ("0.1234", "0")),
        (0.12342, 1e-17, ("0.1234", "0")),
        (math.nan, 0.1, ("-", "")),
    ],
)
def test_the_error_has_two_digits_and_the_value_ends_where_they_do(value, half_width, texts) -> None:
    assert interval(value, half_width) == texts


def test_decimal_points_stand_above_each_other() -> None:
    assert align_decimal_points(["22.6", "0.4900", "7"]) == ["22.6   ", " 0.4900", " 7     "]
    assert align_decimal_points([]) == []


@pytest.mark.parametrize("value", [-0.0, -1e-9])
def test_no_zero_has_a_minus(value):
    assert fixed(value, 3) == "0.000" and percent(value, 2) == "0.00%" and percent(value, sign=True) == "0.0%"
    assert fixed(-0.002, 3) == "-0.002" and percent(-0.002, sign=True) == "-0.2%"
