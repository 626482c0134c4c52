"""Digits: the 1797 handwritten digits of 8 x 8 that scikit-learn carries, a fifth of them held out."""

import torch

from saformer.data.dataset import Dataset

# Pixels are counts of 0 to 16. These are the mean and the (population) standard deviation of pixel/16
# over all pixels of the training part, in double precision; a test computes them again.
WHITE = 16
MEAN = 0.30538339422407795
STD = 0.3761191680900195


def open_digits(split: str) -> Dataset:
    """Read the training part (1437 images) or the held-out part (360 images), stratified by class."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        digits.images, digits.target, test_size=0.2, random_state=0, stratify=digits.target
    )
    pixels, labels = (train_x, train_y) if split == "train" else (test_x, test_y)
    images = (torch.from_numpy(pixels).unsqueeze(1) / WHITE - MEAN) / STD
    return Dataset(
        name="digits",
        split=split,
        kind="static",
        images=images.to(torch.float32).contiguous(),
        labels=torch.from_numpy(labels).to(torch.int64),
        classes=10,
        mean=None,
        std=None,
    )
