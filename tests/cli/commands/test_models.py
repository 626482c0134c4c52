"""`saformer models`, `saformer attentions` and `saformer datasets`."""

from dataclasses import fields

from saformer.models.registry import MODELS
from saformer.models.settings import meanings


def test_lists(saformer):
    models = saformer("models").out
    assert "saformer-4-384" in models and "digits/spikformer" in models
    datasets = saformer("datasets").out
    assert "cifar100" in datasets and "cifar-10-python.tar.gz" in datasets


def test_a_family_lists_its_networks_and_settings(saformer):
    family = saformer("models", "saformer").out
    assert "saformer-4-384" in family and "8.75M" in family
    assert "n of Eqs. 12-13" in family and "another attention" in family  # of its own, and of every transformer
    assert "did you mean saformer?" in saformer("models", "safomer").complaint


def test_a_network_shows_its_family_and_a_part_of_a_name_the_networks_that_have_it(saformer):
    sized = saformer("models", "saformer-2-64+time_steps=6").out
    assert "saformer-4-384" in sized and "saformer-2-64+time_steps=6" in sized and "n of Eqs. 12-13" in sized
    found = saformer("models", "resnet-18").out
    assert "ms-resnet-18" in found and "dspike-resnet-18" in found and "resnet-19" not in found
    assert "no setting 'colour'" in saformer("models", "ms-resnet-18+colour=red").complaint


def test_every_setting_says_what_it_means():
    for family in MODELS.values():
        said = meanings(family.config)
        assert not [entry.name for entry in fields(family.config) if not said.get(entry.name)], family.name


def test_attentions_are_listed_with_what_they_take(saformer):
    listed = saformer("attentions").out
    assert "sdsa" in listed and "O(N²D)" in listed and "package.module:Class" in listed
