from dataclasses import fields
from pathlib import Path

import pytest

from saformer.data import DATASETS
from saformer.errors import InputError
from saformer.training import Recipe, load_recipe


@pytest.mark.parametrize("dataset", [name for name, info in DATASETS.items() if info.classes is not None])
def test_every_data_set_has_a_recipe_whose_model_fits_it(dataset: str) -> None:
    config = load_recipe(dataset).model_config()
    info = DATASETS[dataset]
    assert config.num_classes == info.classes
    if info.kind == "tokens":
        assert config.sample_shape == info.shape
    else:
        assert (config.in_channels, config.image_size) == info.shape[:2]
        assert config.tokens == 64


def test_the_cifar_recipes_are_what_the_paper_states() -> None:
    for dataset in ("cifar10", "cifar100"):
        recipe = load_recipe(dataset)
        stated = (recipe.model, recipe.epochs, recipe.batch_size, recipe.time_steps)
        assert stated == ("saformer-4-384", 400, 64, 4)


def test_what_is_given_wins_and_none_is_not_given() -> None:
    shipped = load_recipe("digits")
    recipe = load_recipe("digits", model="sdt-2-64", epochs=3, seed=7, time_steps=None, settings={"heads": 4})
    assert (recipe.model, recipe.epochs, recipe.seed) == ("sdt-2-64", 3, 7)
    assert recipe.time_steps == shipped.time_steps
    assert recipe.learning_rate == shipped.learning_rate
    assert recipe.model_config().to_dict()["heads"] == 4


def test_the_dictionary_of_a_recipe_makes_it_again() -> None:
    recipe = load_recipe("digits", settings={"aggregated": 4})
    assert Recipe(**recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"epoch": 3}, "a recipe has no key 'epoch'; it has model, dataset, epochs, batch_size"),
        ({"epochs": 0}, "epochs must be a whole number from 1 to 1e9, got 0"),
        ({"epochs": True}, "epochs must be a whole number from 1 to 1e9, got True"),
        ({"epochs": 1.5}, "epochs must be a whole number from 1 to 1e9, got 1.5"),
        ({"batch_size": -1}, "batch_size must be"),
        ({"batch_size": 10**23}, "batch_size must be a whole number from 1 to 1e9"),
        ({"batch_size": 8, "accumulate": 9}, "accumulate 9 is more parts than a batch of 8 has images"),
        ({"learning_rate": 0}, "learning_rate must be a number > 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number > 0"),
        ({"learning_rate": float("inf")}, "learning_rate must be a number > 0"),
        ({"learning_rate": "fast"}, "got 'fast'"),
        ({"weight_decay": -0.1}, "weight_decay must be a number from 0"),
        ({"warmup_epochs": -1}, "warmup_epochs must be"),
        ({"label_smoothing": 1}, "label_smoothing must be a number from 0 to below 1, got 1"),
        ({"time_steps": 0}, "time_steps must be"),
        ({"shift": -1}, "shift must be"),
        ({"flip": 1}, "flip must be true or false, got 1"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 2**64}, "seed must be"),
        ({"settings": "heads=4"}, "settings must be"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(overrides: dict, said: str) -> None:
    with pytest.raises(InputError) as caught:
        load_recipe("digits", **overrides)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dataset", ["imagenet", "", "../recipes/digits", "digits.toml"])
def test_an_unknown_data_set_is_told_which_there_are(dataset: str) -> None:
    with pytest.raises(InputError, match="choose one of digits, cifar10, cifar100"):
        load_recipe(dataset)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"model": "resnet-18"}, "unknown model 'resnet-18'"),
        ({"model": "saformer-2-63"}, "multiple of 8"),
        ({"settings": {"headz": 4}}, "saformer has no setting 'headz'"),
        ({"settings": {"dim": 32}}, "saformer has no setting 'dim'"),
        ({"settings": {"depth": 5}}, "saformer has no setting 'depth'"),
        ({"settings": {"mlp_ratio": 1e30}}, "mlp_ratio must be a number that leaves a hidden width"),
        ({"model": "spikegpt-1-16"}, "reads tokens, and the data has images"),
        ({"settings": {"num_classes": 3}}, "num_classes follows from the recipe and the data set"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(overrides: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_recipe("digits", **overrides).model_config()


def test_a_network_for_images_does_not_fit_a_text() -> None:
    with pytest.raises(InputError, match="saformer-2-64 reads images, and text holds tokens: choose a language model"):
        load_recipe("text", model="saformer-2-64").model_config()


def test_settings_of_several_numbers_are_read_back_as_they_were(tmp_path):
    settings = {"widths": (4, 8), "connect": "IAND"}
    recipe = load_recipe("digits", model="sew-7b-net-gesture+in_channels=1+image_size=8", settings=settings)
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    assert load_recipe(file=tmp_path / "recipe.toml") == recipe and recipe.settings == settings


@pytest.mark.parametrize("name", [entry.name for entry in fields(Recipe)])
def test_every_field_at_every_value(name: str, tmp_path: Path) -> None:
    sound = load_recipe("digits").to_dict()
    for value in (
        10**9,
        0,
        -1,
        1.5,
        float("nan"),
        float("inf"),
        10**400,
        "x",
        None,
        True,
        [],
        {},
        [[1]],
        "x" * 200_000,
    ):
        try:
            recipe = Recipe(**{**sound, name: value})
            recipe.model_config()
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000
        else:
            (tmp_path / "recipe.toml").write_text(recipe.to_toml())
            assert load_recipe(file=tmp_path / "recipe.toml") == recipe
