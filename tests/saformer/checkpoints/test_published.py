import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import saformer
from saformer.checkpoints import Assumption, load, save
from saformer.errors import InputError
from saformer.models import configure

ORACLES = Path(__file__).resolve().parents[2] / "data" / "oracles"
NAMES = ["spikformer_2_64_cifar", "spikformer_2_32_cifar10dvs", "spikformer_2_32_imagenet", "sdt_2_64_cifar"]


def checkpoint(name: str) -> dict[str, Any]:
    """The whole content of an oracle."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(ORACLES / f"{name}.pth.tar", weights_only=True)


def expected(name: str) -> dict[str, Any]:
    return json.loads((ORACLES / f"{name}.expected.json").read_text())


def images(name: str) -> Tensor:
    return torch.from_numpy(np.load(ORACLES / f"{name}.input.npz")["x"]).double()


def logits(model: torch.nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.double()(x)


def refusal(path: Path, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(path, **settings)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


Rewrite = Callable[[Callable[[dict[str, Any]], Any]], Path]


@pytest.fixture
def rewritten(tmp_path: Path) -> Callable[..., Path]:
    """Writes an oracle again after a change to its content; the change may return another content."""

    def write(change: Callable[[dict[str, Any]], Any], name: str = "spikformer_2_64_cifar") -> Path:
        content = checkpoint(name)
        changed = change(content)
        path = tmp_path / "changed.pth.tar"
        torch.save(content if changed is None else changed, path)
        return path

    return write


# --- What the published implementations compute ---


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_the_published_code(name: str) -> None:
    model = load(ORACLES / f"{name}.pth.tar")
    assert not model.training
    found, wanted = logits(model, images(name)), torch.tensor(expected(name)["logits"], dtype=torch.float64)
    assert found.shape == wanted.shape
    assert torch.allclose(found, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_keep_their_published_names_and_values(name: str) -> None:
    model = load(ORACLES / f"{name}.pth.tar")
    published = checkpoint(name)["state_dict"]
    assert model.origin is not None
    ours = model.state_dict()
    assert set(ours) == set(published) - set(model.origin.unused)
    assert all(torch.equal(ours[key], published[key]) for key in ours)


UNUSED = {
    "spikformer_2_64_cifar": {f"block.{i}.norm{j}.{k}" for i in (0, 1) for j in (1, 2) for k in ("weight", "bias")},
    "sdt_2_64_cifar": {f"block.{i}.attn.talking_heads.weight" for i in (0, 1)},
}
UNUSED["spikformer_2_32_imagenet"] = UNUSED["spikformer_2_64_cifar"]
UNUSED["spikformer_2_32_cifar10dvs"] = {*UNUSED["spikformer_2_64_cifar"], "norm.weight", "norm.bias", "pos_embed"}


@pytest.mark.parametrize("name", NAMES)
def test_unused_parameters_are_counted_apart(name: str) -> None:
    model = load(ORACLES / f"{name}.pth.tar")
    published = checkpoint(name)["state_dict"]
    assert model.origin is not None
    assert set(model.origin.unused) == UNUSED[name]
    assert model.origin.unused_parameters == sum(published[key].numel() for key in UNUSED[name])
    used = sum(p.numel() for p in model.parameters())
    assert used + model.origin.unused_parameters == expected(name)["params"]


SETTINGS: dict[str, dict[str, tuple[Any, str]]] = {
    "spikformer_2_64_cifar": {
        "time_steps": (4, "stored"),
        "heads": (4, "stored"),
        "image_size": (32, "stored"),
        "scale": (0.125, "default"),
        "pooling": ("0011", "stored"),
    },
    "spikformer_2_32_cifar10dvs": {
        "time_steps": (3, "stored"),
        "heads": (16, "stored"),
        "image_size": (128, "default"),
        "scale": (0.25, "default"),
        "pooling": ("1111", "default"),
    },
    "spikformer_2_32_imagenet": {
        "time_steps": (4, "stored"),
        "heads": (4, "stored"),
        "image_size": (64, "stored"),
        "scale": (0.125, "default"),
        "pooling": ("1111", "stored"),
    },
    "sdt_2_64_cifar": {
        "time_steps": (4, "stored"),
        "heads": (4, "stored"),
        "image_size": (32, "stored"),
        "pooling": ("0011", "stored"),
        "event_pooling": (False, "default"),
    },
}
SHOWN = {
    "spikformer_2_64_cifar": {"projection": "linear", "mlp_projection": "linear", "keys_first": False, "dim": 64},
    "spikformer_2_32_cifar10dvs": {"projection": "conv1d", "mlp_projection": "conv1d", "in_channels": 2, "dim": 32},
    "spikformer_2_32_imagenet": {"projection": "conv1d", "mlp_projection": "conv2d", "keys_first": True},
    "sdt_2_64_cifar": {"family": "sdt", "dim": 64, "depth": 2, "mlp_ratio": 4.0},
}


@pytest.mark.parametrize("name", NAMES)
def test_settings_come_from_the_shapes_the_stored_arguments_or_the_published_defaults(name: str) -> None:
    model = load(ORACLES / f"{name}.pth.tar")
    assert model.origin is not None
    assert {a.setting: (a.value, a.source) for a in model.origin.assumptions} == SETTINGS[name]
    for setting, (value, _) in SETTINGS[name].items():
        assert getattr(model.config, setting) == value
    for setting, value in SHOWN[name].items():
        assert getattr(model.config, setting) == value


@pytest.mark.parametrize("name", NAMES)
def test_the_origin_names_the_file(name: str) -> None:
    path = ORACLES / f"{name}.pth.tar"
    origin = load(str(path)).origin
    assert origin is not None
    assert origin.path == path
    assert origin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert origin.details is None


def test_without_stored_arguments_the_published_defaults_are_assumed(rewritten: Rewrite) -> None:
    path = rewritten(lambda content: {"state_dict": content["state_dict"]})
    origin = load(path).origin
    assert origin is not None
    # The published 12 heads do not divide 64 channels: heads of 32 channels, then.
    assert set(origin.assumptions) == {
        Assumption("time_steps", 4, "default"),
        Assumption("heads", 2, "default"),
        Assumption("scale", 0.125, "default"),
        Assumption("image_size", 32, "default"),
        Assumption("pooling", "0011", "default"),
    }


def test_what_is_given_wins_over_what_is_stored() -> None:
    model = load(ORACLES / "sdt_2_64_cifar.pth.tar", time_steps=2, heads=8, pooling="1111", image_size=None)
    assert model.origin is not None
    found = {a.setting: (a.value, a.source) for a in model.origin.assumptions}
    assert found["time_steps"] == (2, "given")
    assert found["heads"] == (8, "given")
    assert found["pooling"] == ("1111", "given")
    assert found["image_size"] == (32, "stored")
    assert (model.config.time_steps, model.config.pooling) == (2, "1111")


def test_given_time_steps_are_run() -> None:
    name = "sdt_2_64_cifar"
    path, x = ORACLES / f"{name}.pth.tar", images(name)[:2]
    model = load(path, time_steps=2)
    assert not torch.allclose(logits(model, x), logits(load(path), x))
    assert torch.equal(logits(model, x), logits(model, x[:, None].repeat(1, 2, 1, 1, 1)))


def test_event_mode_of_sdt_follows_the_channels_or_the_stored_argument(rewritten: Rewrite) -> None:
    def stored(content: dict[str, Any]) -> None:
        content["args"].dvs_mode = True

    assert load(rewritten(stored, "sdt_2_64_cifar")).config.to_dict()["event_pooling"] is True

    def events(content: dict[str, Any]) -> None:
        weights = content["state_dict"]
        weights["patch_embed.proj_conv.weight"] = weights["patch_embed.proj_conv.weight"][:, :2].clone()

    config = load(rewritten(events, "sdt_2_64_cifar")).config
    assert config.to_dict()["event_pooling"] is True
    assert config.input_kind == "events"


def test_a_checkpoint_of_saformer_without_its_settings_is_recognised(tmp_path: Path) -> None:
    for settings in ({}, {"depthwise": False}):
        model = saformer.build("saformer-2-16", num_classes=7, **settings)
        torch.save(model.state_dict(), tmp_path / "s.pt")
        again = load(tmp_path / "s.pt")
        assert again.config == model.config
        x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
        assert torch.equal(logits(again, x), logits(model, x))


def test_a_checkpoint_of_the_softmax_reference_is_recognised(tmp_path: Path) -> None:
    model = saformer.build("vit-2-24", heads=12)
    torch.save(model.state_dict(), tmp_path / "v.pt")
    again = load(tmp_path / "v.pt")
    assert again.config == model.config
    assert again.origin is not None
    assert again.origin.unused == ()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    assert torch.equal(logits(again, x), logits(model, x))


@pytest.mark.parametrize(("hidden", "dim"), [(120, 88), (61, 56)])
def test_a_hidden_width_that_is_no_multiple(tmp_path: Path, hidden: int, dim: int) -> None:
    # 120 / 88 * 88 is 119.99999999999999 in floating point.
    model = saformer.build(f"saformer-1-{dim}", mlp_ratio=(hidden + 0.25) / dim)
    assert model.config.hidden == hidden
    torch.save(model.state_dict(), tmp_path / "h.pt")
    assert load(tmp_path / "h.pt").config.hidden == hidden


# --- Where the weights may be, and under what names ---


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("key", ["state_dict", "model", "model_ema", "state_dict_ema", ""])
def test_places_and_prefixes(rewritten: Rewrite, key: str, prefix: str) -> None:
    name = "spikformer_2_32_imagenet"

    def move(content: dict[str, Any]) -> dict[str, Any]:
        weights = {prefix + k: v for k, v in content["state_dict"].items()}
        return {key: weights, "args": content["args"]} if key else weights

    path = rewritten(move, name)
    # The top level has no room for stored arguments.
    model = load(path) if key else load(path, heads=4, image_size=64)
    wanted = torch.tensor(expected(name)["logits"], dtype=torch.float64)
    assert torch.allclose(logits(model, images(name)), wanted, rtol=0, atol=1e-9)


def test_one_of_several_sets_of_weights_can_be_chosen(rewritten: Rewrite) -> None:
    def double(content: dict[str, Any]) -> None:
        content["model_ema"] = {k: v + 1 if v.is_floating_point() else v for k, v in content["state_dict"].items()}

    path = rewritten(double)
    first, ema = load(path), load(path, weights="model_ema")
    assert torch.equal(ema.head.weight, first.head.weight + 1)
    assert "model_ema, the top level" not in refusal(path, weights="teacher")


# --- What does not fit ---


def without(key: str) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        del content["state_dict"][key]

    return change


READ_BY_RECOGNITION = {
    "block.0.attn.q_linear.weight",  # without it the architecture cannot be told
    "block.0.mlp.fc1_linear.weight",
}


def test_a_missing_parameter_is_named(rewritten: Rewrite) -> None:
    keys = [
        key
        for key in checkpoint("spikformer_2_64_cifar")["state_dict"]
        if not key.endswith("num_batches_tracked") and "norm" not in key and key not in READ_BY_RECOGNITION
    ]
    for key in [*keys[::7], "head.weight", "head.bias", "patch_embed.proj_conv.weight", "block.1.mlp.fc2_bn.bias"]:
        path = rewritten(without(key))
        assert key in refusal(path), key


@pytest.mark.parametrize("key", ["block.0.attn.v_linear.weight", "block.0.attn.q_bn.weight"])
def test_a_missing_parameter_that_tells_families_apart_is_named(rewritten: Rewrite, key: str) -> None:
    path = rewritten(without(key))
    assert f"parameter {key} is missing" in refusal(path)


@pytest.mark.parametrize("key", sorted(READ_BY_RECOGNITION))
def test_a_missing_parameter_of_the_first_block(rewritten: Rewrite, key: str) -> None:
    refusal(rewritten(without(key)))


def test_the_count_of_batches_may_be_missing(rewritten: Rewrite) -> None:
    name = "spikformer_2_64_cifar"

    def drop(content: dict[str, Any]) -> None:
        weights = content["state_dict"]
        for key in [k for k in weights if k.endswith("num_batches_tracked")]:
            del weights[key]

    wanted = torch.tensor(expected(name)["logits"], dtype=torch.float64)
    assert torch.allclose(logits(load(rewritten(drop)), images(name)), wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "key",
    [
        "patch_embed.proj_conv2.weight",
        "block.1.attn.k_linear.weight",
        "block.0.mlp.fc2_bn.running_var",
        "patch_embed.proj_conv.weight",
        "block.0.attn.q_linear.weight",
        "head.bias",
    ],
)
def test_a_wrong_shape_is_named(rewritten: Rewrite, key: str) -> None:
    def cut(content: dict[str, Any]) -> None:
        content["state_dict"][key] = content["state_dict"][key][:-1].clone()

    message = refusal(rewritten(cut))
    assert f"parameter {key} has shape" in message
    assert "the model needs" in message


@pytest.mark.parametrize("key", ["head.weight", "patch_embed.proj_conv.weight", "block.0.mlp.fc1_linear.weight"])
def test_a_wrong_rank_where_the_sizes_are_read(rewritten: Rewrite, key: str) -> None:
    for change in (torch.flatten, lambda w: w.sum().clone()):
        path = rewritten(
            lambda content, change=change: content["state_dict"].update({key: change(content["state_dict"][key])})
        )
        refusal(path)


@pytest.mark.parametrize(
    "key", ["block.0.attn.extra.weight", "block.2.attn.q_linear.weight", "block.7.x", "rpe.weight"]
)
def test_an_extra_parameter_is_named(rewritten: Rewrite, key: str) -> None:
    path = rewritten(lambda content: content["state_dict"].update({key: torch.ones(2)}))
    message = refusal(path)
    if key.startswith("block.2"):  # then there are three blocks, and the third lacks the rest
        assert "parameter block.2." in message
    else:
        assert f"parameter {key} (1 in all) has no place in the model" in message


def test_a_parameter_without_a_name(rewritten: Rewrite) -> None:
    path = rewritten(lambda content: content["state_dict"].update({"": torch.ones(2)}))
    assert "(1 in all) has no place in the model" in refusal(path)


@pytest.mark.parametrize(
    "weights",
    [
        {"conv1.weight": torch.ones(3, 3)},
        {"block.0.attn.qkv.weight": torch.ones(3, 3), "head.weight": torch.ones(2, 3)},
        {"block.0.attn.q_conv.weight": torch.ones(8, 8, 1, 1)},
        {"block.0.attn.q_linear.weight": torch.ones(8)},
    ],
)
def test_an_unknown_architecture_shows_its_parameters(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save(weights, tmp_path / "x.pt")
    message = refusal(tmp_path / "x.pt")
    assert "architecture" in message
    assert next(iter(weights)) in message


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dim": 128}, "dim is 64 by the weights' shapes; it cannot be set to 128"),
        ({"depth": 3}, "depth is 2 by"),
        ({"num_classes": 100}, "num_classes is 10 by"),
        ({"in_channels": 2}, "in_channels is 3 by"),
        ({"projection": "conv1d"}, "projection is 'linear' by"),
        ({"heads": 5}, "heads must divide dim 64, got 5"),
        ({"aggregated": 16}, "spikformer has no setting 'aggregated'"),
        ({"colour": "red"}, "spikformer has no setting 'colour'"),
        ({"time_steps": 0}, "time_steps"),
        ({"pooling": "11"}, "pooling"),
        ({"image_size": "big"}, "image_size"),
    ],
)
def test_a_conflicting_setting_is_named(settings: dict[str, Any], named: str) -> None:
    assert named in refusal(ORACLES / "spikformer_2_64_cifar.pth.tar", **settings)


@pytest.mark.parametrize(
    ("argument", "value", "named"),
    [
        ("num_heads", 7, "heads"),
        ("num_heads", "many", "heads"),
        ("time_step", -1, "time_steps"),
        ("img_size", 0.5, "image_size"),
        ("img_size", "big", "image_size"),
        ("pooling_stat", 11, "pooling"),
        ("spike_mode", "plif", "plif"),
    ],
)
def test_a_stored_argument_that_does_not_fit_is_named(
    rewritten: Rewrite, argument: str, value: Any, named: str
) -> None:
    path = rewritten(lambda content: setattr(content["args"], argument, value))
    assert named in refusal(path)


def test_an_image_size_stored_as_a_shape(rewritten: Rewrite) -> None:
    path = rewritten(lambda content: setattr(content["args"], "img_size", (3, 32, 32)))
    assert load(path).config.image_size == 32


def test_stored_arguments_that_are_nobody_s_business(rewritten: Rewrite) -> None:
    args = argparse.Namespace(time_step=4, num_heads=4, img_size=32, lr=0.1, resume="", layer=99, model="resnet")
    assert load(rewritten(lambda content: content.update(args=args))).config.depth == 2


# --- Our own files ---

OWN = [
    ("saformer-1-16", {"aggregated": 4, "aggregate": "spikes", "depthwise": False, "time_steps": 3}),
    ("saformer-2-16", {"in_channels": 2, "image_size": 32, "time_steps": 2, "pooling": "0101", "num_classes": 3}),
    ("spikformer-1-16", {"heads": 4, "scale": 0.25, "projection": "conv1d", "mlp_projection": "conv2d"}),
    ("sdt-1-16", {"event_pooling": True, "mlp_ratio": 2.5}),
    ("vit-1-16", {"heads": 2}),
]


@pytest.mark.parametrize(("name", "settings"), OWN)
def test_what_is_saved_is_loaded_bit_for_bit(tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    torch.manual_seed(1)
    model = saformer.build(name, **settings)
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    path = tmp_path / "m.safetensors"
    saformer.save(model, path, accuracy=0.9, seed=3)
    again = saformer.load(path)
    assert type(again) is type(model)
    assert again.config == model.config == configure(name, **settings)
    config = model.config
    steps = () if config.input_kind == "static" else (config.time_steps,)
    x = torch.randn(2, *steps, config.in_channels, config.image_size, config.image_size)
    with torch.inference_mode():
        assert torch.equal(again(x), model(x))
    assert again.origin is not None
    assert again.origin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert again.origin.details == {"accuracy": 0.9, "seed": 3, "version": saformer.__version__}
    assert again.origin.assumptions == ()
    saformer.save(again, tmp_path / "n.safetensors", accuracy=0.9, seed=3)
    assert (tmp_path / "n.safetensors").read_bytes() == path.read_bytes()


def test_a_published_checkpoint_becomes_one_of_our_own(tmp_path: Path) -> None:
    name = "spikformer_2_32_imagenet"
    save(load(ORACLES / f"{name}.pth.tar"), tmp_path / "m.safetensors")
    model = load(tmp_path / "m.safetensors")
    wanted = torch.tensor(expected(name)["logits"], dtype=torch.float64)
    assert torch.allclose(logits(model, images(name)), wanted, rtol=0, atol=1e-9)
    assert model.origin is not None
    assert model.origin.assumptions == ()


def test_weights_can_be_stored_in_half(tmp_path: Path) -> None:
    model = saformer.build("saformer-1-16")
    save(model, tmp_path / "m.safetensors", dtype=torch.float16)
    assert {t.dtype for t in load_file(tmp_path / "m.safetensors").values()} == {torch.float16}
    again = load(tmp_path / "m.safetensors")
    assert torch.equal(again.head.weight, model.head.weight.half().float())


def test_settings_of_our_own_files_can_be_changed(tmp_path: Path) -> None:
    save(saformer.build("saformer-1-16"), tmp_path / "m.safetensors")
    model = load(tmp_path / "m.safetensors", time_steps=7, heads=None)
    assert model.config.time_steps == 7
    assert model.origin is not None
    assert model.origin.assumptions == (Assumption("time_steps", 7, "given", 4),)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"heads": 2}, "heads"),
        ({"dim": 24}, "parameter"),
        ({"time_steps": "4"}, "time_steps"),
        ({"depth": 2}, "block.1"),
    ],
)
def test_settings_that_do_not_fit_our_own_files(tmp_path: Path, settings: dict[str, Any], named: str) -> None:
    save(saformer.build("saformer-1-16"), tmp_path / "m.safetensors")
    assert named in refusal(tmp_path / "m.safetensors", **settings)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "3",
        "{}",
        '{"config": null}',
        '{"config": 3}',
        '{"config": {}}',
        '{"config": {"family": "resnet"}}',
        '{"config": {"family": ["saformer"]}}',
        '{"config": {"family": "saformer", "depth": 1}}',
        '{"config": {"family": "saformer", "depth": 1, "dim": "16"}}',
        '{"config": {"family": "saformer", "depth": 1, "dim": 16, "colour": 1}}',
        '{"config": {"family": "saformer", "depth": 1, "dim": 16, "pooling": 11}}',
        '{"config": {"family": "saformer", "depth": 1, "dim": 16, "aggregated": "x"}}',
        '{"config": {"family": "saformer", "depth": 2, "dim": 16}}',
        '{"config": {"family": "saformer", "depth": 1, "dim": 24}}',
        '{"config": {"family": "vit", "depth": 1, "dim": 16, "heads": 2}}',
        "[" * 100_000,
    ],
)
def test_damaged_settings_inside_our_own_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.safetensors"
    save(saformer.build("saformer-1-16"), path)
    save_file(load_file(path), path, metadata={"saformer": text})
    refusal(path)


def test_the_settings_are_inside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save(saformer.build("saformer-1-16"), path)
    with safe_open(path, framework="pt") as file:
        stored = json.loads(file.metadata()["saformer"])
    assert stored["config"]["family"] == "saformer"
    assert stored["config"]["aggregated"] == 16


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist") as caught:
        save(saformer.build("saformer-1-16"), tmp_path / "no" / "m.safetensors")
    assert "\n" not in str(caught.value)
