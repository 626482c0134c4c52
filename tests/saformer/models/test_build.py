import warnings
from itertools import pairwise
from typing import Any

import pytest
import torch
from awake_models import awake
from torch import Tensor, nn

import saformer
from saformer.errors import InputError
from saformer.models import PRESETS, config_from_dict, configure, from_config
from saformer.models.config import Model
from saformer.models.registry import MODELS
from saformer.models.transformer_config import TransformerConfig, pooling_for

SMALL = [
    pytest.param("saformer-2-32", {}, id="saformer"),
    pytest.param("saformer-2-32", {"depthwise": False}, id="saformer w/o D"),
    pytest.param("saformer-2-32", {"aggregated": None}, id="saformer w/o A"),
    pytest.param("saformer-2-32", {"aggregated": None, "depthwise": False}, id="saformer w/o D+A"),
    pytest.param("saformer-2-32", {"aggregate": "spikes"}, id="saformer spikes"),
]
ONE_WIDTH = [name for name, family in MODELS.items() if issubclass(family.config, TransformerConfig)]
EVENTS = {"in_channels": 2, "image_size": 32, "time_steps": 5}
OTHERS = [
    pytest.param("spikformer-2-32", {}, id="spikformer"),
    pytest.param("spikformer-2-32", {"keys_first": True}, id="spikformer K^T V"),
    pytest.param("spikformer-2-32", {"projection": "conv1d", "mlp_projection": "conv1d"}, id="spikformer conv1d"),
    pytest.param("spikformer-2-32", {"projection": "conv1d", "mlp_projection": "conv2d"}, id="spikformer conv2d"),
    pytest.param("sdt-2-32", {}, id="sdt"),
    pytest.param("sdt-2-32", {"event_pooling": True}, id="sdt pools"),
    pytest.param("vit-2-32", {"time_steps": 3}, id="vit"),
]
ALL = SMALL + OTHERS


def weighted_inputs(model: Model, x: Tensor) -> dict[str, Tensor]:
    """The input of every linear layer and convolution, in the order of execution."""
    seen: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: seen.__setitem__(name, inputs[0]))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
    ]
    model(x)
    for hook in hooks:
        hook.remove()
    return seen


def is_binary(x: Tensor) -> bool:
    return bool(((x == 0) | (x == 1)).all())


# --- Presets and names ---


def parameters(name: str, **settings: Any) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in saformer.build(name, **settings).parameters())


def test_spikformer_4_384_has_the_published_parameters_less_the_unused() -> None:
    assert parameters("spikformer-4-384") == 9_330_874 - 6_144


