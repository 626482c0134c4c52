"""Where class scores are found in what a model puts out, and which labels are none."""

from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import profile
from saformer.analysis.recording.accuracy import AccuracyMeter
from saformer.errors import InputError

Answer = namedtuple("Answer", "hidden logits")
CLASSES = torch.tensor([2, 0, 1, 3])  # what each image shows, as one-hot features with noise


class Puts(nn.Module):
    """Puts out B x 4 scores at each of T = 4 steps, of which the first alone is wrong everywhere."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Any:
        first = x.roll(1, dims=1)
        steps = [first, 2 * x, 2 * x, 2 * x]
        return {
            "T x B": lambda: torch.stack(steps),
            "B x T": lambda: torch.stack(steps, 1),
            "list": lambda: steps,
            "logits": lambda: {"features": first, "logits": x},
            "first of a tuple": lambda: (x, first),
            "a loss and scores": lambda: (x.sum(), x),
            "a tuple in a tuple": lambda: ((x, first), first),
            "logits of an object": lambda: SimpleNamespace(hidden=first, logits=x),
            "logits of a named tuple": lambda: Answer(first, x),
            "the only tensor of a dictionary": lambda: {"out": x, "aux": None},
        }[self.how]()


def hits(how: str, *batches: tuple[Tensor, Tensor], steps: int | None = None) -> tuple[int, int] | None:
    found = profile(Puts(how), batches, check_flops=False, time_steps=steps).hits
    return None if found is None else (found.labelled, found.top1)


@pytest.mark.parametrize(
    "how",
    [
        "a loss and scores",
        "a tuple in a tuple",
        "logits of an object",
        "logits of a named tuple",
        "the only tensor of a dictionary",
    ],
)
def test_scores_are_found_inside_what_a_library_puts_out(how: str) -> None:
    x = torch.eye(4)[CLASSES]
    counter = AccuracyMeter()
    counter.add(Puts(how)(x), CLASSES, 4)
    found = counter.result()
    assert found is not None and (found.labelled, found.top1) == (4, 4)


def test_of_several_tensors_in_a_dictionary_none_is_guessed() -> None:
    counter = AccuracyMeter()
    counter.add({"a": torch.eye(4), "b": torch.eye(4)}, torch.arange(4), 4)
    assert counter.result() is None


@pytest.mark.parametrize("how", ["T x B", "B x T", "list", "logits", "first of a tuple"])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 2), (3, 1), (4,), (1, 3), (4, 2), (2, 4), (4, 3)], ids=str)
def test_scores_are_found(how: str, sizes: tuple[int, ...]) -> None:
    labels = CLASSES.repeat(2)[: sum(sizes)]
    x = torch.eye(4)[labels]
    batches = list(zip(x.split(sizes), labels.split(sizes), strict=True))
    assert hits(how, *batches, steps=4) == (sum(sizes), sum(sizes))
    if how not in ("B x T", "list"):
        assert hits(how, *batches) == (sum(sizes), sum(sizes))


def test_scores_that_time_may_stand_behind_are_not_guessed() -> None:
    class TimeLast(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[..., None].expand(*x.shape, 16)

    class Auxiliary(nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            return [x, x.roll(1, dims=1)]

    batch = (torch.eye(4), torch.arange(4))
    assert profile(TimeLast(), [batch], check_flops=False).hits is None
    assert profile(Auxiliary(), [batch], check_flops=False).hits.top1 == 4


def test_no_accuracy_of_some_batches_alone() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if len(x) == 4 else x.sum(0)

    batches = [(torch.eye(4), torch.arange(4)), (torch.eye(3, 4), torch.arange(3))]
    assert profile(Odd(), batches, check_flops=False).hits is None


def test_a_column_of_labels() -> None:
    wrong = (CLASSES + 1) % 4
    x = torch.eye(4)[CLASSES]
    assert hits("logits", (x, CLASSES[:, None])) == (4, 4)
    assert hits("logits", (x, wrong[:, None])) == (4, 0)


def test_a_label_at_each_position_of_a_sequence() -> None:
    class Reads(nn.Embedding):
        """B x T tokens -> B x T x classes: the token itself."""

    reads = Reads.from_pretrained(torch.eye(4))
    x = torch.tensor([[0, 1, 2], [3, 0, 1]])
    found = profile(reads, [(x, torch.tensor([[0, 1, 3], [3, 0, 1]], dtype=torch.uint8))], check_flops=False)
    assert (found.hits.labelled, found.hits.top1, found.images) == (6, 5, 2)
    with pytest.raises(InputError, match="one whole number for each of 2 images, got 2 x 2"):
        profile(reads, [(x, x[:, :2])], check_flops=False)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.eye(4, dtype=torch.int64), "got 4 x 4 of int64: of one-hot rows give argmax"),
        (torch.tensor([0, 1]), "one whole number for each of 4 images, got 2 of int64"),
        (torch.tensor([0.5, 1, 2, 3]), "got 4 of float32"),
        (torch.tensor(3), "got a single number of int64"),
        (torch.tensor([0, 1, 2, 4]), "a label 4, the model only 4 classes"),
        (torch.tensor([0, 1, 2, -1]), "a label -1, the model only 4 classes"),
    ],
)
def test_labels_that_are_none(labels: Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        hits("logits", (torch.eye(4), labels))
