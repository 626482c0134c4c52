"""BatchNorm in training, alone or with the neurons behind it, as one operator: statistics, results and gradients."""

import copy
import shutil

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import saformer
from saformer.native import passes as compiled
from saformer.native.passes import MOST_STEPS
from saformer.neurons import LIF, after_norm
from saformer.neurons.after_norm import spikes_of
from saformer.steps import per_step

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
SHAPES = [
    *(((4, 3, 7, 5, 3), 2), ((2, 3, 6, 1, 1), 2), ((3, 2, 4, 40, 40), 2), ((3, 2, 24, 9), 2)),
    *(((4, 2, 5, 100), -1), ((1, 2, 40, 7), -1), ((MOST_STEPS, 2, 3, 2, 2), 2)),
]
BOTH = (((4, 3, 7, 5, 3), 2), ((4, 2, 5, 100), -1))


def layers(shape, channel, **settings):
    """The layer, the normalisation in training and the neurons behind it, for T x B x ..."""
    generator = torch.Generator().manual_seed(0)
    width, image = shape[channel], len(shape) == 5
    norm = (nn.BatchNorm2d if image else nn.BatchNorm1d)(width, **settings)
    layer = nn.Linear(width, width) if channel == -1 else (nn.Conv2d if image else nn.Conv1d)(width, width, 1)
    for tensor in norm.parameters():
        tensor.data.normal_(generator=generator)
    for tensor in layer.parameters():
        tensor.data.normal_(std=width**-0.5, generator=generator)
    return nn.ModuleList([layer, norm, LIF(tau=1.5, threshold=0.6, reset=-0.125)])


def tensors(shape, seed=1):
    """Input and the gradient by the spikes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def is_one(spikes):
    return type(spikes.grad_fn).__name__ == "NormalisingBackward"


def step(modules, channel, x, gradient):
    """Spikes, the running statistics, and the gradients by input and parameters."""
    layer, norm, neuron = modules
    x = x.clone().requires_grad_()
    modules.zero_grad()
    spikes = spikes_of(neuron, norm, layer, x, channel)
    spikes.backward(gradient)
    gradients = {name: p.grad for name, p in modules.named_parameters() if name != "0.bias"}
    return spikes, dict(norm.named_buffers()), {"x": x.grad, **gradients}


def check(modules, channel, x, gradient, **settings):
    """Against PyTorch's operators in float64, and whether both layers ran as one."""
    wide = copy.deepcopy(modules).double()
    spikes, *found = step(modules, channel, x, gradient)
    expected, *others = step(wide, channel, x.double(), gradient.double())
    assert is_one(spikes) and not is_one(expected)
    if isinstance(modules[2], LIF):
        assert torch.equal(spikes.double(), expected) and 0 < expected.mean() < 1
    else:
        torch.testing.assert_close(spikes, expected, check_dtype=False, rtol=1e-5, atol=2e-6)
    for mine, other in zip(found, others, strict=True):
        assert mine.keys() == other.keys()
        for name, value in mine.items():
            scale = float(other[name].abs().max()) if value is not None else 0.0
            torch.testing.assert_close(value, other[name], check_dtype=False, rtol=2e-5, atol=2e-6 * scale)


@pytest.mark.parametrize("fires", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("shape", "channel"), SHAPES)
def test_results_statistics_and_gradients_are_those_of_the_layers(shape, channel, affine, fires):
    modules = layers(shape, channel, affine=affine)
    if not fires:
        modules[2] = nn.Identity()
    for seed in (1, 2):  # the running statistics follow
        check(modules, channel, *tensors(shape, seed))


@pytest.mark.parametrize(("shape", "channel"), BOTH)
@pytest.mark.parametrize(
    "settings", [{"momentum": None}, {"momentum": 0.5, "eps": 0.1}, {"momentum": 0.0}, {"track_running_stats": False}]
)
def test_settings_of_the_norm(shape, channel, settings):
    modules = layers(shape, channel, **settings)
    for seed in (1, 2, 3):
        check(modules, channel, *tensors(shape, seed))


