"""The sections of the page that need more than profiles: complexity, attention maps, sweeps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from saformer.analysis.accounting.hardware import Hardware
from saformer.reports.document.blocks import Heading, Part, Picture
from saformer.reports.document.numbers import EnergyUnit, percent
from saformer.reports.figures.attention import attention_figure
from saformer.reports.figures.complexity import formula_panels, measured_panels, scaling_figure
from saformer.reports.figures.raster import raster_figure
from saformer.reports.figures.sweep import sweep_figure
from saformer.reports.results.sweep import Sweep
from saformer.reports.tables.attention import attention_report
from saformer.reports.tables.complexity import complexity_parts
from saformer.reports.tables.sweep import sweep_report

if TYPE_CHECKING:
    from torch import Tensor

    from saformer.analysis.complexity.benchmark import Measurement
    from saformer.analysis.complexity.formulas import Attention, Sizes
    from saformer.analysis.diagnostics.attention_maps import Inspection


def complexity_section(
    attentions: "Sequence[Attention]", sizes: "Sizes", hardware: Hardware, measurement: "Measurement | None"
) -> list[Part]:
    """Tables 4 and 5 as formulas and numbers, and what was measured of them."""
    over_tokens = [replace(sizes, tokens=64 * 2**i) for i in range(9)]
    names = ", ".join(attention.title for attention in attentions)
    parts: list[Part] = [
        Heading("Complexity: Tables 4 and 5"),
        *complexity_parts(attentions, sizes, hardware, measurement),
        Picture(
            "complexity",
            lambda: scaling_figure(formula_panels(attentions, over_tokens, hardware)),
            f"Dense operations and energy of {names} over the number of tokens from 64 to 16384, both axes "
            "logarithmic, by the formulas",
            f"The formulas over the number of tokens, at D = {sizes.dim}, T = {sizes.time_steps} and a firing rate of "
            f"{percent(sizes.rate)} everywhere.",
        ),
    ]
    if measurement is not None:
        parts.append(
            Picture(
                "complexity-measured",
                lambda: scaling_figure(measured_panels(attentions, measurement)),
                f"Time and peak memory of the modules of {names}, measured over the number of tokens and over the "
                "dimension, both axes logarithmic",
                "Time and peak memory of the real modules as measured; the tables above have the fitted exponents.",
            )
        )
    return parts


def attention_section(inspections: "Mapping[str, Inspection]", image: "Tensor", title: str) -> list[Part]:
    """Figure 4: where the attention of each network lies on one image, and what fires."""
    names = ", ".join(inspections)
    parts: list[Part] = [
        Heading("Figure 4: attention maps"),
        *attention_report(inspections, title).parts,
        Picture(
            "attention",
            lambda: attention_figure(inspections, image, title),
            f"Attention of {names} over {title}, a row of maps for each block: the mean over time, then each time step",
            f"Attention maps of {names} over {title}; docs/figures.md says what a map shows.",
        ),
    ]
    for name, inspection in inspections.items():
        parts.append(
            Picture(
                f"{Heading(name).anchor}-raster",
                partial(raster_figure, inspection.trains, f"{name}: {title}"),
                f"Spike raster of {name} on {title}: {len(inspection.trains)} layers, a mark where a neuron fires at a "
                "time step",
                f"Spikes of every layer of {name} on the same image.",
            )
        )
    return parts


def sweep_section(sweep: Sweep, unit: EnergyUnit) -> list[Part]:
    """Figure 5 (time steps) or 6 (aggregated tokens)."""
    number_of_figure, what = ("5", "time steps") if sweep.parameter == "time_steps" else ("6", "aggregated tokens")
    name = ", ".join(sweep.curves)
    values = "; ".join(
        f"{point.value}: {percent(point.account.accuracy.top1 if point.account.accuracy else None, 2)}, "
        f"{unit.text(point.account.energy_mj)}"
        for point in sweep.points
    )
    return [
        Heading(f"Figure {number_of_figure}: {what}"),
        *sweep_report(sweep, unit).parts,
        Picture(
            f"sweep-{sweep.parameter.replace('_', '-')}",
            lambda: sweep_figure(sweep, unit),
            f"Accuracy and costs of {name} over {what}: {values}",
            f"{name} over {what}, measured here; the table above has the numbers.",
        ),
    ]
