"""The operators that are synaptic operations, each with its formula.

A formula is a pure function from the operator's arguments and result to a `Call`.
"""

import math
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from saformer.analysis.recording.counting.counters import Counter, broadcast, spatial_fan_out
from saformer.analysis.recording.operations.call import Call
from saformer.analysis.recording.operations.operators import Effect, Role, register_operator

aten = torch.ops.aten
Again = Callable[[Tensor, Tensor], Tensor]
Events = Callable[[int, Counter, Sequence[Tensor]], Tensor]


def _call(
    op: str, dense: int, operands: tuple[Tensor, ...], weight: Tensor | None, events: Events, again: Again, **more: Any
) -> Call:
    """A call whose events are a function of its operands."""
    of_these = lambda rows, counter: events(rows, counter, operands)  # noqa: E731
    return Call(op, dense, operands, weight, of_these, again, events_of=events, **more)


def _layer(op: str, dense: int, x: Tensor, weight: Tensor, again: Again, *, fan_out: int, **more: Any) -> Call:
    """An operation with weights in which every element of `x` reaches the same number of outputs."""
    events = lambda rows, counter, operands: counter.count(operands[0], rows)[0] * fan_out  # noqa: E731
    return _call(op, dense, (x,), weight, events, again, fan_out=fan_out, **more)


