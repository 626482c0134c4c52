"""What a profile is made of: the integers of operations, layers of neurons and free arithmetic."""

from dataclasses import dataclass, field, replace
from typing import Any

from saformer.analysis.profiles.metadata import DataInfo, ModelInfo
from saformer.analysis.profiles.moments import Moments
from saformer.analysis.profiles.origin import Origin
from saformer.analysis.profiles.values import EVENTS, ValueClass, Values, rank

SPIKES_OF = "spikes of "  # source of what a layer of neurons puts out
RESULT_OF = "result of "  # source of what a synaptic operation puts out


def inside(name: str, path: str) -> bool:
    """Whether something of that name happens in the module at that path ("" is the whole model)."""
    return not path or name == path or name.startswith(f"{path}.")


def holders(name: str) -> list[str]:
    """Every path that something of that name is `inside`, from the whole model inwards."""
    parts = name.split(".")
    return ["", *(".".join(parts[: i + 1]) for i in range(len(parts)))]


@dataclass(frozen=True)
class Operand:
    """An activation that an operation read, over all images and steps: elements, nonzeros, and ones among them.

    Args:
        elements: of all its tensors.
        nonzero: of these.
        ones: of these.
        values: what was seen of its values; None in profiles of earlier versions, which did not look.
        product: the product of two activations that it is, scaled and moved at most: Q K^T, which multiplies V.
        broadcast: each of its elements meets several of the other operand's.
        neurons: the layer of neurons in which its spikes began, be they pooled since; empty for several or none.
    """

    elements: int
    nonzero: int
    ones: int
    values: Values | None = None
    product: str = ""
    broadcast: bool = False
    neurons: str = ""

    def __add__(self, other: "Operand") -> "Operand":
        """Both sets of elements together."""
        values = None if self.values is None or other.values is None else self.values.join(other.values)
        return Operand(
            self.elements + other.elements,
            self.nonzero + other.nonzero,
            self.ones + other.ones,
            values,
            self.product or other.product,
            self.broadcast or other.broadcast,
            self.neurons or other.neurons,
        )

    def at(self, nonzero: int) -> "Operand":
        """The same operand with another number of nonzeros, of the same class; a silent one then holds ones."""
        values, ones = self.values, nonzero
        if self.nonzero and not self.binary:
            ones = self.ones * nonzero // self.nonzero
        if values is not None and values.unit is None and values.multiples and not self.nonzero:
            values = replace(values, unit=1.0, levels=1, magnitudes=1, total=nonzero)
        elif values is not None and self.nonzero:
            values = replace(values, total=values.total * nonzero / self.nonzero)
        return replace(self, nonzero=nonzero, ones=ones, values=values)

    @property
    def binary(self) -> bool:
        """Every nonzero was 1."""
        return self.nonzero == self.ones

    @property
    def kind(self) -> ValueClass:
        """The class of its values. Earlier profiles tell zeros and ones from the rest alone."""
        if self.values is not None:
            return self.values.kind(self.nonzero)
        if not self.nonzero:
            return ValueClass.SILENT
        return ValueClass.SPIKES if self.binary else ValueClass.AVERAGED

    @property
    def unit(self) -> float | None:
        """u, of which its values are whole multiples; None where they are none, or where channels have units."""
        return None if self.values is None or self.kind not in EVENTS else self.values.unit

    @property
    def levels(self) -> int | None:
        """The largest multiple of the unit; None where there is no unit."""
        return None if self.values is None or self.unit is None else self.values.levels

    @property
    def total(self) -> float | None:
        """Sum of the multiples of the unit, of averages too where they have one; None where there is no unit."""
        kind = self.kind
        if kind in (ValueClass.SPIKES, ValueClass.TERNARY, ValueClass.SILENT):
            return self.nonzero
        if self.values is None or self.values.unit is None:
            return None
        return self.values.total if kind in (ValueClass.GRADED, ValueClass.AVERAGED) else None

    @property
    def firing_rate(self) -> float:
        """Share of nonzero elements: fr(l) of Eq. 18."""
        return self.nonzero / self.elements if self.elements else 0.0


