"""Max pooling in one pass gives what PyTorch's gives, and PyTorch's runs where it does not fit."""

import shutil

import pytest
import torch
import torch.nn.functional as F

from saformer.pooling import MaxPool2d, max_pool2d, maxima

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.mark.parametrize("sizes", [(3, 2, 1), (2, 2, 0), (3, 1, 1), (4, 3, 2), (1, 1, 0), (5, 2, 0)])
@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (3, 5, 7), (1, 2, 6, 1021), (2, 2, 5, 6)])
def test_maxima_are_pytorchs(shape, sizes):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x[..., 1, 2] = float("nan")
    x[..., 3, 4] = -float("inf")
    with torch.no_grad():
        assert torch.equal(MaxPool2d(*sizes)(x).nan_to_num(9.0), F.max_pool2d(x, *sizes).nan_to_num(9.0))


@needs_compiler
@pytest.mark.parametrize("values", ["spikes", "normal", "infinite"])
@pytest.mark.parametrize("sizes", [(3, 2, 1), (2, 2, 0), (3, 1, 1), (4, 3, 2), (1, 1, 0), (5, 2, 0), (15, 1, 7)])
@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (3, 15, 17), (1, 2, 16, 1001)])
def test_gradients_are_pytorchs(shape, sizes, values):
    """Of equal elements the same one gets it."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator)
    x = (x > 0.7).float() if values == "spikes" else x - torch.inf if values == "infinite" else x
    found, expected = (x.clone().requires_grad_() for _ in range(2))
    pooled, by_pytorch = MaxPool2d(*sizes)(found), F.max_pool2d(expected, *sizes)
    assert torch.equal(pooled, by_pytorch) and type(pooled.grad_fn).__name__ == "_PoolingBackward"
    gradient = torch.randint(-4, 5, pooled.shape, generator=generator).float()  # sums are exact in any order
    for one in (pooled, by_pytorch):
        one.backward(gradient.mT.contiguous().mT)
    assert torch.equal(found.grad, expected.grad)


def test_gradients_other_types_layouts_and_settings_are_pytorchs():
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    MaxPool2d(3, 2, 1)(x).sum().backward()
    assert x.grad is not None and x.grad.sum() == 2 * 3 * 16
    large = MaxPool2d(17, 1, 8)(x)
    assert torch.equal(large, F.max_pool2d(x, 17, 1, 8)) and type(large.grad_fn).__name__ != "_PoolingBackward"
    with torch.no_grad():
        for other in (x.double(), x.to(memory_format=torch.channels_last)):
            assert torch.equal(MaxPool2d(3, 2, 1)(other), F.max_pool2d(other, 3, 2, 1))
        assert torch.equal(MaxPool2d((3, 2), ceil_mode=True)(x), F.max_pool2d(x, (3, 2), ceil_mode=True))
        with pytest.raises(RuntimeError, match="too small"):
            MaxPool2d(3)(x[..., :2, :2])


def test_zeros_keep_their_sign_and_what_is_not_a_number_stays() -> None:
    x = torch.randn(4, 3, 9, 7, generator=torch.Generator().manual_seed(0)).round()
    x[x == 0] *= torch.randint(0, 2, (int((x == 0).sum()),), generator=torch.Generator().manual_seed(1)) * 2.0 - 1
    x[0, 0, 3, 3] = torch.nan
    for sizes in ((2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 3, 2)):
        its, mine = F.max_pool2d(x, *sizes), max_pool2d(x, *sizes)
        assert torch.equal(its.isnan(), mine.isnan())
        assert torch.equal(its.nan_to_num().view(torch.int32), mine.nan_to_num().view(torch.int32))


def test_what_is_pooled_is_counted_as_it_is() -> None:
    x = torch.randn(6, 5, 9, 7, generator=torch.Generator().manual_seed(0)).relu()
    x[2] = x[2].sign()
    found = maxima(x, 3, 2, 1, chunks=6)
    if found is None:
        pytest.skip("there is no C compiler")
    nonzero, ones, largest, whole = found[1]
    assert nonzero.tolist() == x.flatten(1).count_nonzero(1).tolist()
    assert (ones, largest, whole) == (int((x == 1).sum()), float(x.max()), None)
    assert torch.equal(found[0], F.max_pool2d(x, 3, 2, 1))


@pytest.mark.parametrize("sizes", [(2, 2, -1), (3, 1, -1), (0, 1, 0), (2, 0, 0)])
def test_what_pytorch_refuses_is_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(RuntimeError):
        max_pool2d(torch.rand(2, 3, 8, 8), *sizes)
