"""Neurons of SpikingJelly that ask for CuPy run on its torch backend, in either of its old layouts.

The library itself is installed in a version that has no backends any more: the old ones are written down here, as far
as they decide.
"""

import importlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from saformer.analysis.recording.beforehand.spikingjelly_backend import (
    building_without_kernels,
    running_without_kernels,
)

CLOCK_DRIVEN = """
    import torch
    from torch import nn

    cupy = None


    def check_backend(backend):
        if backend == "torch":
            return
        elif backend == "cupy":
            assert cupy is not None, "CuPy is not installed!"
        else:
            raise NotImplementedError(backend)


    class BaseNode(nn.Module):
        def __init__(self):
            super().__init__()
            self._memories = {}

        def __setattr__(self, name, value):  # as SpikingJelly's MemoryModule has one
            super().__setattr__(name, value)


    class Neuron(BaseNode):
        def __init__(self, backend="torch"):
            super().__init__()
            check_backend(backend)
            self.backend = backend

        def forward(self, x):
            if self.backend == "torch":
                return (x > 0.5).float()
            return cupy.RawKernel(x)
"""
ACTIVATION_BASED = """
    from torch import nn

    cupy = None


    def check_backend_library(backend):
        if backend == "torch":
            return
        elif backend in ("cupy", "triton"):
            if cupy is None:
                raise ImportError("CuPy is not installed!")
        else:
            raise NotImplementedError(backend)


    class Neuron(nn.Module):
        def __init__(self, backend="torch"):
            super().__init__()
            self._backend = "torch"
            self.backend = backend

        @property
        def backend(self):
            return self._backend

        @backend.setter
        def backend(self, value):
            check_backend_library(value)
            self._backend = value

        def forward(self, x):
            if self.backend == "torch":
                return (x > 0.5).float()
            return cupy.RawKernel(x)
"""
LAYOUTS = {"clock_driven": CLOCK_DRIVEN, "activation_based": ACTIVATION_BASED}


@pytest.fixture(params=[f"vendored.spikingjelly.{layout}" for layout in LAYOUTS] + ["vendored.models.neuron_copy"])
def library(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an old SpikingJelly's module of neurons, not yet imported, on a machine without CUDA."""
    path = (tmp_path / request.param.replace(".", "/")).with_suffix(".py")
    path.parent.mkdir(parents=True)
    path.write_text(textwrap.dedent(LAYOUTS.get(path.stem, CLOCK_DRIVEN)))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    yield request.param
    for name in [name for name in sys.modules if name.partition(".")[0] == "vendored"]:
        del sys.modules[name]


def test_neurons_are_built_for_torch_and_named(library: str) -> None:
    with building_without_kernels() as told:
        neurons: Any = importlib.import_module(library)

        class Mine(neurons.Neuron):  # type: ignore[misc]
            pass

        model = nn.Sequential(neurons.Neuron("cupy"), Mine("cupy"), neurons.Neuron(), neurons.Neuron("cupy"))
        assert model(torch.ones(2)).tolist() == [1, 1]  # also while it is being built
    assert told == ["Neuron", "Mine"]
    assert [module.backend for module in model] == ["torch"] * 4


def test_all_is_as_before_afterwards(library: str) -> None:
    before = (nn.Module.__init__, nn.Module.__setattr__)
    with building_without_kernels():
        neurons: Any = importlib.import_module(library)
        neurons.Neuron("cupy")
        with pytest.raises(NotImplementedError):
            neurons.Neuron("abacus")
    assert (nn.Module.__init__, nn.Module.__setattr__) == before
    with pytest.raises((AssertionError, ImportError), match="CuPy is not installed"):
        neurons.Neuron("cupy")


def test_neurons_that_ask_all_the_same_are_told_while_they_run(library: str) -> None:
    neurons: Any = importlib.import_module(library)
    model = nn.Sequential(neurons.Neuron(), nn.Sequential(neurons.Neuron()))
    for held in (vars(model[0]), vars(model[1][0])):
        held["_backend" if "_backend" in held else "backend"] = "cupy"
    with running_without_kernels(model, "cpu") as told:
        assert told == ["0", "1.0"]
        assert model(torch.ones(2)).tolist() == [1, 1]
    assert model[0].backend == "cupy"


def test_no_other_module_is_touched(library: str) -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backend = "cupy"

    with building_without_kernels() as told:
        model = Mine()
    assert model.backend == "cupy" and told == []
    with running_without_kernels(model, "cpu") as paths:
        assert model.backend == "cupy" and paths == []
