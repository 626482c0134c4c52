"""conv_snn's network: sizes and input of each layer as in the public code, checkpoints, what nothing reads."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import saformer
from saformer.analysis import profile
from saformer.errors import InputError
from saformer.models import Model

X = (torch.rand(2, 3, 2, 32, 32, generator=torch.Generator().manual_seed(0)) < 0.4).double()


def narrow(**settings: bool | int) -> Model:
    """Narrow, with weights large enough that all neurons fire."""
    torch.manual_seed(0)
    settings = {"image_size": 32, "width": 4, "blocks": 4, "num_classes": 3, "time_steps": 3} | settings
    model = saformer.build("rollout-densenet-dvs", **settings).double()
    for name, tensor in model.state_dict().items():
        tensor.mul_(6 if "custom.weight" in name else 2)
    return model.eval()


def test_parameters_and_operations_are_those_of_the_public_code() -> None:
    with torch.device("meta"):
        model = saformer.build("rollout-densenet-dvs", time_steps=1)
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(torch.empty(1, 2, 128, 128))
    assert saformer.build("rollout-densenet-dvs").config.time_steps == 10
    assert model.config.name == "rollout-densenet-dvs"
    registered = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("layers."))
    assert registered == 47_242 and sum(p.numel() for p in model.parameters()) == 47_242 + 590_848
    counted = counter.get_flop_counts()["Global"]
    assert sum(counted.values()) // 2 == 629_710_848
    assert counter.get_flop_counts()["ConvSNN.conv1_custom"][torch.ops.aten.convolution] // 2 == 25_690_112


@pytest.mark.parametrize("inner_spikes", [False, True])
def test_scores_and_inputs_of_layers_are_those_of_a_loop_over_time(inner_spikes: bool) -> None:
    model = narrow(inner_spikes=inner_spikes)
    weights, membranes, read = model.state_dict(), dict[str, Tensor](), dict[str, int]()

    def layer(name: str, x: Tensor, **settings: int) -> Tensor:
        read[name] = read.get(name, 0) + int((x != 0).sum())
        apply = F.linear if name == "fc_custom" else F.conv2d
        return apply(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"), **settings)

    def fire(name: str, current: Tensor) -> Tensor:
        membrane = 0.8 * membranes.get(name, torch.zeros_like(current)) + current
        spikes = (membrane > 0.5).double()
        membranes[name] = membrane * (1 - spikes)
        return spikes

    scores = torch.zeros(2, 3, dtype=torch.float64)
    for frame in X.unbind(1):
        x = F.avg_pool2d(fire("stem", layer("conv1_custom", frame, stride=2, padding=3)), 3, 2, 1)
        spikes = []
        for i in range(4):
            current = layer(f"layers.{i}.conv1", x, padding=1)
            fired = fire(f"{i} inner", current)
            x = fire(f"{i}", layer(f"layers.{i}.conv2", fired if inner_spikes else current, padding=1) + x)
            spikes.append(x)
        head = layer("fc_custom", F.avg_pool2d(torch.cat([spikes[0], spikes[2]], 1), 7).flatten(1))
        scores += fire("head", head) / 3

    with torch.inference_mode():
        assert torch.allclose(model(X), scores, rtol=0, atol=1e-12)
    operations = {o.name: o.operands[0] for o in profile(model, [X]).operations}
    assert {name: operand.nonzero for name, operand in operations.items()} == read
    assert [operations[f"layers.{i}.conv2"].binary for i in range(4)] == [inner_spikes] * 4
    assert all(float(membrane.std()) > 0 for membrane in membranes.values()) and 0 < float(scores.mean()) < 1


@pytest.mark.parametrize("blocks", [3, 4])
def test_every_parameter_that_the_scores_depend_on_learns(blocks: int) -> None:
    model = narrow(blocks=blocks).train()
    model(X).square().sum().backward()
    without = {name.split(".conv")[0] for name, p in model.named_parameters() if p.grad is None}
    assert without == ({"layers.3"} if blocks == 4 else set())


def test_a_checkpoint_with_blocks_is_read_and_one_without_is_refused(tmp_path: Path) -> None:
    model = narrow()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "x.pth.tar")
    found = saformer.load(tmp_path / "x.pth.tar", image_size=32, time_steps=3)
    assert found.config == model.config
    with torch.inference_mode():
        assert torch.equal(found.double()(X), model(X))

    kept = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("layers.")}
    torch.save({"state_dict": kept}, tmp_path / "y.pth.tar")
    with pytest.raises(InputError, match="has no blocks"):
        saformer.load(tmp_path / "y.pth.tar")


def test_an_image_too_small_for_the_pools() -> None:
    assert saformer.build("rollout-densenet-dvs", image_size=25, width=2).config.grid == 1
    with pytest.raises(InputError, match="25 pixels or more, got 24"):
        saformer.build("rollout-densenet-dvs", image_size=24)