@pytest.mark.parametrize(("shape", "channel"), BOTH)
def test_between_training_and_evaluation(shape, channel):
    modules = layers(shape, channel)
    layer, norm, neuron = modules
    x, gradient = tensors(shape)
    check(modules, channel, x, gradient)
    norm.eval()
    before = {name: value.clone() for name, value in norm.named_buffers()}
    assert not is_one(step(modules, channel, x, gradient)[0])
    assert all(torch.equal(value, before[name]) for name, value in norm.named_buffers())
    norm.train()
    check(modules, channel, x, gradient)
    norm.track_running_stats = False
    before = {name: value.clone() for name, value in norm.named_buffers()}
    assert is_one(step(modules, channel, x, gradient)[0])
    assert all(torch.equal(value, before[name]) for name, value in norm.named_buffers())
    with torch.no_grad():
        assert spikes_of(neuron, norm, layer, x, channel).grad_fn is None


@pytest.mark.parametrize(("shape", "channel"), BOTH)
@pytest.mark.parametrize("frozen", [("0.",), ("1.",), ("1.weight",), ("0.", "1.bias")])
def test_some_parameters_are_frozen(shape, channel, frozen):
    modules = layers(shape, channel)
    for name, parameter in modules.named_parameters():
        parameter.requires_grad_(not name.startswith(frozen))
    check(modules, channel, *tensors(shape))
    assert all(
        (p.grad is None) == name.startswith(frozen) for name, p in modules.named_parameters() if name != "0.bias"
    )


