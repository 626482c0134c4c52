"""A model that takes time first, given images without: it is refused, however quiet its neurons are."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import profile
from saformer.errors import InputError

STEPS = 4
X = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Neuron(nn.Module):
    """LIF whose membrane is handed from step to step, by the caller or inside."""

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = x if v is None else 0.9 * v + x
        spikes = (v >= 1).float()
        return spikes, v - spikes


class Net(nn.Module):
    def __init__(self, forward: Callable[..., Any], gain: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.way, self.a, self.b, self.lif = forward, nn.Linear(16, 12), nn.Linear(12, 3), Neuron()
        with torch.no_grad():
            self.a.weight *= gain

    def forward(self, x: Tensor) -> Any:
        return self.way(self, x)


def steps(m: Any, x: Tensor) -> Tensor:
    """T x B x ..., one step after the other."""
    v, w, found = None, None, []
    for t in range(len(x)):
        s, v = m.lif(m.a(x[t].flatten(1)), v)
        s, w = m.lif(m.b(s), w)
        found.append(s)
    return torch.stack(found)


def multi_step(m: Any, x: Tensor) -> Tensor:
    """T x B x ..., all steps in one call of each layer, as SpikingJelly's multi-step mode has it."""

    def fire(currents: Tensor) -> Tensor:
        v, found = None, []
        for current in currents:
            s, v = m.lif(current, v)
            found.append(s)
        return torch.stack(found)

    return fire(m.b(fire(m.a(x.flatten(2) if x.ndim > 3 else x.flatten(1)))))


def recurrent(m: Any, x: Tensor) -> Tensor:
    """A recurrence that puts out nothing before the end."""
    h = torch.zeros(12)
    for frame in x:
        h = (m.a(frame.flatten(1)) + 0.5 * h).tanh()
    return m.b(h)


@pytest.mark.parametrize("gain", [3.0, 1e-3], ids=["spiking", "silent"])
@pytest.mark.parametrize("way", [steps, multi_step, recurrent, lambda m, x: steps(m, x).sum(0)])
@pytest.mark.parametrize("images", [1, 2, 8])
def test_images_are_not_taken_for_time(way: Any, gain: float, images: int) -> None:
    with pytest.raises(InputError, match=r"takes the images of a batch for time.*--time-first T shows each image"):
        profile(Net(way, gain), [X[:images]], check_flops=False)
    said = {"time_steps": STEPS, "to_input": lambda x: x.expand(STEPS, *x.shape)}
    assert profile(Net(way, gain), [X[:images]], check_flops=False, **said).model.time_steps == STEPS


def test_neurons_in_multi_step_mode_are_believed() -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")

    def forward(m: Any, x: Tensor) -> Tensor:
        return m.b(m.fire(m.a(x.flatten(-3)))).mean(0)

    net = Net(forward, 1e-3)
    net.fire = neuron.LIFNode(step_mode="m")  # silent, in one operator that nobody sees into
    with pytest.raises(InputError, match="takes the images of a batch for time steps"):
        profile(net, [X], check_flops=False)
    found = profile(net, [X], check_flops=False, time_steps=STEPS, to_input=lambda x: x.expand(STEPS, *x.shape))
    assert found.model.time_steps == STEPS


def test_event_frames_are_asked_for_time_first() -> None:
    frames = (torch.rand(8, STEPS, 1, 4, 4, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    with pytest.raises(InputError, match=f"--time-first {STEPS} gives it T x B x"):
        profile(Net(multi_step), [frames], check_flops=False)
    said = {"time_steps": STEPS, "to_input": lambda x: x.movedim(1, 0)}
    assert profile(Net(multi_step, 3.0), [frames], check_flops=False, **said).model.time_steps == STEPS


def static(m: Any, x: Tensor) -> Tensor:
    return steps(m, x.expand(2, *x.shape)).mean(0)


@pytest.mark.parametrize("way", [static, lambda m, x: m.b(m.a(x.flatten(1)).relu())])
@pytest.mark.parametrize("images", [1, 2, 3, 8])
def test_models_that_take_images_are_not_disturbed(way: Any, images: int) -> None:
    found = profile(Net(way, 3.0), [X[:images]], check_flops=False)
    assert not any("one after the other" in note or "for time" in note for note in found.notes)


def test_channels_are_not_taken_for_time_without_a_word() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        return steps(m, x.movedim(1, 0)).mean(0)

    found = profile(Net(forward, 3.0), [X.repeat(1, 3, 1, 1)], check_flops=False)
    assert found.model.time_steps is None
    assert sum("wants --time-axis 1 --time-steps T" in note for note in found.notes) == 1


def test_a_part_that_takes_images_for_time_is_noted() -> None:
    # Its T is that of most layers, whatever the batch.
    def forward(m: Any, x: Tensor) -> Tensor:
        h = torch.stack([m.lif(m.a(x.flatten(1)), None)[0] for _ in range(STEPS)])
        h = torch.stack([m.lif(m.c(step))[0] for step in h]).mean(0)
        v = torch.zeros(12)
        return m.b(torch.stack([v := 0.9 * v + current for current in h]))

    net = Net(forward, 3.0)
    net.c = nn.Linear(12, 12)
    nn.init.normal_(net.c.weight, generator=torch.Generator().manual_seed(2))
    found = profile(net, [X], check_flops=False)
    assert found.model.time_steps == STEPS and sum("as if they were time steps" in note for note in found.notes) == 1


def test_of_a_loop_over_images_that_start_from_rest_T_stays_open() -> None:
    def each(m: Any, x: Tensor) -> Tensor:
        return torch.cat([m.b(m.lif(m.a(image.flatten(1)))[0]) for image in x])

    found = profile(Net(each, 3.0), [X], check_flops=False)
    assert found.model.time_steps is None
    assert [note for note in found.notes if "one after the other, and none was seen to change the next" in note]

    def together(m: Any, x: Tensor) -> Tensor:
        return each(m, x) - each(m, x).mean(0)

    assert profile(Net(together, 3.0), [X], check_flops=False).model.time_steps is None
