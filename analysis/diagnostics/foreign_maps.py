"""What one image does inside a network that is not of this program: spikes of its neurons, maps where it gives them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from saformer.analysis.diagnostics.attention_maps import (
    AttentionMap,
    Inspection,
    SpikeTrain,
    check_one,
    outputs_of,
    with_maps,
)
from saformer.analysis.profiles import Neurons
from saformer.analysis.recording.beforehand.plain_modules import named_modules
from saformer.analysis.recording.calling import NetworkCall, class_scores
from saformer.analysis.recording.run import profile
from saformer.errors import InputError

#: From a network and its input for one image to maps by name: h x w, T x h x w or T x heads x h x w.
MapFunction = Callable[..., Mapping[str, Tensor]]


def inspect_foreign(
    model: nn.Module,
    image: Tensor,
    *,
    time_steps: int | None = None,
    loop: int | None = None,
    neurons: Sequence[str] = (),
    to_input: Callable[[Tensor], Tensor] | None = None,
    maps: MapFunction | None = None,
) -> Inspection:
    """Run one image and write down the spikes of every module of neurons, and attention maps where there are some.

    Maps come from a function of the user's own, or from modules whose class has what a registered attention has:
    `map_inputs`, `attention_map` and `map_meaning` (`saformer.attention.register_attention`).

    Args:
        model: in evaluation mode; it is left as it was.
        image: a batch of one image.
        time_steps: as of `saformer.analysis.profile`, like `loop`, `neurons` and `to_input`.
        loop: calls for the image.
        neurons: patterns of modules that are neurons.
        to_input: makes the model's input from the image.
        maps: makes maps from the model and its input.

    Raises:
        InputError: it is not one image, a map has another shape or a negative value, or the model gives no scores.
    """
    check_one(len(image))
    seen = profile(
        model, [image], time_steps=time_steps, loop=loop, neurons=neurons, to_input=to_input, check_flops=False
    )
    call, modules = NetworkCall(model, to_input, loop), dict(named_modules(model))
    attentions = with_maps(modules)
    parts = [f"{name}.{part}" if name else part for name, one in attentions.items() for part in one.map_inputs]
    if missing := [part for part in parts if part not in modules]:
        raise InputError(f"map_inputs names {missing[0]}, which is no module of the model")
    layers = [layer for layer in seen.neurons if layer.name in modules]
    with torch.inference_mode():
        with outputs_of({path: modules[path] for path in (*(layer.name for layer in layers), *parts)}) as found:
            answer = call(image)
        made = _made(maps, model, call.given(image).args) if maps is not None else []
    made += [_by_module(name, one, found) for name, one in attentions.items()]
    trains = [train for layer in layers if (train := _train(layer, found.get(layer.name, []))) is not None]
    scores = class_scores(answer, 1, seen.model.time_steps)
    return Inspection(tuple(made), tuple(trains), torch.empty(0) if scores is None else scores[0].cpu())


def _train(layer: Neurons, outputs: Sequence[Tensor]) -> SpikeTrain | None:
    """T x neurons in what a layer put out, in the layout whose spikes at each step are those that were counted."""
    steps = len(layer.per_step)
    for spikes in _layouts(outputs, steps):
        if tuple(spikes.flatten(1).sum(1).tolist()) == layer.per_step:
            return SpikeTrain(layer.name, spikes.flatten(1))
    return None


def _layouts(outputs: Sequence[Tensor], steps: int) -> Iterator[Tensor]:
    """The spikes with time first, in each way in which the outputs may hold it."""
    whole = [(output != 0).to(torch.int64) for output in outputs]
    if len(whole) == steps and len({output.shape for output in whole}) == 1:
        yield torch.stack(whole)
    if len(whole) != 1:
        return
    (output,) = whole
    for axis, size in enumerate(output.shape):
        if size == steps:
            yield output.movedim(axis, 0)
    if output.ndim and steps and output.shape[0] % steps == 0:
        yield output.unflatten(0, (steps, -1))


def _by_module(name: str, attention: Any, found: Mapping[str, list[Tensor]]) -> AttentionMap:
    outputs = []
    for part in attention.map_inputs:
        calls = found.get(f"{name}.{part}" if name else part, [])
        if not calls:
            raise InputError(f"{name}: its map needs {part}, which did not run")
        outputs.append(calls[0] if len(calls) == 1 else torch.stack(calls))
    values = attention.attention_map(*outputs)
    if not isinstance(values, Tensor) or values.ndim != 4 or values.shape[1] != 1:
        raise InputError(f"{name}: attention_map must return T x B x heads x N, got {_shape(values)}")
    values = values[:, 0]
    side = math.isqrt(values.shape[-1])
    if side * side != values.shape[-1]:
        raise InputError(f"{name}: a map of {values.shape[-1]} tokens is no square: give maps by --maps as h x w")
    return _checked(name, type(attention).__name__, attention.map_meaning, values.unflatten(-1, (side, side)))


def _made(function: MapFunction, model: nn.Module, inputs: tuple[Any, ...]) -> list[AttentionMap]:
    """The maps of a function of the user's own; the first line of its docstring says what they mean."""
    called = getattr(function, "__name__", type(function).__name__)
    made = function(model, *inputs)
    if not isinstance(made, Mapping):
        raise InputError(f"{called} must return maps by name, a dictionary of tensors; got a {type(made).__name__}")
    lines = (getattr(function, "__doc__", None) or "").strip().splitlines()
    meaning = lines[0].rstrip(".") if lines else f"as {called} gives it"
    found = []
    for name, values in made.items():
        if not isinstance(values, Tensor) or not 2 <= values.ndim <= 4:
            raise InputError(f"{called}, {name}: a map is h x w, T x h x w or T x heads x h x w, got {_shape(values)}")
        values = values.detach().cpu().to(torch.float32)
        whole = {2: (1, 1), 3: (len(values), 1), 4: values.shape[:2]}[values.ndim]
        found.append(_checked(str(name), called, meaning, values.reshape(*whole, *values.shape[-2:])))
    return found


def _checked(name: str, kind: str, meaning: str, values: Tensor) -> AttentionMap:
    if not bool(torch.isfinite(values).all()) or bool((values < 0).any()):
        raise InputError(f"{name}: a map says what each token gets, finite and not negative")
    return AttentionMap(name, kind, str(meaning), values.to(torch.float32))


def _shape(value: Any) -> str:
    return " x ".join(map(str, value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"
