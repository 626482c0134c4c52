"""What a batch gives a model: positional and named inputs, the tensors among them, and labels."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from saformer.analysis.recording.beforehand.plain_modules import unwrapped
from saformer.errors import InputError

#: A tensor; a tuple of inputs; a dictionary of inputs by the names of forward's parameters; one of these with labels.
Batch = Tensor | Mapping[str, Any] | Sequence[Any]

_LABELS = "labels"
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, eq=False)
class Sample:
    """A batch as the model is called with it.

    Its tensors are copies: a model that writes to its input does not write to the batch. One that is called again on
    the same sample gets a `copy`.

    Args:
        args: positional inputs.
        kwargs: named inputs.
        images: the first tensor whose first dimension counts the samples.
        labels: one whole number per sample, if they are known.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    images: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.images) if self.images.ndim else 1

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors that the model is given, in order."""
        return tuple(_tensors((self.args, self.kwargs)))

    def call(self, model: nn.Module) -> Any:
        """What the model answers."""
        return model(*self.args, **self.kwargs)

    def copy(self) -> "Sample":
        """The same numbers in tensors of their own."""
        return self._each(Tensor.clone)

    def to(self, device: torch.device | str) -> "Sample":
        """The sample on a device; its labels stay where they are."""
        return self._each(lambda tensor: tensor.to(device))

    def first(self, count: int) -> "Sample":
        """Copies of the first so many samples, without labels: of every tensor with a row for each sample."""
        size = len(self)
        cut = self._each(lambda x: (x[:count] if x.ndim and len(x) == size else x).clone())
        return replace(cut, labels=None)

    def few(self) -> "Sample":
        """Two samples, three of a batch of two, that are no palindrome; one alone is put beside its mirror image."""
        size = len(self)

        def pick(x: Tensor) -> Tensor:
            if not x.ndim or len(x) != size:
                return x.clone()
            if size == 1:
                return torch.cat([x, x.flip(-1) if x.ndim > 1 else x])
            return torch.cat([x, x[1:]]) if size == 2 else x[:2].clone()

        return replace(self._each(pick), labels=None)

    def in_other_company(self) -> "Sample":
        """As many as `few`, the first last, and before it others; a sample alone is put behind itself, shifted."""
        size = len(self)

        def pick(x: Tensor) -> Tensor:
            if not x.ndim or len(x) != size:
                return x.clone()
            if size == 1:
                return torch.cat([x.roll(1, -1) if x.ndim > 1 else x, x])
            return torch.cat([x[1:], x[:1], x[:1]] if size == 2 else [x[2:3], x[:1]])

        return replace(self._each(pick), labels=None)

    def repeated(self, count: int) -> "Sample":
        """So many samples, without labels: from the first on, and again from there where there are fewer."""
        size = len(self)
        rows = [i % size for i in range(count)]

        def pick(x: Tensor) -> Tensor:
            return torch.cat([x[i : i + 1] for i in rows]) if x.ndim and len(x) == size else x.clone()

        return replace(self._each(pick), labels=None)

    def with_another(self, row: int) -> "Sample":
        """One of the samples changed: shifted by one along its last dimension."""
        size = len(self)

        def shifted(x: Tensor) -> Tensor:
            x = x.clone()
            if x.ndim > 1 and len(x) == size:
                x[row] = x[row].roll(1, -1)
            return x

        return self._each(shifted)

    def with_images(self, images: Tensor) -> "Sample":
        """Another tensor in the place of `images`."""
        return self._each(lambda x: images if x is self.images else x)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Sample":
        """Every tensor changed, one that is given twice only once."""
        changed: dict[int, Tensor] = {}

        def once(x: Tensor) -> Tensor:
            if id(x) not in changed:
                changed[id(x)] = change(x)
            return changed[id(x)]

        args, kwargs = _mapped(self.args, once), _mapped(self.kwargs, once)
        return replace(self, args=args, kwargs=kwargs, images=once(self.images))


def sample_of(model: nn.Module, batch: Any) -> Sample:
    """Read a batch as the model takes it.

    Args:
        model: the parameters of its `forward` decide what is input and what are labels.
        batch: a tensor; (inputs, labels), where labels may be None; a dictionary of inputs by the names of forward's
            parameters, with `labels` or without; a tuple of as many inputs as forward needs, with labels or without.
            Inputs of a pair may be a tensor, a tuple or a dictionary. Two things are inputs and labels only where
            forward needs no more than one. Arrays of NumPy become tensors.

    Raises:
        InputError: it is nothing of that, or not what forward takes.
    """
    wants = _Wants(model)
    given, labels = _split(wants, batch)
    if isinstance(given, Mapping) and not wants.names(given):
        given = (given,)
    args: tuple[Any, ...] = () if isinstance(given, Mapping) else tuple(given)
    kwargs: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
    wants.check(args, kwargs)
    args, kwargs = _mapped(args, Tensor.clone), _mapped(kwargs, Tensor.clone)
    try:
        labels = None if labels is None else torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"labels must be one whole number for each image, got {_what(labels)}") from None
    tensors = list(_tensors((args, kwargs)))
    if not tensors:
        raise InputError(f"a batch holds no tensor to run the model on: {_what(batch)}")
    return Sample(args, kwargs, _images(tensors, labels), labels)


class _Wants:
    """What forward takes; nothing is known of one without a signature."""

    def __init__(self, model: nn.Module) -> None:
        self.model = unwrapped(model)
        self.signature: inspect.Signature | None
        try:
            self.signature = inspect.signature(self.model.forward)
        except (TypeError, ValueError):  # traced modules have none
            self.signature = None
        parameters = list(self.signature.parameters.values()) if self.signature else []
        kinds = {p.kind for p in parameters}
        self.anything = self.signature is None or inspect.Parameter.VAR_KEYWORD in kinds
        positional = [p for p in parameters if p.kind in _POSITIONAL]
        self.required = sum(p.default is p.empty for p in positional)
        unbounded = self.signature is None or inspect.Parameter.VAR_POSITIONAL in kinds
        self.most = float("inf") if unbounded else len(positional)
        self.parameters = {p.name: p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}

    def names(self, given: Mapping[str, Any]) -> bool:
        """The keys are forward's parameters; else a dictionary is the one thing that forward takes."""
        return self.required != 1 or self.anything or any(key in self.parameters for key in given)

    def requires(self, name: str) -> bool:
        """Forward cannot be called without this parameter."""
        return name in self.parameters and self.parameters[name].default is inspect.Parameter.empty

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise InputError unless forward can be called so."""
        if self.signature is None:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            takes = ", ".join(self.parameters) or "nothing"
            holds = ", ".join(kwargs) if kwargs else f"{len(args)} input{'s' if len(args) != 1 else ''}"
            name = type(self.model).__name__
            raise InputError(f"{name} takes {takes}; the batch holds {holds or 'nothing'}: {error}") from None


def _split(wants: _Wants, batch: Any) -> tuple[Any, Any]:
    """Inputs (a tuple or a dictionary) and labels."""
    if isinstance(batch, Tensor | np.ndarray):
        return (batch,), None
    if isinstance(batch, Mapping):
        return _named(wants, batch)
    if not isinstance(batch, tuple | list) or not batch:
        raise InputError(
            "a batch is a tensor of images, a pair of such a tensor and labels, a tuple of what the model takes, or "
            f"a dictionary of it by the names of forward's parameters, got {_what(batch)}"
        )
    *inputs, last = batch
    if (
        len(batch) == 2
        and isinstance(inputs[0], tuple | list | Mapping)
        and (wants.required < 2 or _may_be_labels(last))
    ):
        inner = inputs[0]
        if isinstance(inner, Mapping):
            given, labels = _named(wants, inner)
            return given, last if last is not None else labels
        return tuple(inner) if wants.required <= len(inner) <= wants.most else (inner,), last
    if len(batch) == 1 or (last is not None and wants.required >= len(batch)):
        return tuple(batch), None
    if len(batch) > 2 and not _may_be_labels(last) and len(batch) <= wants.most:
        return tuple(batch), None
    return tuple(inputs), last


def _named(wants: _Wants, batch: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Inputs and labels; labels that forward can do without are kept from it, as it would only make a loss of them."""
    given = dict(batch)
    labels = given.get(_LABELS)
    if _LABELS not in given or wants.requires(_LABELS):
        return given, labels if _one_each(labels) else None
    if _one_each(labels) or not (wants.anything or _LABELS in wants.parameters):
        del given[_LABELS]
        return given, labels
    return given, None  # such as the words that a translation begins with


def _may_be_labels(value: Any) -> bool:
    """None, one whole number per sample, or what becomes such a tensor."""
    return value is None or _one_each(value) or isinstance(value, list | range)


def _one_each(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, int) for item in value)
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind in "iu"
    if not isinstance(value, Tensor) or value.is_floating_point() or value.is_complex():
        return False
    return value.ndim == 1 or (value.ndim == 2 and value.shape[1] == 1)


def _images(tensors: list[Tensor], labels: Tensor | None) -> Tensor:
    """The first tensor with a row per sample: per label where there are any."""
    rows = [tensor for tensor in tensors if tensor.ndim]
    counted = [tensor for tensor in rows if labels is not None and labels.ndim and len(tensor) == len(labels)]
    return (counted or rows or tensors)[0]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same nest of tuples, lists and dictionaries, with every tensor changed."""
    if isinstance(value, np.ndarray):
        value = torch.as_tensor(value)
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = [_mapped(item, change) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _what(batch: Any) -> str:
    return f"{len(batch)} things" if isinstance(batch, tuple | list) else type(batch).__name__
