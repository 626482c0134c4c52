"""Attentions by name, with their formulas: `@register_attention` in an attention's own file.

Formulas are texts that sympy reads (`analysis/complexity/formulas.py`), in these symbols:

    N  tokens, D  channels, n  aggregated tokens, H  heads, T  time steps
    R  nonzero rate of the attention's input, R_Q, R_K, R_V, R_Qa  of its spikes, R_A  of the attention's own (DSSA),
    R_O  of the output projection's input

Counts are per image and time step. One with T in it, of an attention in which a step sees others, is the mean over the
steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import nn

from saformer.errors import InputError
from saformer.registry import Registry

A = TypeVar("A", bound=type[nn.Module])

# The parts of an attention, the rows of the paper's Table 5.
INPUTS, ATTENTION, SCALE, SOFTMAX, OUTPUT = (
    "input projections",
    "attention",
    "scale",
    "softmax",
    "output projection",
)
# What Eqs. 18-20 and Table 5 leave out, and the module does all the same.
LEFT_OUT = "aggregation"


# What a class has that has attention maps.
MAP_PARTS = ("map_inputs", "attention_map", "map_meaning")


class Sizes(Protocol):
    """The sizes of a module: N tokens in a grid h x w, D channels, n aggregated tokens, H heads, T time steps."""

    @property
    def tokens(self) -> int:
        """N."""

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w), with N = h * w."""

    @property
    def dim(self) -> int:
        """D."""

    @property
    def aggregated(self) -> int:
        """n."""

    @property
    def heads(self) -> int:
        """H."""

    @property
    def time_steps(self) -> int:
        """T."""


@dataclass(frozen=True)
class Work:
    """One thing an attention computes, per image and time step.

    Args:
        name: how the recorder names it: an operation (`q` for q_linear or q_conv, `qk`, `dwc`), or, in the parts that
            are not synaptic (scale, softmax, aggregation), the operator (`mul`, `softmax`).
        count: dense operations, or elements of what is not synaptic.
        rate: share that is computed, that of the input that gates it.
        part: of the attention, one of the names above.
        unit: energy of one: E_AC, E_MAC or, for a multiplication alone, E_M.
        each: operations charged for each counted element; 2 for softmax, as in the published table.
        when: it exists only then.
    """

    name: str
    count: str
    rate: str = "1"
    part: str = ATTENTION
    unit: str = "E_AC"
    each: int = 1
    when: str = "True"


@dataclass(frozen=True)
class Held:
    """One matrix that an attention holds, per image and time step.

    Args:
        name: what the paper calls it.
        elements: how many it has.
        kind: where the recorder counts them: "result" of an operation, "operand" of a product (0 or 1), or "neurons".
        of: the operation or layer of neurons.
        operand: which one.
    """

    name: str
    elements: str
    kind: str
    of: str
    operand: int = 0


@dataclass(frozen=True, eq=False)
class RegisteredAttention:
    """An attention as it was registered; see `register_attention`."""

    title: str
    module: type[nn.Module]
    work: tuple[Work, ...]
    held: tuple[Held, ...]
    build: Callable[[Sizes], nn.Module] | None
    layout: str
    reads: str
    gives: str
    spiking: bool
    by_default: bool


ATTENTIONS: Registry[RegisteredAttention] = Registry(
    "attention",
    builtin=(
        "saformer.attention.vsa",
        "saformer.attention.ssa",
        "saformer.attention.sdsa",
        "saformer.attention.qk",
        "saformer.attention.sasa",
        "saformer.attention.dssa",
        "saformer.attention.sdsa3",
        "saformer.attention.esdsa",
        "saformer.attention.esdsa_linear",
        "saformer.attention.stsa",
        "saformer.attention.dista",
        "saformer.attention.spikeformer",
        "saformer.attention.mst",
    ),
)


def register_attention(
    name: str,
    *,
    title: str,
    work: Sequence[Work],
    held: Sequence[Held],
    build: Callable[[Sizes], nn.Module] | None = None,
    layout: str = "linear",
    reads: str = "membranes",
    gives: str | None = None,
    spiking: bool = True,
    by_default: bool = True,
) -> Callable[[A], A]:
    """Register an attention with its formulas; decorates its class, once for each of its variants.

    A class with these three attributes also has maps (`saformer attention`): `map_inputs`, names of submodules;
    `attention_map(*outputs)`, from what these put out to T x B x heads x N, what each token gets; and `map_meaning`,
    what that is, in a few words.

    Args:
        name: what the command line calls it.
        title: what tables and figures call it.
        work: what it computes.
        held: what it holds: q, k (and v) and the attention map.
        build: makes the module at given sizes, for `--verify` and `--measure`; None where only formulas are wanted.
        layout: of the input of that module: "linear" (T x B x N x D), "conv1d" (T x B x D x N) or "conv2d"
            (T x B x D x h x w).
        reads: that input holds "membranes", "spikes" or real "values".
        gives: what the module puts out, of the same three; None: "values" from values, else "membranes".
        spiking: it runs at T steps; softmax attention runs once.
        by_default: `saformer complexity` shows it without being asked to.

    Raises:
        InputError: another attention has this name, or the class has some of the attributes for maps and not all.
    """

    def register(module: A) -> A:
        given = [part for part in MAP_PARTS if hasattr(module, part)]
        if given and len(given) < len(MAP_PARTS):
            raise InputError(f"{module.__name__} has {given[0]}; for attention maps it needs {', '.join(MAP_PARTS)}")
        puts_out = gives or ("values" if reads == "values" else "membranes")
        entry = RegisteredAttention(
            title, module, tuple(work), tuple(held), build, layout, reads, puts_out, spiking, by_default
        )
        ATTENTIONS.register(name, entry, module)
        return module

    return register


def projections(names: str, unit: str = "E_AC", rate: str = "R", output_rate: str = "R_O") -> tuple[Work, ...]:
    """The D x D projections of the input, one for each letter such as "qkv", and the one of the output."""
    inputs = (Work(name, "N*D**2", rate, INPUTS, unit) for name in names)
    return (*inputs, Work("proj", "N*D**2", output_rate, OUTPUT, unit))


def results(names: str) -> tuple[Held, ...]:
    """What the projections of the input put out, N x D each."""
    return tuple(Held(name.upper(), "N*D", "result", name) for name in names)
