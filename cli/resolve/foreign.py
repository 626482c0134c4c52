"""A user's own model: `--model package.module:factory`, imported from the current folder."""

import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from saformer.cli.options.model import ModelOptions
from saformer.cli.resolve.device import out_of_memory
from saformer.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn


def load_foreign(name: str, arguments: list[str], checkpoint: str | None, weights: str | None) -> "nn.Module":
    """Import the factory, call it, and load weights into what it returns.

    Args:
        name: package.module:factory; the factory is a class or function that returns a module.
        arguments: k=v, values as Python literals, else as text.
        checkpoint: weights to load, safely, by the model's own parameter names.
        weights: which weights of the file, if there are several.

    Raises:
        InputError: one line on whatever goes wrong, also inside the user's own code.
    """
    from torch import nn

    module_name, _, attribute = name.partition(":")
    sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # the user's own code may raise anything, or call sys.exit
        raise InputError(f"--model {name}: cannot import {module_name}: {type(error).__name__}: {error}") from None
    finally:
        sys.path.remove("")
    factory: Any = module
    for part in attribute.split("."):
        factory = getattr(factory, part, None)
    if not callable(factory):
        raise InputError(f"--model {name}: {module_name} has no class or function {attribute!r}")
    options = dict(parse_argument(text, "--model-arg") for text in arguments)
    try:
        model = factory if isinstance(factory, nn.Module) else factory(**options)
    except (Exception, SystemExit) as error:
        raise InputError(f"--model {name}: {attribute} failed: {type(error).__name__}: {error}") from None
    if not isinstance(model, nn.Module):
        raise InputError(f"--model {name}: {attribute} returned a {type(model).__name__}, not a torch.nn.Module")
    if checkpoint is not None:
        _fill(model, checkpoint, weights)
    return model.eval()


def parse_argument(text: str, option: str) -> tuple[str, Any]:
    """The name and the value in `name=value`, a Python literal or else text; `option` is where it stood."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise InputError(f"{option} takes name=value, got {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _fill(model: "nn.Module", checkpoint: str, weights: str | None) -> None:
    from saformer.checkpoints import fill_weights
    from saformer.checkpoints.origin import Origin
    from saformer.checkpoints.reading import read_checkpoint

    raw = read_checkpoint(checkpoint, weights)
    try:
        fill_weights(model, raw.weights)
    except InputError as error:
        raise InputError(f"checkpoint {checkpoint}: {error}") from None
    model.origin = Origin(raw.path, raw.sha256)  # type: ignore[assignment]


def foreign_model(options: ModelOptions) -> "nn.Module":
    """The user's own model; settings that only our own models have are refused."""
    if options.given:
        option = next(iter(options.given)).replace("_", "-")
        raise InputError(f"--{option} is for our own models; yours takes --model-arg")
    return load_foreign(options.model or "", options.arguments or [], options.checkpoint, options.weights)


def time_first_input(steps: int) -> "Callable[[torch.Tensor], torch.Tensor]":
    """What makes T x B x ... of images, by repeating them, or of event frames."""
    return lambda x: x.expand(steps, *x.shape) if x.ndim == 4 else x.transpose(0, 1)


@contextmanager
def own_errors(model: "nn.Module") -> Iterator[None]:
    """A user's model may fail on the data in any way: one line, with its own words. Ours must not fail."""
    from saformer.models import Model

    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if isinstance(model, Model) or out_of_memory(error):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{type(model).__name__} failed on the data: {type(error).__name__}: {reason}") from None
