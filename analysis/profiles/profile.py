"""A Profile: the integers of one run and what was run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.analysis.accounting.account import DataInfo, ModelInfo
from saformer.analysis.statistics.moments import Moments

if TYPE_CHECKING:
    import pandas

    from saformer.analysis.accounting.account import Account
    from saformer.analysis.accounting.hardware import Hardware

SPIKES_OF = "spikes of "  # source of what a layer of neurons puts out


def inside(name: str, path: str) -> bool:
    """Whether something of that name happens in the module at that path ("" is the whole model)."""
    return not path or name == path or name.startswith(f"{path}.")


@dataclass(frozen=True)
class Operand:
    """An activation that an operation read, over all images and steps: elements, nonzeros, and ones among them."""

    elements: int
    nonzero: int
    ones: int

    def __add__(self, other: "Operand") -> "Operand":
        """Both sets of elements together."""
        return Operand(self.elements + other.elements, self.nonzero + other.nonzero, self.ones + other.ones)

    @property
    def binary(self) -> bool:
        """Every nonzero was 1."""
        return self.nonzero == self.ones

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

    @property
    def gate(self) -> Operand:
        """The operand whose spikes decide what is computed.

        The first that comes from neurons; else the first that is binary, else the first. Where it comes from goes
        before what it holds: a sparse Q K^T may happen to hold zeros and ones only, and V gates its product still.
        """
        spikes = [x for x, source in zip(self.operands, self.sources, strict=False) if source.startswith(SPIKES_OF)]
        binary = [x for x in self.operands if x.binary]
        return next(iter((*spikes, *binary, self.operands[0])))

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
class Hits:
    """How many labelled images were predicted right, first and among the first five (None under five classes)."""

    labelled: int
    top1: int
    top5: int | None


@dataclass(frozen=True)
class Profile:
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
        undecided: modules that put out zeros and ones alone, where it does not show whether they are spiking layers:
            they never fired, or never read anything but zeros and ones. More images may decide.
    """

    model: ModelInfo
    data: DataInfo
    operations: tuple[Operation, ...]
    neurons: tuple[Neurons, ...]
    free: tuple[FreeArithmetic, ...]
    uncounted: tuple[str, ...]
    hits: Hits | None
    unit: str
    moments: Moments
    passes: int = 1
    run: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    undecided: tuple[Neurons, ...] = ()

    @property
    def images(self) -> int:
        """Images that were run."""
        return self.data.images

    @property
    def pools(self) -> tuple[FreeArithmetic, ...]:
        """Free arithmetic whose input was counted."""
        return tuple(item for item in self.free if item.operand is not None)

    def account(self, accounting: str = "paper", hardware: "str | Hardware" = "45nm-fp32", **options: Any) -> "Account":
        """The energy of this profile, per image; see `saformer.analysis.accounting.energy.account_for`."""
        from saformer.analysis.accounting.energy import account_for

        return account_for(self, accounting, hardware, **options)

    def to_pandas(self) -> "pandas.DataFrame":
        """One row per operation: its integers over all images, and its firing rate."""
        import pandas

        return pandas.DataFrame(
            [
                {
                    "name": o.name,
                    "op": o.op,
                    "dense": o.dense,
                    "elements": o.gate.elements,
                    "nonzero": o.gate.nonzero,
                    "ones": o.gate.ones,
                    "firing_rate": o.gate.firing_rate,
                    "binary": o.gate.binary,
                    "events": o.events,
                }
                for o in self.operations
            ]
        )

    def _repr_html_(self) -> str:
        """The profile in a notebook: its account under the default accounting."""
        return self.account()._repr_html_()

    def __add__(self, other: "Profile") -> "Profile":
        """The profile of both sets of images together.

        What one of them left undecided, the other may decide.

        Raises:
            InputError: they are not of the same model, data and kind of run.
        """
        from saformer.analysis.profiles.merge import added

        return added(self, other)

    def to_json(self) -> dict[str, Any]:
        """The profile as plain data; `from_json` is the inverse."""
        from saformer.analysis.profiles.serialization import to_json

        return to_json(self)

    @staticmethod
    def from_json(plain: Any) -> "Profile":
        """A profile from the data of `to_json`.

        Raises:
            InputError: it is not a profile, of another schema, incomplete, or its integers contradict each other.
        """
        from saformer.analysis.profiles.serialization import from_json

        return from_json(plain)

    def save(self, path: str | Path) -> None:
        """Write the profile as JSON, whole or not at all.

        Raises:
            InputError: the file cannot be written.
        """
        from saformer.analysis.profiles.serialization import write

        write(self, path)

    @staticmethod
    def load(path: str | Path) -> "Profile":
        """Read a profile that `save` wrote.

        Raises:
            InputError: the file is missing, no JSON, or no sound profile.
        """
        from saformer.analysis.profiles.serialization import read

        return read(path)