@pytest.mark.parametrize(("shape", "channel"), BOTH)
def test_layouts_of_the_input_and_of_the_gradient(shape, channel):
    modules = layers(shape, channel)
    x, gradient = tensors(shape)
    expected = step(copy.deepcopy(modules), channel, x, gradient.sum(0, keepdim=True).expand(shape).contiguous())
    apart = x.transpose(0, -1).contiguous().transpose(0, -1)
    found = step(modules, channel, apart, gradient.sum(0, keepdim=True).expand(shape))
    for mine, other in zip(found[2].values(), expected[2].values(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("shape", [(4, 3, 7, 5, 3), (2, 1, 100, 2, 1), (1, 5, 3, 4, 4), (4, 3, 2, 5, 3)])
def test_channels_last(shape):
    modules = layers(shape, 2).to(memory_format=torch.channels_last)
    layer, norm, neuron = modules
    x, gradient = tensors(shape)
    last = x.flatten(0, 1).to(memory_format=torch.channels_last).unflatten(0, shape[:2])
    for by_spikes in (gradient, gradient.sum(0, keepdim=True).expand(shape)):
        check(modules, 2, last, by_spikes)
    check(nn.ModuleList([layer, norm, nn.Identity()]), 2, last, gradient)
    assert spikes_of(neuron, norm, layer, last).flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("other", ["steps", "other layout", "float64", "autocast", "hook", "own forward", "compiled"])
def test_all_run_one_by_one_where_the_operator_does_not_fit(monkeypatch, other):
    shape = (MOST_STEPS + 1 if other == "steps" else 4, 2, 5, 3, 3)
    modules = layers(shape, 2)
    x, gradient = tensors(shape)
    layer, norm, neuron = modules
    if other == "other layout":
        monkeypatch.setattr(after_norm, "per_step", lambda module, x: per_step(module, x).mT.contiguous().mT)
    elif other == "float64":
        modules, x, gradient = modules.double(), x.double(), gradient.double()
    elif other == "hook":
        norm.register_forward_hook(lambda *_: None)
    elif other == "own forward":
        norm.forward = norm.forward
    if other == "compiled":
        run = torch.compile(lambda x: spikes_of(neuron, norm, layer, x), backend="eager", fullgraph=True)
        assert torch.equal(run(x), spikes_of(neuron, norm, layer, x))
        return
    with torch.autocast("cpu", torch.bfloat16, enabled=other == "autocast"):
        spikes = spikes_of(neuron, norm, layer, x)
    assert not is_one(spikes)
    found = [type(node).__name__ for node in _graph(spikes.grad_fn)]
    assert ("NormalisingBackward" in found) == (other == "steps")  # BatchNorm alone has any number of steps
    spikes.backward(gradient.to(spikes.dtype))
    assert norm.weight.grad.abs().sum() > 0


def test_what_batch_norm_refuses_is_refused_and_an_empty_batch_is_none():
    modules = layers((4, 2, 5, 3, 3), 2)
    layer, norm, neuron = modules
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        spikes_of(neuron, norm, layer, torch.randn(1, 1, 5, 1, 1))
    with pytest.raises(RuntimeError, match="running_mean should contain"):
        spikes_of(neuron, nn.BatchNorm2d(4), layer, torch.randn(4, 2, 5, 3, 3))
    assert spikes_of(neuron, norm, layer, torch.randn(4, 0, 5, 3, 3)).shape == (4, 0, 5, 3, 3)
    x = torch.randn(4, 2, 5, 3, 3, requires_grad=True)
    weighted = spikes_of(neuron, norm, layer, x) * torch.randn(4, 2, 5, 3, 3, requires_grad=True)
    (by_x,) = torch.autograd.grad(weighted.sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        by_x.sum().backward()


@pytest.mark.parametrize(("shape", "channel"), BOTH)
def test_twice_in_a_graph_and_checkpointed(shape, channel):
    modules = layers(shape, channel)
    x, gradient = tensors(shape)
    gradients = []
    for way in ("plain", "checkpoint", "double"):
        mine = copy.deepcopy(modules)
        layer, norm, neuron = mine.double() if way == "double" else mine
        given = (x.double() if way == "double" else x.clone()).requires_grad_()

        def twice(x, layer=layer, norm=norm, neuron=neuron):
            return spikes_of(neuron, norm, layer, spikes_of(neuron, norm, layer, x, channel), channel)

        spikes = checkpoint(twice, given, use_reentrant=False) if way == "checkpoint" else twice(given)
        spikes.backward(gradient.to(given.dtype))
        gradients.append([given.grad, layer.weight.grad, norm.weight.grad, norm.bias.grad])
        assert int(norm.num_batches_tracked) == (4 if way == "checkpoint" else 2)
    plain, checkpointed, wide = gradients
    for mine, again, other in zip(plain, checkpointed, wide, strict=True):
        assert torch.equal(mine, again)
        torch.testing.assert_close(mine, other.float(), rtol=1e-3, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize(("shape", "channel"), [((4, 3, 7, 5, 3), 2), ((4, 5, 20, 100), -1)])
def test_any_number_of_threads_gives_the_same_bytes(monkeypatch, shape, channel):
    monkeypatch.setattr(compiled, "_SHARED", 1)
    before, results = torch.get_num_threads(), []
    _, norm, neuron = layers(shape, channel)
    y, gradient = tensors(shape)
    try:
        for threads in (1, 2, 3, 40):
            torch.set_num_threads(threads)
            found = []
            for with_neurons in (True, False):
                mine, x = copy.deepcopy(norm), y.clone().requires_grad_()
                result = neuron(x, mine, channel) if with_neurons else after_norm.normalised(mine, x, channel)
                result.backward(gradient)
                assert is_one(result)
                found += [result.detach(), x.grad, mine.weight.grad, mine.bias.grad, *mine.buffers()]
            results.append(found)
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(mine, other) for mine, other in zip(result, results[0], strict=True))


@pytest.mark.parametrize("name", ["spikformer-1-24", "saformer-1-24", "sdt-1-24+heads=4", "qkformer-4-32"])
def test_a_network_learns_as_by_the_operators(monkeypatch, name):
    """The same loss after two steps, and twice from one seed the same bytes."""

    def train(one_by_one):
        if one_by_one:
            monkeypatch.setattr(after_norm, "works", lambda *_: False)
        torch.manual_seed(0)
        model, x = saformer.build(name, image_size=16).train(), torch.randn(2, 3, 16, 16)
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.weight.data.uniform_(1.0, 4.0)
        ones, losses = [], []
        for _ in range(2):
            loss = nn.functional.cross_entropy(model(x), torch.tensor([1, 2]))
            model.zero_grad()
            ones.append(sum(type(n).__name__ == "NormalisingBackward" for n in _graph(loss.grad_fn)))
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.01 * parameter.grad
            losses.append(loss)
        return ones[0], torch.stack(losses).detach(), torch.cat([p.flatten() for p in model.parameters()]).detach()

    ones, losses, weights = train(False)
    again = train(False)
    assert ones >= 4 and torch.equal(weights, again[2])
    without, expected, _ = train(True)
    assert without == 0
    torch.testing.assert_close(losses, expected, rtol=1e-3, atol=1e-4)


def _graph(node):
    seen, left = {node}, [node]
    while left:
        for other, _ in left.pop().next_functions:
            if other is not None and other not in seen:
                seen.add(other)
                left.append(other)
    return seen
