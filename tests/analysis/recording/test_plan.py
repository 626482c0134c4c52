"""A batch that runs like the one before is only looked at: its integers are those of a batch that is judged anew."""

import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from plans import numbers
from small_networks import SMALL
from torch import Tensor, nn

import saformer
from saformer.analysis import Profile, profile
from saformer.analysis.recording.module_log import ModuleLog
from saformer.analysis.recording.plan.planned_pass import PlannedPass
from saformer.errors import InputError
from saformer.models.config import example_input
from saformer.native.passes import native
from saformer.neurons import LIF, one_pass

# Where tensors are written out in the code, or comparisons choose, values are judged in every batch.
JUDGED = {"spikingresformer", "dista"}
IMAGES = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def judged_anew(model: nn.Module, batches: Any) -> Profile:
    """A log of modules needs hooks, so that no batch follows a plan."""
    return profile(model, batches, check_flops=False, log=ModuleLog(sums=False))


def network(family: str = "saformer", seed: int = 0) -> nn.Module:
    name, settings = SMALL[family]
    torch.manual_seed(seed)
    model = saformer.build(name, **settings).eval()
    for norm in model.modules():  # as if trained: rates differ from layer to layer
        if isinstance(norm, nn.BatchNorm2d | nn.BatchNorm1d):
            norm.running_mean.normal_(0, 0.3)
            norm.bias.data.normal_(0.3, 0.5)
    return model


def batches_for(model: nn.Module) -> list[Tensor]:
    """Silent, dim, bright, and a last one that is smaller."""
    x = example_input(model)
    shape = (2, *x.shape[1:])
    if not x.is_floating_point():
        return [torch.full(shape, 3), torch.arange(2 * x[0].numel()).view(shape) % 50, torch.full(shape, 7)[:1]]
    drawn = torch.rand(shape, generator=torch.Generator().manual_seed(2))
    return [torch.zeros(shape), drawn, 3 * drawn, drawn[:1]]


@pytest.mark.parametrize("family", SMALL)
def test_integers_are_those_of_batches_that_are_judged_anew(family: str, followed: list[int]) -> None:
    model = network(family)
    batches = batches_for(model)
    found = profile(model, batches, check_flops=False)
    assert len(followed) == (0 if family in JUDGED else len(batches) - 2)
    assert numbers(found) == numbers(judged_anew(model, batches))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_in_other_types_too(dtype: torch.dtype, followed: list[int]) -> None:
    model = network("spikformer").to(dtype)
    batches = [IMAGES[:3].to(dtype), IMAGES[3:].to(dtype)]
    assert numbers(profile(model, batches, check_flops=False)) == numbers(judged_anew(model, batches))
    assert followed == [1]


@pytest.mark.skipif(native() is None, reason="there is no C compiler")
def test_of_the_bits_of_spikes_only_those_that_were_read_are_written_again(
    monkeypatch: pytest.MonkeyPatch, followed: list[int]
) -> None:
    torch.manual_seed(0)
    model, written, words_for = saformer.build("spikformer-1-32").eval(), [], one_pass.words_for
    monkeypatch.setattr(one_pass, "words_for", lambda x: written.append(x.shape) or words_for(x))
    profile(model, [IMAGES[:3]], check_flops=False)
    first = len(written)
    written.clear()
    found = profile(model, [IMAGES[:3], IMAGES[3:]], check_flops=False)
    assert followed == [1] and 0 < len(written) - first < first
    assert numbers(found) == numbers(judged_anew(model, [IMAGES[:3], IMAGES[3:]]))


def test_a_batch_that_goes_another_way_is_run_again_and_judged(followed: list[int]) -> None:
    model = network()
    # More operators for bright images, and none of these fewer.
    hook = lambda module, args: (args[0] * 2,) if bool(seen[-1].mean() > 1) else None  # noqa: E731
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model.get_submodule("head").register_forward_pre_hook(hook)
    batches = [IMAGES[:2], IMAGES[2:4], IMAGES[2:4] * 9, IMAGES[4:], IMAGES[:2]]
    found = profile(model, batches, check_flops=False)
    assert followed == [1] and len(seen) == len(batches) + 1  # of which one ran twice
    assert numbers(found) == numbers(judged_anew(model, batches))


def test_weights_that_are_exchanged_between_batches_are_seen(followed: list[int]) -> None:
    def exchanging(model: nn.Module) -> Iterator[Tensor]:
        yield IMAGES[:3]
        head = model.get_submodule("head")
        head.weight.data = torch.zeros_like(head.weight)
        yield IMAGES[3:]

    first, second = network(), network()
    found = profile(first, exchanging(first), check_flops=False)
    assert followed == [] and numbers(found) == numbers(judged_anew(second, exchanging(second)))
    assert found.operations[-1].effective < found.operations[-1].events


def test_an_input_or_a_result_that_is_not_finite_is_named_as_in_the_first_batch() -> None:
    model = network()
    next(m for m in model.modules() if isinstance(m, nn.Conv2d)).weight.data *= 1e3
    for bad in (IMAGES[:3] * float("inf"), IMAGES[:3] * 1e38):
        with pytest.raises(InputError) as first:
            profile(model, [bad], check_flops=False)
        with pytest.raises(InputError) as later:
            profile(model, [IMAGES[3:], bad], check_flops=False)
        assert str(later.value) == str(first.value)


def test_currents_that_are_not_finite_are_named_as_in_the_first_batch() -> None:
    class Overflowing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 3e38 * x.amax()

    model = network("spikformer")
    neurons = next(path for path, module in model.named_modules() if isinstance(module, LIF))
    parent, _, name = neurons.rpartition(".")
    model.get_submodule(parent).register_module(name, nn.Sequential(Overflowing(), LIF()))
    dark, bright = IMAGES[:3] * 0, IMAGES[3:]
    with pytest.raises(InputError, match="not finite") as first:
        profile(model, [bright], check_flops=False)
    with pytest.raises(InputError) as later:
        profile(model, [dark, bright], check_flops=False)
    assert str(later.value) == str(first.value)


def test_nothing_that_a_planned_batch_made_is_kept_until_its_counts_are_booked(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Tensor]] = []
    alive: list[int] = []
    add, book = PlannedPass._run, PlannedPass.book

    def run(self: PlannedPass, *given: Any) -> Any:
        out = add(self, *given)
        made.extend(weakref.ref(x) for x in [out] if x.numel() > 100)
        return out

    def count(self: PlannedPass) -> Any:
        alive.append(sum(x() is not None for x in made))
        return book(self)

    monkeypatch.setattr(PlannedPass, "_run", run)
    monkeypatch.setattr(PlannedPass, "book", count)
    profile(network("spikformer"), [IMAGES[:3], IMAGES[3:]], check_flops=False)
    assert len(made) > 50 and alive == [0]
