"""Complexity as one JSON object: formulas as text that sympy reads, their numbers, and what was measured."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from saformer.analysis.account import SCHEMA
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
from saformer.analysis.complexity.orders import order
from saformer.analysis.hardware import Hardware
from saformer.reports.complexity_table import AXES, published
from saformer.reports.writers import plain

if TYPE_CHECKING:
    from saformer.analysis.complexity.fitting import Fit
    from saformer.analysis.complexity.measuring import Measurement

_MJ = 1e-9


def complexity_json_text(
    attentions: Sequence[Attention], sizes: Sizes, hardware: Hardware, measurement: "Measurement | None" = None
) -> str:
    """Everything that the tables show, schema 1; counts per image over all time steps, energies in millijoules."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "sizes": asdict(sizes),
        "hardware": {"name": hardware.name, "mac_pj": hardware.mac_pj, "ac_pj": hardware.ac_pj},
        "attentions": [_formulas(a, sizes, hardware) for a in attentions],
    }
    if measurement is not None:
        document["measured"] = {
            "device": measurement.device,
            "threads": measurement.threads,
            "fits": [
                {"attention": a.key, "quantity": quantity, "over": symbol, **_fit(fit)}
                for axis, symbol in AXES.items()
                for a in attentions
                if measurement.series(a, axis)
                for quantity, fit in (
                    ("time", measurement.time_fit(a, axis)),
                    ("peak_memory", measurement.memory_fit(a, axis)),
                )
            ],
            "points": [
                {
                    "attention": p.attention.key,
                    "over": AXES[p.axis],
                    "tokens": p.sizes.tokens,
                    "dim": p.sizes.dim,
                    "seconds": p.time,
                    "repeats": len(p.seconds),
                    "peak_bytes": p.peak,
                    "skipped": p.skipped,
                }
                for p in measurement.points
            ],
        }
    return json.dumps(plain(document), indent=2, allow_nan=False) + "\n"


def _formulas(attention: Attention, sizes: Sizes, hardware: Hardware) -> dict[str, Any]:
    theirs = {quantity: str(formula) for (key, quantity), formula in published().items() if key == attention.key}
    parts = [part for part in PARTS if attention.energy(part)]

    def millijoules(*parts: str) -> float | None:
        value = picojoules(attention, sizes, hardware, *parts)
        return None if value is None else value * _MJ

    charged = tuple(part for part in PARTS if part != LEFT_OUT)
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
        "macs": float(attention.charged(sizes, E_MAC, *charged)),
        "acs": float(attention.charged(sizes, E_AC, *charged)),
        "multiplies": float(attention.charged(sizes, E_M, *charged)),
        "elements": attention.elements(sizes),
        "energy_mj": millijoules(*SYNAPTIC),
        "energy_mj_table_5": millijoules(),
        "parts": [
            {
                "part": part,
                "energy": str(attention.energy(part)),
                "published": theirs.get(part),
                "energy_mj": millijoules(part),
            }
            for part in parts
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
