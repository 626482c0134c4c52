"""Attention maps of one image as a table: what `saformer attention` prints."""

from collections.abc import Iterator, Mapping

from saformer.analysis.diagnostics.attention_maps import Inspection
from saformer.reports.document.blocks import Report
from saformer.reports.document.numbers import percent, significant
from saformer.reports.document.table import Column, Row, Table, number
from saformer.reports.results.attention import attention_data


def attention_report(inspections: Mapping[str, Inspection], image: str, label: int | None = None) -> Report:
    """A row for each attention of each network; where there is none, for each spiking layer.

    Args:
        inspections: of the same image, by network.
        image: what the image is called.
        label: its class, if it is known.
    """
    if not any(inspection.maps for inspection in inspections.values()):
        return Report([_trains(inspections, image, label)], data=attention_data(inspections, image, label))
    columns = [
        Column("network"),
        Column("block"),
        Column("attention"),
        number("mean", write=significant),
        number("largest", write=significant),
        number("silent tokens", key="silent_share", write=percent),
        number("spread", write=significant),
    ]
    rows = []
    for name, inspection in inspections.items():
        for found in inspection.maps:
            mean = found.mean
            values = [float(mean.mean()), float(mean.max()), found.silent, found.spread]
            rows.append(Row([name, found.name, found.kind, *values], rule=found is inspection.maps[-1]))
    if rows:
        rows[-1] = Row(rows[-1].cells)
    kinds = {found.kind: found.meaning for inspection in inspections.values() for found in inspection.maps}
    without = [name for name, inspection in inspections.items() if not inspection.maps]
    notes = [
        *_predictions(inspections, label),
        *(f"{kind}: {meaning}, at each token, averaged over time steps and heads." for kind, meaning in kinds.items()),
        "silent tokens: get nothing at any step; spread: exp(entropy) / N, 1 if all tokens get the same.",
        *([f"no attention with maps: {', '.join(without)}"] if without else []),
    ]
    table = Table(f"Attention maps of {image}", columns, rows, notes)
    return Report([table], data=attention_data(inspections, image, label))


def _trains(inspections: Mapping[str, Inspection], image: str, label: int | None) -> Table:
    """A row for each spiking layer, of networks without attention maps."""
    columns = [
        Column("network"),
        Column("spiking layer", key="layer"),
        number("T", key="time_steps", write=str),
        number("neurons"),
        number("rate", key="firing_rate", write=percent),
    ]
    rows = [
        Row([name, train.name, *train.spikes.shape, train.firing_rate])
        for name, inspection in inspections.items()
        for train in inspection.trains
    ]
    return Table(f"Spikes on {image}", columns, rows, list(_predictions(inspections, label)))


def _predictions(inspections: Mapping[str, Inspection], label: int | None) -> Iterator[str]:
    """The class that each network gives the highest score; nothing where none gives scores."""
    found = [f"{name}: {one.predicted}" for name, one in inspections.items() if one.predicted is not None]
    if found:
        yield f"predicted class: {', '.join(found)}" + ("" if label is None else f" (label {label})")
