"""A batch of somebody else's network follows a plan, too, where modules end as before and values decide the same."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from plans import numbers
from torch import Tensor, nn

from saformer.analysis import Profile, profile
from saformer.analysis.recording.module_log import ModuleLog
from saformer.errors import InputError
from saformer.naming import named
from saformer.neurons import LIF

IMAGES = torch.rand(8, 2, 8, 8, generator=torch.Generator().manual_seed(1))
#: Silent, dim, bright, and a last one that is smaller.
BATCHES = [0 * IMAGES[:3], IMAGES[:3], 5 * IMAGES[3:6], IMAGES[6:]]


def both(make: Callable[[], nn.Module], batches: list[Tensor] = BATCHES, **told: Any) -> tuple[Profile, Profile]:
    """The profile, and that of a network of which every batch is judged: a log of modules wants that."""
    torch.manual_seed(0)
    found = profile(make().eval(), batches, check_flops=False, **told)
    torch.manual_seed(0)
    return found, profile(make().eval(), batches, check_flops=False, log=ModuleLog(sums=False), **told)


@torch.library.custom_op("ta_planned::lif", mutates_args=())
def lif(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes of neurons whose membranes are `v`, and their membranes; real numbers where the input is large."""
    v = v + (x - v) / 2
    spikes = (v > 0.2).to(x)
    return (spikes * v if bool(x.amax() > 40) else spikes), v * (1 - spikes)


class Kernel(nn.Module):
    """Neurons in an operator that nobody knows."""

    def forward(self, x: Tensor) -> Tensor:
        return lif(x, torch.zeros_like(x))[0]


class Membrane(nn.Module):
    """Neurons whose membrane is an attribute, which is rested from outside, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.v: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.v = self.v + (x - self.v) / 2
        spikes = (self.v > 0.3).to(x)
        self.v = self.v * (1 - spikes)
        return spikes


class Block(nn.Module):
    """Convolutions, neurons of three kinds, a pool, spikes that are summed, a product of spikes, a mean."""

    def __init__(self, steps: int = 2) -> None:
        super().__init__()
        self.steps = steps
        self.conv, self.norm, self.pool = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.MaxPool2d(2)
        self.first, self.second, self.mix = Kernel(), Membrane(), nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 3)
        self.norm.running_mean.normal_(0, 0.3)

    def forward(self, x: Tensor) -> Tensor:
        self.second.v, total = 0.0, torch.zeros(len(x), 3)
        for _ in range(self.steps):
            y = self.first(self.pool(self.norm(self.conv(x))))
            y = y + self.second(self.mix(y))
            fired = (self.mix(y) > 0.1).to(x).flatten(2)
            y = (fired @ fired.transpose(1, 2)) @ fired + y.flatten(2)
            total = total + self.head(y.mean(2))
        return total / self.steps


def test_integers_are_those_of_batches_that_are_judged(followed: list[int]) -> None:
    found, judged = both(Block)
    assert followed == [1, 1] and numbers(found) == numbers(judged)


def test_with_steps_and_neurons_that_somebody_named(followed: list[int]) -> None:
    found, judged = both(Block, time_steps=1, neurons=["second", "pool"])
    assert followed == [1, 1] and numbers(found) == numbers(judged)


def test_a_membrane_that_is_never_at_rest_is_brought_back(followed: list[int]) -> None:
    make = lambda: nn.Sequential(nn.Conv2d(2, 4, 3), Membrane(), nn.Flatten(), nn.Linear(144, 2))  # noqa: E731
    found, judged = both(make)
    assert followed == [1, 1] and numbers(found) == numbers(judged)


def test_what_a_kernel_puts_out_is_judged_anew_where_it_is_of_another_kind(followed: list[int]) -> None:
    make = lambda: nn.Sequential(nn.Conv2d(2, 4, 3), Kernel(), nn.Flatten(), nn.Linear(144, 2))  # noqa: E731
    batches = [IMAGES[:3], IMAGES[3:6], 200 * IMAGES[3:6], IMAGES[:3]]
    found, judged = both(make, batches)
    assert followed == [1] and numbers(found) == numbers(judged)
    assert str(found.operations[1].gate.kind) == "real"


class Levels(nn.Module):
    """Rounds to few levels, or to many."""

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).to(x) * x.abs().ceil()


def test_neurons_that_put_out_many_levels_in_a_later_batch(followed: list[int]) -> None:
    make = lambda: nn.Sequential(nn.Conv2d(2, 4, 3), Levels(), nn.Flatten(), nn.Linear(144, 2))  # noqa: E731
    found, judged = both(make, [IMAGES[:3], IMAGES[3:6], 2e3 * torch.randn(3, 2, 8, 8), IMAGES[:3]])
    assert numbers(found) == numbers(judged) and len(followed) <= 1


class Numpy(nn.Module):
    """A kernel that nobody sees fills memory, where images are bright."""

    def forward(self, x: Tensor) -> Tensor:
        out = torch.zeros(x.shape)
        if bool(x.numpy().max() > 2):
            out.numpy()[...] = x.numpy() > 1
        return 0 * x + out


def test_memory_that_a_kernel_fills_in_a_later_batch(followed: list[int]) -> None:
    make = lambda: nn.Sequential(nn.Conv2d(2, 4, 3), Numpy(), nn.Flatten(), nn.Linear(144, 2))  # noqa: E731
    found, judged = both(make, [IMAGES[:3], IMAGES[3:6], 30 * IMAGES[:3], IMAGES[3:6]])
    assert followed == [1] and numbers(found) == numbers(judged)
    assert any("outside PyTorch's dispatcher" in what for what in found.uncounted)


class Turns(nn.Module):
    """The same operators, in another module from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.neurons, self.calls = nn.Linear(128, 5), nn.ModuleList([Membrane(), Membrane()]), [0]
        self.head, self.seen = nn.Linear(5, 2), iter(range(100))

    def forward(self, x: Tensor) -> Tensor:
        for neurons in self.neurons:
            neurons.v = 0.0
        return self.head(self.neurons[next(self.seen) > 8](self.both(x.flatten(1))))


