"""Products with spikes are as exact as PyTorch's float32, forwards and backwards: on a matrix unit, or by additions."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import saformer
from saformer.native.passes import compiled
from saformer.native.products import Additions, Products, products
from saformer.neurons import weighing
from saformer.neurons.after_norm import per_step_weighed
from saformer.steps import per_step

needs_products = pytest.mark.skipif(products() is None, reason="there is no AMX, AVX-512 or AVX2, or no C compiler")
LINEAR = [(5, 3, 7), (64, 96, 33), (200, 384, 96), (33, 1500, 40), (1, 32, 32), (700, 31, 129)]
IMAGES = [(3, 5, 7, 6, 6, 3), (2, 48, 40, 16, 16, 3), (5, 33, 17, 5, 9, 1), (1, 8, 70, 3, 3, 5), (4, 64, 32, 1, 20, 1)]


@pytest.fixture(params=[Products, Additions], ids=["matrix-unit", "additions"])
def library(request: pytest.FixtureRequest) -> Products | Additions:
    """Either library, where the processor has what it takes."""
    code = compiled()
    if code is None or not (code.matrix_unit() if request.param is Products else code.vector_unit()):
        pytest.skip("the processor has no such unit, or there is no C compiler")
    return request.param(code)


def spikes(*shape: int, seed: int = 0) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.15).float()


def numbers(*shape: int, seed: int = 1) -> Tensor:
    """Of several sizes, from 2**-12 to 2**12."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * 2.0 ** torch.randint(-12, 13, shape, generator=generator)


def plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.linear(x, weight, bias) if weight.ndim == 2 else F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def assert_as_exact(found: Tensor, given: Tensor, exact: Tensor, scale: Tensor) -> None:
    """No further from the result in float64 than PyTorch's float32, within a few roundings of the largest terms."""
    error, allowed = (found.double() - exact).abs(), (given.double() - exact).abs().amax() + 4e-7 * scale
    assert bool((error <= allowed).all()), float((error - allowed).max())


