import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from awake_models import calibrated
from mixed_images import Mixed
from scipy import stats
from torch import Tensor, nn

import saformer
from saformer.analysis import profile
from saformer.analysis.profiles.exact_sums import exact_gram
from saformer.analysis.profiles.groups import GROUPS, Groups
from saformer.analysis.profiles.moments import PAIRED, Moments
from saformer.models.config import Model


def awake(name: str, seed: int = 0, batch: int = 9, **settings: Any) -> tuple[Model, Tensor]:
    """A small model in float64 with calibrated BatchNorm, so that spikes exist, and a batch of its input."""
    torch.manual_seed(seed)
    model = saformer.build(name, **settings).double()
    config = model.config
    shape = (config.in_channels, config.image_size, config.image_size)
    contrast = torch.rand(batch, *([1] * (4 if config.input_kind == "events" else 3)), dtype=torch.float64) + 0.2
    if config.input_kind == "events":
        x = torch.poisson(contrast.expand(batch, config.time_steps, *shape))
    else:
        x = torch.randn(batch, *shape, dtype=torch.float64) * contrast
    calibrated(model, x, linear=True)
    return model, x


def textbook(values: Any, confidence: float = 0.95) -> float:
    """Half-width of Student's interval of a mean."""
    values = np.asarray(values, dtype=float)
    return float(stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * stats.sem(values))


def ones_and(columns: Any) -> np.ndarray:
    columns = np.asarray(columns, dtype=np.int64)
    return np.concatenate([np.ones((len(columns), 1), np.int64), columns], 1)


# --- Exact products ---


def python_gram(z: np.ndarray) -> list[list[int]]:
    columns = [[int(v) for v in column] for column in z.T]
    return [[sum(a * b for a, b in zip(u, v, strict=True)) for v in columns] for u in columns]


@pytest.mark.parametrize("bits", [1, 8, 23, 24, 25, 31, 40, 47, 48])
@pytest.mark.parametrize("rows", [1, 2, 37])
def test_gram_is_exact(bits: int, rows: int) -> None:
    generator = np.random.default_rng(bits * 100 + rows)
    z = generator.integers(0, 2**bits, (rows, 5), dtype=np.int64)
    z[0, 0], z[-1, -1] = 2**bits - 1, 0
    assert exact_gram(z).tolist() == python_gram(z)


def test_gram_of_many_rows_of_the_largest_numbers_does_not_overflow() -> None:
    rows = 40_000  # times 2**48, the product of two 24-bit parts, exceeds 2**63
    z = np.full((rows, 2), 2**48 - 1, dtype=np.int64)
    z[:, 1] = 2**24 - 1
    a, b = 2**48 - 1, 2**24 - 1
    assert exact_gram(z).tolist() == [[rows * a * a, rows * a * b], [rows * a * b, rows * b * b]]


def test_gram_of_values_around_the_split_and_the_chunk() -> None:
    values = [2**24 - 1, 2**24, 2**24 + 1, 2**25 - 1, 2**47 + 2**24, 0, 1]
    for rows in (4095, 4096, 4097):
        z = np.array([[values[i % 7], values[(3 * i) % 7]] for i in range(rows)], dtype=np.int64)
        assert exact_gram(z).tolist() == python_gram(z)


def test_gram_holds_python_integers() -> None:
    assert all(type(v) is int for row in exact_gram(np.array([[3, 5]], dtype=np.int64)) for v in row)


def test_gram_of_nothing() -> None:
    assert exact_gram(np.zeros((0, 2), dtype=np.int64)).tolist() == [[0, 0], [0, 0]]


# --- Moments ---


def test_moments_are_sums_and_sums_of_products() -> None:
    z = ones_and(np.random.default_rng(0).integers(0, 2**40, (20, 3)))
    moments = Moments.of(z)
    assert moments.units == 20
    assert moments.sums == tuple(sum(int(v) for v in column) for column in z.T)
    assert [list(row) for row in moments.gram] == python_gram(z)
    assert all(type(v) is int for v in (*moments.sums, *(v for row in moments.gram for v in row)))


