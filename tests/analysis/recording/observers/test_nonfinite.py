"""Infinities and NaN are an error with a place, not a quiet table of zeros."""

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import saformer
from saformer.analysis import profile
from saformer.analysis.recording.observers.nonfinite import FiniteCheck
from saformer.errors import InputError
from saformer.neurons import LIF


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.lif, self.b = nn.Linear(4, 4), nn.BatchNorm1d(4), LIF(), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.lif(self.norm(self.a(x))[None])[0])


X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def complaint(net: nn.Module, *batches: Tensor) -> str:
    with pytest.raises(InputError) as caught:
        profile(net, batches, check_flops=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_the_place_is_named(value: float) -> None:
    # Neurons turn all of these into zeros or ones, and the output is finite.
    net = Net()
    net.a.weight.data[0, 0] = value
    assert complaint(net, X).startswith("the result of a holds values that are not finite")
    net = Net()
    net.norm.running_mean[0] = value
    assert complaint(net, X).startswith("the input of the neurons lif holds")
    net = Net()
    net.b.bias.data[0] = value
    assert complaint(net, X).startswith("the result of b holds")
    x = X.clone()
    x[1, 2] = value
    assert complaint(Net(), X, x).startswith("the input holds")


def test_numbers_that_overflow() -> None:
    net = Net()
    net.a.weight.data *= 1e38
    assert "the result of a holds" in complaint(net, 1e3 * X)
    # Cast to float32, this is infinite.
    assert "the input holds" in complaint(net, (X.double() * 1e300).float())


def test_neurons_of_ones_own_are_looked_at_too() -> None:
    class Fire(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x > 0).to(x)

    class Log(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.relu().log()

    assert "the input of the neurons in 2 holds" in complaint(nn.Sequential(nn.Linear(4, 4), Log(), Fire()), X)


def test_the_output_is_looked_at_last() -> None:
    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x - 10).sqrt()

    assert "the model's output holds" in complaint(nn.Sequential(nn.Linear(4, 4), Root()), X)


def test_a_class_ruled_out_by_minus_infinity_is_no_error() -> None:
    class Mask(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.masked_fill(torch.tensor([True, False, False, False]), -math.inf)

    assert profile(nn.Sequential(nn.Linear(4, 4), Mask()), [X], check_flops=False).uncounted == ()


def test_masked_attention_is_no_error() -> None:
    x = torch.randn(2, 5, 4)
    attend: Callable[[Tensor], Tensor] = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.0)

    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = attend

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x, src_mask=nn.Transformer.generate_square_subsequent_mask(5))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert profile(Causal(), [x], check_flops=False).operations


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_finite_numbers_whose_sum_is_not(dtype: torch.dtype) -> None:
    x = torch.full((64, 64), torch.finfo(dtype).max, dtype=dtype)
    check = FiniteCheck()
    check.watch(x, "x holds")
    check.watch(torch.ones(3, dtype=torch.int64), "integers hold")
    check.watch(torch.ones(0), "nothing holds")
    check.settle()
    x[5, 5] = math.nan
    with pytest.raises(InputError, match=r"^x holds values that are not finite"):
        check.watch(x, "x holds")


def test_a_model_of_ours_whose_weights_are_too_large() -> None:
    model = saformer.build("saformer-1-16", image_size=16)
    model.patch_embed.proj_conv.weight.data *= 1e39
    assert "the result of patch_embed.proj_conv holds" in complaint(model, torch.randn(2, 3, 16, 16))