def case(kind: str, sizes: tuple[int, ...], small: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Spikes (or small whole numbers), weight, bias and a gradient by the result."""
    if kind == "linear":
        rows, inner, outer = sizes
        x, weight, gradient = spikes(rows, inner), numbers(outer, inner), numbers(rows, outer, seed=2)
    else:
        images, inner, outer, height, width, kernel = sizes
        x, weight = spikes(images, inner, height, width), numbers(outer, inner, kernel, kernel)
        gradient = numbers(images, outer, height, width, seed=2)
    x = x * 3 + x.roll(1) if small else x
    return x, weight, numbers(outer, seed=3), gradient


CASES = [("linear", sizes) for sizes in LINEAR] + [("conv", sizes) for sizes in IMAGES]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("kind", "sizes"), CASES)
def test_results_and_gradients_are_as_exact_as_those_of_float32(
    library: Products | Additions, kind: str, sizes: tuple[int, ...], threads: int
) -> None:
    x, weight, bias, gradient = case(kind, sizes, small=threads == 2)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = library.forward(x, weight, bias), library.by_weight(gradient, x, weight)
        found = *found, library.by_input(gradient, weight)
    finally:
        torch.set_num_threads(before)
    for dtype in (torch.float32, torch.float64):
        given = [t.to(dtype, copy=True).requires_grad_() for t in (x, weight, bias)]
        result = plain(*given)
        result.backward(gradient.to(dtype))
        if dtype is torch.float32:
            by_pytorch = result.detach(), given[1].grad, given[0].grad
        else:
            exact = result.detach(), given[1].grad, given[0].grad
    sizes_of = [t.abs().double().requires_grad_(True) for t in (x, weight, bias)]
    largest = plain(*sizes_of)
    largest.backward(gradient.abs().double())
    scales = largest.detach(), sizes_of[1].grad, sizes_of[0].grad
    if isinstance(library, Additions):  # which PyTorch makes
        assert found[-1] is None
        found = found[:-1]
    for mine, its, right, scale in zip(found, by_pytorch, exact, scales, strict=False):
        assert mine is not None
        assert_as_exact(mine, its, right, scale)


@pytest.mark.parametrize(("kind", "sizes"), [CASES[1], CASES[7]])
@pytest.mark.parametrize("value", [1 + 2**-9, float("inf"), float("nan"), 1e-45])
def test_what_is_no_spike_has_no_result_of_a_matrix_unit(
    library: Products | Additions, kind: str, sizes: tuple[int, ...], value: float
) -> None:
    x, weight, bias, gradient = case(kind, sizes)
    odd = x.clone()
    odd.view(-1)[x.numel() // 2] = value
    for mine, its in (
        (library.forward(odd, weight, bias), plain(odd, weight, bias)),
        (library.by_weight(gradient, odd, weight), weighing._by_weight(gradient, odd, weight)),
    ):
        if isinstance(library, Products):
            assert mine is None
        else:
            assert torch.allclose(mine, its, rtol=1e-4, atol=1e-5 * float(its.nan_to_num().abs().max()), equal_nan=True)
    if value in (1 + 2**-9, 1e-45):
        return
    spoilt = gradient.clone()
    spoilt.view(-1)[-1] = value
    assert library.by_input(spoilt, weight) is None
    assert library.by_weight(spoilt, x, weight) is None
    weight.view(-1)[-1] = value
    assert library.forward(x, weight, bias) is None


@pytest.mark.parametrize("places", [slice(None), slice(0, 1), slice(-1, None)], ids=["all", "first", "last"])
@pytest.mark.parametrize(("kind", "sizes"), [("linear", (300, 64, 70)), ("conv", (9, 32, 33, 8, 8, 3))])
def test_where_few_elements_are_zero_products_are_left_to_the_operators(
    kind: str, sizes: tuple[int, ...], places: slice
) -> None:
    code = compiled()
    if code is None or not code.vector_unit():
        pytest.skip("there is no vector unit, or no C compiler")
    x, weight, bias, gradient = case(kind, sizes)
    x[:] = 0
    x[places] = 1  # some of the lists have no room for what a sample did not show
    for result, its in (
        (Additions(code).forward(x, weight, bias), plain(x, weight, bias)),
        (Additions(code).by_weight(gradient, x, weight), weighing._by_weight(gradient, x, weight)),
    ):
        assert result is None or torch.allclose(result, its, rtol=1e-3, atol=1e-4 * float(its.abs().max()))
        assert result is None or places != slice(None)


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "_WORTH", 1)


LAYERS = [
    (lambda: nn.Linear(20, 9), (2, 3, 5, 20)),
    (lambda: nn.Linear(20, 9, bias=False), (2, 3, 20)),
    (lambda: nn.Conv2d(6, 9, 3, padding=1), (2, 3, 6, 5, 7)),
    (lambda: nn.Conv2d(6, 9, 1, bias=False), (2, 3, 6, 5, 7)),
    (lambda: nn.Conv1d(6, 9, 1), (2, 3, 6, 11)),
]


@needs_products
@pytest.mark.parametrize(("make", "shape"), LAYERS)
@pytest.mark.parametrize("drawn", [spikes, numbers], ids=["spikes", "numbers"])
def test_layers_learn_as_by_the_operators_whatever_they_read(any_size: None, make, shape, drawn) -> None:
    torch.manual_seed(0)
    layer, x = make(), drawn(*shape)
    found = []
    for run in (per_step_weighed, per_step):
        given = x.clone().requires_grad_()
        layer.zero_grad()
        result = run(layer, given)
        result.square().sum().backward()
        found.append([result.detach(), given.grad, *(p.grad.clone() for p in layer.parameters())])
    for mine, its in zip(*found, strict=True):
        assert mine.shape == its.shape
        assert torch.allclose(mine, its, rtol=1e-4, atol=1e-5 * float(its.abs().max()))


@needs_products
def test_other_layers_and_evaluation_are_left_to_the_operators(any_size: None) -> None:
    x = spikes(2, 3, 6, 8, 8)
    for layer in (
        nn.Conv2d(6, 9, 3),
        nn.Conv2d(6, 9, 3, padding=1, stride=2),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Conv2d(6, 9, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(6, 9, 2, padding="same"),
        nn.Conv2d(6, 9, 3, padding=1).double(),
    ):
        assert not weighing.works(layer, x)
    fitting = nn.Conv2d(6, 9, 3, padding=1)
    assert weighing.works(fitting, x) and not weighing.works(fitting, x.double())
    assert not weighing.works(fitting, x.transpose(3, 4))
    with torch.no_grad():
        assert not weighing.works(fitting, x)
    with torch.autocast("cpu"):
        assert not weighing.works(fitting, x)
    fitting.register_forward_hook(lambda *_: None)
    given = x.clone().requires_grad_()
    assert torch.equal(per_step_weighed(fitting, given), per_step(fitting, given))


@needs_products
def test_a_network_learns_the_same_but_for_roundings(any_size: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients(by_unit: bool) -> list[Tensor]:
        monkeypatch.setattr(weighing, "products", products if by_unit else lambda: None)
        torch.manual_seed(0)
        model = saformer.build("spikformer-1-32").train()
        model(torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(3))).square().sum().backward()
        return [p.grad for p in model.parameters() if p.grad is not None]

    mine, its = gradients(True), gradients(False)
    near = [float((a - b).norm() / b.norm().clamp(min=1e-6)) for a, b in zip(mine, its, strict=True)]
    assert any(near) and sorted(near)[len(near) // 2] < 1e-2  # a spike that a rounding moves is more than a rounding
