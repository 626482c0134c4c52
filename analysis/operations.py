"""What each operator of the dispatcher means: a synaptic operation with its formula, free arithmetic, or a mere move.

A formula is a pure function from the operator's arguments and result to a `Call`. Operators that compute and stand
in none of the tables are not skipped: the recorder names them in its result.
"""

import math
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from saformer.analysis.counting import Counter, spatial_fan_out

aten = torch.ops.aten


@dataclass(frozen=True)
class Call:
    """One execution of a synaptic operation.

    Args:
        op: conv2d, linear, matmul, product, ...
        dense: multiply-accumulates if nothing were skipped (fvcore's convention; biases not counted).
        operands: the activations: one for a layer with weights, two for a product of activations.
        weight: the weight tensor, if there is one.
        events: exact events per row: each nonzero with its true fan-out, or the pairs that meet.
        again: the operation on other operands (and weights), to count what zero weights leave out, or graded events.
        bias: elements of the bias vector, 0 without one.
        inner: k of a matrix product n x k times k x m.
        rows: shape whose first dimensions are those of `events`; default that of the first operand.
        stacked: images and steps can only be in the first dimension, the second holds channels.
        read: the tensors of the model that the operands stand for, where these were made from them.
        masked: minus infinity was added to the result, to rule something out.
    """

    op: str
    dense: int
    operands: tuple[Tensor, ...]
    weight: Tensor | None
    events: Callable[[int, Counter], Tensor]
    again: Callable[[Tensor, Tensor], Tensor]
    bias: int = 0
    inner: int = 0
    rows: torch.Size | None = None
    stacked: bool = False
    read: tuple[Tensor, ...] = ()
    masked: bool = False


def _uniform(x: Tensor, fan_out: int) -> Callable[[int, Counter], Tensor]:
    """Events where every input element reaches the same number of outputs."""
    return lambda rows, counter: counter.count(x, rows)[0] * fan_out


