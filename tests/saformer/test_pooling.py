"""Max pooling in one pass gives what PyTorch's gives, and PyTorch's runs where it does not fit."""

import pytest
import torch
import torch.nn.functional as F

from saformer.pooling import MaxPool2d


@pytest.mark.parametrize("sizes", [(3, 2, 1), (2, 2, 0), (3, 1, 1), (4, 3, 2), (1, 1, 0), (5, 2, 0)])
@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (3, 5, 7), (1, 2, 6, 1021), (2, 2, 5, 6)])
def test_maxima_are_pytorchs(shape, sizes):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x[..., 1, 2] = float("nan")
    x[..., 3, 4] = -float("inf")
    with torch.no_grad():
        assert torch.equal(MaxPool2d(*sizes)(x).nan_to_num(9.0), F.max_pool2d(x, *sizes).nan_to_num(9.0))


def test_gradients_other_types_layouts_and_settings_are_pytorchs():
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    MaxPool2d(3, 2, 1)(x).sum().backward()
    assert x.grad is not None and x.grad.sum() == 2 * 3 * 16
    with torch.no_grad():
        for other in (x.double(), x.to(memory_format=torch.channels_last)):
            assert torch.equal(MaxPool2d(3, 2, 1)(other), F.max_pool2d(other, 3, 2, 1))
        assert torch.equal(MaxPool2d((3, 2), ceil_mode=True)(x), F.max_pool2d(x, (3, 2), ceil_mode=True))
        with pytest.raises(RuntimeError, match="too small"):
            MaxPool2d(3)(x[..., :2, :2])
