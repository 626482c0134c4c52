"""A user's own model: `package.module:factory`, imported from the current folder."""

import argparse
import ast
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, get_origin
from weakref import WeakSet

from saformer.cli.options.model import ModelOptions
from saformer.errors import InputError
from saformer.text import nearest, some
from saformer.user_code import faults, process_kept, words

if TYPE_CHECKING:
    import torch
    from torch import nn


class _AsksForArguments(Exception):
    """The user's code parses a command line, and is not content with an empty one."""


@contextmanager
def _own_stage(program: str) -> Iterator[None]:
    """While the user's code is imported and called: an empty command line, and standard output left to our results."""

    def refuse(_: argparse.ArgumentParser, message: str) -> NoReturn:
        raise _AsksForArguments(f"it parses a command line and got an empty one: {message}")

    arguments, error = sys.argv, argparse.ArgumentParser.error
    sys.argv, argparse.ArgumentParser.error = [program], refuse  # type: ignore[assignment]
    try:
        with output_to_error():
            yield
    finally:
        sys.argv, argparse.ArgumentParser.error = arguments, error  # type: ignore[method-assign]


@contextmanager
def output_to_error() -> Iterator[None]:
    """What the user's code prints, in Python or below it, goes to standard error: results may be JSON for a program."""
    sys.stdout.flush()
    kept = None
    with suppress(OSError):  # there may be no such descriptor
        kept = os.dup(1)
        os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


