"""Layers merged into one: the same numbers, where a run proves that nothing else reads what is between."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import saformer
from saformer.analysis import profile
from saformer.errors import InputError
from saformer.folding import folded
from saformer.neurons import LIF


def settled(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, its BatchNorms and biases with something to say."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data = torch.rand(tensor.shape, generator=generator) + 0.5
    return model.eval()


def check(model: nn.Module, x: torch.Tensor, *layers: tuple[str, ...]) -> nn.Module:
    """Exactly these layers are folded, and the result computes the same."""
    model = settled(model)
    found = folded(model, x)
    assert set(found.layers) == set(layers), found.sentence
    with torch.no_grad():
        expected = model.double()(x.double())
        assert torch.allclose(found.model.double()(x.double()), expected, rtol=1e-5, atol=1e-6)
    return found.model


def sequence(*modules: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*modules)


IMAGE = torch.randn(2, 4, 7, 7, generator=torch.Generator().manual_seed(1))


# --- pairs and chains ---


def test_a_batchnorm_becomes_part_of_the_convolution_before():
    model = check(sequence(nn.Conv2d(4, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU()), IMAGE, ("0", "1"))
    assert isinstance(model[1], nn.Identity) and model[0].bias is not None


def test_a_batchnorm_becomes_part_of_the_layer_after_where_nothing_pads():
    check(sequence(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3), nn.ReLU()), IMAGE, ("0", "1"))
    check(sequence(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU()), IMAGE)  # BN(0) is not 0


def test_a_batchnorm_of_scales_alone_has_no_offset_to_add():
    norm = nn.BatchNorm2d(6)
    norm.register_parameter("bias", None)
    found = folded(sequence(nn.Conv2d(4, 6, 3, bias=False), norm, nn.ReLU()).eval(), IMAGE)
    assert found.layers == (("0", "1"),)


def test_linear_layers_on_tokens():
    x = torch.randn(3, 5, 4)
    check(sequence(nn.Linear(4, 6), nn.Linear(6, 3, bias=False), nn.ReLU()), x, ("0", "1"))
    check(sequence(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU()), x[0], ("0", "1"))


@pytest.mark.parametrize("groups", [(1, 1), (2, 1), (1, 2), (4, 2), (2, 4), (4, 4)])
def test_groups_of_both(groups):
    first, second = groups
    model = sequence(
        nn.Conv2d(4, 8, 1, groups=first, bias=False), nn.Conv2d(8, 4, 3, padding=1, groups=second), nn.ReLU()
    )
    assert check(model, IMAGE, ("0", "1"))[0].groups == min(groups)


def test_depthwise_then_pointwise_is_one_dense_layer():
    layers = nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 2, 1, stride=2), nn.BatchNorm2d(2), nn.ReLU()
    (one,) = [m for m in check(sequence(*layers), IMAGE, ("0", "1", "2")).modules() if isinstance(m, nn.Conv2d)]
    assert (one.groups, one.stride, one.padding, tuple(one.weight.shape)) == (1, (2, 2), (1, 1), (2, 4, 3, 3))


def test_a_bias_before_padding_is_no_layer():
    """The border that the second pads is zero, and not the bias."""
    check(sequence(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()), IMAGE)
    check(sequence(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3), nn.ReLU()), IMAGE, ("0", "1"))


def test_two_kernels_are_left_with_their_own_batchnorms():
    layers = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
    check(sequence(*layers, nn.ReLU()), IMAGE, ("0", "1"), ("2", "3"))


class Padded(nn.Module):
    """BatchNorm with a border of its own, as published for RepConv, or of zeros."""

    def __init__(self, zeros: bool = False) -> None:
        super().__init__()
        self.bn, self.zeros = nn.BatchNorm2d(4), zeros

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.pad(self.bn(x), [1] * 4)
        if not self.zeros:
            border = self.bn.bias - self.bn.running_mean * self.bn.weight / torch.sqrt(
                self.bn.running_var + self.bn.eps
            )
            border = border.detach().view(1, -1, 1, 1)
            y[:, :, :1, :] = border
            y[:, :, -1:, :] = border
            y[:, :, :, :1] = border
            y[:, :, :, -1:] = border
        return y


def rep_conv(padded: nn.Module, bias: bool = False) -> nn.Sequential:
    inner = nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.Conv2d(4, 6, 1, bias=False), nn.BatchNorm2d(6)
    return sequence(nn.Conv2d(4, 4, 1, bias=bias), padded, nn.Sequential(*inner), nn.ReLU())


def test_a_border_that_holds_what_batchnorm_makes_of_zero_is_the_padding_of_one_convolution():
    (one,) = [
        module
        for module in check(rep_conv(Padded()), IMAGE, ("0", "1", "2.0", "2.1", "2.2")).modules()
        if isinstance(module, nn.Conv2d)
    ]
    assert (one.padding, tuple(one.weight.shape)) == ((1, 1), (6, 4, 3, 3))


def test_another_border_or_a_bias_before_it_is_no_padding():
    check(rep_conv(Padded(zeros=True)), IMAGE, ("0", "1.bn"), ("2.0", "2.1", "2.2"))
    check(rep_conv(Padded(), bias=True), IMAGE, ("1", "2.0", "2.1", "2.2"))


# --- what stands between ---


class Net(nn.Module):
    """A function of the layers a and b."""

    def __init__(self, forward) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.lif = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), LIF()
        self.function = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: net.b(net.lif(net.a(x)[None])[0]),  # a neuron
        lambda net, x: (y := net.a(x)) + net.b(y),  # a shortcut
        lambda net, x: net.b(net.a(x) * 2),  # arithmetic
        lambda net, x: net.b(net.a(x).transpose(1, 2).reshape(x.shape)),  # channels are moved
        lambda net, x: net.b(net.a(x)) + net.b(x),  # the second reads something else, too
        lambda net, x: net.b(net.a(net.a(x))),  # the first runs twice
        lambda net, x: net.b(net.a(x)) * net.b.weight.sum(),  # its weights are read
        lambda net, x: net.b(net.a(x).clone().relu_()),  # changed in place
        lambda net, x: (net.b(y := net.a(x)), y),  # put out
        lambda net, x: net.b(y) if ((y := net.a(x)) > 0).any() else y,  # looked at
    ],
)
def test_not_folded(forward):
    model = Net(forward).eval()
    found = folded(model, IMAGE)
    assert found.layers == () and found.model is model and "nothing is folded" in found.sentence


def test_views_between_are_nothing():
    forward = lambda net, x: net.b(net.a(x.flatten(0, 1)).unflatten(0, x.shape[:2]).flatten(0, 1)).relu()  # noqa: E731
    check(Net(forward), IMAGE[None], ("a", "b"))


def test_a_model_whose_code_needs_the_layers_is_left_and_says_so():
    model = Net(lambda net, x: net.b(net.a(x)) * net.b.out_channels).eval()
    found = folded(model, IMAGE)
    assert found.layers == () and "AttributeError" in found.reason


def test_hooks_may_change_what_a_layer_computes():
    model = sequence(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
    model[0].register_forward_hook(lambda module, args, out: out * 2)
    check(model, IMAGE)


def test_a_hook_on_the_layers_is_named_as_the_reason():
    model = settled(sequence(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)))
    model[1].register_forward_hook(lambda *_: None)
    assert "those with forward hooks are left as they are, 1 the first" in folded(model, IMAGE).reason


class Edge(nn.Module):
    """Fires where the current is that of one pixel or more, which rounding decides for that pixel."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.bn, self.head = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1), nn.Linear(49, 3)
        self.bn.running_var.fill_(0.7)
        self.double().eval()
        with torch.no_grad():
            self.lif = LIF(float(self.bn(self.conv(self.image))[0, 0, 3, 3]) / 2).eval()

    image = torch.rand(1, 1, 7, 7, generator=torch.Generator().manual_seed(2)).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lif(self.bn(self.conv(x))[None])[0].flatten(1))


