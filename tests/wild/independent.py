"""A second count of what a network computes, made at the functions that its Python code calls.

It shares no code and no method with the recorder of saformer: the recorder watches the operators below PyTorch's
dispatcher, this watches the functions above it (a `TorchFunctionMode`), and module hooks that say where a call stands.
Every function call is seen once: what PyTorch's own Python code calls inside (`F.conv2d` inside `nn.Conv2d`, `matmul`
inside `einsum`) is either the call that is counted or hidden by it.
"""

import math
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

_TORCH = str(Path(torch.__file__).parent)
LITERAL, WEIGHT, ACTIVATION = range(3)  # what a tensor was made of: numbers in the code, parameters, the input

_CONVS = {F.conv1d, F.conv2d, F.conv3d}
_TRANSPOSED = {F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d}
_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)
_MATMULS = {"matmul", "__matmul__", "mm", "bmm", "mv", "dot", "inner", "vdot"}
_ADDED_MATMULS = {"addmm", "addmm_", "baddbmm", "baddbmm_", "addmv", "addmv_", "addbmm", "addbmm_"}
_ELEMENTWISE = {"mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply", "multiply_", "logical_and", "__and__"}
# They take an activation for its shape alone.
_SHAPE_ONLY = {
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like",
    "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor",
}  # fmt: skip
# Their answers are no image any more: spikes are drawn with them.
_DECIDING = {
    "gt", "ge", "lt", "le", "eq", "ne", "greater", "greater_equal", "less", "less_equal", "__gt__", "__ge__", "__lt__",
    "__le__", "__eq__", "__ne__", "sign", "sgn", "heaviside", "bernoulli", "round", "floor", "ceil",
}  # fmt: skip
_HIDDEN = {"multi_head_attention_forward", "lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "bilinear"}


@dataclass
class Row:
    """One layer, or one product at one place of the code, over a whole run.

    Args:
        path: of a layer, the name of its weight without `.weight`; of a product, the innermost module that runs.
        kind: "layer" (one activation, one weight), "product" (two activations) or "elementwise".
        op: conv2d, linear, matmul, mul, ...
        dense: multiply-accumulates if nothing were skipped.
        elements: of each activation that is read.
        nonzero: of each activation that is read.
        events: nonzeros with their true fan-out; of a product, the pairs of nonzeros that meet.
        calls: how often it ran.
        first: it read the network's input, or what arithmetic without weights and thresholds makes of it.
    """

    path: str
    kind: str
    op: str
    dense: int = 0
    elements: list[int] = field(default_factory=list)
    nonzero: list[int] = field(default_factory=list)
    events: int = 0
    calls: int = 0
    first: bool = False

    def add(self, dense: int, events: int, operands: list[Tensor]) -> None:
        """One more call."""
        self.calls += 1
        self.dense += dense
        self.events += events
        self.elements = self.elements or [0] * len(operands)
        self.nonzero = self.nonzero or [0] * len(operands)
        for index, operand in enumerate(operands):
            self.elements[index] += operand.numel()
            self.nonzero[index] += int((operand != 0).sum())


class Counter(TorchFunctionMode):
    """Counts the calls of functions while it is entered; `rows` holds the result."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.rows: dict[Any, Row] = {}
        self.unseen: set[str] = set()  # functions that hide operations and are not taken apart
        self.stack: list[str] = []
        self.calls_at: dict[str, int] = defaultdict(int)
        self.booked = 0
        self._kind: dict[int, int] = {}  # storage -> LITERAL or WEIGHT; anything else is an activation
        self._names: dict[int, str] = {}  # storage of a weight -> the layer it belongs to
        self._image: set[int] = set()  # storages that hold the input
        self._kept: list[Tensor] = []  # so that no address is used twice
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            self._mark(tensor, WEIGHT, re.sub(r"\.weight(_[vg]|_orig)?$", "", name))

    def _mark(self, tensor: Tensor, kind: int, name: str | None = None) -> None:
        self._kind[tensor.untyped_storage().data_ptr()] = kind
        if name is not None:
            self._names[tensor.untyped_storage().data_ptr()] = name
        self._kept.append(tensor)

    def see(self, inputs: Any) -> None:
        """These are the network's inputs."""
        for tensor in tree_leaves(inputs):
            if isinstance(tensor, Tensor):
                self._keep_image(tensor)

    def _keep_image(self, tensor: Tensor) -> None:
        self._image.add(tensor.untyped_storage().data_ptr())
        self._kept.append(tensor)

    def is_image(self, tensor: Tensor) -> bool:
        """It is the input, or what arithmetic without weights and thresholds made of it."""
        return tensor.untyped_storage().data_ptr() in self._image

    def kind_of(self, tensor: Tensor) -> int:
        """What the tensor was made of."""
        return self._kind.get(tensor.untyped_storage().data_ptr(), ACTIVATION)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one call and do it."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        weighted = self._count(func, name, args, kwargs)
        result = func(*args, **kwargs)
        kind = LITERAL if name in _SHAPE_ONLY else max(map(self.kind_of, inputs), default=LITERAL)
        # A weight that is made from others (cast, normalised) belongs to the layer of the largest of them.
        named = [x for x in inputs if x.untyped_storage().data_ptr() in self._names]
        largest = max(named, key=Tensor.numel, default=None)
        layer = None if largest is None else self._names[largest.untyped_storage().data_ptr()]
        written = (name[-1:] == "_" and name[-2:] != "__") or name == "__setitem__" or name.startswith("__i")
        if not weighted and name not in _DECIDING and name not in _SHAPE_ONLY and any(map(self.is_image, inputs)):
            for tensor in [inputs[0]] if written else tree_leaves(result):
                if isinstance(tensor, Tensor) and tensor.numel():
                    self._keep_image(tensor)
        if written and inputs and kind > self.kind_of(inputs[0]):
            self._mark(inputs[0], kind, layer if kind == WEIGHT else None)
        elif kind != ACTIVATION and name != "__get__":
            known = {x.untyped_storage().data_ptr() for x in inputs}
            for tensor in tree_leaves(result):
                if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in known and tensor.numel():
                    self._mark(tensor, kind, layer)
        return result

    # What a call computes.

    def _count(self, func: Any, name: str, args: Any, kwargs: Any) -> bool:
        """Count the call; whether it is an operation."""
        before = self.booked
        if func in _CONVS or func in _TRANSPOSED:
            x, weight = _argument(args, kwargs, 0, "input"), _argument(args, kwargs, 1, "weight")
            if func in _CONVS:
                shape = _conv_shape(func, args, kwargs)
                dense = math.prod(shape) * math.prod(weight.shape[1:])
            else:
                dense = x.numel() * math.prod(weight.shape[1:])
            self._book(name, dense, x, weight, lambda x, w: _convolve(func, args, kwargs, x, w), everywhere=False)
        elif func is F.linear:
            x, weight = _argument(args, kwargs, 0, "input"), _argument(args, kwargs, 1, "weight")
            self._book(name, x.numel() * (weight.shape[0] if weight.ndim > 1 else 1), x, weight, F.linear)
        elif name in _MATMULS:
            first, second = _argument(args, kwargs, 0, "input"), _argument(args, kwargs, 1, "other", "mat2", "vec")
            self._book("matmul", _matmul_dense(first, second), first, second, torch.matmul)
        elif name == "__rmatmul__":
            self._book("matmul", _matmul_dense(args[1], args[0]), args[1], args[0], torch.matmul)
        elif name in _ADDED_MATMULS:
            self._book("matmul", _matmul_dense(args[1], args[2]), args[1], args[2], torch.matmul)
        elif name == "einsum":
            self._einsum(args)
        elif name == "tensordot":
            self._tensordot(args, kwargs)
        elif name == "scaled_dot_product_attention":
            self._attention(args, kwargs)
        elif name in _ELEMENTWISE:
            first, second = args[0], _argument(args, kwargs, 1, "other")
            both = isinstance(first, Tensor) and isinstance(second, Tensor) and first is not second
            if both and first.ndim and second.ndim and self.kind_of(first) == self.kind_of(second) == ACTIVATION:
                dense = math.prod(torch.broadcast_shapes(first.shape, second.shape))
                events = _meeting(torch.mul, first, second)
                self._row("elementwise", "mul", _place()).add(dense, events, [first, second])
        elif name in _HIDDEN:
            self.unseen.add(f"{name} in {self.path or 'the model'}")
        return self.booked != before

    def _einsum(self, args: Any) -> None:
        equation, operands = args[0], list(args[1:])
        if len(operands) == 1 and isinstance(operands[0], list | tuple):
            operands = list(operands[0])
        if len(operands) != 2:
            self.unseen.add(f"einsum of {len(operands)} in {self.path}")
            return
        inputs, _, output = equation.replace(" ", "").partition("->")
        sizes: dict[str, int] = {}
        for letters, operand in zip(inputs.split(","), operands, strict=True):
            if "." in letters:
                self.unseen.add(f"einsum {equation} in {self.path}")
                return
            sizes |= {x: max(size, sizes.get(x, 1)) for x, size in zip(letters, operand.shape, strict=True)}
        first, second = inputs.split(",")
        summed = set(first + second) - set(output)
        if output and not summed and set(first) == set(second):
            return  # an elementwise product, not a matrix product
        self._book("matmul", math.prod(sizes.values()), *operands, lambda x, y: torch.einsum(equation, x, y))

    def _tensordot(self, args: Any, kwargs: Any) -> None:
        first, second = args[:2]
        dims = _argument(args, kwargs, 2, "dims")
        axes = range(first.ndim - dims, first.ndim) if isinstance(dims, int) else dims[0]
        summed = math.prod(first.shape[axis] for axis in axes)
        pairs = lambda x, y: torch.tensordot(x, y, dims)  # noqa: E731
        self._book("matmul", first.numel() // summed * second.numel(), first, second, pairs)

    def _attention(self, args: Any, kwargs: Any) -> None:
        query, key, value = args[:3]
        scale = kwargs.get("scale") or query.shape[-1] ** -0.5
        scores = query @ key.transpose(-1, -2) * scale
        mask = _argument(args, kwargs, 3, "attn_mask")
        if kwargs.get("is_causal"):
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        weights = scores.softmax(-1)
        place = _place()
        for name, first, second, seen in (("qk", query, key.mT, key), ("qkv", weights, value, value)):
            events = _meeting(torch.matmul, first, second)
            self._row("product", "matmul", (*place, name)).add(_matmul_dense(first, second), events, [first, seen])

    def _book(
        self, op: str, dense: int, first: Tensor, second: Tensor, product: Callable, everywhere: bool = True
    ) -> None:
        """Count a product; `everywhere`: each element meets as many outputs as any other."""
        kinds = self.kind_of(first), self.kind_of(second)
        self.calls_at[self.path] += 1
        self.booked += 1
        if kinds == (ACTIVATION, ACTIVATION):
            self._row("product", op, _place()).add(dense, _meeting(product, first, second), [first, second])
        elif WEIGHT in kinds and kinds != (WEIGHT, WEIGHT):
            weight = second if kinds[1] == WEIGHT else first
            name = self._names.get(weight.untyped_storage().data_ptr(), self.path)
            row = self.rows.setdefault(("layer", name), Row(name, "layer", op))
            operand = first if weight is second else second
            if everywhere and operand.numel():
                events = dense // operand.numel() * int((operand != 0).sum())
            else:
                events = _fan_out(product, op, first, second)
            row.add(dense, events, [operand])
            row.first |= self.is_image(operand)

    @property
    def path(self) -> str:
        """The innermost module that runs."""
        return self.stack[-1] if self.stack else ""

    def _row(self, kind: str, op: str, place: Any) -> Row:
        return self.rows.setdefault((self.path, kind, op, place), Row(self.path, kind, op))


def _argument(args: Any, kwargs: Any, position: int, *names: str) -> Any:
    if position < len(args):
        return args[position]
    return next((kwargs[name] for name in names if name in kwargs), None)


def _meeting(product: Callable, first: Tensor, second: Tensor) -> int:
    """Pairs of nonzeros that a product multiplies."""
    return int(product((first != 0).double(), (second != 0).double()).sum())


def _fan_out(convolve: Callable, op: str, x: Tensor, weight: Tensor) -> int:
    """Nonzeros of x, each as often as a convolution uses it: one output of each group stands for all of them."""
    if "transpose" in op:
        ones, outputs = torch.ones(len(weight), 1, *weight.shape[2:]), weight.shape[1]
    else:
        groups = x.shape[1 - weight.ndim] // weight.shape[1]
        ones, outputs = torch.ones(groups, *weight.shape[1:]), len(weight) // groups
    return _meeting(convolve, x, ones) * outputs


def _convolve(func: Callable, args: Any, kwargs: Any, x: Tensor, weight: Tensor) -> Tensor:
    """The same convolution of another input with another weight, without bias."""
    rest = {name: value for name, value in kwargs.items() if name not in ("input", "weight", "bias")}
    return func(x, weight, None, *args[3:], **rest)


def _conv_shape(func: Callable, args: Any, kwargs: Any) -> torch.Size:
    """Shape of the result, from a run on tensors without memory."""
    meta = [x.to("meta") if isinstance(x, Tensor) else x for x in args]
    with torch._C.DisableTorchFunction():
        return func(*meta, **{k: x.to("meta") if isinstance(x, Tensor) else x for k, x in kwargs.items()}).shape


def _matmul_dense(first: Tensor, second: Tensor) -> int:
    inner = first.shape[-1]
    rows = first.shape[-2] if first.ndim > 1 else 1
    columns = second.shape[-1] if second.ndim > 1 else 1
    batch = torch.broadcast_shapes(first.shape[:-2], second.shape[:-2])
    return math.prod(batch) * rows * inner * columns


def _place() -> tuple:
    """The instruction in the network's own code that is being executed."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((__file__, _TORCH)):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_code.co_name, frame.f_lasti) if frame else ()


@contextmanager
def _paths(model: nn.Module, counter: Counter) -> Iterator[None]:
    """Hooks that tell the counter which module runs, and see to it that no layer runs unseen."""
    handles, before = [], []

    def enter(name: str) -> Callable:
        def hook(module: nn.Module, args: Any) -> None:
            counter.stack.append(name)
            before.append(counter.calls_at[name])

        return hook

    def leave(module: nn.Module, args: Any, result: Any) -> None:
        seen, path = before.pop(), counter.path
        if isinstance(module, _LAYERS) and result is not None and counter.calls_at[path] == seen:
            counter.unseen.add(f"{type(module).__name__} in {path or 'the model'}")
        counter.stack.pop()

    for name, module in model.named_modules():
        if isinstance(
            module, torch.jit.ScriptModule
        ):  # takes no hooks, and calls its functions where no mode sees them
            counter.unseen |= {f"TorchScript in {name}"} if any(True for _ in module.parameters()) else set()
            continue
        handles.append(module.register_forward_pre_hook(enter(name)))
        handles.append(module.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def count(model: nn.Module, *inputs: Any) -> Counter:
    """Run the model on the inputs in evaluation mode and count what it calls."""
    model.eval()
    counter = Counter(model)
    counter.see(inputs)
    with torch.no_grad(), _paths(model, counter), counter:
        model(*inputs)
    return counter
