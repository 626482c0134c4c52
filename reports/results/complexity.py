"""Complexity as one object for JSON: formulas as text that sympy reads, their numbers, and what was measured."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from saformer.analysis.accounting.account import SCHEMA
from saformer.analysis.accounting.hardware import Hardware
from saformer.analysis.complexity.formulas import (
    ATTENTION,
    E_AC,
    E_M,
    E_MAC,
    LEFT_OUT,
    PARTS,
    SYNAPTIC,
    Attention,
    Sizes,
    picojoules,
)
from saformer.analysis.complexity.growth import order
from saformer.reports.results.literature import published_complexity

if TYPE_CHECKING:
    from sympy import Expr

    from saformer.analysis.complexity.benchmark import Measurement
    from saformer.analysis.complexity.fitting import Fit

AXES = {"tokens": "N", "dim": "D"}
# What is measured: its name, the unit that readers see, how many of it make one of the values' unit, and that unit.
QUANTITIES = {"time": ("time", "ms", 1e3, "seconds"), "memory": ("peak memory", "MiB", 2.0**-20, "bytes")}
# What Table 5 charges.
CHARGED = tuple(part for part in PARTS if part != LEFT_OUT)


def published() -> "dict[tuple[str, str], Expr]":
    """The published formulas by attention and quantity: time, space, or a part of the energy."""
    import sympy

    from saformer.analysis.complexity import formulas

    symbols = {name: value for name, value in vars(formulas).items() if isinstance(value, sympy.Symbol)}
    rows = published_complexity().itertuples()
    return {(str(row.attention), str(row.quantity)): sympy.sympify(row.formula, locals=symbols) for row in rows}


def millijoules(attention: Attention, sizes: Sizes, hardware: Hardware, *parts: str) -> float | None:
    """Energy per image in these parts of Table 5, default all that it charges; None where a price is not known."""
    value = picojoules(attention, sizes, hardware, *parts)
    return None if value is None else value * 1e-9


def fits(attention: Attention, axis: str, measurement: "Measurement") -> "dict[str, Fit]":
    """The fits of time and memory over one size; none where it was not measured."""
    if not measurement.series(attention, axis):
        return {}
    return {"time": measurement.time_fit(attention, axis), "memory": measurement.memory_fit(attention, axis)}


def complexity_data(
    attentions: Sequence[Attention], sizes: Sizes, hardware: Hardware, measurement: "Measurement | None" = None
) -> dict[str, Any]:
    """Everything that the tables show, schema 1; counts per image over all time steps, energies in millijoules.

    `saformer.analysis.complexity.serialization.read_measurement` reads the measurement back.
    """
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "sizes": asdict(sizes),
        "hardware": {"name": hardware.name, "mac_pj": hardware.mac_pj, "ac_pj": hardware.ac_pj},
        "attentions": [_formulas(a, sizes, hardware) for a in attentions],
    }
    if measurement is not None:
        from saformer.analysis.complexity.serialization import measurement_data

        data["measured"] = {
            **measurement_data(measurement),
            "fits": [
                {"attention": a.key, "quantity": quantity, "over": symbol, **_fit(fit)}
                for axis, symbol in AXES.items()
                for a in attentions
                for quantity, fit in fits(a, axis, measurement).items()
            ],
        }
    return data


def _formulas(attention: Attention, sizes: Sizes, hardware: Hardware) -> dict[str, Any]:
    theirs = {quantity: str(formula) for (key, quantity), formula in published().items() if key == attention.key}
    return {
        "name": attention.key,
        "title": attention.title,
        "time_order": str(order(attention.time(ATTENTION))),
        "module_order": str(order(attention.time())),
        "space_order": str(order(attention.space)),
        "time": str(attention.time(ATTENTION)),
        "module": str(attention.time(*SYNAPTIC)),
        "space": str(attention.space),
        "published": {key: theirs.get(key) for key in ("time", "space")},
        "flops": attention.count(sizes, *SYNAPTIC),
        "macs": float(attention.charged(sizes, E_MAC, *CHARGED)),
        "acs": float(attention.charged(sizes, E_AC, *CHARGED)),
        "multiplies": float(attention.charged(sizes, E_M, *CHARGED)),
        "elements": attention.elements(sizes),
        "energy_mj": millijoules(attention, sizes, hardware, *SYNAPTIC),
        "energy_mj_table_5": millijoules(attention, sizes, hardware),
        "parts": [
            {
                "part": part,
                "energy": str(attention.energy(part)),
                "published": theirs.get(part),
                "energy_mj": millijoules(attention, sizes, hardware, part),
            }
            for part in PARTS
            if attention.energy(part)
        ],
    }


def _fit(fit: "Fit") -> dict[str, Any]:
    law = fit.measured
    return {
        "symbolic": fit.symbolic,
        "formula": fit.formula,
        "exponent": None if law is None else law.exponent,
        "exponent_ci95": None if law is None or law.low is None else [law.low, law.high],
        "sizes": list(fit.sizes),
        "asymptotic": fit.asymptotic,
    }