def test_a_membrane_that_rounding_takes_across_its_threshold_does_not_undo_folding():
    changed = 0
    for seed in range(8):
        model = Edge(seed)
        found = folded(model, model.image)
        assert found.layers == (("conv", "bn"),), found.sentence
        with torch.no_grad():
            changed += not torch.allclose(model(model.image), found.model(model.image))
    assert changed > 0


def test_tdbn_is_folded_with_its_scale():
    torch.manual_seed(0)
    settings = {"blocks": (1, 1), "widths": (8, 16), "stem_width": 8, "hidden": 8, "time_steps": 2}
    model = settled(saformer.build("tdbn-resnet-19", **settings))
    found = folded(model)
    assert not [m for m in found.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(found.model.double()(x), model.double()(x), rtol=0, atol=1e-6)


def test_the_model_itself_says_that_it_is_folded():
    ours = saformer.fold(settled(saformer.build("metaspikeformer-15m", **TINY)))
    theirs = saformer.fold(settled(sequence(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU())), IMAGE)
    assert profile(ours, [torch.randn(1, 3, 32, 32)]).run["fold"] is True
    assert profile(theirs, [IMAGE]).run["fold"] is True
    assert "fold" not in profile(sequence(nn.Conv2d(4, 6, 3)), [IMAGE]).run


def test_training_mode_is_refused():
    with pytest.raises(InputError, match="training mode"):
        saformer.fold(sequence(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)), IMAGE)


