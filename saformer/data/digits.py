"""Digits: the 1797 handwritten digits of 8 x 8 that scikit-learn carries, a fifth of them held out."""

from typing import TYPE_CHECKING

from saformer.data.registry import DatasetInfo, Request, register_dataset

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset

# Pixels are counts of 0 to 16. These are the mean and the (population) standard deviation of pixel/16
# over all pixels of the training part, in double precision; a test computes them again.
WHITE = 16
MEAN = 0.30538339422407795
STD = 0.3761191680900195


@register_dataset(
    DatasetInfo(
        name="digits",
        title="Digits",
        classes=10,
        shape=(1, 8, 8),
        kind="static",
        train=1437,
        test=360,
        expected="nothing: embedded in scikit-learn",
        download="",
        normalisation=((MEAN,), (STD,)),
    )
)
def open_digits(request: Request) -> "Dataset":
    """Read the training part (1437 images) or the held-out part (360 images), stratified by class."""
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from saformer.data.dataset import Dataset

    digits = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        digits.images, digits.target, test_size=0.2, random_state=0, stratify=digits.target
    )
    pixels, labels = (train_x, train_y) if request.split == "train" else (test_x, test_y)
    images = (torch.from_numpy(pixels).unsqueeze(1) / WHITE - MEAN) / STD
    return Dataset(
        name=request.name,
        split=request.split,
        kind="static",
        images=images.to(torch.float32).contiguous(),
        labels=torch.from_numpy(labels).to(torch.int64),
        classes=10,
        mean=None,
        std=None,
    )
