import hashlib

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from saformer.data import DATASETS, open_dataset
from saformer.data.digits import MEAN, STD


@pytest.fixture(scope="module")
def parts():
    """scikit-learn's own copy: the digits, and which of them are for training and for testing."""
    digits = load_digits()
    train, test = train_test_split(np.arange(1797), test_size=0.2, random_state=0, stratify=digits.target)
    return digits, {"train": train, "test": test}


@pytest.mark.parametrize("split", ["train", "test"])
def test_each_split_holds_its_own_images_exactly(parts, split):
    digits, indices = parts
    data = open_dataset("digits", split=split)
    pixels = torch.from_numpy(digits.images[indices[split]].reshape(-1, 1, 8, 8))
    assert torch.equal(data.images, ((pixels / 16 - MEAN) / STD).float())
    assert data.labels.dtype == torch.int64
    assert data.labels.tolist() == digits.target[indices[split]].tolist()


def test_the_held_out_part_is_what_it_was(parts):
    # Every accuracy and energy given for digits is of these images; a new split must not go unseen.
    _, indices = parts
    digest = hashlib.sha256(indices["test"].astype("<i8").tobytes()).hexdigest()
    assert digest == "d9101e2e97e19974905f1336a8ef53c03166d6af2c53833be35ff03a33e7e0cd"


def test_the_constants_are_those_of_the_training_part(parts):
    digits, indices = parts
    pixels = digits.images[indices["train"]] / 16
    assert pytest.approx(pixels.mean(), rel=1e-12) == MEAN
    assert pytest.approx(pixels.std(), rel=1e-12) == STD


def test_the_training_part_comes_out_with_mean_0_and_deviation_1():
    images = open_dataset("digits", split="train").images.double()
    assert abs(images.mean().item()) < 1e-6
    assert images.std(unbiased=False).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("split", ["train", "test"])
def test_it_is_what_the_listing_says(split):
    info = DATASETS["digits"]
    data = open_dataset("digits", split=split)
    assert (data.name, data.split, data.kind) == ("digits", split, info.kind)
    assert len(data) == getattr(info, split)
    assert data.shape == info.shape
    assert data.classes == info.classes
    assert data.images.dtype == torch.float32
    assert (data.mean, data.std) == (None, None)


def test_every_class_is_held_out_in_proportion():
    counts = open_dataset("digits").labels.bincount().tolist()
    assert len(counts) == 10
    assert set(counts) <= {35, 36, 37}


def test_the_data_directory_is_not_looked_at(tmp_path):
    assert len(open_dataset("digits", tmp_path / "absent")) == 360
