"""What an input is taken for: by its axes and its values."""

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import profile
from saformer.analysis.recording.beforehand.input_kind import input_kind

G = torch.Generator().manual_seed(0)
COUNTS = torch.randint(0, 4, (3, 5, 2, 8, 8), generator=G)
SPARSE = torch.rand(3, 5, 2, 8, 8, generator=G) * (torch.rand(3, 5, 2, 8, 8, generator=G) < 0.2)


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (COUNTS, "events"),
        (COUNTS.float(), "events"),
        (COUNTS.to(torch.uint8), "events"),
        (COUNTS[:, :, :1].float(), "events"),
        (torch.zeros(3, 5, 2, 8, 8), "events"),
        (COUNTS.bool().float()[:, :, :1].expand(3, 5, 3, 8, 8), "events"),  # three channels of spikes
        (torch.randint(0, 256, (3, 5, 3, 8, 8), generator=G), "static"),  # pixels of a video
        (torch.randint(0, 256, (3, 5, 3, 8, 8), generator=G).float(), "static"),
        (torch.randint(0, 256, (3, 5, 2, 8, 8), generator=G), "events"),  # many events in two polarities
        (torch.rand(3, 5, 3, 8, 8, generator=G), "static"),  # a video, normalised
        (torch.rand(3, 5, 2, 8, 8, generator=G), "static"),  # real and not sparse
        (SPARSE.repeat(1, 1, 2, 1, 1)[:, :, :3], "static"),  # real, in three channels
        (torch.rand(3, 3, 8, 8, generator=G), "static"),
        (torch.randint(0, 2, (3, 3, 8, 8), generator=G), "static"),  # a binary image is an image
        (torch.randint(0, 256, (3, 3, 8, 8), generator=G), "static"),
        (torch.randint(0, 2, (3, 20, 70), generator=G), "events"),  # trains B x T x F
        (torch.randint(0, 2, (3, 20, 70), generator=G).float(), "events"),
        (torch.randint(0, 2, (3, 20, 70), generator=G).bool(), "events"),
        (torch.randint(0, 3, (3, 20, 70), generator=G).float(), "static"),
        (torch.rand(3, 20, 70, generator=G), "static"),  # a series
        (torch.zeros(3, 20, 70), "static"),  # nothing shows
        (torch.ones(3, 1, 70), "static"),  # one row of an image
        (torch.rand(3, 784, generator=G), "static"),
        (torch.randint(0, 30522, (3, 128), generator=G), "static"),  # tokens
        (torch.zeros(0, 5, 2, 8, 8), "static"),
        (torch.randn(3, 5, 8, dtype=torch.complex64), "static"),
    ],
)
def test_what_an_input_is_taken_for(x: Tensor, kind: str) -> None:
    found, note = input_kind(x)
    assert found == kind
    assert note is None


@pytest.mark.parametrize("change", [lambda x: x, lambda x: x.log1p(), lambda x: -x, lambda x: x[:, :, :1]])
def test_frames_of_real_values_that_are_mostly_zero_are_likely_events(change) -> None:
    found, note = input_kind(change(SPARSE))
    assert found == "events"
    assert note is not None and "% of them zero" in note and "--kind static" in note and "\n" not in note


def test_half_of_zeros_is_the_border() -> None:
    x = torch.full((1, 2, 2, 2, 2), 0.5)
    x.view(-1)[:8] = 0
    assert input_kind(x)[0] == "events"
    x.view(-1)[0] = 0.5
    assert input_kind(x)[0] == "static"


def test_real_values_that_are_said_to_be_events_are_remarked_on() -> None:
    layer = nn.Conv2d(2, 3, 3)
    counts = torch.randint(0, 3, (2, 2, 6, 6), generator=torch.Generator().manual_seed(0)).float()
    sparse = counts * (counts > 1) * 0.7
    for x, said in ((torch.randn(2, 2, 6, 6), True), (counts, False), (sparse, False)):
        p = profile(layer, [x], kind="events", check_flops=False)
        assert any("was said to be events, and holds real values" in note for note in p.notes) == said
        assert not any("said to be" in note for note in profile(layer, [x], kind="static", check_flops=False).notes)
