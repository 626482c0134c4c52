"""Every family trains by the loop: an epoch of a few random images, event frames or tokens, and a test."""

from typing import Any

import pytest
import torch

from saformer.data import Dataset, DatasetInfo, register_dataset
from saformer.data.registry import DATASETS
from saformer.models import configure, from_config
from saformer.training import Recipe, train
from tests.helpers.small_networks import SMALL

IMAGES, BATCH = 6, 3


def recipe(family: str) -> tuple[Recipe, Dataset]:
    """An epoch of the small network of a family, on random images or tokens of its size, a data set by name."""
    name, settings = SMALL[family]
    config = configure(name, **settings)
    shape, kind, random = config.sample_shape, config.input_kind, torch.Generator().manual_seed(0)
    images, labels = torch.rand(IMAGES, *config.input_shape, generator=random), torch.arange(IMAGES)
    if kind == "tokens":
        images, labels = torch.randint(config.num_classes, (2, IMAGES, *shape), generator=random)
    labels %= config.num_classes
    made = Dataset("few", "train", kind, images, labels, classes=config.num_classes, mean=None, std=None)
    about: dict[str, Any] = {"title": "", "expected": "", "download": "", "train": IMAGES, "test": IMAGES}
    info = DatasetInfo(name="few", classes=config.num_classes, shape=shape, kind=kind, **about)
    register_dataset(info)(lambda _: made)
    free = {key: value for key, value in settings.items() if key != "time_steps"}
    schedule: dict[str, Any] = {
        "epochs": 1,
        "batch_size": BATCH,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "warmup_epochs": 0,
        "label_smoothing": 0.0,
        "time_steps": config.time_steps,
    }
    return Recipe(model=name, dataset="few", settings=free, **schedule), made


@pytest.mark.parametrize("family", SMALL)
def test_an_epoch_of_the_loop(family: str) -> None:
    with DATASETS.temporary():
        followed, data = recipe(family)
        result = train(followed, data, data)
    (epoch,) = result.history
    assert torch.tensor([epoch.loss, epoch.test_loss]).isfinite().all()
    before = from_config(result.model.config)
    assert before.state_dict().keys() == result.model.state_dict().keys()
    assert all(weight.isfinite().all() for weight in result.model.parameters())