@dataclass(frozen=True)
class Operation:
    """Integers of one synaptic operation, over all images and time steps.

    Args:
        name: module path, or the path of the module it runs in plus what it is.
        op: conv2d, linear, matmul, product, ...
        dense: multiply-accumulates if nothing were skipped.
        operands: one activation for a layer with weights, two for a product of activations.
        events: nonzeros with their true fan-out; for products of activations the pairs that meet.
        first: it reads the network's input itself: as given, or after arithmetic that is not synaptic (normalised,
            pooled), but not after a threshold. A network may have none, or several.
        outputs: elements of its results.
        bias: elements of its bias vector, 0 without one.
        inner: k of a matrix product n x k times k x m, 0 for anything else.
        module: it is a module of its own (nn.Linear, nn.Conv2d), not a function called inside one.
        effective: events that meet a nonzero weight.
        graded: events if an integer input of k counts as k events; None if not recorded, or not all integers.
        sources: for each operand, the operation whose result it is: "add in block.0", "spikes of block.0.attn.q_lif".
        weights: elements of its weight, 0 without one and in profiles of earlier versions.
        executions: images times steps for which it was executed, 0 in profiles of earlier versions.
        summed: a product of activations, element by element, that was summed afterwards: attention as mask and sum.
        constant: it only ever read constants: it could run once.
    """

    name: str
    op: str
    dense: int
    operands: tuple[Operand, ...]
    events: int
    first: bool = False
    outputs: int = 0
    bias: int = 0
    inner: int = 0
    module: bool = True
    effective: float = 0
    graded: float | None = None
    sources: tuple[str, ...] = ()
    weights: int = 0
    executions: int = 0
    summed: bool = False
    constant: bool = False

    @property
    def gate(self) -> Operand:
        """The operand whose spikes decide what is computed: of several the one of the better class; of two alike the
        first of a matrix product, or of a mask that is summed; elsewhere the sparser. A product of activations, and
        what is broadcast, gates where there is nothing better.
        """
        return self.operands[self.gating]

    @property
    def gating(self) -> int:
        """The index of `gate` among the operands."""
        ordered = self.op != "product" or self.summed

        def order(i: int) -> tuple[bool, bool, int, float]:
            x = self.operands[i]
            return x.kind not in EVENTS, bool(x.product) or x.broadcast, rank(x.kind), i if ordered else x.firing_rate

        return min(range(len(self.operands)), key=order)

    @property
    def sops(self) -> float:
        """fr(l) T FLOPs(l), Eq. 18, with the rate of the gating operand."""
        return self.gate.nonzero * self.dense / self.gate.elements if self.gate.elements else 0.0

    def one_step(self, images: int, time_steps: int) -> float:
        """Share of its executions that one per image is: 1/T, or 1 where it stands before time begins."""
        return min(images / self.executions, 1.0) if self.executions else 1 / max(time_steps, 1)


@dataclass(frozen=True)
class Neurons:
    """One spiking layer over all images: elements times steps, and spikes at each step."""

    name: str
    elements: int
    per_step: tuple[int, ...]

    @property
    def spikes(self) -> int:
        """Spikes over all steps."""
        return sum(self.per_step)


@dataclass(frozen=True)
class FreeArithmetic:
    """Arithmetic that Eqs. 19-20 leave out, in one module.

    Args:
        name: the module.
        op: what it does.
        elements: of its results.
        operand: of a pool, what it read.
        module: a pool that is a module of its own (nn.MaxPool2d), not a function called inside one.
        foldable: a BatchNorm right after a convolution or linear layer, whose weights can take it in.
    """

    name: str
    op: str
    elements: int
    operand: Operand | None = None
    foldable: bool = False
    module: bool = False


@dataclass(frozen=True)
class Correct:
    """How many labelled images were predicted right, first and among the first five (None under five classes)."""

    labelled: int
    top1: int
    top5: int | None


@dataclass(frozen=True)
class RunRecord:
    """What one run recorded.

    Args:
        model: what was run.
        data: on what, with the number of images.
        operations: synaptic operations in the order of their first execution.
        neurons: spiking layers.
        free: arithmetic that is not synaptic.
        uncounted: operators that compute and are not understood, each with its module.
        hits: right predictions, where labels were known.
        unit: what `moments` are over: "image", or "batch" where the model mixes images.
        moments: of the number of images, then for each operation the nonzeros of each operand and the events, then of
            what each pool read (not in profiles of earlier versions).
        passes: forward passes of the run.
        run: settings and versions, for the record.
        notes: sentences that belong to these numbers.
        origin: measured with trained weights or a user's own, with random ones, or from given rates.
    """

    model: ModelInfo
    data: DataInfo
    operations: tuple[Operation, ...]
    neurons: tuple[Neurons, ...]
    free: tuple[FreeArithmetic, ...]
    uncounted: tuple[str, ...]
    hits: Correct | None
    unit: str
    moments: Moments
    passes: int = 1
    run: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    origin: Origin = Origin.MEASURED

    @property
    def undecided(self) -> tuple[Neurons, ...]:
        """Always empty: modules that may be layers of neurons or not. Kept for programs that read it."""
        return ()

    @property
    def images(self) -> int:
        """Images that were run."""
        return self.data.images

    @property
    def pools(self) -> tuple[FreeArithmetic, ...]:
        """Free arithmetic whose input was counted."""
        return tuple(item for item in self.free if item.operand is not None)