def test_a_model_of_ones_own_needs_an_example():
    with pytest.raises(InputError, match="example"):
        saformer.fold(sequence(nn.Conv2d(4, 4, 1)).eval())


def test_python_is_told_where_nothing_could_be_folded():
    with pytest.warns(UserWarning, match="nothing is folded"):
        saformer.fold(sequence(nn.Conv2d(4, 4, 1)).eval(), IMAGE)


# --- our networks ---

TINY = {"widths": (4, 8, 8, 16), "blocks": (1, 1), "num_classes": 5, "image_size": 32, "heads": 4}


def test_repconvs_of_meta_spikeformer_become_one_layer_on_spikes():
    torch.manual_seed(0)
    model = settled(saformer.build("metaspikeformer-15m", **TINY))
    whole, x = saformer.fold(model), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(whole.double()(x.double()), model.double()(x.double()), rtol=1e-5, atol=1e-6)
    before, after = (profile(m, [x.double()]) for m in (model, whole))
    names = {operation.name: operation for operation in after.operations}
    assert {"real"} == {str(o.gate.kind) for o in before.operations if o.name.endswith("q_conv.0.body.2.0")}
    merged = [o for name, o in names.items() if "_conv.0.body" in name]
    assert len(merged) == 8 and "real" not in {str(o.gate.kind) for o in merged}
    first = names["block3.0.attn.q_conv.0.body.0"]
    assert first.dense == 2 * 4 * 2 * 2 * 9 * 8 * 8  # images, steps, places, and a dense 3x3 convolution
    assert any("(--fold)" in note for note in before.account("paper").notes)
    assert not any("(--fold)" in note for note in after.account("paper").notes)


def test_batchnorms_of_e_spikeformer_and_of_spikformer():
    for name, settings in (("espikeformer-5m", TINY), ("spikformer-1-16", {})):
        model = settled(saformer.build(name, **settings))
        whole = saformer.fold(model)
        assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in whole.modules()), name


def test_a_folded_network_of_ours_is_not_saved(tmp_path):
    with pytest.raises(InputError, match="folded"):
        saformer.save(saformer.fold(saformer.build("spikformer-1-16")), tmp_path / "x.safetensors")