def test_other_modules_with_the_same_operators(followed: list[int]) -> None:
    batches = [IMAGES[i % 5 : i % 5 + 3] for i in range(12)]
    found, judged = both(Turns, batches)
    assert followed and len(found.neurons) == len(judged.neurons) == 2


class Draws(nn.Module):
    """Masks weights by random numbers: other weights are zero in each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 128))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear((x > 0.5).to(x).flatten(1), self.weight * (torch.rand(5, 128) > 0.5))


def test_random_constants_are_judged(followed: list[int]) -> None:
    both(Draws)
    assert followed == []


class Asks(nn.Module):
    """Multiplies by a number that it asks of the values."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(128, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1)) * x.amax().item()


def test_numbers_that_a_model_asks_of_values_are_compared(followed: list[int]) -> None:
    found, judged = both(Asks)
    assert followed == [] and numbers(found) == numbers(judged)


def test_our_neurons_in_a_network_of_others(followed: list[int]) -> None:
    make = lambda: nn.Sequential(  # noqa: E731
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Unflatten(0, (1, -1)), LIF(), nn.Flatten(0, 1), nn.Flatten(),
        nn.Linear(144, 2),
    )  # fmt: skip
    found, judged = both(make)
    assert numbers(found) == numbers(judged)


def test_what_is_not_finite_is_named_as_in_the_first_batch(followed: list[int]) -> None:
    for bad in (IMAGES[:3] * float("nan"), IMAGES[:3] * 3e38):
        model = Block()
        model.conv.weight.data *= 100
        with pytest.raises(InputError) as first:
            profile(model.eval(), [bad], check_flops=False)
        with pytest.raises(InputError) as later:
            profile(model.eval(), [IMAGES[:3], IMAGES[3:6], bad], check_flops=False)
        assert str(later.value) == str(first.value)


def test_weights_that_a_model_exchanges_are_seen(followed: list[int]) -> None:
    def exchanging(model: Block) -> Iterator[Tensor]:
        yield IMAGES[:3]
        model.mix.weight.data = torch.zeros_like(model.mix.weight)
        yield IMAGES[3:6]

    torch.manual_seed(0)
    one = Block().eval()
    torch.manual_seed(0)
    other = Block().eval()
    found = profile(one, exchanging(one), check_flops=False)
    judged = profile(other, exchanging(other), check_flops=False, log=ModuleLog(sums=False))
    assert followed == [] and numbers(found) == numbers(judged)


@torch.library.custom_op("ta_planned::fire", mutates_args=())
def fire(x: Tensor) -> Tensor:
    """Spikes of what is above 0.2."""
    return (x > 0.2).to(x)


