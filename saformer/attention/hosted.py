"""Any attention in the block of any model: `attention=` of a model's settings."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from saformer.attention.registry import ATTENTIONS, RegisteredAttention, Sizes
from saformer.errors import InputError
from saformer.neurons import LIF
from saformer.plugins import named_class
from saformer.text import nearest

_LAYOUTS, _VALUES = ("linear", "conv1d", "conv2d"), ("membranes", "spikes", "values")


@dataclass(frozen=True)
class Place:
    """Where an attention stands in a model.

    Args:
        dim: channels D.
        heads: attention heads H.
        tokens: N, a square number.
        aggregated: n, for attentions that aggregate tokens.
        layout: of what the block hands over and takes back; see `register_attention`.
        reads: what the block hands over: "membranes", "spikes" (or sums of them) or real "values".
        gives: what the block takes back.
        time_steps: T.
    """

    dim: int
    heads: int
    tokens: int
    aggregated: int
    layout: str
    reads: str
    gives: str
    time_steps: int

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) of the tokens."""
        return math.isqrt(self.tokens), math.isqrt(self.tokens)


def check_attention(name: str) -> None:
    """Raise InputError unless `name` is an attention that can be built, or has the form package.module:Class."""
    if ":" not in name and (name not in ATTENTIONS or ATTENTIONS[name].build is None):
        known = [key for key, entry in ATTENTIONS.items() if entry.build is not None]
        raise InputError(
            f"unknown attention {name!r}{nearest(name, known)}: choose one of {', '.join(known)}, "
            "or package.module:Class of your own"
        )


def hosted(name: str, place: Place) -> nn.Module:
    """The attention of that name, made to fit a place.

    Args:
        name: a registered attention, or package.module:Class.
        place: where it shall stand.

    Returns:
        A module from the block's layout to the block's layout. A layer of neurons stands before an attention that reads
        spikes where the block hands over something else, and behind one that gives none where the block adds spikes.

    Raises:
        InputError: there is no such attention, or it cannot be built at these sizes.
    """
    check_attention(name)
    entry = _own(name, place) if ":" in name else ATTENTIONS[name]
    assert entry.build is not None  # checked
    try:
        inner = entry.build(place)
    except InputError as error:
        raise InputError(f"attention {name}: {error}") from None
    except Exception as error:
        if ":" not in name:
            raise
        raise InputError(f"attention {name} cannot be built: {type(error).__name__}: {error}") from None
    if (entry.layout, entry.reads, entry.gives) == (place.layout, place.reads, place.gives) and ":" not in name:
        return inner
    return Hosted(name, inner, entry, place)


def _own(name: str, place: Place) -> RegisteredAttention:
    """A class of the user's own: as it was registered, or by its attributes `layout`, `reads` and `gives`."""
    module = named_class(name)
    if not (isinstance(module, type) and issubclass(module, nn.Module)):
        raise InputError(f"attention {name} is no class of torch.nn.Module")
    for entry in ATTENTIONS.values():
        if entry.module is module and entry.build is not None:
            return entry
    layout, reads = getattr(module, "layout", "linear"), getattr(module, "reads", "membranes")
    gives = getattr(module, "gives", "values" if reads == "values" else "membranes")
    if layout not in _LAYOUTS or reads not in _VALUES or gives not in _VALUES:
        raise InputError(
            f"attention {name}: layout is one of {', '.join(_LAYOUTS)}, reads and gives are of {', '.join(_VALUES)}"
        )
    return RegisteredAttention(name, module, (), (), _builder(module), layout, reads, gives, True, False)


def _builder(module: type[nn.Module]) -> Callable[[Sizes], nn.Module]:
    """What makes the module, with those of the sizes that its constructor names."""
    taken = inspect.signature(module).parameters

    def build(place: Sizes) -> nn.Module:
        sizes = {key: getattr(place, key) for key in ("dim", "heads", "tokens", "grid", "aggregated", "time_steps")}
        return module(**{key: value for key, value in sizes.items() if key in taken})

    return build


class Hosted(nn.Module):
    """An attention between two changes of layout, with neurons where they are needed (see `hosted`)."""

    def __init__(self, name: str, inner: nn.Module, entry: RegisteredAttention, place: Place) -> None:
        super().__init__()
        self.name, self.inner_layout, self.layout, self.grid = name, entry.layout, place.layout, place.grid
        if entry.reads == "spikes" and place.reads != "spikes":
            self.in_lif = LIF()
        self.inner = inner
        if place.gives == "spikes" and entry.gives != "spikes":
            self.out_lif = LIF()

    def forward(self, x: Tensor) -> Tensor:
        """T x B x ... in the layout of the block -> the same."""
        given = x.shape
        if hasattr(self, "in_lif"):
            x = self.in_lif(x)
        x = _laid_out(x, self.layout, self.inner_layout, self.grid)
        y = self.inner(x)
        if not isinstance(y, Tensor) or y.shape != x.shape:
            found = " x ".join(map(str, y.shape)) if isinstance(y, Tensor) else type(y).__name__
            raise InputError(
                f"attention {self.name} returned {found} for an input of {' x '.join(map(str, x.shape))}: "
                "it must keep the shape"
            )
        y = _laid_out(y, self.inner_layout, self.layout, self.grid).reshape(given)
        return self.out_lif(y) if hasattr(self, "out_lif") else y


def _laid_out(x: Tensor, layout: str, wanted: str, grid: tuple[int, int]) -> Tensor:
    """From one layout of tokens and channels to another; see `register_attention`."""
    if layout == wanted:
        return x
    if layout == "linear":
        x = x.transpose(2, 3)
    elif layout == "conv2d":
        x = x.flatten(3)
    if wanted == "linear":
        return x.transpose(2, 3).contiguous()
    return x.unflatten(3, grid).contiguous() if wanted == "conv2d" else x.contiguous()