@contextmanager
def _loading_noted() -> "Iterator[WeakSet[nn.Module]]":
    """The modules into which the user's code loads weights, or which it loads whole."""
    import torch
    from torch import nn

    loaded: WeakSet[nn.Module] = WeakSet()
    plain, plain_file = nn.Module.load_state_dict, torch.load

    def load(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        found = plain(module, *args, **kwargs)
        loaded.add(module)
        return found

    def load_file(*args: Any, **kwargs: Any) -> Any:
        found = plain_file(*args, **kwargs)
        if isinstance(found, nn.Module):
            loaded.add(found)
        return found

    nn.Module.load_state_dict = load  # type: ignore[method-assign, assignment]
    torch.load = load_file
    try:
        yield loaded
    finally:
        nn.Module.load_state_dict = plain  # type: ignore[method-assign]
        torch.load = plain_file


# Networks whose factory loaded weights into them.
_LOADED: "WeakSet[nn.Module]" = WeakSet()


def has_weights(model: "nn.Module") -> bool:
    """Its factory loaded weights into it, or into a part of it."""
    return model in _LOADED


def load_foreign(
    name: str, arguments: list[str], checkpoint: str | None, weights: str | None, seed: int = 0
) -> "tuple[nn.Module, list[str]]":
    """Import the factory, call it, and load weights into what it returns.

    Args:
        name: package.module:factory; the factory is a class or function that returns a module.
        arguments: k=v, values as Python literals, else as text; all text where the factory's parameter is text.
        checkpoint: weights to load, safely, by the model's own parameter names.
        weights: which weights of the file, if there are several.
        seed: of what the factory draws, by the generators of PyTorch, NumPy and Python.

    Returns:
        The model, without a wrapper of DataParallel or torch.compile, and remarks on how it was built.

    Raises:
        InputError: one line on whatever goes wrong, also inside the user's own code.
    """
    from torch import nn

    from saformer.analysis.recording.beforehand.plain_modules import evaluate, unwrapped
    from saformer.analysis.recording.beforehand.spikingjelly_backend import building_without_kernels, remark_on

    module_name, _, attribute = name.partition(":")
    _seed(seed)
    with building_without_kernels() as told, _loading_noted() as loaded, _own_stage(module_name):
        factory = _imported(name, module_name, attribute)
        options = dict(parse_argument(text, "--model-arg", factory) for text in arguments)
        if options and isinstance(factory, nn.Module):
            raise InputError(f"{name} is a network already, which takes no arguments: leave out {', '.join(options)}")
        _check_arguments(name, attribute, factory, options)
        with faults(lambda error: f"{name}: {attribute} failed: {_words(error)}", ()), process_kept():
            model = factory if isinstance(factory, nn.Module) else factory(**options)
    with own_errors(attribute, when="when it was made ready"):
        if not isinstance(model, nn.Module):
            raise InputError(f"{name}: {attribute} returned a {type(model).__name__}, not a torch.nn.Module")
        model = unwrapped(model)
        if checkpoint is not None:
            _fill(model, checkpoint, weights)
        evaluate(model)
        if any(module in loaded for module in nn.Module.modules(model)):
            _LOADED.add(model)
    remarks = [remark_on(told)] if told else []
    if has_weights(model) and checkpoint is None:
        remarks.append("its factory loaded weights (load_state_dict, torch.load): they are taken for trained ones")
    return model, remarks


def _check_arguments(name: str, attribute: str, factory: Any, arguments: dict[str, Any]) -> None:
    """Raise InputError for an argument that the factory's signature, where it has one, does not know."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for key in arguments.keys() - parameters.keys():
        known = f"it takes {some(list(parameters), 12)}" if parameters else "it takes none"
        raise InputError(f"{name}: {attribute} has no argument {key!r}{nearest(key, parameters)}: {known}")


def _seed(seed: int) -> None:
    """Seed what a user's code may draw from."""
    import random

    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def import_own(name: str) -> Any:
    """A function of the user's own, package.module:function.

    Raises:
        InputError: it cannot be imported.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise InputError(f"{name} names no function: package.module:function")
    with _own_stage(module_name):
        return _imported(name, module_name, attribute)


def _imported(name: str, module_name: str, attribute: str) -> Any:
    sys.path.insert(0, "")
    try:
        with faults(lambda error: f"{name}: cannot import {module_name}: {_words(error)}", ()), process_kept():
            factory: Any = importlib.import_module(module_name)
    finally:
        if "" in sys.path:  # the module may have put the path in order itself
            sys.path.remove("")
    module = factory
    for part in attribute.split("."):
        factory = getattr(factory, part, None)
    if not callable(factory):
        close = nearest(attribute, [each for each, value in vars(module).items() if callable(value)])
        raise InputError(f"{name}: {module_name} has no class or function {attribute!r}{close}")
    return factory


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, _AsksForArguments) else words(error)


def parse_argument(text: str, option: str, factory: Any = None) -> tuple[str, Any]:
    """The name and the value in `name=value`.

    Args:
        text: the value is a Python literal or else text.
        option: where it stood.
        factory: what it is given to; of a parameter that is text there, the value is text, with or without quotes.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise InputError(f"{option} takes name=value, got {text!r}")
    try:
        literal = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value
    keeps = not isinstance(literal, str | None) and _takes_text(factory, key)
    return key, value if keeps else literal


def _takes_text(factory: Any, key: str) -> bool:
    """The factory's parameter of this name is text by its annotation or default."""
    try:
        parameter = inspect.signature(factory).parameters[key]
    except (TypeError, ValueError, KeyError):
        return False
    if isinstance(parameter.default, str):
        return True
    annotation = parameter.annotation
    if isinstance(annotation, str):
        return re.fullmatch(r"(\w+\.)?Optional\[str\]|str( *\| *None)?|None *\| *str", annotation) is not None
    kinds = get_args(annotation) or (annotation,)
    named = get_origin(annotation) is Literal and all(isinstance(kind, str) for kind in kinds)
    return named or (str in kinds and set(kinds) <= {str, type(None)})


def _fill(model: "nn.Module", checkpoint: str, weights: str | None) -> None:
    from saformer.checkpoints import fill_weights
    from saformer.checkpoints.origin import Origin
    from saformer.checkpoints.reading import read_checkpoint

    raw = read_checkpoint(checkpoint, weights)
    try:
        fill_weights(model, named_as(list(model.state_dict()), raw.weights))
    except InputError as error:
        raise InputError(f"checkpoint {checkpoint}: {error}") from None
    model.origin = Origin(raw.path, raw.sha256)  # type: ignore[assignment]


def named_as(wanted: list[str], weights: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The weights under the model's names, where wrappers around parts of either side have made them differ."""
    plain = {_plain(name): name for name in wanted}
    named = {name if name in wanted else plain.get(_plain(name), name): tensor for name, tensor in weights.items()}
    # Where a part of the network itself is called `module`, two names may become one.
    return named if len(plain) == len(wanted) and len(named) == len(weights) else weights


def _plain(name: str) -> str:
    """A parameter's name without what DataParallel and torch.compile put into it."""
    return ".".join(part for part in name.split(".") if part not in ("module", "_orig_mod"))


def foreign_model(options: ModelOptions, seed: int = 0) -> "tuple[nn.Module, list[str]]":
    """The user's own model, with remarks; settings that only our own models have are refused.

    Args:
        options: which model.
        seed: of random weights.
    """
    if unknown := [name for name in options.given if name != "time_steps"]:
        raise InputError(f"{options.flag(unknown[0])} is for our own models; yours takes --model-arg")
    return load_foreign(options.model or "", options.arguments or [], options.checkpoint, options.weights, seed)


def model_input(options: ModelOptions) -> "Callable[[torch.Tensor], torch.Tensor] | None":
    """What puts time where the model takes it: images and vectors are repeated T times, the time of event frames and
    series (B x T x ...) is moved; None where the model takes them as they are.
    """
    axis = 0 if options.time_first is not None else options.time_axis
    if axis is None:
        return None
    steps = options.steps

    def moved(x: "torch.Tensor") -> "torch.Tensor":
        repeats = x.ndim in (2, 4)
        if repeats and steps is None:
            raise InputError("--time-axis repeats images: say how often, --time-steps T")
        timed = x.expand(steps or 1, *x.shape) if repeats else x.movedim(1, 0)
        if not -timed.ndim <= axis < timed.ndim:
            raise InputError(
                f"--time-axis {axis}: the input with time has {timed.ndim} dimensions, 0 to {timed.ndim - 1}"
            )
        return timed.movedim(0, axis)

    return moved


@contextmanager
def own_errors(
    model: "nn.Module | str",
    when: str = "on the data",
    advice: Callable[[BaseException], str] | None = None,
) -> Iterator[None]:
    """A user's model may fail in any way: one line, with its own words. Ours must not fail, nor end the program.

    Args:
        model: it, or what it is called.
        when: it failed.
        advice: ends the message, from what was raised.
    """
    from saformer.models import Model

    ours = isinstance(model, Model)
    name = model if isinstance(model, str) else type(model).__name__

    def line(error: BaseException) -> str | None:
        if ours and isinstance(error, Exception):
            return None
        return f"{name} failed {when}: {words(error)}{'' if advice is None else advice(error)}"

    with nullcontext() if ours else output_to_error(), faults(line), process_kept():
        yield