def test_parameters_of_saformer_follow_from_the_equations() -> None:
    def saformer_parameters(depth: int, dim: int, channels: int, classes: int) -> int:
        widths = [channels, dim // 8, dim // 4, dim // 2, dim, dim]
        stem = sum(9 * a * b + 2 * b for a, b in pairwise(widths))
        attention = 3 * (dim * dim + dim + 2 * dim) + 9 * dim + 2 * dim
        mlp = 2 * 4 * dim * dim + 5 * dim + 2 * 5 * dim
        return stem + depth * (attention + mlp) + dim * classes + classes

    assert parameters("saformer-4-384") == saformer_parameters(4, 384, 3, 10)
    assert parameters("saformer-2-512", num_classes=100) == saformer_parameters(2, 512, 3, 100)
    assert parameters("saformer-2-256", num_classes=11) == saformer_parameters(2, 256, 2, 11)
    # No V matrix: a projection with its bias and BatchNorm, in every block.
    assert parameters("spikformer-4-384") - parameters("saformer-4-384", depthwise=False) == 4 * (384 * 384 + 3 * 384)


def test_presets_are_those_of_the_paper() -> None:
    cifar, events = configure("saformer-4-384"), configure("saformer-2-256")
    assert (cifar.time_steps, cifar.image_size, cifar.in_channels, cifar.pooling) == (4, 32, 3, "0011")
    assert (events.time_steps, events.image_size, events.in_channels, events.pooling) == (16, 128, 2, "1111")
    assert cifar.tokens == events.tokens == 64
    assert cifar.aggregated == events.aggregated == 16
    assert cifar.hidden == 4 * 384
    assert (cifar.input_kind, events.input_kind) == ("static", "events")


@pytest.mark.parametrize(("size", "pooling"), [(32, "0011"), (128, "1111"), (64, "0111"), (8, "0000"), (28, "0011")])
def test_pooling_follows_the_image_size(size: int, pooling: str) -> None:
    assert pooling_for(size) == pooling
    assert configure("saformer-2-64", image_size=size).pooling == pooling


def test_what_is_given_wins_over_the_preset() -> None:
    config = configure("saformer-2-256", time_steps=10, in_channels=3, image_size=64, pooling="0101")
    assert (config.time_steps, config.in_channels, config.image_size, config.pooling) == (10, 3, 64, "0101")


@pytest.mark.parametrize("family", ONE_WIDTH)
@pytest.mark.parametrize(("depth", "dim"), [(1, 8), (3, 40), (2, 72)])
def test_any_depth_and_dim(family: str, depth: int, dim: int) -> None:
    model = saformer.build(f"{family}-{depth}-{dim}", num_classes=7)
    assert len(model.block) == depth
    assert model.head.weight.shape == (7, dim)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert model(x).shape == (2, 7)


def test_a_configuration_survives_a_dictionary() -> None:
    for name in PRESETS:
        config = configure(name)
        assert config_from_dict(config.to_dict()) == config
    with torch.device("meta"):
        assert from_config(configure("sdt-2-64")).config == configure("sdt-2-64")


def test_any_hidden_width_can_be_read_off_the_weights() -> None:
    # The ratio is a quotient of floats: times D it may fall just short of the whole number it came from.
    for dim in range(8, 260, 8):
        for hidden in range(1, 4 * dim + 1):
            config = configure(f"saformer-1-{dim}", mlp_ratio=hidden / dim)
            assert config.hidden == hidden


# --- Wrong names, settings and inputs ---


@pytest.mark.parametrize(
    "name",
    [
        "",
        "saformer",
        "saformer-4",
        "saformer-4-384-1",
        "SAFormer-4-384",
        "resnet-4-384",
        "saformer-x-384",
        "saformer--4-384",
        "saformer-4-384\n",
        " saformer-4-384",
        "saformer-0-64",
        "saformer-2-0",
        "saformer-2-60",
        "saformer-99999-64",
        "saformer-²-64",
    ],
)
def test_names_that_name_no_model(name: str) -> None:
    with pytest.raises(InputError) as caught:
        saformer.build(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"heads": 4}, "heads"),  # SASA has none
        ({"colour": "red"}, "colour"),
        ({"time_steps": 3, "widht": 1}, "widht"),
        ({"depth": 3}, "no setting 'depth'"),  # the name says it
        ({"dim": 64}, "no setting 'dim'"),
        ({"time_steps": 10**23}, "time_steps must be a whole number from 1 to 65,536"),
        ({"mlp_ratio": 1e30}, "mlp_ratio"),
        ({"time_steps": 0}, "time_steps"),
        ({"time_steps": 2.0}, "time_steps"),
        ({"time_steps": True}, "time_steps"),
        ({"num_classes": -1}, "num_classes"),
        ({"in_channels": "3"}, "in_channels"),
        ({"image_size": (32, 32)}, "image_size"),
        ({"image_size": 0}, "image_size"),
        ({"pooling": "001"}, "pooling"),
        ({"pooling": "0012"}, "pooling"),
        ({"pooling": 11}, "pooling"),
        ({"pooling": None}, "pooling"),
        ({"mlp_ratio": 0}, "mlp_ratio"),
        ({"mlp_ratio": -4}, "mlp_ratio"),
        ({"mlp_ratio": "4"}, "mlp_ratio"),
        ({"mlp_ratio": float("nan")}, "mlp_ratio"),
        ({"mlp_ratio": float("inf")}, "mlp_ratio"),
        ({"aggregated": 0}, "aggregated"),
        ({"aggregated": 65}, "aggregated"),
        ({"aggregated": "16"}, "aggregated"),
        ({"aggregate": "mean"}, "aggregate"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], named: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=named) as caught:
            saformer.build("saformer-2-64", **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "settings", "named"),
    [
        ("spikformer-2-64", {"heads": 5}, "heads"),
        ("spikformer-2-64", {"heads": 0}, "heads"),
        ("spikformer-2-64", {"heads": "4"}, "heads"),
        ("spikformer-2-64", {"projection": "conv3d"}, "projection"),
        ("spikformer-2-64", {"projection": "conv1d"}, "mlp_projection"),
        ("spikformer-2-64", {"scale": 0}, "scale"),
        ("spikformer-2-64", {"scale": "0.125"}, "scale"),
        ("spikformer-2-64", {"aggregated": 4}, "aggregated"),
        ("sdt-2-64", {"heads": 7}, "heads"),
        ("sdt-2-64", {"mlp_ratio": 1}, "mlp_ratio"),
        ("vit-2-64", {"heads": 3}, "heads"),
        ("vit-2-64", {"depthwise": True}, "depthwise"),
    ],
)
def test_settings_of_the_other_families(name: str, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named) as caught:
        saformer.build(name, **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"family": "alexnet"},
        {"family": "saformer"},
        {"family": "saformer", "depth": 1, "dim": 64, "heads": 2},
        {"family": "saformer", "depth": None, "dim": 64},
        {"family": "saformer", "depth": 1, "dim": 64, "pooling": 3},
        {"family": "saformer", "depth": 1, "dim": 64, "mlp_ratio": None},
    ],
)
def test_stored_settings_that_do_not_fit(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        from_config(config_from_dict(settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", ONE_WIDTH)
@pytest.mark.parametrize(
    "shape",
    [(2, 3, 32, 31), (2, 1, 32, 32), (3, 32, 32), (2, 4, 3, 16, 16), (2, 5, 3, 32, 32), (1, 2, 4, 3, 32, 32), (2, 3)],
)
def test_inputs_that_do_not_fit(family: str, shape: tuple[int, ...]) -> None:
    model = saformer.build(f"{family}-1-16", time_steps=4)
    with pytest.raises(InputError) as caught:
        model(torch.zeros(shape))
    assert "\n" not in str(caught.value)
    assert f"{family}-1-16" in str(caught.value)


def test_the_wrong_number_of_frames_names_both() -> None:
    model = saformer.build("saformer-1-16", in_channels=2, image_size=32, time_steps=4)
    with pytest.raises(InputError, match="4 time steps, the events have 6 frames: set time steps to 6"):
        model(torch.zeros(1, 6, 2, 32, 32))


# --- The central property ---


@pytest.mark.parametrize("source", ["image", "events"])
@pytest.mark.parametrize(("name", "settings"), SMALL)
def test_every_layer_of_saformer_after_the_first_sees_spikes(name: str, settings: dict[str, Any], source: str) -> None:
    model, x = awake(name, **settings, **(EVENTS if source == "events" else {}))
    inputs = weighted_inputs(model, x)
    layers = [n for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert sorted(inputs) == sorted(layers)
    first, *rest = inputs
    assert first == "patch_embed.proj_conv"
    assert not is_binary(inputs[first])
    for layer in rest:
        assert is_binary(inputs[layer]), f"{layer} sees a value other than 0 and 1"
        assert 0 < inputs[layer].mean() < 1, f"{layer} sees no spikes, which proves nothing"


def test_binary_inputs_of_saformer_hold_on_other_random_networks() -> None:
    for seed in range(1, 6):
        model, x = awake("saformer-1-16", seed, image_size=16, time_steps=3)
        _, *rest = weighted_inputs(model, x).values()
        assert all(is_binary(y) for y in rest)


@pytest.mark.parametrize("source", ["image", "events"])
def test_spikformer_hands_on_sums_of_spikes(source: str) -> None:
    model, x = awake("spikformer-2-32", **(EVENTS if source == "events" else {}))
    inputs = weighted_inputs(model, x)
    blurred = {name for name, y in inputs.items() if not is_binary(y)}
    # As the method page says: the first convolution, the head and every q, k, v and fc1.
    expected = {
        f"block.{i}.{part}"
        for i in range(2)
        for part in ("attn.q_linear", "attn.k_linear", "attn.v_linear", "mlp.fc1_linear")
    }
    assert blurred == expected | {"patch_embed.proj_conv", "head"}
    for name in expected:
        assert torch.equal(inputs[name], inputs[name].round())
        assert inputs[name].max() >= 2


@pytest.mark.parametrize("source", ["image", "events"])
def test_the_spike_driven_transformer_sees_spikes_too(source: str) -> None:
    model, x = awake("sdt-2-32", **(EVENTS if source == "events" else {}))
    _, *rest = weighted_inputs(model, x).items()
    for name, y in rest:
        assert is_binary(y), name


# --- Time ---


@pytest.mark.parametrize(("name", "settings"), ALL)
def test_an_image_is_the_same_as_its_repetition_in_time(name: str, settings: dict[str, Any]) -> None:
    model, x = awake(name, **settings)
    steps = model.config.time_steps
    repeated = x[:, None].repeat(1, steps, 1, 1, 1)
    assert torch.equal(model(x), model(repeated))


@pytest.mark.parametrize("name", ["saformer-1-16", "spikformer-1-16", "sdt-1-16"])
def test_time_steps_change_the_output(name: str) -> None:
    model, x = awake(name, time_steps=4)
    longer = from_config(configure(name, time_steps=6)).double().eval()
    longer.load_state_dict(model.state_dict())
    assert not torch.allclose(model(x), longer(x))


@pytest.mark.parametrize("name", ["saformer-1-16", "spikformer-1-16", "sdt-1-16"])
def test_frames_are_taken_in_their_order(name: str) -> None:
    model, x = awake(name, **EVENTS)
    assert not torch.allclose(model(x), model(x.flip(1)))
    first = weighted_inputs(model, x)["patch_embed.proj_conv"]
    assert torch.equal(first.unflatten(0, (EVENTS["time_steps"], len(x))), x.transpose(0, 1))


@pytest.mark.parametrize("settings", [{}, EVENTS], ids=["image", "events"])
@pytest.mark.parametrize("name", ["saformer-1-16", "spikformer-1-16", "sdt-1-16", "vit-1-16"])
def test_no_state_between_calls_and_no_mixing_of_images(name: str, settings: dict[str, Any]) -> None:
    model, x = awake(name, **settings)
    first = model(x)
    model(x.flip(0))
    assert torch.equal(model(x), first)
    assert torch.allclose(torch.cat([model(image[None]) for image in x]), first, rtol=0, atol=1e-12)


def test_scores_are_averaged_over_time() -> None:
    model, x = awake("saformer-1-16")
    steps: list[Tensor] = []
    model.head.register_forward_hook(lambda _, __, out: steps.append(out))
    y = model(x)
    assert steps[0].shape == (4, 4, 10)
    assert torch.equal(y, steps[0].mean(0))


def test_building_does_not_touch_the_seed_of_an_equal_model() -> None:
    torch.manual_seed(3)
    a = saformer.build("saformer-1-16").state_dict()
    torch.manual_seed(3)
    b = saformer.build("saformer-1-16").state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)


# --- Eqs. 4 and 7 and the patch embedding ---


def test_saformer_pools_before_the_neuron_and_stage_5_adds_membranes() -> None:
    model, x = awake("saformer-1-16")
    stem = model.patch_embed
    calls: list[tuple[str, Tensor, Tensor]] = []
    for name, module in stem.named_children():
        name = "pool" if isinstance(module, nn.MaxPool2d) else name
        module.register_forward_hook(lambda _, inputs, out, name=name: calls.append((name, inputs[0], out)))
    result: list[Tensor] = []
    stem.register_forward_hook(lambda _, __, out: result.append(out))
    model(x)
    order = [name for name, _, _ in calls]
    assert order == [
        *("proj_conv", "proj_bn", "proj_lif", "proj_conv1", "proj_bn1", "proj_lif1"),
        *("proj_conv2", "proj_bn2", "pool", "proj_lif2", "proj_conv3", "proj_bn3", "pool", "proj_lif3"),
        *("rpe_conv", "rpe_bn"),
    ]
    outputs = {name: (seen, out) for name, seen, out in calls}
    membrane = outputs["proj_lif3"][0]  # what stage 4 gives its neuron
    assert torch.equal(result[0].flatten(0, 1), outputs["rpe_bn"][1] + membrane.flatten(0, 1))
    assert torch.equal(outputs["rpe_conv"][0], outputs["proj_lif3"][1].flatten(0, 1))


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("spikformer-1-16", ["lif", "lif", "lif-pool", "lif-pool"]),
        ("sdt-1-16", ["lif", "lif", "lif-pool", "pool-lif"]),
        ("saformer-1-16", ["lif", "lif", "pool-lif", "pool-lif"]),
    ],
)
def test_where_each_family_pools(name: str, order: list[str]) -> None:
    model, x = awake(name)
    seen: list[str] = []
    for child, module in model.patch_embed.named_children():
        what = "pool" if isinstance(module, nn.MaxPool2d) else child.rstrip("123").removeprefix("proj_")
        module.register_forward_hook(lambda _, __, ___, what=what: seen.append(what))
    model(x)
    found = [
        "-".join(word for word in stage.split() if word in ("lif", "pool"))
        for stage in " ".join(seen).split("conv bn")[1:]
    ]
    assert found == order


def test_the_head_gets_spikes_of_the_mean_over_tokens() -> None:
    model, x = awake("saformer-1-16")
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for name in ("block.0", "head_lif", "head"):
        model.get_submodule(name).register_forward_hook(
            lambda _, inputs, out, name=name: seen.__setitem__(name, (inputs[0], out))
        )
    model(x)
    assert torch.equal(seen["head_lif"][0], seen["block.0"][1].mean(2))
    assert torch.equal(seen["head"][0], seen["head_lif"][1])


def test_shortcuts_of_saformer_add_membranes() -> None:
    model, x = awake("saformer-1-16")
    block = model.block[0]
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for name, module in (("block", block), ("attn", block.attn), ("mlp", block.mlp)):
        module.register_forward_hook(lambda _, inputs, out, name=name: seen.__setitem__(name, (inputs[0], out)))
    model(x)
    assert torch.equal(seen["mlp"][0], seen["attn"][1] + seen["block"][0])  # (5)
    assert torch.equal(seen["block"][1], seen["mlp"][1] + seen["mlp"][0])  # (6)