def _matrix(x: Tensor, y: Tensor, is_activation: Callable[[Tensor], bool]) -> Call:
    """X Y for matrices n x k and k x m, or stacks of them; vectors count as matrices with one row or column.

    dense = matrices * n * k * m. With weights Y a nonzero of X has m events; of two activations the events are the
    pairs of nonzeros that meet, sum over k of nnz(X[:, k]) nnz(Y[k, :]).
    """
    x2 = x.unsqueeze(0) if x.ndim == 1 else x
    y2 = y.unsqueeze(-1) if y.ndim == 1 else y
    lead = broadcast(x2.shape[:-2], y2.shape[:-2])
    n, k, m = x2.shape[-2], x2.shape[-1], y2.shape[-1]
    dense = math.prod(lead) * n * k * m
    if not is_activation(y):
        # An input element meets m weights, in every matrix that it is broadcast to.
        return _layer("linear", dense, x, y, torch.matmul, fan_out=dense // max(x.numel(), 1), inner=k)
    if not is_activation(x):
        fan_out = dense // max(y.numel(), 1)
        return _layer("linear", dense, y, x, lambda a, w: torch.matmul(w, a), fan_out=fan_out, inner=k)
    pairs = lambda rows, counter, operands: counter.pairs(*operands, rows)  # noqa: E731
    return _call("matmul", dense, (x2, y2), None, pairs, torch.matmul, inner=k, rows=torch.Size((*lead, n, k)))


@register_operator(aten.linear)
def linear(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call:
    """aten.linear(input, weight, bias)."""
    x, weight, bias = args[0], args[1], args[2] if len(args) > 2 else None
    call = _matrix(x, weight.t() if weight.ndim == 2 else weight, is_activation)
    return replace(call, bias=0 if bias is None else bias.numel())


@register_operator(aten.mm, aten.bmm, aten.matmul, aten.mv, aten.dot)
def matmul(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call:
    """aten.mm, bmm, matmul, mv, dot (x, y)."""
    return _matrix(args[0], args[1], is_activation)


@register_operator(aten.addmm, aten.baddbmm, aten.addmv)
def addmm(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call:
    """aten.addmm, baddbmm, addmv (bias, x, y); the bias may be the mask of an attention."""
    bias = 0 if is_activation(args[0]) else args[0].numel()
    masked = args[0].ndim > 1 and bool(torch.isneginf(args[0]).any())
    return replace(_matrix(args[1], args[2], is_activation), bias=bias, masked=masked)


@register_operator(aten.convolution, aten._convolution)
def convolution(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call:
    """aten.convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups).

    Of an input B x C x i1 x ... x in, a result B x C' x o1 x ... x on, a kernel with sides k1, ..., kn and g groups:

        dense = elements(result) * C/g * k1 * ... * kn
        dense = elements(input) * C'/g * k1 * ... * kn      (transposed)

    The events of a nonzero at the position (p1, ..., pn) are its fan-out, C'/g * f1(p1) * ... * fn(pn), where fd(p) is
    the number of taps t = 0, ..., kd - 1 for which an output o, 0 <= o < od, satisfies

        o * stride + t * dilation - padding = p
        p * stride + t * dilation - padding = o             (transposed)

    so that padding and a stride leave out what they leave out. The kernel may be an activation, too, or alone: then the
    events are the pairs of nonzeros that meet.
    """
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = args[:9]
    weight_dims, dims = weight.ndim, weight.ndim - 2
    stride, padding, dilation = (list(v) * dims if len(v) == 1 else list(v) for v in (stride, padding, dilation))
    kernel = weight.shape[2:]
    channels_out = weight.shape[1] if transposed else weight.shape[0] // groups  # reached by one input element
    dense = math.prod(kernel) * (x.numel() * channels_out if transposed else out.numel() * weight.shape[1])
    batched = x if x.ndim == weight.ndim else x.unsqueeze(0)
    sizes, out_sizes = batched.shape[2:], out.shape[-dims:]

    def events(rows: int, counter: Counter, operands: Sequence[Tensor]) -> Tensor:
        fan_out = tuple(
            spatial_fan_out(sizes[d], kernel[d], stride[d], padding[d], dilation[d], out_sizes[d], transposed)
            for d in range(dims)
        )
        (given,) = operands
        images = given if given.ndim == weight_dims else given.unsqueeze(0)
        return counter.weighted(images, rows, fan_out) * channels_out

    def again(a: Tensor, w: Tensor) -> Tensor:
        return aten.convolution(a, w, None, stride, padding, dilation, transposed, output_padding, groups)

    name = f"conv{'_transpose' if transposed else ''}{dims}d"
    call = _call(name, dense, (x,), weight, events, again, bias=0 if bias is None else bias.numel(), stacked=True)
    return call if not is_activation(weight) else _with_made_kernel(call, weight, is_activation(x))


def _with_made_kernel(call: Call, kernel: Tensor, both: bool) -> Call:
    """A convolution whose kernel depends on the input; if not `both`, what it is applied to does not."""
    x, convolve = call.operands[0], call.again
    whole = kernel.unsqueeze(0)  # no dimension of a kernel holds images

    def meet(a: Tensor, w: Tensor) -> Tensor:
        return convolve(a, w.view(kernel.shape))

    def events(rows: int, counter: Counter) -> Tensor:
        a = x.ne(0).to(torch.float64) if both else torch.ones_like(x, dtype=torch.float64)
        return meet(a, kernel.ne(0).to(torch.float64)).round().to(torch.int64).reshape(rows, -1).sum(1)

    if both:
        return replace(call, operands=(x, whole), weight=None, events=events, events_of=None, again=meet)
    swapped = lambda w, a: meet(a, w)  # noqa: E731
    return replace(call, operands=(whole,), weight=x, events=events, events_of=None, again=swapped)


def _mask(x: Tensor, y: Tensor, read: tuple[Tensor, ...] = ()) -> Call:
    """x * y, element by element: dense = elements of the result; events are the places where both are nonzero."""
    shape = broadcast(x.shape, y.shape)
    both = lambda rows, counter: counter.positions(x, y, rows)  # noqa: E731
    return Call("product", shape.numel(), (x, y), None, both, torch.mul, rows=shape, read=read)


@register_operator(aten.mul, aten.mul_, effect=Effect.LINEAR, role=Role.SCALES)
def elementwise_product(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call | None:
    """aten.mul(x, y) of two activations: the mask of mask-and-sum attention; of an activation and weights that are
    more, and meet each of its elements several times: a layer. None for scaling, element by element.
    """
    x, y = args[0], args[1]
    if not (isinstance(x, Tensor) and isinstance(y, Tensor) and x.ndim and y.ndim):
        return None
    if is_activation(x) and is_activation(y):
        return _mask(x, y)
    x, weight = (x, y) if is_activation(x) else (y, x)
    dense = broadcast(x.shape, weight.shape).numel()
    if dense <= x.numel() or not is_activation(x):
        return None
    return _layer("linear", dense, x, weight, torch.mul, fan_out=dense // max(x.numel(), 1), inner=1, layer=True)


@register_operator(aten.logical_and, aten.logical_and_, aten.bitwise_and, aten.bitwise_and_, effect=Effect.LEVELS)
def conjunction(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call | None:
    """aten.logical_and and bitwise_and of two activations: the product of spikes kept as truth values."""
    integers = any(isinstance(x, Tensor) and not (x.dtype == torch.bool or x.is_floating_point()) for x in args[:2])
    return None if integers else elementwise_product(args, out, is_activation)


def _is_zero(value: Any, is_activation: Callable[[Tensor], bool]) -> bool:
    if isinstance(value, Tensor):
        return not is_activation(value) and not bool(value.any())
    return value == 0


def _selection(mask: Any, chosen: Any, otherwise: Any, is_activation: Callable[[Tensor], bool]) -> Call | None:
    """`chosen` where the mask holds and `otherwise` elsewhere: a product where both depend on the input, one is 0."""
    if not isinstance(mask, Tensor) or not is_activation(mask):
        return None
    if isinstance(chosen, Tensor) and is_activation(chosen) and _is_zero(otherwise, is_activation):
        return _mask(mask, chosen)
    if isinstance(otherwise, Tensor) and is_activation(otherwise) and _is_zero(chosen, is_activation):
        return _mask(mask.logical_not(), otherwise, read=(mask, otherwise))
    return None


@register_operator(aten.where, effect=Effect.LINEAR, parts=True, role=Role.SELECTS)
def where(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call | None:
    """aten.where(mask, x, y)."""
    return _selection(args[0], args[1], args[2], is_activation) if len(args) == 3 else None


@register_operator(aten.masked_fill, aten.masked_fill_, effect=Effect.LINEAR, role=Role.SELECTS)
def masked_fill(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call | None:
    """aten.masked_fill(x, mask, value)."""
    return _selection(args[1], args[2], args[0], is_activation)


def _labels(equation: str, operands: list[Tensor]) -> tuple[list[str], str] | None:
    """Labels of each operand and of the result of an einsum, without ellipses; None if a label repeats in one."""
    given, arrow, result = equation.replace(" ", "").partition("->")
    terms = given.split(",")
    free = [label for label in string.ascii_letters if label not in equation]
    if len(terms) != len(operands):
        return None
    hidden = [x.ndim - len(t.replace("...", "")) if "..." in t else 0 for x, t in zip(operands, terms, strict=True)]
    if min(hidden) < 0 or max(hidden) > len(free):
        return None
    names = "".join(free[: max(hidden)])
    terms = [term.replace("...", names[len(names) - n :]) for term, n in zip(terms, hidden, strict=True)]
    if any(len(set(term)) != len(term) or len(term) != x.ndim for x, term in zip(operands, terms, strict=True)):
        return None
    every = "".join(terms)
    if not arrow:
        return terms, names + "".join(sorted(label for label in set(every) - set(names) if every.count(label) == 1))
    return terms, result.replace("...", names)


@register_operator(aten.einsum, effect=Effect.LINEAR, parts=True)
def einsum(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call | None:
    """aten.einsum(equation, operands) of two tensors; None where it is better seen in its parts.

    In parts the images of a batch may be merged with other dimensions, and cannot be told apart any more.
    """
    equation, operands = args[0], list(args[1])
    if len(operands) != 2 or not any(is_activation(x) for x in operands):
        return None
    labels = _labels(equation, operands)
    if labels is None:
        return None
    (first, second), result = labels
    x, y = operands
    sizes: dict[str, int] = {}
    for operand, term in zip(operands, labels[0], strict=True):
        for label, size in zip(term, operand.shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    dense = math.prod(sizes.values())
    inner = math.prod(size for label, size in sizes.items() if label not in result)
    summed = set(sizes) - set(result)
    if not (is_activation(x) and is_activation(y)):
        x, weight = (x, y) if is_activation(x) else (y, x)

        def again(a: Tensor, w: Tensor) -> Tensor:
            return torch.einsum(equation, (a, w) if x is operands[0] else (w, a))

        # Each element once, and nothing summed: the same thing as a product, element by element.
        scales = dense <= x.numel() and inner == 1
        fan_out = dense // max(x.numel(), 1)
        return _layer("linear", dense, x, weight, again, fan_out=fan_out, inner=inner, layer=scales)

    def events(rows: int, counter: Counter) -> Tensor:
        kept = 0
        while x.shape[:kept].numel() % rows:
            kept += 1
        # An expanded dimension of size 1 meets every element of the other operand.
        a, b = (z.ne(0).to(torch.float64) for z in operands)
        a = a.expand([sizes[label] for label in first])
        met = torch.einsum(f"{first},{second}->{first[:kept]}", a, b.expand([sizes[label] for label in second]))
        return met.round().to(torch.int64).reshape(rows, -1).sum(1)

    return Call(
        "matmul" if summed else "product",
        dense,
        (x, y),
        None,
        events,
        lambda a, b: torch.einsum(equation, a, b),
        inner=inner if summed else 0,
    )


@register_operator(aten.linalg_vecdot, effect=Effect.LINEAR, parts=True)
def dot_products(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call | None:
    """aten.linalg_vecdot(x, y) of two activations: sums of products."""
    x, y = args[:2]
    return replace(_mask(x, y), op="matmul") if is_activation(x) and is_activation(y) else None


@register_operator(aten.addcmul, aten.addcmul_, effect=Effect.LINEAR)
def addcmul(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call | None:
    """aten.addcmul(input, x, y)."""
    return elementwise_product(args[1:3], out, is_activation)


@register_operator(aten.index_put, aten.index_put_, effect=Effect.LINEAR, role=Role.SELECTS)
def index_put(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call | None:
    """aten.index_put(x, (mask,), 0), which is x[mask] = 0."""
    x, indices, value = args[:3]
    mask = indices[0]
    if len(indices) != 1 or mask is None or mask.dtype != torch.bool or mask.shape != x.shape:
        return None
    return _selection(mask, value, x, is_activation)


def gathered(spikes: Tensor, table: Tensor, rows: Tensor) -> Call:
    """Rows of a table of weights, one for each spike: as many multiply-accumulates for each element of `spikes` as a
    row has columns, if nothing were skipped.

    Args:
        spikes: what the places of nonzeros were taken from.
        table: weights.
        rows: what was taken of them.
    """
    nonzero = max(int(spikes.ne(0).sum()), 1)
    columns = rows.numel() // nonzero if rows.numel() % nonzero == 0 else table.shape[-1]

    def again(x: Tensor, w: Tensor) -> Tensor:  # no event is lost at a zero weight that is read here
        return x.ne(0).to(torch.float64) * columns

    return _layer("gather", spikes.numel() * columns, spikes, table, again, fan_out=columns, inner=1)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """aten.scaled_dot_product_attention step by step, its scale applied to the product: spikes stay spikes."""
    if enable_gqa:
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None:
        additive = attn_mask.dtype != torch.bool
        scores = scores + attn_mask if additive else scores.masked_fill(attn_mask.logical_not(), -torch.inf)
    weights = torch._safe_softmax(scores, -1)
    return torch.dropout(weights, dropout_p, dropout_p > 0) @ value
