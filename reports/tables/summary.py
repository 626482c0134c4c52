"""The module tree of a network: shapes, parameters, and what a run on data shows of each module."""

from collections.abc import Sequence
from typing import Any

from saformer.analysis.diagnostics.module_tree import Counts, ModuleRow, ModuleTree, opened_to
from saformer.reports.document.blocks import Facts, Line, Part, Report, note
from saformer.reports.document.numbers import NOT_KNOWN, percent, si
from saformer.reports.document.table import Cell, Column, Row, Table, TableLayout, hidden, number
from saformer.reports.tables.what_was_run import counted, what_was_run
from saformer.text import some

_OF_ENERGY = ("accounting", "real values")
_OF_DATA = ("data", "accuracy")
_LAYOUTS = (TableLayout(2), TableLayout(1), *(TableLayout(1, rank=rank) for rank in (2, 1, 0)))


def summary_report(tree: ModuleTree, depth: int = 2, dt: float | None = None) -> Report:
    """What was run, the tree down to a depth (0: all of it), and the metrics of the network as a whole.

    Args:
        tree: of a network.
        depth: levels of the tree to show; 0 for all.
        dt: seconds of data that a time step stands for: operations per second are shown, too.
    """
    account = tree.profile.account("neurobench")
    facts = [fact for fact in what_was_run(account).facts if fact[0] not in _OF_ENERGY]
    if not tree.measured:
        facts = [(label, text.partition("; dense operations")[0]) for label, text in facts if label not in _OF_DATA]
    rate = None if dt is None else tree.execution_rate(dt)
    parts: list[Part] = [Facts(facts), Line(), summary_table(tree, depth, rate), Line(), Facts(_metrics(tree, dt))]
    return Report((*parts, *map(note, _notes(tree)), counted(account)))


def summary_table(tree: ModuleTree, depth: int = 2, rate: float | None = None) -> Table:
    """A row for each module, the network's own first; each holds all inside it. Numbers of a run are per image.

    Args:
        tree: of a network.
        depth: levels of the tree to show; 0 for all.
        rate: samples per second, for a column of effective operations per second.
    """
    run, total = tree.measured, tree.total
    fires, sparse = run and bool(total.neurons), run and total.activation_sparsity is not None
    columns = [
        Column("module", key="path"),
        Column("class", rank=1),
        hidden("depth"),
        Column("output", key="output_shape"),
        hidden("calls_per_image"),
        number("params", key="parameters"),
        hidden("parameters_counted_elsewhere"),
        number("bytes", rank=2),
        hidden("weights"),
        hidden("zero_weights"),
        number("zeros", key="connection_sparsity", write=percent),
        hidden("neurons_times_steps"),
        hidden("spikes_per_image"),
        number("rate", key="firing_rate", write=percent, shown=fires),
        number("sparsity", key="activation_sparsity", write=percent, shown=sparse, rank=3),
        number("updates", key="membrane_updates_per_image", shown=fires),
        number("dense", key="dense_per_image"),
        number("MACs", key="effective_macs_per_image", shown=run),
        number("ACs", key="effective_acs_per_image", shown=run),
        number("ops/s", key="effective_operations_per_second", shown=rate is not None),
    ]
    shown = [tree.rows[0], *opened_to(tree.rows, depth)]
    rows = [Row(_cells(row, tree, rate), strong=not row.depth, rule=not row.depth) for row in shown]
    caption = ["Each row holds all inside it. params: one that several modules share counts at the first."]
    if any(row.calls > 1 for row in shown):
        caption[0] += " ×n: runs n times."
    caption.append("zeros: share of the weights that are zero. dense: multiply-accumulates, none skipped.")
    if run:
        neurons = "rate: share of neurons and steps that fire; updates: membranes that change; " if fires else ""
        caption.append(
            f"Per image: {neurons}MACs, ACs: operations whose input and weight are not zero, ACs where the input is "
            "spikes (NeuroBench)."
        )
    return Table(f"Modules of {tree.profile.model.name}", columns, rows, caption, _LAYOUTS, quiet=True)


