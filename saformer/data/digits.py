"""Digits: 1797 handwritten digits of 8 x 8, a fifth of them held out; scikit-learn's data set, in a file of our own.

`digits.npz` beside this file holds `pixels`, 0 to 16, and `labels`: the training part, then the held-out part, each in
the order of `train_test_split(images, target, test_size=0.2, random_state=0, stratify=target)`. Source: the test part
of E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998),
doi:10.24432/C50P49, CC BY 4.0, as scikit-learn's `load_digits` has it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from saformer.data.registry import DatasetInfo, Request, register_dataset

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset

# Pixels are counts of 0 to 16. These are the mean and the (population) standard deviation of pixel/16
# over all pixels of the training part, in double precision; a test computes them again.
WHITE = 16
MEAN = 0.30538339422407795
STD = 0.3761191680900195
TRAIN = 1437


@register_dataset(
    DatasetInfo(
        name="digits",
        title="Digits",
        classes=10,
        shape=(1, 8, 8),
        kind="static",
        train=TRAIN,
        test=360,
        expected="nothing: it comes with the program",
        download="",
        normalisation=((MEAN,), (STD,)),
    )
)
def open_digits(request: Request) -> "Dataset":
    """Read the training part (1437 images) or the held-out part (360 images), stratified by class."""
    import numpy as np
    import torch

    from saformer.data.dataset import Dataset

    part = slice(TRAIN) if request.split == "train" else slice(TRAIN, None)
    with np.load(Path(__file__).with_name("digits.npz")) as held:
        pixels, labels = (torch.from_numpy(held[name][part]) for name in ("pixels", "labels"))
    images = (pixels.to(torch.float64).unsqueeze(1) / WHITE - MEAN) / STD
    return Dataset(
        name=request.name,
        split=request.split,
        kind="static",
        images=images.to(torch.float32).contiguous(),
        labels=labels.to(torch.int64),
        classes=10,
        mean=None,
        std=None,
    )
