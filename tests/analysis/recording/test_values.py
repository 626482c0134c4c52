"""Values measured on tensors: units, levels and signs, in every number format, in every corner of a tensor."""

from typing import Any

import pytest
import torch
from torch import Tensor

from saformer.analysis.profiles import ValueClass, Values
from saformer.analysis.recording.counting import looks
from saformer.analysis.recording.counting import values as measuring
from saformer.analysis.recording.counting.integers import Integers
from saformer.analysis.recording.counting.looks import Looks
from saformer.analysis.recording.counting.values import ValueMeter, of_ones, tolerance
from saformer.analysis.recording.origins.sources import Provenance, Source

SPIKES = Source("neurons", provenance=Provenance.SPIKES)
SUMS = Source("add", provenance=Provenance.SPIKES, linear=False)
UNKNOWN = Source("the input", provenance=Provenance.NONE)
REAL = Source("result of fc", provenance=Provenance.REAL)
FORMATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def measured(x: Tensor, source: Source | None = SPIKES, channel: int = 1) -> Values:
    return ValueMeter(Looks()).measure(x, source, channel)


def kind(x: Tensor, source: Source | None = SPIKES, channel: int = 1) -> str:
    return str(measured(x, source, channel).kind(int(x.ne(0).sum())))


def spikes(*shape: int, seed: int = 0, rate: float = 0.3) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@pytest.mark.parametrize("height", [1.0, 0.5, 0.3, 1 / 3, 7.7, 1e-3])
def test_spikes_of_any_height(dtype: torch.dtype, height: float) -> None:
    x = (spikes(8, 20).double() * height).to(dtype)
    found = measured(x)
    assert found.unit == float(torch.tensor(height, dtype=dtype))
    assert (found.levels, found.magnitudes, found.negative, found.total) == (1, 1, False, int(x.ne(0).sum()))
    assert kind(x) == "spikes"
    assert kind(x * torch.where(spikes(8, 20, seed=1) > 0, 1, -1).to(dtype)) == "ternary"


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@pytest.mark.parametrize("most", [2, 3, 4, 6, 8, 10])
def test_whole_multiples_over_the_largest(dtype: torch.dtype, most: int) -> None:
    k = torch.randint(0, most + 1, (8, 50), generator=torch.Generator().manual_seed(most))
    x = k.to(dtype) / most
    found = measured(x)
    assert found.unit == pytest.approx(1 / most, rel=2e-2 if dtype.itemsize == 2 else 1e-6)
    assert (found.levels, found.total, kind(x)) == (most, int(k.sum()), "graded")
    assert kind(x, SUMS) == "graded"


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.uint8, torch.int32, torch.int64], ids=str)
def test_truth_values_and_integers(dtype: torch.dtype) -> None:
    x = spikes(8, 20).to(dtype)
    assert kind(x) == "spikes"
    if dtype is not torch.bool:
        assert kind(x * 3) == "spikes" and measured(x * 3).unit == 3
        assert kind(x + x.flip(0)) == "graded"
        assert measured(x + x.flip(0)).total == 2 * int(x.sum())


def test_real_numbers_are_none() -> None:
    x = torch.randn(8, 20, generator=torch.Generator().manual_seed(0)) * spikes(8, 20)
    assert not measured(x).multiples and measured(x).unit is None
    assert (kind(x), kind(x, SUMS), kind(x, UNKNOWN), kind(x, REAL)) == ("averaged", "real", "real", "real")


def test_the_lineage_may_veto() -> None:
    # A ReLU on a flat image: one value.
    assert kind(spikes(8, 20), REAL) == "real"
    assert measured(spikes(8, 20), REAL).provenance == "real"


def test_few_values_prove_nothing_without_a_lineage() -> None:
    few, many = torch.zeros(8, 20), spikes(8, 80)
    few[0, :9] = 1.0
    assert (kind(few), kind(few, UNKNOWN), kind(few, None)) == ("spikes", "unproven", "unproven")
    assert (kind(many, UNKNOWN), kind(many, None)) == ("spikes", "spikes")
    assert kind(many.to(torch.bfloat16), UNKNOWN) == "real"  # narrow formats look graded where they are not
    assert kind(many.to(torch.bfloat16)) == "spikes"


def test_a_unit_for_each_channel() -> None:
    heights = torch.tensor([0.3, 0.37, 0.71, 1.93])
    x = spikes(30, 4, 5, 5) * heights[:, None, None]
    assert measured(x).channels == tuple(heights.tolist()) and kind(x) == "spikes"
    assert measured(x.movedim(1, -1), channel=-1).channels == tuple(heights.tolist())
    assert kind(x * torch.where(spikes(30, 4, 5, 5, seed=1) > 0, 1.0, -1.0)) == "ternary"
    assert measured(x, channel=-1).channels == ()  # by another dimension they are none
    # A channel that is never silent may be a constant: no spikes.
    x[:, 2] = 0.71
    assert measured(x).channels == () and kind(x) == "averaged"
    # One that is always silent says nothing.
    x[:, 2] = 0.0
    assert measured(x).channels == (*heights[:2].tolist(), 0.0, float(heights[3]))


