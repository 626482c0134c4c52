"""CML Spikformer and Spikingformer, QKFormer and Max-Former against their published code, and their published sizes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import saformer
from saformer.analysis import profile
from saformer.errors import InputError
from saformer.models import configure

ORACLES = Path(__file__).resolve().parents[3] / "data" / "oracles"
# What is given beside the file.
NAMES: dict[str, dict[str, Any]] = {
    "cml_spikformer_2_48_cifar": {},
    "cml_spikingformer_2_32_cifar10dvs": {"pool_first": True},
    "qkformer_4_64_cifar10dvs": {"image_size": 64},
    "maxformer_32_cifar": {},
}


def expected(name: str) -> dict[str, Any]:
    return json.loads((ORACLES / f"{name}.expected.json").read_text())


def images(name: str) -> torch.Tensor:
    return torch.from_numpy(np.load(ORACLES / f"{name}.input.npz")["x"]).double()


# --- What the published implementations compute ---


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_integers_are_those_of_the_published_code(name: str) -> None:
    model, x, wanted = saformer.load(ORACLES / f"{name}.pth.tar", **NAMES[name]).double(), images(name), expected(name)
    with torch.inference_mode():
        found = model(x)
    assert torch.allclose(found, torch.tensor(wanted["logits"], dtype=torch.float64), rtol=0, atol=1e-9)

    recorded = profile(model, [x])
    assert recorded.uncounted == () and recorded.notes == ()
    operations = {o.name: o for o in recorded.operations}
    layers = {
        name: {"numel": a.elements, "nonzero": a.nonzero, "binary": a.binary}
        for name in wanted["layers"]
        for a in [operations[name].operands[0]]
    }
    assert layers == {k: {key: v[key] for key in ("numel", "nonzero", "binary")} for k, v in wanted["layers"].items()}
    neurons = {n.name: (n.elements, n.spikes, list(n.per_step)) for n in recorded.neurons}
    assert neurons == {k: (v["numel"], v["spikes"], v["per_step"]) for k, v in wanted["neurons"].items()}
    products = [o.events for o in recorded.operations if o.name not in layers]
    assert products == [p["exact"] for p in wanted.get("products", [])] or "products" not in wanted


@pytest.mark.parametrize("name", NAMES)
def test_no_parameter_is_lost(name: str) -> None:
    model = saformer.load(ORACLES / f"{name}.pth.tar", **NAMES[name])
    assert model.origin is not None
    used = sum(p.numel() for p in model.parameters())
    assert used + model.origin.unused_parameters == expected(name)["params"]


def test_images_of_a_batch_do_not_meet() -> None:
    """The published self attention lets potentials go on from image to image; here each stands on its own."""
    model = saformer.load(ORACLES / "qkformer_4_64_cifar10dvs.pth.tar", image_size=64).double()
    x = images("qkformer_4_64_cifar10dvs")
    with torch.inference_mode():
        assert torch.allclose(model(x), torch.cat([model(one[None]) for one in x]), rtol=0, atol=1e-12)


# --- What tells the variants apart ---


def save(path: Path, weights: dict[str, Any], **args: Any) -> Path:
    torch.save({"state_dict": weights, "args": args}, path)
    return path


def test_cml_for_events_is_said_to_look_like_spikingformer_and_given_brings_its_time_constant() -> None:
    path = ORACLES / "cml_spikingformer_2_32_cifar10dvs.pth.tar"
    plain, cml = saformer.load(path), saformer.load(path, pool_first=True)
    assert (plain.config.to_dict()["tau"], cml.config.to_dict()["tau"]) == (1.5, 1.75)
    assert plain.origin is not None
    (note,) = [a.note for a in plain.origin.assumptions if a.setting == "pool_first"]
    assert note.endswith("--set pool_first=true")


def test_names_and_sizes_of_patches_in_the_stored_arguments_decide(tmp_path: Path) -> None:
    model = saformer.build("spikingformer-1-16", embedding="proj", pool_first=True)
    weights = model.state_dict()

    def found(**args: Any) -> tuple[Any, ...]:
        config = saformer.load(save(tmp_path / "x.pth.tar", weights, **args)).config.to_dict()
        return config["pooling"], config["pool_first"], config["keys_first"], config["image_size"]

    assert found() == found(patch_size=4) == ("0011", True, False, 32)
    assert found(patch_size=4, img_size=64) == ("0011", True, False, 64)
    assert found(patch_size=16) == ("1111", False, True, 224)
    assert found(patch_size=16, model="CML_Spikingformer") == ("1111", True, True, 224)


def test_cifar_code_pools_twice_at_any_image_size(tmp_path: Path) -> None:
    weights = saformer.build("spikformer-1-16").state_dict()
    for args in ({"img_size": 64}, {"img_size": 64, "patch_size": 4}, {"img_size": 64, "patch_size": 8}):
        assert saformer.load(save(tmp_path / "x.pth.tar", weights, **args)).config.to_dict()["pooling"] == "0011"


def test_heads_are_those_of_the_code_whatever_its_script_stores(tmp_path: Path) -> None:
    weights = saformer.build("qkformer-3-32").state_dict()
    path = save(tmp_path / "x.pth.tar", weights, num_heads=4)
    assert saformer.load(path).config.to_dict()["heads"] == 8
    assert saformer.load(path, heads=4).config.to_dict()["heads"] == 4


@pytest.mark.parametrize(
    "name",
    [
        *("qkformer-4-64+dim=64", "qkformer-4-64+variant=imagenet+image_size=64", "qkformer-2-32+variant=events"),
        *("maxformer-4-64", "maxformer-4-64+variant=imagenet+image_size=64", "maxformer-2-32+variant=events"),
        *("spikformer-1-16+pool_first=true", "spikingformer-1-16"),
    ],
)
def test_weights_show_the_variant_and_every_parameter_learns(tmp_path: Path, name: str) -> None:
    given = {"in_channels": 2, "image_size": 32, "time_steps": 2} if "events" in name else {"time_steps": 2}
    model = saformer.build(name.replace("+dim=64", ""), **given)
    torch.save(model.state_dict(), tmp_path / "x.pt")
    size = model.config.image_size
    again = saformer.load(tmp_path / "x.pt", image_size=size, time_steps=2, heads=model.config.to_dict()["heads"])
    assert again.config == model.config
    shape = (2, 2, 2, size, size) if "events" in name else (2, model.config.in_channels, size, size)
    model.train()(torch.rand(shape)).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


# --- Published sizes ---


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("qkformer-4-384", 6_706_234),
        ("qkformer-2-256", 1_504_138),
        ("qkformer-10-384", 16_473_688),
        ("qkformer-10-512", 29_079_336),
        ("qkformer-10-768", 64_962_760),
        ("maxformer-4-384", 6_568_282),
        ("maxformer-10-384", 16_237_240),
        ("maxformer-10-512", 28_653_480),
        ("maxformer-10-768", 63_992_200),
    ],
)
def test_published_networks_have_the_parameters_of_the_published_code(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = saformer.build(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model.config.name == name


@pytest.mark.parametrize("name", ["cml-spikformer-4-384", "cml-spikingformer-2-256", "cml-spikingformer-8-768"])
def test_networks_with_the_pool_first_keep_their_names(name: str) -> None:
    assert configure(name).name == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qkformer-2-64", "depth must be 3 or more"),
        ("qkformer-4-60", "dim must be a multiple of 8"),
        ("qkformer-4-64+heads=3", "heads must divide dim 16"),
        ("qkformer-4-64+image_size=30", "image_size must be a multiple of 4"),
        ("maxformer-4-64+variant=speech", "variant must be one of cifar, imagenet, events"),
        ("maxformer-4-64+mlp_ratio=0", "mlp_ratio"),
        ("spikformer-1-16+pool_first=2", "pool_first must be true or false"),
    ],
)
def test_settings_that_do_not_fit(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        configure(name)
