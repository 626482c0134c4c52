"""What a batch gives a model, by what its forward takes."""

from collections import UserDict, namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from saformer.analysis.recording.beforehand.inputs import Sample, sample_of
from saformer.errors import InputError


class One(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Optional(nn.Module):
    def forward(self, x: Tensor, mask: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        return x


class Two(nn.Module):
    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return ids * mask


class Labelled(nn.Module):
    def forward(self, ids: Tensor, labels: Tensor) -> Tensor:
        return ids


class Anything(nn.Module):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs


X, Z, Y = torch.rand(4, 3), torch.rand(4, 3), torch.tensor([0, 1, 2, 0])


def found(model: nn.Module, batch: Any) -> tuple[int, list[str], bool]:
    """How many positional inputs, which named ones, and whether there are labels."""
    sample = sample_of(model, batch)
    return len(sample.args), list(sample.kwargs), sample.labels is not None


@pytest.mark.parametrize(
    ("model", "batch", "expected"),
    [
        (One(), X, (1, [], False)),
        (One(), (X,), (1, [], False)),
        (One(), [X], (1, [], False)),
        (One(), (X, Y), (1, [], True)),
        (One(), [X, Y], (1, [], True)),
        (One(), (X, None), (1, [], False)),
        (One(), (X, [0, 1, 2, 0]), (1, [], True)),
        (One(), {"x": X}, (0, ["x"], False)),
        (One(), {"x": X, "labels": Y}, (0, ["x"], True)),
        (One(), ({"x": X}, Y), (0, ["x"], True)),
        (One(), UserDict(x=X, labels=Y), (0, ["x"], True)),
        (One(), {"image": X}, (1, [], False)),
        (One(), ((X,), Y), (1, [], True)),
        (One(), ((X, Z), Y), (1, [], True)),
        (One(), X.numpy(), (1, [], False)),
        (Optional(), (X, Y), (1, [], True)),
        (Optional(), (X, Z, Y), (2, [], True)),
        (Optional(), (X, Z, torch.rand(4, 3)), (3, [], False)),
        (Optional(), {"x": X, "labels": Y}, (0, ["x"], True)),
        (Optional(), {"x": X, "labels": torch.zeros(4, 7, dtype=torch.int64)}, (0, ["x", "labels"], False)),
        (Two(), (X, Z), (2, [], False)),
        (Two(), (X, Y), (2, [], False)),
        (Two(), [X, Z, Y], (2, [], True)),
        (Two(), ((X, Z), Y), (2, [], True)),
        (Two(), ((X, Z), None), (2, [], False)),
        (Two(), {"mask": Z, "ids": X}, (0, ["mask", "ids"], False)),
        (Labelled(), {"ids": X, "labels": Y}, (0, ["ids", "labels"], True)),
        (Anything(), (X, Y), (1, [], True)),
        (Anything(), {"a": X, "b": Z}, (0, ["a", "b"], False)),
        (nn.DataParallel(Two()), (X, Z), (2, [], False)),
    ],
)
def test_what_is_input_and_what_are_labels(model: nn.Module, batch: Any, expected: tuple[int, list[str], bool]) -> None:
    assert found(model, batch) == expected


def test_a_module_without_a_signature_takes_one_input() -> None:
    traced = torch.jit.trace(One(), X)
    assert found(traced, (X, Y)) == (1, [], True)


@pytest.mark.parametrize(
    ("model", "batch", "words"),
    [
        (Two(), X, "Two takes ids, mask; the batch holds 1 input: missing a required argument: 'mask'"),
        (Two(), (X, None), "the batch holds 1 input"),
        (Two(), {"ids": X, "masks": Z}, "the batch holds ids, masks"),
        (One(), (X, Z, Y), "One takes x; the batch holds 2 inputs: too many"),
        (One(), "words", "a batch is a tensor of images, .*, got str"),
        (One(), (), "got 0 things"),
        (One(), 3, "got int"),
        (Anything(), {"a": 1}, "holds no tensor"),
        (One(), (X, ["a", "b", "c", "d"]), "labels must be one whole number"),
    ],
)
def test_batches_that_do_not_fit_are_refused_in_one_line(model: nn.Module, batch: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        sample_of(model, batch)
    assert "\n" not in str(caught.value)


def test_a_model_that_writes_to_its_input_does_not_write_to_the_batch() -> None:
    class Writes(nn.Module):
        def forward(self, x: Tensor, more: list[Tensor]) -> Tensor:
            more[0].zero_()
            return x.unsqueeze_(1).mul_(0)

    x, more = X.clone(), [Z.clone()]
    sample = sample_of(Writes(), (x, more))
    copy = sample.copy()
    sample.call(Writes())
    assert x.shape == (4, 3) and torch.equal(x, X) and torch.equal(more[0], Z)
    assert torch.equal(copy.images, X) and torch.equal(copy.args[1][0], Z)


def test_nests_keep_their_shape() -> None:
    Pair = namedtuple("Pair", "a b")
    sample = sample_of(Anything(), {"pair": Pair(X, {"z": [Z, 5]}), "none": None})
    assert isinstance(sample.kwargs["pair"], Pair)
    assert sample.kwargs["pair"].b["z"][1] == 5
    assert [t.shape for t in sample.tensors] == [X.shape, Z.shape]


def test_one_tensor_given_twice_stays_one() -> None:
    sample = sample_of(Two(), (X, X)).copy()
    other = sample.with_images(Z)
    assert len(sample.tensors) == 2
    assert other.args[0] is Z


def test_images_are_what_has_a_row_for_each_label() -> None:
    edges = torch.zeros(2, 9, dtype=torch.int64)
    assert sample_of(Two(), ((edges, X), Y)).images.shape == X.shape
    assert sample_of(Two(), (torch.tensor(3), X)).images.shape == X.shape
    assert len(sample_of(Two(), ((edges, X), Y))) == 4


def test_the_first_samples_of_every_input() -> None:
    sample = sample_of(Anything(), {"ids": X, "mask": Z, "scale": torch.ones(3), "step": 2, "labels": Y})
    assert isinstance(sample, Sample) and len(sample) == 4
    few = sample.first(2)
    assert [tuple(t.shape) for t in few.tensors] == [(2, 3), (2, 3), (3,)]
    assert few.images is few.kwargs["ids"] and few.labels is None
    assert torch.equal(sample.few().images, X[:2]) and sample.few().labels is None
    # Never as many as in the batch, and never the same backwards.
    assert torch.equal(few.few().images, X[[0, 1, 1]]) and tuple(few.few().kwargs["scale"].shape) == (3,)
    one = sample.first(1).few()
    assert torch.equal(one.images, torch.stack([X[0], X[0].flip(0)])) and one.images is one.kwargs["ids"]
    assert sample.to("cpu").images.device.type == "cpu"


def test_whole_numbers_stay_whole() -> None:
    assert sample_of(One(), torch.arange(6).reshape(2, 3)).images.dtype == torch.int64
    assert sample_of(One(), np.arange(6, dtype=np.int32).reshape(2, 3)).images.dtype == torch.int32