@pytest.mark.parametrize("place", [0, 1, 4097, 99_999, 262_144, 299_999])
@pytest.mark.parametrize(
    ("odd", "found"),
    [(-1.0, "ternary"), (2.0, "graded"), (0.5, "graded"), (0.7312345, "averaged"), (1e-30, "averaged")],
)
def test_one_odd_value_anywhere_is_found(place: int, odd: float, found: str) -> None:
    # Wherever it hides from a glance, and across the borders of what is looked at in one pass.
    x = spikes(300_000)
    x[place] = odd
    assert kind(x, channel=-1) == found


def test_long_tensors_are_looked_at_in_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randint(-3, 4, (50, 41), generator=torch.Generator().manual_seed(0)).float() / 4
    whole = measured(x)
    monkeypatch.setattr(looks, "CPU_PASS", 7)
    monkeypatch.setattr(measuring, "GLANCE", 5)
    assert measured(x) == whole
    assert (whole.unit, whole.levels, whole.negative, whole.total) == (0.25, 3, True, int((x.abs() * 4).sum()))


def test_rounding_is_forgiven_and_no_more() -> None:
    third = torch.full((100,), 0.1) * torch.arange(100).remainder(4)
    assert kind(third, channel=-1) == "graded"
    assert kind(spikes(100) * (1 + 1e-4 * torch.arange(100)), channel=-1) == "averaged"
    assert [tolerance(dtype) for dtype in (torch.int8, torch.bool)] == [0.0, 0.0]
    assert tolerance(torch.float32) == 4 * torch.finfo(torch.float32).eps
    assert tolerance(torch.bfloat16) == 2 * torch.finfo(torch.bfloat16).eps


def test_nothing_and_views() -> None:
    assert measured(torch.zeros(3, 4)) == Values(tolerance=tolerance(torch.float32))
    assert kind(torch.zeros(3, 4)) == "silent"
    both = torch.cat([spikes(6, 8), torch.rand(6, 8, generator=torch.Generator().manual_seed(0))], 1)
    meter = ValueMeter(Looks())
    halves = [meter.measure(both[:, part], SPIKES, 1) for part in (slice(8), slice(8, 16))]
    assert [half.multiples for half in halves] == [True, False]
    assert kind(spikes(8, 20).t()) == "spikes" and kind(spikes(1, 20).expand(9, 20)) == "spikes"
    assert kind(torch.tensor(1.0), channel=-1) == "spikes"


def test_what_is_written_into_is_looked_at_again() -> None:
    x, looks = spikes(8, 20), Looks()
    meter = ValueMeter(looks)
    assert meter.measure(x, SPIKES, 1).unit == 1.0
    x.mul_(0.3)
    assert meter.measure(x, SPIKES, 1).unit == 1.0  # until they are told
    looks.forget(x)
    meter.forget(x)
    assert meter.measure(x, SPIKES, 1).unit == pytest.approx(0.3)
    x.mul_(2)
    looks.clear()
    meter.clear()
    assert meter.measure(x, SPIKES, 1).unit == pytest.approx(0.6)


def test_complex_and_quantised_values() -> None:
    x = spikes(8, 20)
    assert kind(torch.complex(x, torch.zeros_like(x))) == "spikes"
    assert kind(torch.polar(x, torch.rand(8, 20))) in ("spikes", "averaged")  # by magnitude, to its rounding
    assert kind(torch.randn(8, 20, dtype=torch.complex64)) == "averaged"
    q = torch.quantize_per_tensor(x, 0.5, 0, torch.qint8)
    assert measured(q).unit == 1.0


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("source", [SPIKES, SUMS, UNKNOWN, REAL, None])
@pytest.mark.parametrize(
    "x",
    [spikes(8, 20), spikes(8, 20) * 0.3, torch.zeros(8, 20), spikes(8, 20) - 0.5, spikes(8, 20) - 2 * spikes(8, 20)],
    ids=["spikes", "a third", "nothing", "halves", "both signs"],
)
def test_counts_of_ones_say_it_sooner(source: Any, x: Tensor, looked: bool) -> None:
    nonzero, ones, looks = x.ne(0).sum(), Integers(x.eq(1).sum()), Looks()
    if looked:
        looks.of(x)
    told, slow = ValueMeter(looks).values_of(x, source, 1, lambda: (nonzero, ones)), measured(x, source)
    if looked:
        looks.clear()  # it was looked at when it was shown
    quick = told()
    count = int(nonzero)
    assert (quick.kind(count), quick.unit, quick.levels, quick.total, quick.linear, quick.provenance) == (
        *(slow.kind(count), slow.unit, slow.levels, slow.total, slow.linear, slow.provenance),
    )


def test_spikes_by_construction() -> None:
    assert of_ones(7).kind(7) is ValueClass.SPIKES and of_ones(7).total == 7
    assert of_ones(0).kind(0) is ValueClass.SILENT
    assert of_ones(7).join(of_ones(0)) == of_ones(7)


def test_what_is_not_a_number_has_no_unit():
    x = torch.tensor([[1.0, 2.0, 3.5, torch.nan, 5.0, 0.25]] * 3)
    for values in (x, x.round(), torch.where(x.isnan(), x, 0.0)):
        assert not ValueMeter(Looks()).measure(values, None, -1).multiples
