"""A user's own model: `--model package.module:factory`, imported from the current folder."""

import ast
import importlib
import sys
from typing import TYPE_CHECKING, Any

from saformer.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from saformer.data.dataset import Dataset

RANDOM_IMAGES = 16


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


def random_data(shape: str, seed: int) -> "Dataset":
    """Standard normal inputs of a shape such as 3,32,32, where the user has no data.

    Raises:
        InputError: the shape is not a list of whole numbers.
    """
    import torch

    from saformer.data.dataset import Dataset

    try:
        sizes = [int(part) for part in shape.replace("x", ",").split(",")]
    except ValueError:
        sizes = []
    if not 3 <= len(sizes) <= 4 or min(sizes) < 1:
        raise InputError(f"--input-shape takes C,H,W or T,C,H,W, such as 3,32,32; got {shape!r}")
    x = torch.randn(RANDOM_IMAGES, *sizes, generator=torch.Generator().manual_seed(seed))
    kind = "static" if len(sizes) == 3 else "events"
    return Dataset(f"random {'x'.join(map(str, sizes))}", None, kind, x, None, None, None, None)
