"""Accountings: small pure functions from one recorded item to the MACs and ACs it is charged.

An item is a synaptic operation, a layer of neurons, or arithmetic that is not synaptic. An accounting is registered
by its name and seen everywhere by it; adding one is one function, here or in a plugin.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from saformer.analysis.profiles import FreeArithmetic, Neurons, Operation, ValueClass
from saformer.analysis.profiles.values import EVENTS
from saformer.registry import Registry

Item = Operation | Neurons | FreeArithmetic


@dataclass(frozen=True)
class Context:
    """What an accounting may know beside the item itself.

    Args:
        static: images repeated T times (Eq. 19), not event frames (Eq. 20).
        time_steps: T.
        first_layer: "repeat" charges the layer that reads a static image T times; "once" for one step, since its output
            is the same at every step; "mac" charges the layer that reads event frames MACs, at its nonzero rate.
        graded: how an input of whole multiples is charged, whatever the accounting says: "rate", one AC for each
            nonzero; "unroll", k ACs; "mac", one MAC for each nonzero; None, as the accounting says.
        rate_at: "input", the rate of what the operation reads; "output", that of the neurons it came from, be it
            pooled since.
        passes: forward passes of the run.
        images: images of the run.
        operations: all operations by name.
        neurons: all layers of neurons by name.
    """

    static: bool
    time_steps: int
    first_layer: str = "repeat"
    graded: str | None = None
    rate_at: str = "input"
    passes: int = 1
    images: int = 1
    operations: Mapping[str, Operation] = field(default_factory=dict)
    neurons: Mapping[str, Neurons] = field(default_factory=dict)


@dataclass(frozen=True)
class Charge:
    """Operations charged, over all recorded images."""

    macs: float = 0.0
    acs: float = 0.0


FREE = Charge()
Accounting = Callable[[Item, Context], Charge]
ACCOUNTINGS: Registry[Accounting] = Registry("accounting")
DEFAULT_ACCOUNTING = "paper"


def register_rule(name: str) -> Callable[[Accounting], Accounting]:
    """Register an accounting under a name; decorates its function.

    The function must be pure, and linear (or piecewise so) in the counts: the error bar comes from its slopes. The
    first line of its docstring is what `--accounting all` prints, the rest says where it was published.

    Raises:
        InputError: another accounting has this name.
    """

    def register(function: Accounting) -> Accounting:
        ACCOUNTINGS.register(name, function, function)
        return function

    return register


def get_accounting(name: str) -> Accounting:
    """The accounting registered under `name`.

    Raises:
        InputError: there is none.
    """
    return ACCOUNTINGS.find(name)


def summary(name: str) -> str:
    """What an accounting does, in one line: the first line of its docstring."""
    return next(iter((get_accounting(name).__doc__ or "").strip().splitlines()), name)


def reads_image(operation: Operation, context: Context) -> bool:
    """Whether Eq. 19 charges an operation as the first layer of a static image: it reads the image itself."""
    return context.static and operation.first


def _once(operation: Operation, context: Context) -> float:
    """Share that is charged of an operation whose input, an image, is the same at every step."""
    if not (context.first_layer == "once" and reads_image(operation, context)):
        return 1.0
    return operation.one_step(context.images, context.time_steps)


def _at_rate(operation: Operation, context: Context) -> float:
    """Operations at the nonzero rate of the gate (Eq. 18), or at the rate of the neurons that it came from."""
    if context.rate_at == "output" and (fired := context.neurons.get(operation.gate.neurons)) is not None:
        return operation.dense * fired.spikes / fired.elements if fired.elements else 0.0
    return operation.sops


def _multiples(operation: Operation, context: Context) -> float:
    """Accumulates where a whole multiple k of the unit is k of them: mean integer times dense operations."""
    gate = operation.gate
    if gate.total is None or not gate.nonzero:
        return _at_rate(operation, context)
    return _at_rate(operation, context) * gate.total / gate.nonzero


def _selects(operation: Operation) -> bool:
    """A product of spikes with real values, element by element: it chooses, as a reset or a mask does, and is free."""
    kinds = [x.kind for x in operation.operands]
    spikes = (ValueClass.SPIKES, ValueClass.TERNARY)
    return operation.op == "product" and ValueClass.REAL in kinds and any(kind in spikes for kind in kinds)


def _by_class(operation: Operation, context: Context, graded: str, averaged: str, real: str) -> Charge:
    """The charge by the class of the gating operand, at rates.

    Args:
        operation: what is charged.
        context: of the run.
        graded: "rate", "unroll" or "mac", of whole multiples.
        averaged: the same of what sums and averages made of spikes; "unroll" where their unit is known, else "rate".
        real: "dense" or "mac", of real values read by weights.
    """
    if reads_image(operation, context):
        return Charge(macs=operation.dense * _once(operation, context))
    rate = _at_rate(operation, context)
    if operation.first:  # event frames are never real
        return Charge(macs=rate) if context.first_layer == "mac" else Charge(acs=rate)
    if _selects(operation):
        return FREE
    kind = operation.gate.kind
    if len(operation.operands) > 1 and kind not in EVENTS:
        return Charge(macs=rate)
    if kind in (ValueClass.GRADED, ValueClass.AVERAGED):
        how = graded if kind is ValueClass.GRADED else averaged
        if context.graded is not None and operation.gate.total is not None:
            how = context.graded
        if how == "unroll":
            return Charge(acs=_multiples(operation, context))
        return Charge(macs=rate) if how == "mac" else Charge(acs=rate)
    if kind is ValueClass.REAL:
        return Charge(macs=operation.dense if real == "dense" else rate)
    return Charge(macs=rate) if kind is ValueClass.UNPROVEN else Charge(acs=rate)


@register_rule("paper")
def paper(item: Item, context: Context) -> Charge:
    """Eqs. 18-20: ACs at the nonzero rate of spikes and of what sums and averages make of them; MACs for real values.

    The class of the operand that gates an operation decides which (docs/method.md). The layers that read a static image
    are charged dense MACs, T times (Eq. 19); those that read event frames ACs (Eq. 20). Padding is ignored (dense
    FLOPs); BatchNorm is folded and free, as are neurons, shortcuts and pooling. A product of two activations neither
    of which is spikes multiplies, and is charged MACs at its rate.

    Source: "Combining Aggregated Attention and Transformer Architecture for Accurate and Efficient Performance of
    Spiking Neural Networks" (SAFormer, 2024), Eqs. 18-20 and Table 5.
    """
    return _by_class(item, context, "rate", "rate", "dense") if isinstance(item, Operation) else FREE


@register_rule("integer-spikes")
def integer_spikes(item: Item, context: Context) -> Charge:
    """As paper, but an integer spike of k is k accumulates: mean integer x FLOPs.

    D virtual steps are inside the rate, T outside.

    Source: "Integer-Valued Training and Spike-Driven Inference Spiking Neural Network for High-performance and
    Energy-efficient Object Detection" (SpikeYOLO, ECCV 2024) and "Scaling Spike-driven Transformer with Efficient
    Spike Firing Approximation Training" (Spike-driven Transformer V3, 2024).
    """
    return _by_class(item, context, "unroll", "unroll", "dense") if isinstance(item, Operation) else FREE


@register_rule("spike-driven")
def spike_driven(item: Item, context: Context) -> Charge:
    """As paper, but an operation whose gating input is not spikes is charged MACs, at its nonzero rate.

    Source: no paper states the rule in this form. It is Eqs. 18-20 of `paper` under the condition for spike-driven
    computing in "Spike-driven Transformer" (Yao et al., NeurIPS 2023): an addition takes the place of a multiplication
    where the input is spikes.
    """
    return _by_class(item, context, "mac", "mac", "mac") if isinstance(item, Operation) else FREE


@register_rule("exact")
def exact(item: Item, context: Context) -> Charge:
    """Counted events with their true fan-out: padding respected; MACs where the gating input is not spikes.

    An event is an AC if the gating input is spikes or ternary, else a MAC, whatever it reads: images are no exception.
    With `--graded unroll` a whole multiple of k is k accumulates instead of a multiply-accumulate.

    Source: this project; no paper states the rule. It is `neurobench` before the events at zero weights are left out.
    """
    if not isinstance(item, Operation) or _selects(item):
        return FREE
    times = _once(item, context)
    kind = item.gate.kind
    if reads_image(item, context):
        return Charge(macs=item.events * times)
    if item.first and context.first_layer == "mac":  # event frames
        return Charge(macs=item.events)
    whole = kind in (ValueClass.GRADED, ValueClass.AVERAGED) and item.gate.total is not None
    if whole and context.graded == "unroll" and item.graded is not None:
        return Charge(acs=item.graded)
    spikes = (ValueClass.SILENT, ValueClass.SPIKES, ValueClass.TERNARY)
    if kind in spikes or (whole and context.graded == "rate"):
        return Charge(acs=item.events)
    return Charge(macs=item.events)


@register_rule("neurobench")
def neurobench(item: Item, context: Context) -> Charge:
    """Effective MACs and ACs: exact events, those that meet a zero weight left out.

    Inputs in {-1, 0, 1} make ACs, others MACs. The share that zero weights leave out is taken as the same for every
    image.

    Source: "The neurobench framework for benchmarking neuromorphic computing algorithms and systems" (Yik et al.,
    Nature Communications, 2025), synaptic operations: Effective_MACs and Effective_ACs.
    """
    if not isinstance(item, Operation):
        return FREE
    share = item.effective / item.events if item.events else 0.0
    counted = exact(item, context)
    return Charge(counted.macs * share, counted.acs * share)


@register_rule("syops")
def syops(item: Item, context: Context) -> Charge:
    """syops 0.0.5: modules of known types alone; an input that is not binary is charged dense MACs.

    Biases of convolutions count at every output, those of linear layers once per forward pass, at the rate of the
    input; BatchNorm is two MACs per element, a neuron one AC per element and step, a pool one operation per element
    it reads. Functions called inside a module, attention products among them, are not seen.

    Source: syops 0.0.5, syops/ops.py (https://github.com/iCGY96/syops-counter), the counter of "Training Full Spike
    Neural Networks via Auxiliary Accumulation Pathway" (Chen et al., 2023).
    """
    if isinstance(item, Neurons):
        return Charge(acs=item.elements)
    if isinstance(item, FreeArithmetic):
        if "batch_norm" in item.op:
            return Charge(macs=2 * item.elements)
        if item.operand is not None and item.module and "pool" in item.op:
            return Charge(acs=item.operand.nonzero) if item.operand.binary else Charge(macs=item.operand.elements)
        return FREE
    if not item.module or len(item.operands) > 1:
        return FREE
    per_output = item.op.startswith("conv")
    return _dense_or_rate(item, item.outputs if per_output and item.bias else item.bias * context.passes)


def _dense_or_rate(operation: Operation, bias: int) -> Charge:
    """Dense MACs, or dense operations at the spike rate if the input is binary; additions of the bias included."""
    dense = operation.dense + bias
    gate = operation.gate
    return Charge(acs=dense * gate.firing_rate) if gate.binary else Charge(macs=dense)


@register_rule("spikingformer")
def spikingformer(item: Item, context: Context) -> Charge:
    """The script published with Spikingformer: modules named conv or head, attention by a formula of its own.

    Convolutions and heads as in syops, but every bias at every output; linear layers of any other name are dropped.
    Attention is charged T N (D/h)^2 h (min(fr_K, fr_V) + fr_Q) ACs, whatever the order in which the network multiplies;
    its products are found by their shapes and operands. BatchNorm, neurons and pools are free. Masks (`K * V`,
    `Q * g`), for which it has no formula, are charged as in `paper`.

    Source: energy_consumption_calculation/flops_counter.py (`ssa_info`) of
    https://github.com/zhouchenlin2096/Spikingformer, the program of "Spikingformer: Spike-driven Residual Learning for
    Transformer-based Spiking Neural Network" (Zhou et al., 2023).
    """
    if not isinstance(item, Operation):
        return FREE
    if len(item.operands) == 1:
        name = item.name.rpartition(".")[2]
        seen = "conv" in name or "head" in name
        return _dense_or_rate(item, item.outputs if item.bias else 0) if seen else FREE
    if item.op != "matmul":
        return paper(item, context)
    rates = [operand.firing_rate for operand in item.operands]
    before = context.operations.get(item.operands[0].product)
    if before is not None:  # (Q K^T) V: the other half of the formula
        return Charge(acs=item.operands[1].elements * before.inner * min(before.operands[1].firing_rate, rates[1]))
    if item.operands[1].product in context.operations:  # Q (K^T V)
        return Charge(acs=item.dense * rates[0])
    if any(item.name == o.operands[1].product for o in context.operations.values() if len(o.operands) > 1):  # K^T V
        return Charge(acs=item.dense * min(rates))
    # Q K^T is N x d times d x N: the formula's N d^2 has d in the place of the second N.
    return Charge(acs=item.operands[0].elements * item.inner * rates[0])
