"""Names and settings: published sizes, "+KEY=VALUE", and what is wrong with either."""

import pytest

from saformer.errors import InputError
from saformer.models import configure, configure_for
from saformer.models.settings import Text


@pytest.mark.parametrize("family", ["spikformer", "spikingformer", "sdt"])
@pytest.mark.parametrize("size", ["8-384", "6-512", "8-512", "10-512", "8-768"])
def test_networks_for_imagenet_have_its_size_and_classes(family: str, size: str) -> None:
    config = configure(f"{family}-{size}")
    assert (config.in_channels, config.image_size, config.num_classes, config.tokens) == (3, 224, 1000, 196)
    assert config.name == f"{family}-{size}"


def test_settings_stand_behind_the_name() -> None:
    config = configure("saformer-2-64+time_steps=6+depthwise=false+aggregated=none+pooling=0011")
    assert (config.time_steps, config.depthwise, config.aggregated, config.pooling) == (6, False, None, "0011")
    assert configure("saformer-2-64+time_steps=6", time_steps=2).time_steps == 2


def test_a_text_is_read_as_the_type_of_its_field() -> None:
    config = configure("spikformer-2-64", scale=Text("0.25"), heads=Text("4"), keys_first=Text("True"))
    assert (config.scale, config.heads, config.keys_first) == (0.25, 4, True)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("spikformr-4-384", {}, "did you mean spikformer-4-384?"),
        ("saformer-4-384", {"aggregatd": 4}, "did you mean aggregated?"),
        ("saformer-4-384+heads", {}, "takes KEY=VALUE"),
        ("saformer-4-384+aggregated=4+aggregated=8", {}, "given twice"),
        ("saformer-4-384", {"aggregated": Text("many")}, "aggregated must be a whole number or none, got 'many'"),
        ("saformer-4-384", {"depthwise": Text("maybe")}, "depthwise must be true or false"),
        ("saformer-4-384", {"depth": 2}, "no setting 'depth'"),
    ],
)
def test_a_wrong_name_or_setting_is_said(name: str, settings: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said.replace("?", r"\?")):
        configure(name, **settings)


def test_a_network_that_does_not_spike_runs_once_per_image() -> None:
    assert configure("vit-4-384", time_steps=4).time_steps == 1
    assert configure("ann-resnet-19", time_steps=4).time_steps == 1
    assert configure("vit-2-64", time_steps=4, attention="ssa").time_steps == 4  # which spikes
    assert configure("vit-2-64", time_steps=4, in_channels=2).time_steps == 4  # frames of events


def test_a_published_size_is_not_fitted_to_other_data() -> None:
    cifar = {"in_channels": 3, "image_size": 32, "num_classes": 100}
    with pytest.raises(InputError, match="spikformer-8-768 is a network for inputs of 3 x 224 x 224, and the data has"):
        configure_for("spikformer-8-768", cifar)
    with pytest.raises(InputError, match="is a network for inputs of 3 x 64 x 64, and the data has 3 x 32 x 32"):
        configure_for("spikformer-3-64+image_size=64", cifar)
    assert configure_for("spikformer-8-768", cifar, image_size=32).image_size == 32
    assert configure_for("spikformer-8-768+image_size=32", cifar).image_size == 32
    assert configure_for("spikformer-4-384", cifar).num_classes == 100
    assert configure_for("spikformer-3-64", {"in_channels": 2, "image_size": 128}).in_channels == 2


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("saformer-1-32+depthwise=false", "saformer-1-32+depthwise=False"),
        ("spikformer-2-48+pool_first=true+attention=sdsa", "spikformer-2-48+attention=sdsa+pool_first=True"),
        ("spikformer-2-48+mlp_ratio=2", "spikformer-2-48+mlp_ratio=2.0"),
        ("spikformer-2-48+heads=6+time_steps=2", "spikformer-2-48"),
        ("cml-spikformer-4-384", "cml-spikformer-4-384"),
        ("spikformer-8-768", "spikformer-8-768"),
    ],
)
def test_a_name_says_what_was_changed(given: str, name: str) -> None:
    assert configure(given).name == name
    assert configure(name).name == name