def test_sums_beyond_63_bits() -> None:
    z = np.full((2**17, 1), 2**47, dtype=np.int64)
    assert Moments.of(z).sums == (2**64,)


def test_moments_of_parts_add_up() -> None:
    z = ones_and(np.random.default_rng(1).integers(0, 2**40, (30, 4)))
    whole = Moments.of(z)
    for cut in (0, 1, 13, 29, 30):
        assert Moments.of(z[:cut]) + Moments.of(z[cut:]) == whole


def test_moments_of_other_counters_do_not_add() -> None:
    with pytest.raises(ValueError, match="zip"):
        Moments.of(ones_and([[1]])) + Moments.of(ones_and([[1, 2]]))


# --- The interval ---


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 10, 200])
def test_half_width_is_the_textbook_interval(n: int, confidence: float) -> None:
    generator = np.random.default_rng(n)
    z = generator.integers(0, 10**6, (n, 3))
    coefficients = [4.6, 0.9, -2.5]
    expected = textbook(z @ np.array(coefficients), confidence)
    assert Moments.of(ones_and(z)).half_width(coefficients, confidence) == pytest.approx(expected, rel=1e-9)


def test_the_default_is_95_percent() -> None:
    z = np.arange(12)[:, None]
    assert Moments.of(ones_and(z)).half_width([1.0]) == pytest.approx(textbook(np.arange(12)), rel=1e-12)


def test_nearly_equal_images_do_not_drown_in_rounding() -> None:
    # The variance is 1e-26 of the squared mean: sums of squares in floating point would lose it all.
    base = 2**47
    steps = [0, 1, 3, 1, 0, 2]
    z = np.array([[base + s, base - 2 * s] for s in steps], dtype=np.int64)
    expected = textbook([1.5 * s - 2 * 0.25 * s for s in steps])
    assert Moments.of(ones_and(z)).half_width([1.5, 0.25]) == pytest.approx(expected, rel=1e-9)


def test_equal_images_have_no_spread() -> None:
    assert Moments.of(ones_and([[2**40, 7]] * 5)).half_width([1.0, 3.0]) == 0


def test_counters_that_cancel_have_no_spread() -> None:
    z = ones_and([[i * i, i * i] for i in range(20)])
    assert Moments.of(z).half_width([1.0, -1.0]) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("units", [0, 1])
def test_fewer_than_two_units_have_no_interval(units: int) -> None:
    assert Moments.of(np.ones((units, 2), np.int64)).half_width([1.0]) is None


def test_an_interval_of_no_counters() -> None:
    assert Moments.of(np.ones((4, 1), np.int64)).half_width([]) == 0


def test_adding_parts_gives_the_interval_of_the_whole() -> None:
    z = ones_and(np.random.default_rng(2).integers(0, 1000, (25, 2)))
    parts = Moments.of(z[:7]) + Moments.of(z[7:11]) + Moments.of(z[11:])
    assert parts.half_width([1.0, 2.0]) == Moments.of(z).half_width([1.0, 2.0])


# --- More counters than have pairs ---


WIDE = PAIRED + 9


def wide(units: int, seed: int = 0) -> np.ndarray:
    """Units of so many counters: busy ones are busy in every layer."""
    generator = np.random.default_rng(seed)
    return ones_and(generator.poisson(generator.gamma(8, 1 / 8, (units, 1)) * np.full((1, WIDE), 400)))


def test_what_is_kept_of_wide_networks_does_not_grow_with_their_square() -> None:
    few, many = Moments.of(wide(5)), Moments.of(wide(3 * GROUPS))
    assert few.gram == many.gram == ()
    assert few.groups is not None and len(few.groups.rows) == 5
    assert many.groups is not None and len(many.groups.rows) == GROUPS
    assert Moments.of(wide(5)[:, :PAIRED]).groups is None