class Small(nn.Module):
    """Two layers on 8 numbers; `how` is what they are for."""

    def __init__(self, how: Callable[["Small", Tensor, bool], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.how, self.mask = nn.Linear(8, 5), nn.Linear(8, 5), how, torch.ones(8)
        memory = torch.randn(2, 5, 8)
        self.one, self.two = nn.Module(), nn.Module()
        self.one.weight, self.two.weight = nn.Parameter(memory[0]), nn.Parameter(memory[1])
        self.neurons, self.keeper = Kernel(), Keeper()

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self, x, bool(x.max() > 1))


class Keeper(nn.Module):
    """Puts out nothing: what it makes is found in an attribute."""

    def forward(self, x: Tensor) -> None:
        self.made = x.relu()


def out_again(net: Small, x: Tensor, bright: bool) -> Tensor:
    h = x * 2
    before = net.a(h)
    torch.sub(x, x[:, :1], out=h)
    return before + net.b(h)


def masked_weights(net: Small, x: Tensor, bright: bool) -> Tensor:
    net.mask.numpy()[0] = 0.0 if bright else 1.0
    return F.linear(x, net.a.weight * net.mask)


def one_storage(net: Small, x: Tensor, bright: bool) -> Tensor:
    return F.linear(x, (net.one if bright else net.two).weight)


def kept_elsewhere(net: Small, x: Tensor, bright: bool) -> Tensor:
    if bright:
        net.keeper(x)
        return net.a(net.keeper.made)
    return net.a(x.relu())


def other_names(net: Small, x: Tensor, bright: bool) -> Tensor:
    with named("bright" if bright else "dim"):
        return net.a(x @ x.transpose(0, 1) @ x)


def written_before_it_is_read(net: Small, x: Tensor, bright: bool) -> Tensor:
    spikes = fire(x)
    spikes.numpy()[:, ::2] = 0
    return net.a(spikes)


def other_types(net: Small, x: Tensor, bright: bool) -> Tensor:
    return net.a(((x > 0.2).long() * (1.0 if bright else 1)).to(x))


@pytest.mark.parametrize(
    "how",
    [out_again, masked_weights, one_storage, kept_elsewhere, other_names, written_before_it_is_read, other_types],
)
def test_what_is_the_same_but_for_one_thing(how: Callable[[Small, Tensor, bool], Tensor]) -> None:
    dim = torch.rand(3, 8, generator=torch.Generator().manual_seed(2)) / 2
    found, judged = both(lambda: Small(how), [dim, 0.9 * dim, 8 * dim, dim])
    assert numbers(found) == numbers(judged)


def test_weights_that_are_made_anew_and_hold_other_zeros(followed: list[int]) -> None:
    def edited(net: Small) -> Iterator[Tensor]:
        yield IMAGES[:3, 0, 0]
        net.a.weight.data[0] = 0
        yield IMAGES[3:6, 0, 0]

    profiles = []
    for log in (None, ModuleLog(sums=False)):
        torch.manual_seed(0)
        net = Small(lambda net, x, _: F.linear(x, net.a.weight / net.a.weight.std())).eval()
        profiles.append(profile(net, edited(net), check_flops=False, log=log))
    assert followed == [1] and numbers(profiles[0]) == numbers(profiles[1])
    assert profiles[0].operations[0].effective < profiles[0].operations[0].events


def test_a_mask_beside_images_makes_no_spikes_of_them() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(128, 2)

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return self.head((x * mask).flatten(1))

    batches = [(x, (x > 0.3).float()) for x in (IMAGES[:3], IMAGES[3:6], IMAGES[:3])]
    found, judged = both(Masked, batches)
    assert numbers(found) == numbers(judged)
    assert (
        found.operations[0].executions == 3 * profile(Masked(), batches[:1], check_flops=False).operations[0].executions
    )


def test_a_batch_that_runs_again_draws_the_same_numbers(followed: list[int]) -> None:
    class Jitters(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(128, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.bernoulli(x.clamp(0, 1)).flatten(1)
            return self.head(x) * (2 if bool(x.mean() > 0.8) else 1)

    found, judged = both(Jitters, [IMAGES[:3], IMAGES[3:6], 9 * IMAGES[:3], IMAGES[3:6]])
    assert numbers(found) == numbers(judged)


class Clamped(nn.Module):
    """Puts out spikes of what it clamps, or real numbers where that is large: then it is no layer of neurons."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.clamp(-2, 2)
        return mixed(x)


@torch.library.custom_op("ta_planned::mixed", mutates_args=())
def mixed(x: Tensor) -> Tensor:
    """Spikes, or what it is given."""
    return x.clone() if bool(x.amax() > 1) else (x > 0.2).to(x)


def test_what_has_left_its_plan_raises_no_error(followed: list[int]) -> None:
    dim = torch.rand(3, 8, generator=torch.Generator().manual_seed(2)) / 2
    hot = torch.cat([torch.full((3, 1), 40.0), 1.8 * dim[:, 1:]], 1)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n, self.head = Clamped(), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.n(x + (x - 30).relu() * 3e38 * x))  # infinite where it is above 30

    found, judged = both(Net, [dim, 0.9 * dim, hot])
    assert followed == [1] and numbers(found) == numbers(judged)
