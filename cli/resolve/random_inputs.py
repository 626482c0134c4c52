"""Random inputs of shapes that the user gives, where there is no data: images, vectors, series, tokens, several."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saformer.cli.options.model import ModelOptions
from saformer.errors import InputError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from saformer.data.dataset import Dataset

_SAMPLES = 16
_WHOLE = ("int64", "int32")
_TYPES = ("float32", *_WHOLE, "bool")
_HIGH = 2  # zeros and ones are in the range of every table
_INPUT = re.compile(
    r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<sizes>[1-9]\d*(?:[,x][1-9]\d*)*)(?::(?P<type>\w+)(?::(?P<high>[1-9]\d*))?)?"
)


@dataclass(frozen=True)
class RandomInput:
    """One input: its name, if it has one, the shape of one sample, and the type and bound of its numbers."""

    name: str | None
    sizes: tuple[int, ...]
    type: str
    high: int

    def draw(self, generator: "Generator") -> "Tensor":
        """Standard normal numbers, or whole ones from 0 to below the bound: samples x sizes."""
        import torch

        shape = (_SAMPLES, *self.sizes)
        if self.type == "float32":
            return torch.randn(shape, generator=generator)
        return torch.randint(0, self.high, shape, generator=generator).to(getattr(torch, self.type))


def random_inputs(options: ModelOptions) -> list[RandomInput]:
    """What --input-shape, --input-dtype and --high ask for.

    Raises:
        InputError: they cannot be read, or contradict each other.
    """
    default, high = options.input_type or "float32", options.high
    if default not in _TYPES:
        raise InputError(f"--input-dtype is one of {', '.join(_TYPES)}, got {default!r}")
    if high is not None and high < 1:
        raise InputError(f"--high must be at least 1, got {high}")
    found = [_parsed(text, default, high) for text in options.input_shape or []]
    names = [one.name for one in found]
    if len(found) > 1 and (None in names or len(set(names)) < len(names)):
        raise InputError("several inputs go by the names of forward's parameters: --input-shape ids=128:int64")
    if high is not None and not any(one.type in _WHOLE for one in found):
        raise InputError("--high bounds whole numbers: give --input-dtype int64, or an input such as ids=128:int64")
    return found


def _parsed(text: str, type: str, high: int | None) -> RandomInput:
    match = _INPUT.fullmatch(text)
    if match is None or (match["type"] or type) not in _TYPES:
        raise InputError(
            "--input-shape takes the shape of one sample, such as 3,32,32 (C,H,W), 784 or 100,40, if need be with a "
            f"name and a type of {', '.join(_TYPES)}, such as ids=128:int64:30522; got {text!r}"
        )
    sizes = tuple(int(part) for part in match["sizes"].replace("x", ",").split(","))
    return RandomInput(match["name"], sizes, match["type"] or type, int(match["high"] or high or _HIGH))


def random_data(options: ModelOptions, seed: int) -> "Dataset":
    """Random inputs as a data set; those of type float32 follow the floating type of the run."""
    import torch

    from saformer.data.arrays import named_arrays
    from saformer.data.dataset import Dataset

    inputs = random_inputs(options)
    generator = torch.Generator().manual_seed(seed)
    drawn = [one.draw(generator) for one in inputs]
    name = "random " + ", ".join(described(one) for one in inputs)
    if inputs[0].name is not None:
        return named_arrays(name, {str(one.name): x for one, x in zip(inputs, drawn, strict=True)})
    floats = inputs[0].type == "float32"
    kind = {3: "static", 4: "events"}.get(len(inputs[0].sizes), "arrays") if floats else "arrays"
    return Dataset(name, None, kind, drawn[0], None, None, None, None)


def described(one: RandomInput, by: str = "x") -> str:
    """Name and shape, the latter with `by` between its numbers."""
    shape = by.join(map(str, one.sizes))
    return shape if one.name is None else f"{one.name} {shape}"
