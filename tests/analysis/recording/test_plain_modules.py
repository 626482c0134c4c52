"""Modules are found, counted and put into evaluation mode whatever their classes make of PyTorch's methods."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis.recording.beforehand.plain_modules import (
    evaluating,
    hidden_modules,
    is_scripted,
    named_modules,
    parameters,
    unwrapped,
)


class EvalReturnsNothing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.BatchNorm1d(3)

    def eval(self) -> None:  # type: ignore[override]
        super().eval()


class NoArguments(EvalReturnsNothing):
    def train(self) -> None:  # type: ignore[override]
        pass


class Nothing(NoArguments):
    def eval(self) -> None:  # type: ignore[override]
        pass


@pytest.mark.parametrize("kind", [EvalReturnsNothing, NoArguments, Nothing])
def test_evaluation_mode_reaches_every_module(kind: Any) -> None:
    for model in (kind(), nn.Sequential(kind())):
        with evaluating(model):
            assert not any(module.training for module in model.modules())
        assert all(module.training for module in model.modules())


def test_what_was_in_evaluation_mode_stays_so() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    with evaluating(model):
        pass
    assert [module.training for module in model] == [True, False]


def test_an_exported_module_refuses_evaluation_mode_and_is_in_it() -> None:
    with evaluating(torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),)).module()):
        pass


def test_parameters_that_a_library_names_otherwise() -> None:
    class Net(nn.Sequential):
        def parameters(self, *_: Any, **__: Any) -> dict[str, Tensor]:  # type: ignore[override]
            return dict(self.named_parameters())

        def modules(self) -> dict[str, nn.Module]:  # type: ignore[override]
            return dict(self._modules)  # type: ignore[arg-type]

    shared = nn.Linear(4, 4)
    assert sum(p.numel() for p in parameters(Net(shared, nn.Linear(4, 2), shared))) == 20 + 10
    assert [path for path, _ in named_modules(Net(shared))] == ["", "0"]


def test_layers_in_plain_lists_are_found_and_named() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 2)
            self.layers: Any = [nn.Linear(2, 3), [nn.Sequential(nn.Linear(3, 4))], self.fc]
            self.by_name = {"head": nn.Linear(4, 5)}
            self.layers.append(self.layers)

    model = nn.Sequential(Net())
    names = ["0.layers.0", "0.layers.1.0", "0.layers.1.0.0", "0.by_name.head"]
    assert hidden_modules(model) == names
    assert [path for path, _ in named_modules(model)] == ["", "0", "0.fc", *names]
    assert sum(p.numel() for p in parameters(model)) == 6 + 9 + 16 + 25
    with evaluating(model):
        assert not model[0].layers[0].training
    assert hidden_modules(nn.Sequential(nn.Linear(2, 2))) == []


def test_wrappers_come_off() -> None:
    inner = nn.Linear(2, 2)
    for model in (
        inner,
        nn.DataParallel(inner),
        torch.compile(inner),
        nn.DataParallel(torch.compile(inner)),  # type: ignore[arg-type]
    ):
        assert unwrapped(model) is inner  # type: ignore[arg-type]


def test_what_is_scripted() -> None:
    assert is_scripted(torch.jit.script(nn.Linear(2, 2)))
    assert is_scripted(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)))
    assert not is_scripted(nn.Linear(2, 2))


def test_nothing_is_scripted_where_scripting_is_off() -> None:
    program = (
        "import torch\n"
        "from saformer.analysis.recording.beforehand.plain_modules import is_scripted\n"
        "class Mix(torch.jit.ScriptModule): pass\n"
        "assert isinstance(Mix(), torch.jit.ScriptModule) and not is_scripted(Mix())\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], env={"PYTORCH_JIT": "0", "PYTHONPATH": ":".join(sys.path)}, check=True
    )
