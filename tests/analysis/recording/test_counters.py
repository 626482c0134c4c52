"""Counts against Python loops over every element."""

import itertools

import pytest
import torch
from exact_counts import KINDS, values
from torch import Tensor
from torch.nn import functional as F

from saformer.analysis.recording.counting import counters, looks
from saformer.analysis.recording.counting.counters import Counter, as_rows, spatial_fan_out
from saformer.native.passes import native

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
EVERY_KIND = [*KINDS, "ones", "no ones", "not finite"]


@pytest.fixture(params=[None, 1, 3, 7, 16], ids=lambda size: f"pass {size}")
def pass_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes so short that small tensors need several; None leaves them as they are."""
    if request.param is not None:
        monkeypatch.setattr(looks, "CPU_PASS", request.param)
        monkeypatch.setattr(looks, "DEVICE_PASS", max(request.param, 8))


def loop_count(x: Tensor, rows: int) -> tuple[list[int], int]:
    """Nonzeros of each row and ones in all, one element after the other."""
    flat = x.reshape(-1).tolist()
    width = len(flat) // rows
    nonzero = [sum(1 for v in flat[r * width : (r + 1) * width] if v != 0) for r in range(rows)]
    return nonzero, sum(1 for v in flat if v == 1)


# --- Nonzeros and ones ---


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_nonzeros_and_ones(pass_size: None, kind: str, dtype: torch.dtype) -> None:
    x = values(kind, 4, 3, 5, seed=1, dtype=dtype)
    for rows in (1, 4, 12):
        nonzero, ones = Counter().count(x, rows)
        assert (nonzero.tolist(), int(ones)) == loop_count(x, rows)
        assert nonzero.dtype == torch.int64


def test_rows_of_folded_dimensions(pass_size: None) -> None:
    # T*B folded into the first dimension, or rows that are groups of the first dimension.
    x = values("integers", 12, 5)
    for rows in (1, 2, 3, 4, 6, 12):
        nonzero, ones = Counter().count(x, rows)
        assert (nonzero.tolist(), int(ones)) == loop_count(x, rows)


def test_rows_of_views_in_any_layout(pass_size: None) -> None:
    x = values("real", 4, 3, 5, 6)
    for view in (
        x.permute(0, 1, 3, 2),
        x.permute(1, 0, 3, 2),
        x[:, :, 1:4],
        x[..., ::2],
        x.flip(0),
        x[:, :1].expand_as(x),
    ):
        rows = view.shape[0] * view.shape[1]
        nonzero, ones = Counter().count(view, rows)
        assert (nonzero.tolist(), int(ones)) == loop_count(view, rows)


def test_as_rows_makes_no_copy_of_permuted_channels() -> None:
    x = torch.randn(2, 3, 4, 5).permute(0, 1, 3, 2)
    assert as_rows(x, 6).data_ptr() == x.data_ptr()
    assert as_rows(x, 6).shape == (6, 20)


def test_an_empty_tensor() -> None:
    nonzero, ones = Counter().count(torch.zeros(3, 0), 3)
    assert (nonzero.tolist(), int(ones)) == ([0, 0, 0], 0)


def test_a_tensor_longer_than_the_real_pass() -> None:
    x = torch.zeros(3, looks.CPU_PASS + 5)
    x[0, -1], x[1, 0], x[2, looks.CPU_PASS - 1] = 1.0, 2.0, 1.0
    x[2, looks.CPU_PASS] = 1.0
    nonzero, ones = Counter().count(x, 3)
    assert (nonzero.tolist(), int(ones)) == ([1, 1, 2], 3)


def test_counts_of_binary_tensors_of_half_precision_do_not_round() -> None:
    # 4097 ones cannot be summed in bfloat16, nor 2049 in float16.
    for dtype in (torch.float16, torch.bfloat16):
        x = torch.ones(2, 4097, dtype=dtype)
        counter = Counter()
        counter.mark_binary(x)
        nonzero, ones = counter.count(x, 2)
        assert (nonzero.tolist(), int(ones)) == ([4097, 4097], 8194)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_known_to_be_binary_are_counted_alike(pass_size: None, dtype: torch.dtype) -> None:
    x, y = values("spikes", 4, 3, 5, dtype=dtype), values("spikes", 4, 5, 6, seed=2, dtype=dtype)
    image = values("spikes", 4, 3, 5, 6, dtype=dtype)
    fan_out = (spatial_fan_out(5, 3, 1, 1, 1, 5, False), spatial_fan_out(6, 3, 2, 1, 1, 3, False))
    plain, marked = Counter(), Counter()
    for tensor in (x, y, image):
        marked.mark_binary(tensor)
        assert marked.is_binary(tensor.transpose(0, 1))
    for rows in (1, 2, 4):
        assert plain.count(x, rows)[0].tolist() == marked.count(x, rows)[0].tolist()
        assert int(plain.count(x, rows)[1]) == int(marked.count(x, rows)[1])
        assert plain.pairs(x, y, rows).tolist() == marked.pairs(x, y, rows).tolist()
        assert plain.weighted(image, rows, fan_out).tolist() == marked.weighted(image, rows, fan_out).tolist()


# --- What is remembered ---


def test_a_tensor_is_counted_once_whatever_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    counter, x = Counter(), values("real", 4, 3, 5)
    nonzero, ones = counter.count(x, 4)
    monkeypatch.setattr(looks, "_look_at", lambda *_: pytest.fail("counted again"))
    monkeypatch.setattr(counters, "as_rows", lambda *_: pytest.fail("counted again"))
    for view in (x, x.transpose(1, 2), x.view(4, 15)):
        again = counter.count(view, 4)
        assert torch.equal(again[0], nonzero) and int(again[1]) == int(ones)


def test_what_was_written_into_is_counted_again() -> None:
    counter, x = Counter(), values("spikes", 4, 6)
    counter.mark_binary(x)
    counter.count(x, 4)
    x.fill_(2.0)
    counter.forget(x)
    assert not counter.is_binary(x)
    nonzero, ones = counter.count(x, 4)
    assert (nonzero.tolist(), int(ones)) == ([6] * 4, 0)


def test_nothing_is_remembered_after_clear() -> None:
    counter, x = Counter(), values("spikes", 4, 6)
    counter.mark_binary(x)
    counter.count(x, 4)
    x.fill_(3.0)
    counter.clear()
    assert not counter.is_binary(x)
    assert counter.count(x, 4)[0].tolist() == [6] * 4


def test_a_part_of_a_tensor_is_not_taken_for_the_whole() -> None:
    counter, x = Counter(), torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    assert counter.count(x, 3)[0].tolist() == [2, 0, 0]
    assert counter.count(x[:2], 2)[0].tolist() == [2, 0]
    assert counter.count(x[1:], 2)[0].tolist() == [0, 0]
    # As many elements as the storage, but not the same ones.
    assert counter.count(x[:1].expand(3, 2), 3)[0].tolist() == [2, 2, 2]
    assert counter.count(x[1:2].expand(3, 2), 3)[0].tolist() == [0, 0, 0]
    assert counter.count(x.flatten().as_strided((3, 2), (1, 1)), 3)[0].tolist() == [2, 1, 0]


def test_an_expanded_tensor_does_not_stand_for_the_whole() -> None:
    counter, x = Counter(), torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    assert counter.count(x[:1].expand(3, 2), 3)[0].tolist() == [2, 2, 2]
    assert counter.count(x, 3)[0].tolist() == [2, 0, 0]


def test_a_new_tensor_at_an_old_address_is_counted_anew() -> None:
    counter = Counter()
    for i in range(50):
        x = torch.full((3, 7), float(i % 2))
        assert counter.count(x, 3)[0].tolist() == [7 * (i % 2)] * 3
        del x


def test_the_memory_of_a_counter_does_not_keep_tensors_alive() -> None:
    counter, x = Counter(), torch.ones(3, 7)
    counter.mark_binary(x)
    counter.count(x, 3)
    ref = torch.multiprocessing.reductions.StorageWeakRef(x.untyped_storage())
    del x
    assert ref.expired()


# --- Fan-out of convolutions ---


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_fan_out_along_one_dimension(seed: int, transposed: bool) -> None:
    generator = torch.Generator().manual_seed(seed)

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    kernel, stride, dilation = pick(1, 5), pick(1, 4), pick(1, 4)
    size = pick(1, 12) if transposed else pick(dilation * (kernel - 1) + 1, dilation * (kernel - 1) + 12)
    padding = pick(0, dilation * (kernel - 1) // 2 + 1) if transposed else pick(0, 4)
    x, w = torch.ones(1, 1, size), torch.ones(1, 1, kernel)
    if transposed:
        extra = pick(0, max(stride, dilation))
        out_size = F.conv_transpose1d(
            x, w, stride=stride, padding=padding, output_padding=extra, dilation=dilation
        ).shape[-1]
    else:
        out_size = F.conv1d(x, w, stride=stride, padding=padding, dilation=dilation).shape[-1]
    expected = [0] * size
    for out, tap, i in itertools.product(range(out_size), range(kernel), range(size)):
        if transposed:
            expected[i] += out == i * stride + tap * dilation - padding
        else:
            expected[i] += i == out * stride + tap * dilation - padding
    assert spatial_fan_out(size, kernel, stride, padding, dilation, out_size, transposed) == tuple(expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", ["spikes", "integers", "real", "zeros", "negative zeros", "no ones"])
def test_weighted_counts(pass_size: None, kind: str, dtype: torch.dtype) -> None:
    x = values(kind, 6, 2, 4, 3, seed=5, dtype=dtype)
    fan_out = ((1, 2, 5, 0), (3, 1, 4))
    each = [0] * 6
    for n, c, i, j in itertools.product(range(6), range(2), range(4), range(3)):
        if float(x[n, c, i, j]) != 0:
            each[n] += int(fan_out[0][i]) * int(fan_out[1][j])
    for rows in (1, 2, 3, 6):
        width = 6 // rows
        expected = [sum(each[r * width : (r + 1) * width]) for r in range(rows)]
        assert Counter().weighted(x, rows, fan_out).tolist() == expected


def test_weighted_counts_of_three_dimensions_and_of_strided_input(pass_size: None) -> None:
    x = values("real", 2, 3, 4, 2, 6).transpose(2, 4)
    fan_out = ((1, 2, 3, 4, 5, 6), (2, 7), (1, 0, 3, 4))
    expected = [0, 0]
    for n, c, i, j, k in itertools.product(range(2), range(3), range(6), range(2), range(4)):
        if float(x[n, c, i, j, k]) != 0:
            expected[n] += int(fan_out[0][i]) * int(fan_out[1][j]) * int(fan_out[2][k])
    assert Counter().weighted(x, 2, fan_out).tolist() == expected


# --- Products ---


@pytest.mark.parametrize(
    "kinds", [("spikes", "spikes"), ("integers", "real"), ("no ones", "negative zeros"), ("zeros", "ones")]
)
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((4, 3, 5), (4, 5, 2)),
        ((4, 2, 3, 5), (4, 2, 5, 6)),
        ((4, 2, 3, 5), (2, 5, 6)),
        ((4, 2, 3, 5), (4, 1, 5, 6)),
        ((4, 1, 3, 5), (4, 2, 5, 1)),
        ((4, 3, 5), (5, 2)),
    ],
)
def test_pairs_that_meet(
    pass_size: None, kinds: tuple[str, str], left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    x, y = values(kinds[0], *left, seed=3), values(kinds[1], *right, seed=4)
    lead = torch.broadcast_shapes(left[:-2], right[:-2])
    a = x.expand(*lead, *left[-2:]).reshape(lead[0], -1, *left[-2:])
    b = y.expand(*lead, *right[-2:]).reshape(lead[0], -1, *right[-2:])
    expected = []
    for image_a, image_b in zip(a.tolist(), b.tolist(), strict=True):
        met = 0
        for m, n in zip(image_a, image_b, strict=True):
            for row in m:
                for k, value in enumerate(row):
                    met += sum(1 for other in n[k] if value != 0 and other != 0)
        expected.append(met)
    assert Counter().pairs(x, y, lead[0]).tolist() == expected
    assert Counter().pairs(x, y, 1).tolist() == [sum(expected)]


@pytest.mark.skipif(native() is None, reason="there is no C compiler")
@pytest.mark.parametrize("kind", ["spikes", "integers", "real"])
def test_pairs_of_scattered_heads_are_counted_by_bits_that_go_with_what_is_written(kind: str) -> None:
    counter, x = Counter(), values(kind, 2, 5, 48)

    def heads() -> Tensor:
        return x.view(2, 5, 3, 16).transpose(1, 2)

    def met() -> list[int]:
        return heads().ne(0).sum(2).square().sum((1, 2)).tolist()

    assert counter.looks.words(heads(), True) is None  # nobody looked
    counter.count(x, 2)
    assert counter.looks.words(x) is None  # nobody asked for them
    assert counter.pairs(heads(), heads().mT, 2).tolist() == met()
    words = counter.looks.words(x)
    assert words is not None and counter.looks.words(heads()) is words
    bits = (words[: x.numel() // 16, None].int() >> torch.arange(16)) & 1
    assert torch.equal(bits.flatten(), x.flatten().ne(0).int())
    x[0].fill_(1.0)
    counter.forget(x)
    assert counter.looks.words(x) is None
    counter.count(x, 2)
    assert counter.pairs(heads(), heads().mT, 2).tolist() == met()


@pytest.mark.parametrize("kinds", [("spikes", "spikes"), ("integers", "real"), ("no ones", "negative zeros")])
@pytest.mark.parametrize(
    ("left", "right"),
    [((4, 3, 5), (4, 3, 5)), ((4, 3, 5), (4, 1, 5)), ((4, 1, 5), (4, 3, 1)), ((4, 3, 5), (5,)), ((4, 3), (4, 3))],
)
def test_positions_where_both_are_nonzero(
    pass_size: None, kinds: tuple[str, str], left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    x, y = values(kinds[0], *left, seed=7), values(kinds[1], *right, seed=8)
    a, b = (z.reshape(4, -1).tolist() for z in torch.broadcast_tensors(x, y))
    expected = [sum(1 for u, v in zip(r, s, strict=True) if u != 0 and v != 0) for r, s in zip(a, b, strict=True)]
    assert Counter().positions(x, y, 4).tolist() == expected
    assert Counter().positions(x, y, 1).tolist() == [sum(expected)]
    assert Counter().positions(x, y, 2).tolist() == [sum(expected[:2]), sum(expected[2:])]


def test_products_of_strided_input(pass_size: None) -> None:
    x, y = values("real", 5, 4, 3), values("real", 4, 5, 6, seed=1)
    a, b = x.transpose(0, 1), y[..., ::2]
    expected = [
        sum(int(a[n, k, i] != 0) * int(b[n, k, j] != 0) for k, i, j in itertools.product(range(5), range(3), range(3)))
        for n in range(4)
    ]
    assert Counter().pairs(a.transpose(1, 2), b, 4).tolist() == expected
    twice = [int(((a[n] != 0) & (b[n] != 0)).sum()) for n in range(4)]
    assert Counter().positions(a, b, 4).tolist() == twice