def _matrix(x: Tensor, y: Tensor, is_activation: Callable[[Tensor], bool]) -> Call:
    """X Y for matrices or stacks of them; vectors count as matrices with one row or column."""
    x2 = x.unsqueeze(0) if x.ndim == 1 else x
    y2 = y.unsqueeze(-1) if y.ndim == 1 else y
    lead = torch.broadcast_shapes(x2.shape[:-2], y2.shape[:-2])
    n, k, m = x2.shape[-2], x2.shape[-1], y2.shape[-1]
    dense = math.prod(lead) * n * k * m
    if not is_activation(y):
        # An input element meets m weights, in every matrix that it is broadcast to.
        return Call("linear", dense, (x,), y, _uniform(x, dense // max(x.numel(), 1)), torch.matmul, inner=k)
    if not is_activation(x):
        fan_out = _uniform(y, dense // max(y.numel(), 1))
        return Call("linear", dense, (y,), x, fan_out, lambda a, w: torch.matmul(w, a), inner=k)
    shape = torch.Size((*lead, n, k))
    pairs = lambda rows, counter: counter.pairs(x2, y2, rows)  # noqa: E731
    return Call("matmul", dense, (x2, y2), None, pairs, torch.matmul, inner=k, rows=shape)


def linear(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call:
    """aten.linear(input, weight, bias)."""
    x, weight, bias = args[0], args[1], args[2] if len(args) > 2 else None
    call = _matrix(x, weight.t() if weight.ndim == 2 else weight, is_activation)
    return replace(call, bias=0 if bias is None else bias.numel())


def matmul(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call:
    """aten.mm, bmm, matmul, mv, dot (x, y)."""
    return _matrix(args[0], args[1], is_activation)


def addmm(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call:
    """aten.addmm, baddbmm, addmv (bias, x, y); the bias may be the mask of an attention."""
    bias = 0 if is_activation(args[0]) else args[0].numel()
    masked = args[0].ndim > 1 and bool(torch.isneginf(args[0]).any())
    return replace(_matrix(args[1], args[2], is_activation), bias=bias, masked=masked)


def convolution(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call:
    """aten.convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)."""
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = args[:9]
    dims = weight.ndim - 2
    stride, padding, dilation = (list(v) * dims if len(v) == 1 else list(v) for v in (stride, padding, dilation))
    kernel = weight.shape[2:]
    channels_out = weight.shape[1] if transposed else weight.shape[0] // groups  # reached by one input element
    dense = math.prod(kernel) * (x.numel() * channels_out if transposed else out.numel() * weight.shape[1])
    batched = x if x.ndim == weight.ndim else x.unsqueeze(0)
    sizes, out_sizes = batched.shape[2:], out.shape[-dims:]

    def events(rows: int, counter: Counter) -> Tensor:
        if math.prod(kernel) == 1 and set(stride) == {1} and set(padding) == {0}:
            return counter.count(x, rows)[0] * channels_out
        fan_out = [
            spatial_fan_out(sizes[d], kernel[d], stride[d], padding[d], dilation[d], out_sizes[d], transposed, x.device)
            for d in range(dims)
        ]
        return counter.weighted(batched, rows, fan_out) * channels_out

    def again(a: Tensor, w: Tensor) -> Tensor:
        return aten.convolution(a, w, None, stride, padding, dilation, transposed, output_padding, groups)

    name = f"conv{'_transpose' if transposed else ''}{dims}d"
    return Call(name, dense, (x,), weight, events, again, bias=0 if bias is None else bias.numel(), stacked=True)


def _mask(x: Tensor, y: Tensor, read: tuple[Tensor, ...] = ()) -> Call:
    """x * y, element by element."""
    shape = torch.broadcast_shapes(x.shape, y.shape)
    both = lambda rows, counter: counter.positions(x, y, rows)  # noqa: E731
    return Call("product", shape.numel(), (x, y), None, both, torch.mul, rows=shape, read=read)


def elementwise_product(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call | None:
    """aten.mul(x, y) of two activations: the mask of mask-and-sum attention; None where one factor is a constant."""
    x, y = args[0], args[1]
    if not (isinstance(x, Tensor) and isinstance(y, Tensor) and x.ndim and y.ndim):
        return None
    return _mask(x, y) if is_activation(x) and is_activation(y) else None


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


def where(args: tuple[Any, ...], out: Tensor, is_activation: Callable[[Tensor], bool]) -> Call | None:
    """aten.where(mask, x, y)."""
    return _selection(args[0], args[1], args[2], is_activation) if len(args) == 3 else None


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


def einsum(args: tuple[Any, ...], is_activation: Callable[[Tensor], bool]) -> Call | None:
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

        return Call("linear", dense, (x,), weight, _uniform(x, dense // max(x.numel(), 1)), again, inner=inner)

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


Formula = Callable[[tuple[Any, ...], Tensor, Callable[[Tensor], bool]], Call | None]

FORMULAS: dict[Any, Formula] = {
    aten.linear: linear,
    aten.mm: matmul,
    aten.bmm: matmul,
    aten.matmul: matmul,
    aten.mv: matmul,
    aten.dot: matmul,
    aten.addmm: addmm,
    aten.baddbmm: addmm,
    aten.addmv: addmm,
    aten.convolution: convolution,
    aten._convolution: convolution,
    aten.mul: elementwise_product,
    aten.mul_: elementwise_product,
    aten.logical_and: conjunction,
    aten.logical_and_: conjunction,
    aten.bitwise_and: conjunction,
    aten.bitwise_and_: conjunction,
    aten.where: where,
    aten.masked_fill: masked_fill,
    aten.masked_fill_: masked_fill,
}


def _operators(names: str) -> frozenset[Any]:
    return frozenset(getattr(aten, name) for name in names.split() if hasattr(aten, name))


# Arithmetic that Eqs. 19-20 leave out: normalisation, activation, pooling, shortcuts, scaling. Listed apart.
FREE = _operators(
    "add add_ sub sub_ rsub div div_ neg neg_ addcmul addcmul_ addcdiv addcdiv_ lerp lerp_ mean sum prod cumsum var "
    "std var_mean std_mean batch_norm native_batch_norm _native_batch_norm_legit "
    "_native_batch_norm_legit_no_training cudnn_batch_norm _batch_norm_impl_index layer_norm native_layer_norm "
    "group_norm native_group_norm instance_norm rms_norm softmax _softmax _safe_softmax log_softmax _log_softmax "
    "relu relu_ relu6 "
    "gelu gelu_ silu silu_ elu elu_ leaky_relu leaky_relu_ prelu hardtanh hardtanh_ hardswish hardswish_ "
    "hardsigmoid sigmoid sigmoid_ tanh tanh_ mish softplus exp exp_ log log2 log1p expm1 sqrt rsqrt square abs pow "
    "pow_ reciprocal sin cos max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices "
    "mkldnn_max_pool2d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
    "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d upsample_nearest2d upsample_bilinear2d "
    "upsample_bicubic2d norm linalg_vector_norm floor ceil round sign clamp clamp_ clamp_min clamp_max minimum "
    "maximum amax amin max min heaviside remainder fmod logical_or logical_or_ logical_xor logical_not logical_not_ "
    "bitwise_or bitwise_or_ bitwise_xor bitwise_not"
)

# Views, copies, comparisons and bookkeeping: nothing is computed on values.
MOVES = _operators(
    "view _unsafe_view reshape expand expand_as permute transpose transpose_ t t_ flatten unflatten squeeze "
    "squeeze_ unsqueeze unsqueeze_ clone contiguous copy_ cat stack concat split split_with_sizes unsafe_split "
    "unsafe_split_with_sizes unsafe_chunk chunk slice select index index_select index_put_ gather scatter scatter_ "
    "narrow unbind detach detach_ alias to _to_copy "
    "empty empty_like zeros zeros_like ones ones_like full full_like new_empty new_zeros new_ones new_full arange "
    "repeat repeat_interleave constant_pad_nd pad roll flip lift_fresh fill_ zero_ "
    "view_as as_strided _reshape_alias unfold movedim swapaxes ravel eq ne lt le gt ge "
    "any all argmax topk sort is_same_size scalar_tensor item "
    "_local_scalar_dense dropout dropout_ feature_dropout alpha_dropout native_dropout bernoulli bernoulli_ rand "
    "rand_like randn randn_like randint randperm normal_ uniform_ type_as float double half bool int long numel "
    "sym_size size dim conj_physical resolve_conj resolve_neg view_as_real view_as_complex "
    "isnan isfinite isinf broadcast_tensors embedding "
    "pixel_shuffle pixel_unshuffle tril triu diagonal split_copy set_ resize_ is_nonzero equal allclose"
)

# Normalisation whose scale and shift the weights before it can take in.
NORMS = _operators("batch_norm native_batch_norm _native_batch_norm_legit_no_training cudnn_batch_norm")
# Their cost lies in what they read, so that is counted, too (as for pooling modules).
AVERAGES = _operators(
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d avg_pool1d avg_pool2d avg_pool3d mean"
)
# Zeros and ones go in, zeros and ones come out.
KEEP_BINARY = _operators("max_pool2d max_pool3d")
# Values go in, the answer to a question comes out: thresholds, spikes drawn at a rate.
ENCODERS = _operators(
    "eq ne lt le gt ge eq_ ne_ lt_ le_ gt_ ge_ bernoulli heaviside logical_and logical_or logical_xor logical_not "
    "bitwise_and bitwise_or bitwise_xor bitwise_not"
)
# The second argument gives a shape or a type.
LIKE = _operators("to type_as view_as expand_as")
ATTENTION = _operators("scaled_dot_product_attention")
RECURRENT = _operators("lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell")
# Results that take a shape, a type or a device from an activation, and no value.
CREATORS = _operators(
    "empty_like zeros_like ones_like full_like rand_like randn_like randint_like new_empty new_zeros new_ones new_full"
)
