"""The table of operators: one entry says all that is known of a PyTorch operator.

An operator that computes and has no entry is not skipped: it runs as its parts, or the recorder names it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from math import nan
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from saformer.neurons import activate, fire, lif, norm_lif_
from saformer.pooling import max_pool2d

if TYPE_CHECKING:
    from saformer.analysis.recording.operations.call import Call

aten = torch.ops.aten

IsActivation = Callable[[Tensor], bool]
Formula = Callable[[tuple[Any, ...], Any, IsActivation], "Call | None"]
F = TypeVar("F", bound=Callable[..., Any])


class Kind(Enum):
    """What an operator does."""

    SYNAPTIC = auto()  # multiplies and adds: it has a formula
    ELEMENTWISE = auto()  # arithmetic that Eqs. 19-20 leave out; it is listed
    NORM = auto()  # normalisation; it is listed
    THRESHOLD = auto()  # the answer to a comparison, a rounding, a draw: spikes begin here
    MOVEMENT = auto()  # views, copies, choices by place: nothing is computed
    CREATOR = auto()  # a new tensor that takes a shape, a type or a device from others, and no value
    COMPOSITE = auto()  # runs as its parts
    NEURON = auto()  # a whole layer of neurons
    NORM_AND_NEURON = auto()  # a normalisation, and the layer of neurons that reads it


class Effect(Enum):
    """What becomes of values that were spikes."""

    LINEAR = auto()  # adds, averages, scales: sums of spikes stay sums of spikes
    LEVELS = auto()  # chooses among levels, or maps each to one: few values stay few
    REAL = auto()  # whatever comes out is a real number, however often it repeats


class Role(Enum):
    """What an operator is to the lineage, beyond its kind."""

    ADDS = auto()  # two tensors; it may take back what was subtracted
    SUBTRACTS = auto()  # one tensor from another
    SCALES = auto()  # by a constant, if there is one activation: a product stays one
    SUMS = auto()  # over dimensions: a product that is summed is an attention
    SELECTS = auto()  # one thing where a mask holds, another elsewhere
    FILLS = auto()  # writes a constant over what was there
    PLACES = auto()  # where its input is not zero
    LITERAL = auto()  # a tensor that is written out in the code


@dataclass(frozen=True)
class Operator:
    """One entry.

    Args:
        kind: what it does.
        effect: on the class of values.
        formula: of a synaptic operator: arguments, result and what is an activation -> `Call`; None where it is none.
        listed: booked as free arithmetic.
        pool: its cost lies in what it reads, so that is counted, too.
        windows: it reads windows of trailing dimensions.
        binary: of zeros and ones come zeros and ones; of neurons, whatever they read.
        like: its second tensor gives a shape, a type or lengths, and no value.
        part: it takes a part of a tensor, or another order of it: two parts of one tensor are two things.
        indices: it puts out places, and no values.
        foldable: weights before it can take it in.
        recurrent: runs as its parts with the same weights at every step.
        attention: runs as two products with a softmax between.
        parts: runs as its parts where the formula says None.
        fill: of a creator, the one value it writes; NaN for none at all, None for several, or one that it is given.
        given: of a creator, the argument that is the value.
        gathers: it takes rows of a table: of weights at the places of spikes, a layer that is driven by events.
        role: what it is to the lineage.
        sums: its results are sums, averages or maxima over places.
        averages: it divides by how many there were.
    """

    kind: Kind
    effect: Effect = Effect.LINEAR
    formula: Formula | None = None
    listed: bool = False
    pool: bool = False
    windows: bool = False
    binary: bool = False
    like: bool = False
    part: bool = False
    indices: bool = False
    foldable: bool = False
    recurrent: bool = False
    attention: bool = False
    parts: bool = False
    fill: float | None = None
    given: int | None = None
    gathers: bool = False
    role: Role | None = None
    sums: bool = False
    averages: bool = False


OPERATORS: dict[Any, Operator] = {}


def entry(func: Any, kwargs: dict[str, Any]) -> Operator | None:
    """The entry of an operator; None if it has none. A division that rounds is one that rounds."""
    packet = func._overloadpacket
    if kwargs.get("rounding_mode") is not None:
        packet = aten.floor_divide
    return OPERATORS.get(packet)


def _enter(packets: Iterable[Any], operator: Operator) -> None:
    for packet in packets:
        OPERATORS[packet] = operator


def register_operator(
    *packets: Any,
    effect: Effect = Effect.REAL,
    listed: bool = True,
    parts: bool = False,
    role: Role | None = None,
) -> Callable[[F], F]:
    """Give the formula of synaptic operators; the built-in ones use it, and so may a user's own file.

        @register_operator(torch.ops.mylib.spike_linear)
        def spike_linear(args, out, is_activation):
            x, weight = args[:2]
            return linear((x, weight), out, is_activation)

    Args:
        *packets: operators, such as `torch.ops.aten.mm`, all overloads of it.
        effect: on the class of values where the formula returns None.
        listed: it is listed as free arithmetic where the formula returns None.
        parts: it runs as its parts where the formula returns None.
        role: what it is to the lineage where the formula returns None.
    """

    def enter(formula: F) -> F:
        _enter(packets, Operator(Kind.SYNAPTIC, effect, formula=formula, listed=listed, parts=parts, role=role))
        return formula

    return enter


def _table(kind: Kind, effect: Effect, names: str, **flags: Any) -> None:
    """Enter operators of aten by name. Another version of PyTorch may not have them all."""
    flags.setdefault("listed", kind in (Kind.ELEMENTWISE, Kind.NORM))
    packets = [getattr(aten, name) for name in names.split() if hasattr(aten, name)]
    _enter(packets, Operator(kind, effect, **flags))


# -- arithmetic that Eqs. 19-20 leave out ------------------------------------------------------------------------------
_table(Kind.ELEMENTWISE, Effect.LINEAR, "add add_", role=Role.ADDS)
_table(Kind.ELEMENTWISE, Effect.LINEAR, "sub sub_", role=Role.SUBTRACTS)
_table(Kind.ELEMENTWISE, Effect.LINEAR, "div div_", role=Role.SCALES)
_table(Kind.ELEMENTWISE, Effect.LINEAR, "sum", role=Role.SUMS, sums=True)
_table(
    Kind.ELEMENTWISE,
    Effect.LINEAR,
    "cumsum cumsum_ nansum index_add index_add_ scatter_add scatter_add_ scatter_reduce scatter_reduce_ col2im "
    "_embedding_bag_forward_only count_nonzero",
    sums=True,
)
_table(
    Kind.ELEMENTWISE,
    Effect.LINEAR,
    "upsample_bilinear2d upsample_bicubic2d upsample_linear1d upsample_trilinear3d _upsample_bilinear2d_aa "
    "_upsample_bicubic2d_aa",
    sums=True,
    averages=True,
)
_table(
    Kind.ELEMENTWISE,
    Effect.LINEAR,
    "rsub neg neg_ lerp lerp_ im2col upsample_nearest2d upsample_nearest1d upsample_nearest3d "
    "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d addcdiv addcdiv_",
)
_table(
    Kind.ELEMENTWISE,
    Effect.LINEAR,
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d avg_pool1d "
    "avg_pool2d avg_pool3d",
    pool=True,
    windows=True,
    sums=True,
    averages=True,
)
_table(Kind.ELEMENTWISE, Effect.LINEAR, "mean", pool=True, sums=True, averages=True)
_table(
    Kind.ELEMENTWISE,
    Effect.LINEAR,  # pooled spikes are spikes, and sums of them sums
    "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices mkldnn_max_pool2d",
    pool=True,
    windows=True,
    binary=True,
    sums=True,
)
OPERATORS[max_pool2d.overloadpacket] = OPERATORS[aten.max_pool2d]
_table(
    Kind.ELEMENTWISE,
    Effect.LEVELS,
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d fractional_max_pool2d",
    windows=True,
    sums=True,
)
_table(
    Kind.ELEMENTWISE,
    Effect.LEVELS,
    "abs abs_ clamp clamp_ clamp_min "
    "clamp_max clamp_min_ clamp_max_ minimum maximum amax amin max min median kthvalue cummax cummin remainder "
    "remainder_ fmod prod cumprod hardtanh hardtanh_ threshold threshold_ relu relu_ pow pow_ square square_",
)
_table(
    Kind.ELEMENTWISE,
    Effect.REAL,
    "var std var_mean std_mean softmax _softmax _safe_softmax log_softmax _log_softmax relu6 gelu gelu_ "
    "silu silu_ elu elu_ leaky_relu leaky_relu_ prelu hardswish hardswish_ hardsigmoid sigmoid sigmoid_ tanh tanh_ "
    "mish softplus exp exp_ log log2 log1p expm1 sqrt rsqrt reciprocal sin cos norm "
    "linalg_vector_norm logsumexp logcumsumexp sqrt_ rsqrt_ reciprocal_ log_ frac frac_ exp2 log10 erf erfc "
    "erfinv logit xlogy tan asin acos atan atan2 sinh cosh hypot sinc glu celu celu_ selu selu_ log_sigmoid_forward "
    "log_sigmoid softshrink hardshrink rrelu renorm",
)
_table(
    Kind.NORM,
    Effect.LINEAR,
    "batch_norm native_batch_norm _native_batch_norm_legit_no_training cudnn_batch_norm",
    foldable=True,
)
_table(
    Kind.NORM,
    Effect.REAL,
    "_native_batch_norm_legit _batch_norm_impl_index layer_norm native_layer_norm group_norm native_group_norm "
    "instance_norm rms_norm",
)

# -- where spikes begin ------------------------------------------------------------------------------------------------
_table(
    Kind.THRESHOLD,
    Effect.LEVELS,
    "eq ne lt le gt ge eq_ ne_ lt_ le_ gt_ ge_ bernoulli bernoulli_ poisson bucketize isnan isfinite isinf any all",
)
_table(
    Kind.THRESHOLD,
    Effect.LEVELS,
    "heaviside heaviside_ sign sign_ floor floor_ ceil ceil_ round round_ trunc trunc_ floor_divide floor_divide_ "
    "logical_or logical_or_ logical_xor logical_not logical_not_ bitwise_or bitwise_or_ bitwise_xor bitwise_not "
    "__lshift__ __rshift__ bitwise_left_shift bitwise_right_shift histc fake_quantize_per_tensor_affine "
    "fake_quantize_per_tensor_affine_cachemask fake_quantize_per_channel_affine_cachemask "
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
    listed=True,
)

# -- nothing is computed on values -------------------------------------------------------------------------------------
_table(
    Kind.MOVEMENT,
    Effect.LINEAR,
    "view _unsafe_view reshape expand permute transpose transpose_ t t_ flatten unflatten squeeze squeeze_ unsqueeze "
    "unsqueeze_ clone contiguous copy_ cat stack concat nan_to_num nan_to_num_ index_copy index_copy_ index_fill "
    "index_fill_ select_scatter slice_scatter diag_embed reflection_pad1d reflection_pad2d "
    "reflection_pad3d max_unpool2d replication_pad1d replication_pad2d replication_pad3d detach detach_ alias repeat "
    "repeat_interleave constant_pad_nd pad as_strided _reshape_alias movedim swapaxes ravel "
    "is_same_size scalar_tensor item _local_scalar_dense dropout dropout_ feature_dropout alpha_dropout "
    "native_dropout double half bool int long float numel sym_size size dim conj_physical resolve_conj resolve_neg "
    "view_as_real view_as_complex broadcast_tensors pixel_shuffle pixel_unshuffle set_ resize_ is_nonzero equal "
    "allclose _to_copy arange rand randn randint randperm normal_ uniform_ "
    "masked_scatter masked_scatter_ scatter scatter_ channel_shuffle native_channel_shuffle _conj",
)
_table(Kind.MOVEMENT, Effect.LINEAR, "to type_as view_as expand_as _pack_padded_sequence", like=True)
_table(
    Kind.MOVEMENT,
    Effect.LINEAR,
    "split split_with_sizes unsafe_split unsafe_split_with_sizes unsafe_chunk chunk slice select gather narrow unbind "
    "rot90 masked_select take take_along_dim unfold roll flip tril triu diagonal split_copy sort topk",
    part=True,
)
_table(Kind.MOVEMENT, Effect.LINEAR, "index index_select _unsafe_index embedding", part=True, gathers=True)
_table(Kind.MOVEMENT, Effect.LINEAR, "fill_ zero_", role=Role.FILLS)
_table(Kind.MOVEMENT, Effect.LINEAR, "lift_fresh", role=Role.LITERAL)
_table(Kind.MOVEMENT, Effect.LINEAR, "argmin argmax argsort _unique2", indices=True)
_table(Kind.MOVEMENT, Effect.LINEAR, "nonzero", indices=True, role=Role.PLACES)
_table(Kind.CREATOR, Effect.LINEAR, "rand_like randn_like randint_like")
_table(Kind.CREATOR, Effect.LINEAR, "empty empty_like new_empty", fill=nan)
_table(Kind.CREATOR, Effect.LINEAR, "zeros zeros_like new_zeros", fill=0.0)
_table(Kind.CREATOR, Effect.LINEAR, "ones ones_like new_ones", fill=1.0)
_table(Kind.CREATOR, Effect.LINEAR, "full full_like", given=1)
_table(Kind.CREATOR, Effect.LINEAR, "new_full", given=2)

# -- what runs as its parts --------------------------------------------------------------------------------------------
_table(
    Kind.COMPOSITE,
    Effect.LINEAR,
    "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell",
    recurrent=True,
)
_table(Kind.COMPOSITE, Effect.LINEAR, "scaled_dot_product_attention", attention=True)

# Our own layers of neurons are one operator each: spikes of zeros and ones (Eqs. 1-3), what has few levels, or none.
_enter([lif.overloadpacket], Operator(Kind.NEURON, Effect.LEVELS, binary=True))
_enter([norm_lif_.overloadpacket], Operator(Kind.NORM_AND_NEURON, Effect.LEVELS))
_enter([fire.overloadpacket], Operator(Kind.NEURON, Effect.LEVELS))
_enter([activate.overloadpacket], Operator(Kind.NEURON, Effect.REAL))
