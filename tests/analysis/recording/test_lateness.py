"""Steps before any input has reached a layer are steps; what is constant throughout is none."""

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import profile

STEPS = 4


class Delayed(nn.Module):
    """Fires by the membrane of the step before."""

    def __init__(self) -> None:
        super().__init__()
        self.v: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        v = torch.zeros_like(x) if self.v is None else self.v
        spikes = (v >= 0.2).to(x)
        self.v = 0.5 * v * (1 - spikes) + x
        return spikes


class Fire(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x >= 0.2).to(x)


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.neurons = nn.Linear(6, 8), nn.Linear(8, 4), Delayed()

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.b(self.neurons(self.a(x))) for _ in range(STEPS)]).mean(0)


class Pipeline(nn.Module):
    """Each layer reads what the layer before put out a step ago."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.neurons = nn.ModuleList(Fire() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        before = [x, torch.zeros_like(x), torch.zeros_like(x)]
        for _ in range(STEPS):
            after = [fire(layer(y)) for fire, layer, y in zip(self.neurons, self.layers, before, strict=True)]
            before = [x, *after[:2]]
        return after[2]


@pytest.mark.parametrize(
    ("net", "layers"), [(Loop, {"a": 48, "b": 32}), (Pipeline, {f"layers.{i}": 36 for i in range(3)})]
)
def test_a_step_at_which_nothing_has_arrived_is_a_step(net: type[nn.Module], layers: dict[str, int]) -> None:
    torch.manual_seed(1)
    x = torch.randn(5, 6)
    p = profile(net(), [x[:3], x[3:]], check_flops=False)
    assert p.model.time_steps == STEPS
    assert {o.name: o.dense for o in p.operations} == {name: 5 * STEPS * dense for name, dense in layers.items()}
    assert all(len(neurons.per_step) == STEPS for neurons in p.neurons)
    assert [o.first for o in p.operations] == [True] + [False] * (len(layers) - 1)
    if net is Loop:
        assert p.neurons[0].per_step[0] == 0 < p.neurons[0].spikes


def test_what_never_depends_on_the_input_stays_a_constant() -> None:
    class Position(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(1, 6))

        def forward(self, x: Tensor) -> Tensor:
            return self.table.expand(len(x), 6)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.position, self.project, self.fc = Position(), nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(STEPS):
                x = self.fc(x + self.project(self.position(x)))
            return x

    assert [o.name for o in profile(Net(), [torch.randn(3, 6)], check_flops=False).operations] == ["fc", "fc:2"]


def test_a_learnt_query_stays_a_constant() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.fc = nn.Parameter(torch.randn(3, 6)), nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.query) + self.fc(x)

    (o,) = profile(Net(), [torch.randn(3, 6)], check_flops=False).operations
    assert o.dense == 3 * 36


def test_a_template_that_goes_through_the_layers_first_stays_a_constant() -> None:
    class Siamese(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 6)
            self.register_buffer("template", torch.randn(1, 6))

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.template.expand(len(x), 6)) * self.fc(x)

    (o,) = profile(Siamese(), [torch.randn(3, 6)], check_flops=False).operations
    assert (o.name, o.dense) == ("fc", 3 * 36)
