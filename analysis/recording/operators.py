"""Operators that are no synaptic operations: free arithmetic, mere moves, and what else the recorder knows of them.

Operators that compute and stand neither here nor among the formulas are not skipped: the recorder names them.
"""

from typing import Any

import torch

aten = torch.ops.aten


def _operators(names: str) -> frozenset[Any]:
    return frozenset(getattr(aten, name) for name in names.split() if hasattr(aten, name))


# Arithmetic that Eqs. 19-20 leave out: normalisation, activation, pooling, shortcuts, scaling. Listed apart.
FREE = _operators(
    "add add_ sub sub_ rsub div div_ neg neg_ addcdiv addcdiv_ lerp lerp_ mean sum prod cumsum cumsum_ cumprod var "
    "std var_mean std_mean batch_norm native_batch_norm _native_batch_norm_legit "
    "_native_batch_norm_legit_no_training cudnn_batch_norm _batch_norm_impl_index layer_norm native_layer_norm "
    "group_norm native_group_norm instance_norm rms_norm softmax _softmax _safe_softmax log_softmax _log_softmax "
    "relu relu_ relu6 gelu gelu_ silu silu_ elu elu_ leaky_relu leaky_relu_ prelu hardtanh hardtanh_ hardswish "
    "hardswish_ hardsigmoid sigmoid sigmoid_ tanh tanh_ mish softplus exp exp_ log log2 log1p expm1 sqrt rsqrt "
    "square abs pow pow_ reciprocal sin cos max_pool1d max_pool2d max_pool3d max_pool2d_with_indices "
    "max_pool3d_with_indices mkldnn_max_pool2d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d "
    "upsample_nearest2d upsample_bilinear2d upsample_bicubic2d norm linalg_vector_norm floor ceil round sign clamp "
    "clamp_ clamp_min clamp_max minimum maximum amax amin max min heaviside remainder fmod logical_or logical_or_ "
    "logical_xor logical_not logical_not_ bitwise_or bitwise_or_ bitwise_xor bitwise_not nansum logsumexp "
    "logcumsumexp cummax cummin median kthvalue index_add index_add_ scatter_add scatter_add_ scatter_reduce "
    "scatter_reduce_ col2im sqrt_ rsqrt_ square_ abs_ floor_ ceil_ round_ sign_ clamp_min_ clamp_max_ reciprocal_ "
    "log_ trunc trunc_ frac frac_ exp2 log10 erf erfc erfinv logit xlogy tan asin acos atan atan2 sinh cosh hypot "
    "sinc heaviside_ remainder_ im2col glu celu celu_ selu selu_ threshold threshold_ log_sigmoid_forward log_sigmoid "
    "softshrink hardshrink rrelu __lshift__ __rshift__ bitwise_left_shift bitwise_right_shift "
    "fake_quantize_per_tensor_affine fake_quantize_per_tensor_affine_cachemask "
    "fake_quantize_per_channel_affine_cachemask _fake_quantize_per_tensor_affine_cachemask_tensor_qparams "
    "adaptive_max_pool1d adaptive_max_pool3d upsample_nearest1d upsample_nearest3d upsample_linear1d "
    "upsample_trilinear3d _upsample_nearest_exact1d fractional_max_pool2d floor_divide floor_divide_ count_nonzero "
    "histc renorm _embedding_bag_forward_only _upsample_nearest_exact2d _upsample_nearest_exact3d "
    "_upsample_bilinear2d_aa _upsample_bicubic2d_aa"
)

# Views, copies, comparisons and bookkeeping: nothing is computed on values.
MOVES = _operators(
    "view _unsafe_view reshape expand expand_as permute transpose transpose_ t t_ flatten unflatten squeeze squeeze_ "
    "unsqueeze unsqueeze_ clone contiguous copy_ cat stack concat split split_with_sizes unsafe_split "
    "unsafe_split_with_sizes unsafe_chunk chunk slice select index index_select gather scatter scatter_ narrow "
    "unbind detach detach_ alias to _to_copy nan_to_num nan_to_num_ rot90 nonzero masked_scatter "
    "masked_scatter_ masked_select channel_shuffle native_channel_shuffle _unsafe_index index_copy index_copy_ "
    "index_fill index_fill_ take take_along_dim _pack_padded_sequence select_scatter slice_scatter diag_embed "
    "reflection_pad1d reflection_pad2d reflection_pad3d max_unpool2d _unique2 bucketize poisson replication_pad1d "
    "replication_pad2d replication_pad3d eq_ ne_ lt_ le_ gt_ ge_ argmin argsort empty empty_like zeros zeros_like "
    "ones ones_like full full_like new_empty new_zeros new_ones new_full arange repeat repeat_interleave "
    "constant_pad_nd pad roll flip lift_fresh fill_ zero_ view_as as_strided _reshape_alias unfold movedim swapaxes "
    "ravel eq ne lt le gt ge any all argmax topk sort is_same_size scalar_tensor item _local_scalar_dense dropout "
    "dropout_ feature_dropout alpha_dropout native_dropout bernoulli bernoulli_ rand rand_like randn randn_like "
    "randint randperm normal_ uniform_ type_as float double half bool int long numel sym_size size dim conj_physical "
    "resolve_conj resolve_neg view_as_real view_as_complex isnan isfinite isinf broadcast_tensors embedding "
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
    "eq ne lt le gt ge eq_ ne_ lt_ le_ gt_ ge_ bernoulli poisson heaviside logical_and logical_or logical_xor "
    "logical_not bitwise_and bitwise_or bitwise_xor bitwise_not"
)
# What takes a part of a membrane away where it has fired.
SUMS = _operators("add add_ sub sub_ rsub lerp lerp_")
# The second argument gives a shape or a type.
LIKE = _operators("to type_as view_as expand_as")
ATTENTION = _operators("scaled_dot_product_attention")
RECURRENT = _operators("lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell")
# Results that take a shape, a type or a device from an activation, and no value.
CREATORS = _operators(
    "empty_like zeros_like ones_like full_like rand_like randn_like randint_like new_empty new_zeros new_ones new_full"
)
