"""A Profile: the integers of one run and what was run. It saves to JSON, loads back, and adds up."""

import json
import os
import reprlib
import stat
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.analysis.account import SCHEMA, DataInfo, ModelInfo
from saformer.analysis.statistics import Moments
from saformer.errors import InputError
from saformer.files import write_text_atomic

if TYPE_CHECKING:
    import pandas

    from saformer.analysis.account import Account
    from saformer.analysis.hardware import Hardware

_KIND = "saformer-profile"
_MOST = 2**100  # far beyond any run; its squares and their products are within what a float holds
_LARGEST_FILE = 2**28  # bytes; the profile of a network of a thousand operations has 2**25
_IMAGES = ("data", "images")  # the one thing that parts differ in
_SAME_RUN = ("dtype", "graded", "confidence")  # settings that decide what the integers mean
_BRIEF = 80  # characters of a value in a message
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


def _together(ours: tuple[Neurons, ...], theirs: tuple[Neurons, ...]) -> tuple[Neurons, ...]:
    """Layers that are in both, with the counts of both."""
    others = {neuron.name: neuron for neuron in theirs}
    return tuple(
        Neurons(
            a.name, a.elements + b.elements, tuple(x + y for x, y in zip_longest(a.per_step, b.per_step, fillvalue=0))
        )
        for a in ours
        if (b := others.get(a.name)) is not None
    )


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
        """The energy of this profile, per image; see `saformer.analysis.energy.account_for`."""
        from saformer.analysis.energy import account_for

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

    # -- adding ----------------------------------------------------------------------------------------------------

    def __add__(self, other: "Profile") -> "Profile":
        """The profile of both sets of images together.

        What one of them left undecided, the other may decide.

        Raises:
            InputError: they are not of the same model, data and kind of run.
        """
        decided = {neuron.name for neuron in (*self.neurons, *other.neurons)}
        ours, theirs = self._decided(decided), other._decided(decided)
        if ours is not self:
            ours = ours._in_order_of(theirs)
        elif theirs is not other:
            theirs = theirs._in_order_of(ours)
        if bool(self.neurons) != bool(other.neurons):  # T shows in the neurons, where nobody said
            steps = self.model.time_steps or other.model.time_steps
            ours, theirs = (p._with_steps(steps) for p in (ours, theirs))
        ours._check_belongs(theirs)
        return ours._plus(theirs)

    def _decided(self, names: set[str]) -> "Profile":
        """This profile with those of its undecided modules as layers of neurons that are known to be."""
        turned = [neuron for neuron in self.undecided if neuron.name in names]
        if not turned:
            return self

        def own(name: str) -> bool:
            return any(inside(name, neuron.name) for neuron in turned)

        kept, operations, position = [0], [], 1
        for operation in self.operations:
            width = len(operation.operands) + 1
            if not own(operation.name):
                operations.append(operation)
                kept += range(position, position + width)
            position += width
        if position < len(self.moments.sums):  # profiles of earlier versions hold no moments of pools
            kept += [position + i for i, pool in enumerate(self.pools) if not own(pool.name)]
        sums, gram = self.moments.sums, self.moments.gram
        return replace(
            self,
            operations=tuple(operations),
            neurons=(*self.neurons, *turned),
            undecided=tuple(neuron for neuron in self.undecided if neuron not in turned),
            free=tuple(entry for entry in self.free if not own(entry.name)),
            uncounted=tuple(entry for entry in self.uncounted if not own(entry.rpartition(" in ")[2])),
            moments=Moments(
                self.moments.units, tuple(sums[i] for i in kept), tuple(tuple(gram[i][j] for j in kept) for i in kept)
            ),
        )

    def _in_order_of(self, other: "Profile") -> "Profile":
        """This profile with its layers of neurons in the order of another's, where newly decided ones have a place."""
        order = {neuron.name: i for i, neuron in enumerate(other.neurons)}
        return replace(self, neurons=tuple(sorted(self.neurons, key=lambda n: order.get(n.name, len(order)))))

    def _with_steps(self, steps: int | None) -> "Profile":
        """This profile with T, where it is not known."""
        return self if self.model.time_steps else replace(self, model=replace(self.model, time_steps=steps))

    def _plus(self, other: "Profile") -> "Profile":
        operations = tuple(
            replace(
                a,
                dense=a.dense + b.dense,
                events=a.events + b.events,
                outputs=a.outputs + b.outputs,
                effective=a.effective + b.effective,
                graded=None if a.graded is None or b.graded is None else a.graded + b.graded,
                operands=tuple(x + y for x, y in zip(a.operands, b.operands, strict=True)),
                executions=a.executions + b.executions,
                first=a.first and b.first,
                sources=tuple(y if y.startswith(SPIKES_OF) else x for x, y in zip(a.sources, b.sources, strict=True)),
            )
            for a, b in zip(self.operations, other.operations, strict=True)
        )
        neurons = _together(self.neurons, other.neurons)
        free: dict[tuple[str, str], FreeArithmetic] = {}
        for entry in (*self.free, *other.free):
            known = free.get((entry.name, entry.op))
            if known is None:
                free[entry.name, entry.op] = entry
                continue
            operand = entry.operand if known.operand is None or entry.operand is None else known.operand + entry.operand
            free[entry.name, entry.op] = replace(
                known,
                elements=known.elements + entry.elements,
                operand=operand,
                foldable=known.foldable and entry.foldable,
            )
        hits = None
        if self.hits and other.hits:
            top5 = None
            if self.hits.top5 is not None and other.hits.top5 is not None:
                top5 = self.hits.top5 + other.hits.top5
            hits = Hits(self.hits.labelled + other.hits.labelled, self.hits.top1 + other.hits.top1, top5)
        return replace(
            self,
            data=replace(self.data, images=self.images + other.images),
            operations=operations,
            neurons=neurons,
            free=tuple(free.values()),
            uncounted=tuple(dict.fromkeys((*self.uncounted, *other.uncounted))),
            hits=hits,
            moments=self.moments + other.moments,
            passes=self.passes + other.passes,
            run=_both_runs(self.run, other.run),
            notes=tuple(dict.fromkeys((*self.notes, *other.notes))),
            # What the other half refuted, or did not run, is undecided no more.
            undecided=_together(self.undecided, other.undecided),
        )

    def _check_belongs(self, other: "Profile") -> None:
        """Raise InputError unless the two are of the same model, data and kind of run; it names what differs."""
        pairs: list[tuple[str, Any, Any]] = []
        for of, mine, its in (
            ("model", asdict(self.model), asdict(other.model)),
            ("data", asdict(self.data), asdict(other.data)),
        ):
            pairs += [(f"{of}.{key}", mine[key], its[key]) for key in mine if (of, key) != _IMAGES]
        pairs += [(f"run.{key}", self.run.get(key), other.run.get(key)) for key in _SAME_RUN]
        pairs.append(("the unit of the variance", self.unit, other.unit))
        for kind, our_names, their_names in (
            ("operation", self._shape(), other._shape()),
            ("spiking layer", [n.name for n in self.neurons], [n.name for n in other.neurons]),
            ("pool", [f"{f.name}, {f.op}" for f in self.pools], [f"{f.name}, {f.op}" for f in other.pools]),
        ):
            pairs += [(f"{kind} {i}", a, b) for i, (a, b) in enumerate(zip_longest(our_names, their_names), 1)]
        pairs += [
            (f"the number of time steps of {a.name}", len(a.per_step), len(b.per_step))
            for a, b in zip(self.neurons, other.neurons, strict=False)
        ]
        pairs.append(("the number of counters", len(self.moments.sums), len(other.moments.sums)))
        for what, ours, theirs in pairs:
            if ours != theirs:
                raise InputError(
                    f"the two profiles cannot be added: {what} is {_brief(ours)} in one, {_brief(theirs)} in the other"
                )

    def _shape(self) -> list[str]:
        return [
            f"{o.name}, {o.op} of {len(o.operands)}, {o.weights} + {o.bias} weights" for o in self.operations
        ]

    # -- files -----------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """The profile as plain data; `from_json` is the inverse."""
        plain = asdict(self)
        plain.pop("moments")
        return {
            "kind": _KIND,
            "schema": SCHEMA,
            **plain,
            "moments": {
                "units": self.moments.units,
                "sums": list(self.moments.sums),
                # The matrix is symmetric: each row up to the diagonal.
                "gram": [list(row[: i + 1]) for i, row in enumerate(self.moments.gram)],
            },
        }

    @staticmethod
    def from_json(plain: Any) -> "Profile":
        """A profile from the data of `to_json`.

        Raises:
            InputError: it is not a profile, of another schema, incomplete, or its integers contradict each other.
        """
        if not isinstance(plain, dict) or plain.get("kind") != _KIND:
            raise InputError("this is not a saved profile: it was not written by --save-profile")
        if plain.get("schema") != SCHEMA:
            raise InputError(
                f"the profile has schema {_brief(plain.get('schema'))}, this version reads schema {SCHEMA}"
            )
        try:
            profile = _parse(plain)
        except KeyError as error:
            raise InputError(f"the profile is incomplete: {_brief(error.args[0])} is missing") from None
        except (TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
            raise InputError(f"the profile is damaged: {_brief(str(error), bare=True)}") from None
        profile._check()
        return profile

    def _check(self) -> None:
        """Raise InputError where integers contradict each other; it says which."""
        hits, moments, operations = self.hits, self.moments, self.operations
        read = [*(x for o in operations for x in o.operands), *(f.operand for f in self.pools if f.operand)]
        counters = [nonzero for o in operations for nonzero in (*(x.nonzero for x in o.operands), o.events)]
        pools = [f.operand.nonzero for f in self.pools if f.operand]
        whole, size = (self.images, *counters, *pools), len(moments.sums)
        sums = (whole, whole[: len(counters) + 1])  # earlier versions kept no moments of pools
        per_image = self.unit == "image"
        rows = len(moments.gram) == size and all(len(row) == size for row in moments.gram)
        for what, consistent in (
            ("the number of images", self.images >= 1),
            ("the sums of its counters", moments.sums in sums),
            ("its unit", self.unit in ("image", "batch")),
            ("the number of units", moments.units == self.images if per_image else 1 <= moments.units <= self.images),
            ("the size of its products", rows),
            ("its products", rows and _possible(moments, per_image)),
            ("elements, nonzeros and ones", all(x.ones <= x.nonzero <= x.elements for x in read)),
            ("events", all(o.operands and o.effective <= o.events for o in operations)),
            ("sources", all(len(o.sources) in (0, len(o.operands)) for o in operations)),
            ("names", _distinct(o.name for o in operations) and _distinct(n.name for n in self.neurons)),
            ("the kind of data", self.data.kind in ("static", "events")),
            ("time steps", self.model.time_steps is None or self.model.time_steps >= 1),
            ("forward passes", 1 <= self.passes <= self.images),
            ("the confidence", 0 < _share(self.run.get("confidence", 0.95)) < 1),
            ("spikes", all(n.spikes <= n.elements for n in self.neurons)),
            ("hits", hits is None or hits.top1 <= (hits.labelled if hits.top5 is None else hits.top5)),
            ("labels", hits is None or (hits.top5 or 0) <= hits.labelled <= self.images),
        ):
            if not consistent:
                raise InputError(f"the profile's integers contradict each other in {what}: it was cut or edited")

    def save(self, path: str | Path) -> None:
        """Write the profile as JSON, whole or not at all.

        Raises:
            InputError: the file cannot be written.
        """
        write_text_atomic(path, json.dumps(self.to_json(), separators=(",", ":")) + "\n")

    @staticmethod
    def load(path: str | Path) -> "Profile":
        """Read a profile that `save` wrote.

        Raises:
            InputError: the file is missing, no JSON, or no sound profile.
        """
        try:
            found = os.stat(path)
            if not stat.S_ISREG(found.st_mode):
                raise InputError(f"cannot read the profile {path}: it is not a file")
            if found.st_size > _LARGEST_FILE:
                raise InputError(f"cannot read the profile {path}: it is larger than a profile can be")
            plain = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        except OSError as error:
            raise InputError(f"cannot read the profile {path}: {error.strerror or error}") from None
        except InputError:
            raise
        except (ValueError, RecursionError):
            raise InputError(
                f"profile {path} is not JSON, or was cut short: write it again with --save-profile"
            ) from None
        try:
            return Profile.from_json(plain)
        except InputError as error:
            raise InputError(f"profile {path}: {error}") from None


def _both_runs(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The record of both runs: what differs, such as the device, becomes a list of both values."""
    merged = dict(ours)
    for key, value in theirs.items():
        if key not in ours or ours[key] == value:
            merged[key] = value
            continue
        mine = ours[key] if isinstance(ours[key], list) else [ours[key]]
        merged[key] = [*mine, *(v for v in (value if isinstance(value, list) else [value]) if v not in mine)]
    return merged


def _brief(value: Any, bare: bool = False) -> str:
    """A value for a message: one short line, whatever a file held."""
    text = value if bare else "not there" if value is None else reprlib.repr(value)
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}..."


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _distinct(names: Iterable[str]) -> bool:
    listed = list(names)
    return len(set(listed)) == len(listed)


def _possible(moments: Moments, per_image: bool) -> bool:
    """Whether counters can have these sums and products: no variance is negative, no correlation beyond 1."""
    gram, sums, units = moments.gram, moments.sums, moments.units
    diagonal = [gram[i][i] for i in range(len(gram))]
    return (
        all(units * square >= total**2 for square, total in zip(diagonal, sums, strict=True))
        and (not per_image or gram[0] == sums)
        and all(
            v**2 <= a * b for a, row in zip(diagonal, gram, strict=True) for b, v in zip(diagonal, row, strict=True)
        )
    )


def _share(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _integer(value: Any, most: int = _MOST) -> int:
    """A count: everything in a profile is one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected an integer, found {_brief(value)}")
    if not 0 <= value <= most:
        raise ValueError(f"expected a count, found {'a negative number' if value < 0 else 'one beyond any run'}")
    return value


def _typed(value: Any, *types: type) -> Any:
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError(f"found {_brief(value)} where {types[0].__name__} belongs")
    return value


def _list(value: Any, convert: Callable[[Any], Any]) -> tuple[Any, ...]:
    return tuple(convert(item) for item in _typed(value, list, tuple))


def _operand(x: dict[str, Any]) -> Operand:
    return Operand(_integer(x["elements"]), _integer(x["nonzero"]), _integer(x["ones"]))


def _operation(o: dict[str, Any]) -> Operation:
    return Operation(
        name=_typed(o["name"], str),
        op=_typed(o["op"], str),
        dense=_integer(o["dense"]),
        operands=_list(o["operands"], _operand),
        events=_integer(o["events"]),
        first=_typed(o["first"], bool),
        outputs=_integer(o["outputs"]),
        bias=_integer(o["bias"]),
        inner=_integer(o["inner"]),
        module=_typed(o["module"], bool),
        effective=_integer(o["effective"]),
        graded=None if o["graded"] is None else _integer(o["graded"]),
        sources=_list(o["sources"], lambda source: _typed(source, str)),
        weights=_integer(o.get("weights", 0)),
        executions=_integer(o.get("executions", 0)),
    )


def _neurons(n: dict[str, Any]) -> Neurons:
    return Neurons(_typed(n["name"], str), _integer(n["elements"]), _list(n["per_step"], _integer))


def _free(f: dict[str, Any]) -> FreeArithmetic:
    return FreeArithmetic(
        name=_typed(f["name"], str),
        op=_typed(f["op"], str),
        elements=_integer(f["elements"]),
        operand=None if f["operand"] is None else _operand(f["operand"]),
        foldable=_typed(f["foldable"], bool),
        module=_typed(f["module"], bool),
    )


def _former_passes(plain: dict[str, Any]) -> int:
    """Profiles of earlier versions hold no passes: those that the batch size shows, or one."""
    images, batch_size = _integer(plain["data"]["images"]), plain["run"].get("batch_size")
    known = isinstance(batch_size, int) and not isinstance(batch_size, bool) and batch_size > 0
    return max(ceil(images / batch_size), 1) if known else 1


def _parse(plain: dict[str, Any]) -> Profile:
    model, data, hits, moments = plain["model"], plain["data"], plain["hits"], plain["moments"]
    rows = [[_integer(v, _MOST**2) for v in row] for row in moments["gram"]]
    size = len(rows)
    gram = tuple(tuple(rows[max(i, j)][min(i, j)] for j in range(size)) for i in range(size))
    return Profile(
        model=ModelInfo(
            _typed(model["name"], str),
            _integer(model["parameters"]),
            None if model["time_steps"] is None else _integer(model["time_steps"]),
            _typed(model["checkpoint"], str, type(None)),
            _typed(model["sha256"], str, type(None)),
        ),
        data=DataInfo(
            _typed(data["name"], str),
            _typed(data["split"], str, type(None)),
            _integer(data["images"]),
            _typed(data["kind"], str),
        ),
        operations=_list(plain["operations"], _operation),
        neurons=_list(plain["neurons"], _neurons),
        free=_list(plain["free"], _free),
        uncounted=_list(plain["uncounted"], lambda s: _typed(s, str)),
        hits=None
        if hits is None
        else Hits(
            _integer(hits["labelled"]),
            _integer(hits["top1"]),
            None if hits["top5"] is None else _integer(hits["top5"]),
        ),
        unit=_typed(plain["unit"], str),
        moments=Moments(_integer(moments["units"]), _list(moments["sums"], _integer), gram),
        passes=_integer(plain["passes"]) if "passes" in plain else _former_passes(plain),
        run=_typed(plain["run"], dict),
        notes=_list(plain["notes"], lambda s: _typed(s, str)),
        undecided=_list(plain.get("undecided", []), _neurons),
    )