def _cells(row: ModuleRow, tree: ModuleTree, rate: float | None) -> list[Any]:
    counts, images = row.counts, tree.images
    path = Cell(row.path, "  " * max(row.depth - 1, 0) + row.name if row.depth else tree.profile.model.name)

    def of_run(value: int, where: int) -> Cell:
        """Per image; nothing where there is nothing of the kind."""
        share = value / images if tree.measured else None
        return Cell(share, si(share) if where and share is not None else "")

    effective = counts.macs + counts.acs
    return [
        path,
        row.kind,
        row.depth,
        Cell(_shapes(row), f"{_shapes(row)} ×{row.calls}" if row.calls > 1 else _shapes(row)),
        row.calls,
        _present(counts.parameters, counts.parameters),
        counts.shared,
        _present(counts.bytes, counts.bytes),
        counts.weights,
        counts.zero_weights,
        Cell(counts.connection_sparsity, "" if not counts.weights else percent(counts.connection_sparsity)),
        counts.neurons // images if counts.neurons % images == 0 else counts.neurons / images,
        counts.spikes / images if tree.measured else None,
        Cell(_of(tree, counts.firing_rate), "" if not counts.neurons else percent(counts.firing_rate)),
        Cell(_of(tree, counts.activation_sparsity), _share(counts.activation_sparsity)),
        of_run(counts.updates, counts.neurons),
        _present(counts.dense / images, counts.dense),
        of_run(counts.macs, counts.dense),
        of_run(counts.acs, counts.dense),
        _present(effective / images * rate, counts.dense) if rate is not None else None,
    ]


def _present(value: float, where: int) -> Cell:
    return Cell(value, si(value) if where else "")


def _of(tree: ModuleTree, share: float | None) -> float | None:
    return share if tree.measured else None


def _share(share: float | None) -> str:
    return "" if share is None else percent(share)


def _shapes(row: ModuleRow) -> str:
    return ", ".join("x".join(map(str, shape)) or "number" for shape in row.shapes)


def _metrics(tree: ModuleTree, dt: float | None) -> list[tuple[str, str]]:
    """NeuroBench's static metrics and, of a run on data, its workload metrics."""
    total, images = tree.total, tree.images
    zeros = (
        f"{percent(total.connection_sparsity)} of {si(total.weights)} weights are zero" if total.weights else NOT_KNOWN
    )
    facts = [
        ("footprint", f"{total.bytes:,} bytes: {total.parameters:,} parameters, and buffers"),
        ("connection sparsity", zeros),
    ]
    if not tree.measured:
        return [*facts, ("synaptic operations", f"{si(total.dense / images)} dense per image")]
    if total.activation_sparsity is not None:
        rate = "" if total.firing_rate is None else f"; firing rate {percent(total.firing_rate)}"
        facts.append(("activation sparsity", percent(total.activation_sparsity) + rate))
    if total.neurons:
        every = f"of {si(total.neurons / images)} neurons times steps"
        facts.append(("membrane updates", f"{si(total.updates / images)} per image, {every}"))
    facts.append(("synaptic operations", f"{_operations(total, 1 / images)} per image"))
    if dt is not None and (rate_of := tree.execution_rate(dt)) is not None:
        steps = tree.profile.model.time_steps
        facts.append(("per second", f"{_operations(total, rate_of / images)}, at T = {steps} steps of {dt:g} s"))
    return facts


def _operations(total: Counts, times: float) -> str:
    dense, macs, acs = (si(count * times) for count in (total.dense, total.macs, total.acs))
    return f"{dense} dense, {macs} effective MACs, {acs} effective ACs"


def _notes(tree: ModuleTree) -> Sequence[str]:
    notes = list(tree.profile.notes)
    if tree.measured and tree.unseen:
        notes.append(
            f"the membranes of {len(tree.unseen)} layer{'s' * (len(tree.unseen) > 1)} ({some(tree.unseen)}) cannot be "
            "seen: every neuron counts as updated at every step"
        )
    if tree.idle:
        notes.append(f"{tree.idle:,} parameters are in modules that did not run")
    if tree.total.shared:
        notes.append(f"{tree.total.shared:,} parameters are used by several modules, and count at the first")
    return notes
