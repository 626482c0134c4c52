"""Every family trains by the loop: an epoch of a few random images or event frames, and what it learned is tested."""

from typing import Any

import pytest
import torch

from saformer.data import Dataset, DatasetInfo, register_dataset
from saformer.data.registry import DATASETS
from saformer.errors import InputError
from saformer.models import configure, from_config
from saformer.models.registry import MODELS
from saformer.training import Recipe, train
from tests.helpers.small_networks import SMALL

IMAGES, BATCH = 6, 3


def recipe(family: str) -> tuple[Recipe, Dataset]:
    """An epoch of the small network of a family, on random images of its size, which are a data set by name."""
    name, settings = SMALL[family]
    config = configure(name, **settings)
    shape = config.sample_shape if config.input_kind != "tokens" else (1, 8, 8)
    kind = "events" if config.input_kind == "events" else "static"
    frames = (config.time_steps,) if kind == "events" else ()
    images = torch.rand(IMAGES, *frames, *shape, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(IMAGES) % config.num_classes
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
        if MODELS[family].name == "spikegpt":
            with pytest.raises(InputError, match="reads tokens, and the data has images"):
                train(followed, data, data)
            return
        result = train(followed, data, data)
    (epoch,) = result.history
    assert torch.tensor([epoch.loss, epoch.test_loss]).isfinite().all()
    before = from_config(result.model.config)
    assert before.state_dict().keys() == result.model.state_dict().keys()
    assert all(weight.isfinite().all() for weight in result.model.parameters())
