"""One formula per attention: what it computes and what it holds, per image and time step.

    N  tokens, D  channels, n  aggregated tokens, H  heads, T  time steps
    R  nonzero rate of the attention's input, R_Q, R_K, R_V, R_Qa  of its spikes, R_A  of the attention's own (DSSA),
    R_O  of the output projection's input

T stands in a count where a step attends to other steps; the count is then the mean over the T steps, all of which
together take a whole number. The formulas are registered with the classes, in `saformer/attention/`. Every term carries
the name under which the recorder books the same thing on the real module, so that `differences` (in `verify.py`) can
compare them one by one. Time, space and energy of Tables 4 and 5 are sums of these terms.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import sympy
from sympy import Expr, Integer, Rational, Symbol

from saformer.analysis.accounting.hardware import Hardware
from saformer.attention.registry import (
    ATTENTION,
    ATTENTIONS,
    INPUTS,
    LEFT_OUT,
    OUTPUT,
    SCALE,
    SOFTMAX,
    Held,
    RegisteredAttention,
)
from saformer.errors import InputError
from saformer.plugins import named_class
from saformer.text import nearest

N, D, n, H, T = sympy.symbols("N D n H T", positive=True, integer=True)
E_MAC, E_AC, E_M = sympy.symbols("E_MAC E_AC E_M", positive=True)
R, R_Q, R_K, R_V, R_Qa, R_A, R_O = RATES = sympy.symbols("R R_Q R_K R_V R_Qa R_A R_O", nonnegative=True)

UNITS = (E_MAC, E_AC, E_M)

PARTS = (INPUTS, ATTENTION, SCALE, SOFTMAX, OUTPUT, LEFT_OUT)
SYNAPTIC = (INPUTS, ATTENTION, OUTPUT)


@dataclass(frozen=True)
class Sizes:
    """The sizes at which formulas are evaluated and modules are built.

    Args:
        tokens: N.
        dim: D.
        aggregated: n, which must divide N: then phi averages windows of equal size.
        time_steps: T; softmax attention runs once whatever T is.
        rate: the nonzero rate R of everything that spikes.
        heads: H.

    Raises:
        InputError: a size below 1, n that does not divide N, H that does not divide D, a rate outside 0 to 1.
    """

    tokens: int = 64
    dim: int = 384
    aggregated: int = 16
    time_steps: int = 4
    rate: float = 0.1
    heads: int = 1

    def __post_init__(self) -> None:
        for key in ("tokens", "dim", "aggregated", "time_steps", "heads"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{key.replace('_', ' ')} must be a whole number >= 1, got {value!r}")
        if self.tokens % self.aggregated:
            raise InputError(
                f"aggregated n = {self.aggregated} does not divide N = {self.tokens} tokens: choose a divisor"
            )
        if self.dim % self.heads:
            raise InputError(f"heads H = {self.heads} do not divide dim D = {self.dim}: choose a divisor")
        if not 0 <= self.rate <= 1:
            raise InputError(f"rate must lie between 0 and 1, got {self.rate}")

    @property
    def grid(self) -> tuple[int, int]:
        """The tokens as an image h x w, as nearly square as they can be."""
        height = next(h for h in range(math.isqrt(self.tokens), 0, -1) if self.tokens % h == 0)
        return height, self.tokens // height

    def values(self) -> dict[Symbol, Expr]:
        """What to put in for N, D, n, H, T and every rate; exact numbers (a rate of 0.1 is 1/10)."""
        rate = Rational(str(self.rate))
        numbers = {N: self.tokens, D: self.dim, n: self.aggregated, H: self.heads, T: self.time_steps}
        return {**{symbol: Integer(value) for symbol, value in numbers.items()}, **dict.fromkeys(RATES, rate)}


@dataclass(frozen=True)
class Term:
    """One thing an attention computes, per image and time step.

    Args:
        part: the row of Table 5 that it belongs to, or LEFT_OUT.
        name: how the recorder names it: an operation (`q` for q_linear or q_conv, `qk`, `dwc`), or free arithmetic.
        count: dense operations, or elements of free arithmetic.
        unit: energy of one, E_MAC, E_AC or E_M.
        rate: share that is computed, that of the input that gates it.
        each: operations charged for each counted element; 2 for softmax, as in the published table.
        when: it exists only then.
    """

    part: str
    name: str
    count: Expr
    unit: Symbol
    rate: Expr = sympy.S.One
    each: int = 1
    when: sympy.Basic = sympy.true

    def at(self, values: Mapping[Symbol, Expr]) -> Fraction:
        """`count` at these sizes; T times it is whole."""
        if not self.when.xreplace(values):
            return Fraction(0)
        return exact(self.count.xreplace(values))

    def charged(self, values: Mapping[Symbol, Expr]) -> Fraction:
        """Operations charged at these sizes and rates: the count at its rate."""
        return self.at(values) * self.each * exact(sympy.sympify(self.rate).xreplace(values))


@dataclass(frozen=True)
class Matrix:
    """One matrix that an attention holds, per image and time step.

    Args:
        held: its name, and where the recorder counts it.
        elements: how many it has.
    """

    held: Held
    elements: Expr


@dataclass(frozen=True)
class Attention:
    """An attention as a sum of terms and of matrices.

    Args:
        key: what the command line calls it.
        title: what tables and figures call it.
        spiking: it runs at T steps; softmax attention runs once.
        terms: what it computes.
        matrices: what it holds.
    """

    key: str
    title: str
    spiking: bool
    terms: tuple[Term, ...]
    matrices: tuple[Matrix, ...]

    @property
    def steps(self) -> Expr:
        """T, or 1."""
        return T if self.spiking else Integer(1)

    def time(self, *parts: str) -> Expr:
        """Dense operations per image and time step in these parts of Table 5; default all of them."""
        return sympy.expand(sum((t.count for t in self.terms if t.part in (parts or PARTS)), Integer(0)))

    @property
    def space(self) -> Expr:
        """Elements held per image and time step: q, k (and v) and the attention map."""
        return sympy.expand(sum((m.elements for m in self.matrices), Integer(0)))

    def energy(self, *parts: str) -> Expr:
        """Energy per image over all time steps, in E_MAC, E_AC and E_M; default what Table 5 charges."""
        chosen = parts or tuple(part for part in PARTS if part != LEFT_OUT)
        terms = [self.steps * t.unit * t.rate * t.each * t.count for t in self.terms if t.part in chosen]
        return sympy.Add(*terms)

    def count(self, sizes: Sizes, *parts: str) -> int:
        """Dense operations per image over all time steps at these sizes."""
        values = sizes.values()
        steps = exact(self.steps.xreplace(values))
        return whole(steps * sum(t.at(values) for t in self.terms if t.part in (parts or PARTS)))

    def charged(self, sizes: Sizes, unit: Symbol, *parts: str) -> Fraction:
        """Operations of one kind (E_MAC, E_AC, E_M) per image over all time steps, at these sizes and rates."""
        values = sizes.values()
        steps = exact(self.steps.xreplace(values))
        chosen = [t for t in self.terms if t.unit == unit and t.part in (parts or PARTS)]
        return steps * sum((t.charged(values) for t in chosen), Fraction(0))

    def elements(self, sizes: Sizes) -> int:
        """Elements held per image over all time steps at these sizes."""
        return whole(exact((self.steps * self.space).xreplace(sizes.values())))


def picojoules(attention: Attention, sizes: Sizes, hardware: Hardware, *parts: str) -> float | None:
    """Energy per image over all time steps; None where the hardware has no energy for something that is charged.

    Args:
        attention: which.
        sizes: sizes and rates.
        hardware: the energy of one operation.
        *parts: of Table 5; default all that it charges.
    """
    chosen = parts or tuple(part for part in PARTS if part != LEFT_OUT)
    total = 0.0
    for unit, price in ((E_MAC, hardware.mac_pj), (E_AC, hardware.ac_pj), (E_M, hardware.multiply_pj)):
        charged = attention.charged(sizes, unit, *chosen)
        if charged and price is None:
            return None
        total += float(charged) * (price or 0.0)
    return total


def exact(value: Expr) -> Fraction:
    """A number without symbols left."""
    if not value.is_Rational:
        raise ValueError(f"not a rational number: {value}")
    return Fraction(int(value.p), int(value.q))


def whole(value: Fraction | int) -> int:
    """A number that must be whole."""
    if value.denominator != 1:
        raise ValueError(f"not a whole number: {value}")
    return value.numerator


def _read(name: str, text: str, symbols: tuple[Symbol, ...] = (N, D, n, H, T)) -> Expr:
    """A text of the registered attention `name` as an expression in these symbols."""
    try:
        found = sympy.S(sympy.sympify(text, locals={str(symbol): symbol for symbol in symbols}))
        unknown = found.free_symbols - set(symbols)
    except Exception as error:  # sympy evaluates the text, which may fail in any way
        raise InputError(f"attention {name!r}: {text!r} is no formula ({type(error).__name__})") from None
    if unknown:
        allowed = ", ".join(map(str, symbols))
        raise InputError(f"attention {name!r}: {text!r} has an unknown symbol {min(map(str, unknown))}: use {allowed}")
    return found


def _one_of(name: str, what: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise InputError(f"attention {name!r}: unknown {what} {value!r}: choose one of {', '.join(map(str, known))}")


@cache
def _attention(name: str, entry: RegisteredAttention) -> Attention:
    terms, matrices = [], []
    for work in entry.work:
        _one_of(name, "part", work.part, PARTS)
        _one_of(name, "unit", work.unit, tuple(map(str, UNITS)))
        count, rate = _read(name, work.count), _read(name, work.rate, RATES)
        when, unit = _read(name, work.when), _read(name, work.unit, UNITS)
        terms.append(Term(work.part, work.name, count, unit, rate, work.each, when))
    for held in entry.held:
        _one_of(name, "kind", held.kind, ("result", "operand", "neurons"))
        matrices.append(Matrix(held, _read(name, held.elements)))
    return Attention(name, entry.title, entry.spiking, tuple(terms), tuple(matrices))


def attentions() -> dict[str, Attention]:
    """Every registered attention by its key, in the order of the tables.

    Raises:
        InputError: a formula cannot be read.
    """
    return {name: _attention(name, entry) for name, entry in ATTENTIONS.items()}


def _registered(name: str) -> str:
    """The key of the class that package.module:Class names."""
    module = named_class(name)
    for key, entry in ATTENTIONS.items():
        if entry.module is module:
            return key
    raise InputError(
        f"attention {name} has no formulas to be compared: put @register_attention(..., work=...) before the class "
        "(see CONTRIBUTING.md); energy, compare, ablate and train count it without"
    )


def choose(keys: str) -> list[Attention]:
    """Attentions by a list of keys, `vsa,ssa,sasa`; `default` and `all` stand for several.

    A key may be package.module:Class, too, of a class that is registered when its module is imported.

    Raises:
        InputError: an unknown key, or none, or a class without formulas.
    """
    own = {key.strip(): _registered(key.strip()) for key in keys.split(",") if ":" in key}
    known = attentions()
    if keys in ("all", "default"):
        return [known[key] for key, entry in ATTENTIONS.items() if keys == "all" or entry.by_default]
    given = (key.strip() for key in keys.split(",") if key.strip())
    wanted = list(dict.fromkeys(own.get(key, key.lower()) for key in given))
    unknown = [key for key in wanted if key not in known]
    if unknown or not wanted:
        what = f"unknown attention {unknown[0]!r}{nearest(unknown[0], known)}" if unknown else "no attention is named"
        raise InputError(f"{what}: choose from {', '.join(known)}, or all")
    return [known[key] for key in wanted]
