"""What two passes over a few images show before anything is counted."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import Profile, profile

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
KEPT = torch.randn(4, 4)


class Net(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.function, self.a, self.b = function, nn.Linear(4, 6), nn.Linear(6, 3)
        self.calls = 0

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def run(function: Callable[..., Any], x: Tensor = X, **options: Any) -> Profile:
    return profile(Net(function), [x[:4], x[4:]], check_flops=False, **options)


def plain(m: Any, x: Tensor) -> Tensor:
    return m.b((m.a(x) > 0).float())


def test_the_caller_sees_nothing_of_it() -> None:
    seen: list[int] = []

    def forward(m: Any, x: Tensor) -> Tensor:
        seen.append(len(x))
        m.calls += 1
        return plain(m, x)

    net = Net(forward)
    torch.manual_seed(3)
    before = torch.rand(1)
    torch.manual_seed(3)
    p = profile(net, [X[:4], X[4:]], check_flops=False)
    assert torch.equal(torch.rand(1), before)
    assert net.calls == 0 and p.images == 6
    assert seen == [2, 2, 4, 2]  # two passes on fewer images than the batch


def test_what_is_kept_out_of_sight_is_a_constant() -> None:
    p = run(lambda m, x: plain(m, x @ KEPT))
    assert [o.name for o in p.operations][-2:] == ["a", "b"] and p.uncounted == () and p.notes == ()
    assert all(len(o.operands) == 1 for o in p.operations)


@pytest.mark.parametrize("images", [1, 2, 3, 6])
def test_images_that_change_each_other_are_said_to(images: int) -> None:
    def mixed(m: Any, x: Tensor) -> Tensor:
        return m.b(m.a(x - x[:1]).relu())

    x = X[:images]
    p = profile(Net(mixed), [x], check_flops=False)
    said = "the answer for an image depends on the other images of its batch, or on their order"
    assert p.notes[0].startswith(said)
    assert not any(note.startswith(said) for note in profile(Net(plain), [x], check_flops=False).notes)


MIXING: dict[str, Callable[[Tensor], Tensor]] = {
    "by the first": lambda x: x - x[:1],
    "by the mean": lambda x: x - x.mean(0),
    "by the sum": lambda x: x / x.abs().sum(0),
    "softmax over images": lambda x: x.softmax(0),
    "statistics of the batch": lambda x: nn.functional.batch_norm(x, None, None, training=True),
    "ranks among images": lambda x: x.argsort(0).float(),
    "products of images with each other": lambda x: (x @ x.t()).tanh() @ x,
}


@pytest.mark.parametrize("images", [2, 3, 6])
@pytest.mark.parametrize("how", MIXING)
def test_images_that_change_each_other_in_any_order_are_said_to(how: str, images: int) -> None:
    p = profile(Net(lambda m, x: m.b(m.a(MIXING[how](x)).relu())), [X[:images]], check_flops=False)
    (note,) = [note for note in p.notes if "images influence each other" in note]
    assert "the energy is that of these batches" in note


@pytest.mark.parametrize("images", [1, 2, 3, 6])
def test_images_that_keep_to_themselves_are_not_said_to_mix(images: int) -> None:
    apart: dict[str, Callable[[Any, Tensor], Any]] = {
        "a mean over the batch at the end": lambda m, x: plain(m, x).mean(),
        "steps before images": lambda m, x: plain(m, torch.cat([x, 2 * x, 3 * x])),
        "steps behind images": lambda m, x: plain(m, torch.stack([x, 2 * x, 3 * x], 1).flatten(0, 1)),
        "images second": lambda m, x: plain(m, x).t(),
        "normalised each for itself": lambda m, x: plain(m, nn.functional.layer_norm(x, (4,))),
    }
    for how, function in apart.items():
        p = profile(Net(function), [X[:images]], check_flops=False)
        assert not any("images influence" in note for note in p.notes), how


def test_a_model_that_is_not_at_rest_is_said_to_be() -> None:
    kept = [torch.zeros(())]

    def drifts(m: Any, x: Tensor) -> Tensor:
        kept[0] = kept[0] + 1
        return plain(m, x) + kept[0]

    p = run(drifts)
    assert len(p.notes) == 1 and p.notes[0].startswith("run on the same images again, the model gives another output")


def test_random_numbers_are_no_state_and_no_mixing() -> None:
    assert run(lambda m, x: plain(m, (torch.rand_like(x) < x).float())).notes == ()


def test_a_model_that_takes_one_size_of_batch_speaks_for_itself_in_the_run() -> None:
    def fixed(m: Any, x: Tensor) -> Tensor:
        return plain(m, x.view(6, 4))

    p = profile(Net(fixed), [X], check_flops=False)
    assert [o.dense for o in p.operations] == [6 * 24, 6 * 18]


def test_state_that_an_earlier_call_left_is_said() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b, self.v = nn.Linear(4, 6), nn.Linear(6, 3), torch.zeros(())

        def forward(self, x: Tensor) -> Tensor:
            self.v = self.v + self.a(x)
            s = (self.v > 0.3).float()
            self.v = self.v * (1 - s)
            return self.b(s)

    fresh, used = Keeps(), Keeps()
    with torch.no_grad():
        used(X)
    clean, dirty = (profile(net, [X], check_flops=False) for net in (fresh, used))
    left = "the model came with a state that an earlier call left (v)"
    assert not any(note.startswith(left) for note in clean.notes)
    assert any(note.startswith(left) for note in dirty.notes)
    assert clean.operations != dirty.operations  # the numbers are those of that state, and it is left as it was
    assert profile(used, [X], check_flops=False).operations == dirty.operations