@pytest.mark.parametrize("units", [2, 40, GROUPS])
def test_few_units_of_wide_networks_have_the_textbook_interval(units: int) -> None:
    z, coefficients = wide(units), np.random.default_rng(1).random(WIDE)
    assert Moments.of(z).half_width([*coefficients]) == pytest.approx(textbook(z[:, 1:] @ coefficients), rel=1e-9)
    assert Moments.of(z).counter_half_width(3) == pytest.approx(textbook(z[:, 3]), rel=1e-9)


@pytest.mark.parametrize("units", [GROUPS - 1, GROUPS + 1, 2 * GROUPS + 5])
def test_groups_add_up_in_whatever_order(units: int) -> None:
    z = wide(units)
    whole = Moments.of(z)
    for cuts in ([1], [GROUPS // 3, GROUPS - 2], [units - 1]):
        a, b, *rest = (Moments.of(part) for part in np.split(z, cuts))
        assert sum(rest, a + b) == sum(rest, b + a) == whole
        assert sum(rest[::-1], Moments.of(z[:0])) + (b + a) == whole
    assert Moments.of(z[::-1]) == whole


def test_the_random_groups_of_many_units_cover_the_mean_as_often_as_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saformer.analysis.profiles.moments.PAIRED", 4)
    monkeypatch.setattr("saformer.analysis.profiles.groups.GROUPS", 24)
    coefficients, rates = [0.9, 4.6, 0.1, 2.0], np.array([400.0, 30.0, 5000.0, 100.0])
    truth, covered, widths = float(rates @ np.array(coefficients)), 0, []
    for seed in range(400):
        generator = np.random.default_rng(seed)
        z = generator.poisson(generator.gamma(8, 1 / 8, (90, 1)) * rates)
        half_width = Moments.of(ones_and(z)).half_width(coefficients)
        assert half_width is not None
        energies = z @ np.array(coefficients)
        widths.append(half_width / textbook(energies))
        covered += abs(float(energies.mean()) - truth) <= half_width
    assert 0.92 * 400 <= covered <= 0.98 * 400
    assert np.mean(widths) == pytest.approx(stats.t.ppf(0.975, 23) / stats.t.ppf(0.975, 89), rel=0.05)


def test_equal_units_of_wide_networks_have_no_spread() -> None:
    z = np.repeat(wide(1), GROUPS + 1, 0)
    assert Moments.of(z).half_width([1.0] * WIDE) == Moments.of(z[1:]).half_width([1.0] * WIDE) == 0
    assert Moments.of(z).counter_half_width(1) == 0


def test_every_counter_has_the_interval_of_single_units() -> None:
    z = wide(GROUPS + 40)
    assert Moments.of(z).counter_half_width(7) == pytest.approx(textbook(z[:, 7]), rel=1e-9)


@pytest.mark.parametrize("units", [3, GROUPS + 3])
def test_batches_of_wide_networks(units: int) -> None:
    z = wide(units)
    sizes = np.random.default_rng(3).integers(1, 20, (units, 1))
    z *= sizes  # column 0 holds the sizes
    single = Moments.of(z[:, [0, 4]])
    assert Moments.of(z).counter_half_width(4) == pytest.approx(single.counter_half_width(1), rel=1e-12)
    only = [float(i == 4) for i in range(1, WIDE + 1)]
    assert Moments.of(z).half_width(only) == pytest.approx(single.half_width([1.0]), rel=1e-9 if units == 3 else 0.3)


def test_counters_of_groups_can_be_left_out() -> None:
    z = wide(GROUPS + 9)
    alone = Moments.of(z).of_counters([0, 2, 5])
    assert alone.sums == tuple(int(z[:, i].sum()) for i in (0, 2, 5))
    assert alone.counter_half_width(1) == Moments.of(z).counter_half_width(2)


def test_one_unit_of_counters_beyond_any_word() -> None:
    assert Moments.of_unit((3, 2**70)) + Moments.of_unit((1, 2)) == Moments(
        2, (4, 2**70 + 2), ((10, 3 * 2**70 + 2), (3 * 2**70 + 2, 2**140 + 4))
    )
    ones = (1,) * (PAIRED + 1)
    assert Moments.of_unit(ones).groups == Groups(ones, ones, ((1, *ones),))


def test_pairs_and_groups_do_not_add() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        Moments.of(wide(2)) + Moments(2, (2,) * (WIDE + 1), ())


# --- Batches as units ---


def ratio_interval(sizes: list[int], energies: list[float]) -> float:
    """Interval of total energy over total images, by the residuals of a ratio estimator, in exact fractions."""
    m, e = [Fraction(s) for s in sizes], [Fraction(v) for v in energies]
    mean = sum(e) / sum(m)
    squares = sum((y - x * mean) ** 2 for x, y in zip(m, e, strict=True))
    units = len(m)
    variance = squares / (units - 1) / units / (sum(m) / units) ** 2
    return float(stats.t.ppf(0.975, units - 1)) * math.sqrt(variance)


@pytest.mark.parametrize("sizes", [[4, 4, 4], [5, 5, 2], [1, 7, 3, 16], [10, 1]])
def test_batches_of_unequal_size(sizes: list[int]) -> None:
    generator = np.random.default_rng(sum(sizes))
    z = np.array([[s, *(generator.integers(50, 90, 2) * s)] for s in sizes], dtype=np.int64)
    energies = [3.0 * float(a) + 0.5 * float(b) for _, a, b in z]
    assert Moments.of(z).half_width([3.0, 0.5]) == pytest.approx(ratio_interval(sizes, energies), rel=1e-9)


def test_batches_of_equal_size_are_means_of_batches() -> None:
    z = np.array([[4, 100], [4, 140], [4, 90], [4, 95]], dtype=np.int64)
    assert Moments.of(z).half_width([2.0]) == pytest.approx(textbook(2.0 * z[:, 1] / 4), rel=1e-12)


def test_batches_that_differ_in_size_alone_have_no_spread() -> None:
    z = np.array([[4, 400], [1, 100], [16, 1600]], dtype=np.int64)
    assert Moments.of(z).half_width([2.0]) == 0


class SequenceFirst(nn.Module):
    """Tokens before images, so that images cannot be told apart by the first dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(6, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.fc(x.transpose(0, 1).contiguous()).relu()).mean(0)


def test_tokens_before_images_are_told_apart_by_what_grows() -> None:
    torch.manual_seed(0)
    net, x = SequenceFirst(), torch.randn(17, 5, 6).relu()
    p = profile(net, [x], check_flops=False)
    apart = [profile(net, [image[None]], check_flops=False) for image in x]
    assert p.unit == "image" and p.moments.units == 17
    total = apart[0]
    for part in apart[1:]:
        total = total + part
    assert (p.moments, p.operations) == (total.moments, total.operations)


def test_a_model_that_mixes_images_gets_an_interval_over_batches() -> None:
    torch.manual_seed(0)
    net = Mixed()
    x = torch.randn(17, 5, 6).relu()
    sizes = [4, 4, 3, 6]
    batches = list(x.split(sizes))
    p = profile(net, batches, check_flops=False)
    assert p.unit == "batch"
    assert p.moments.units == 4
    # Without neurons all is dense, and has no spread; as a spiking network it has.
    account = _as_events(p).account()
    energies = [
        _as_events(profile(net, [b], check_flops=False)).account().energy_mj * s
        for b, s in zip(batches, sizes, strict=True)
    ]
    assert account.ci_unit == "batch"
    assert account.energy_mj_ci95 == pytest.approx(ratio_interval(sizes, energies), rel=1e-9)


@pytest.mark.parametrize(
    ("first", "unit"),
    [("T x B", "image"), ("T*B", "image"), ("T x heads x B", "batch"), ("B*heads*T", "batch"), ("T*B*heads", "batch")],
)
def test_images_that_cannot_be_told_from_heads_get_an_interval_over_batches(first: str, unit: str) -> None:
    steps, heads = 4, 3

    class Products(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            q = (x.expand(steps, *x.shape) > 0.1).float().unflatten(-1, (heads, 2)).transpose(2, 3)  # T B heads N d
            q = {
                "T x B": lambda: q,
                "T*B": lambda: q.flatten(0, 1),
                "T x heads x B": lambda: q.transpose(1, 2).contiguous(),
                "B*heads*T": lambda: q.permute(1, 2, 0, 3, 4).flatten(0, 2),
                "T*B*heads": lambda: q.flatten(0, 2),
            }[first]()
            return (q @ q.transpose(-1, -2)).sum().expand(len(x))

    x = torch.randn(2 * heads, 5, 6, generator=torch.Generator().manual_seed(1))
    p = profile(Products(), x.split(heads), time_steps=steps, check_flops=False)
    assert p.unit == unit
    if unit == "image":
        parts = [profile(Products(), [image[None]], time_steps=steps, check_flops=False) for image in x]
        assert p.moments == sum((part.moments for part in parts[1:]), parts[0].moments)


def _as_events(p: Any) -> Any:
    """The same integers, taken for those of sums of spikes on event data, where each layer is charged ACs."""
    from dataclasses import replace

    operations = tuple(replace(o, operands=tuple(replace(x, values=None) for x in o.operands)) for o in p.operations)
    return replace(p, data=replace(p.data, kind="events"), operations=operations)


# --- On networks ---


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("saformer-1-16", {"image_size": 16}),
        ("saformer-1-16", {"image_size": 16, "aggregate": "spikes", "aggregated": 4}),
        ("saformer-1-16", {"in_channels": 2, "image_size": 16, "time_steps": 3}),
        ("spikformer-1-16", {"image_size": 16, "heads": 1}),
        ("sdt-1-16", {"image_size": 16, "time_steps": 3}),
    ],
)
def test_the_error_bar_is_that_of_energies_computed_image_by_image(name: str, settings: dict[str, Any]) -> None:
    model, x = awake(name, **settings)
    energies = [profile(model, [image[None]], check_flops=False).account().energy_mj for image in x]
    assert np.std(energies) > 0
    for batch_size in (1, 4, 9):
        account = profile(model, x.split(batch_size), check_flops=False).account()
        assert account.ci_unit == "image", batch_size
        assert account.energy_mj == pytest.approx(np.mean(energies), rel=1e-12), batch_size
        assert account.energy_mj_ci95 == pytest.approx(textbook(energies), rel=1e-9), batch_size


def test_the_error_bar_follows_the_options() -> None:
    model, x = awake("saformer-1-16", image_size=16)
    p = profile(model, [x], check_flops=False)
    once = [profile(model, [i[None]], check_flops=False).account(first_layer_once=True).energy_mj for i in x]
    assert p.account(first_layer_once=True).energy_mj_ci95 == pytest.approx(textbook(once), rel=1e-9)


def test_the_error_bar_of_many_images_is_exact() -> None:
    # The gradient is a difference of two charges: with many images both are large.
    model, x = awake("saformer-1-16", image_size=16)
    p = profile(model, [x], check_flops=False)
    for _ in range(20):
        p = p + p
    single = profile(model, [x], check_flops=False).account().energy_mj_ci95
    assert single is not None
    n, copies = 9, 2**20
    # The same images again and again: the sum of squares grows with the copies, t and the divisors are known.
    exact = (
        single / stats.t.ppf(0.975, n - 1) * stats.t.ppf(0.975, n * copies - 1) * math.sqrt((n - 1) / (n * copies - 1))
    )
    assert p.account().energy_mj_ci95 == pytest.approx(exact, rel=1e-6)


# --- Coverage ---


def test_the_interval_covers_the_true_mean() -> None:
    coefficients = [0.9, 4.6, 0.1]
    rates = np.array([400.0, 30.0, 5000.0])
    truth = float(rates @ np.array(coefficients))
    covered = 0
    for seed in range(500):
        generator = np.random.default_rng(seed)
        activity = generator.gamma(8, 1 / 8, (30, 1))  # what images share: busy ones are busy in every layer
        z = generator.poisson(activity * rates)
        half_width = Moments.of(ones_and(z)).half_width(coefficients)
        assert half_width is not None
        mean = float((z @ np.array(coefficients)).mean())
        covered += abs(mean - truth) <= half_width
    assert 0.93 * 500 <= covered <= 0.975 * 500
