"""Accountings: small pure functions from one recorded operation to the MACs and ACs it is charged.

An accounting is registered by its name and seen everywhere by it; adding one is one function here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from saformer.analysis.profiles import Operation
from saformer.errors import InputError


@dataclass(frozen=True)
class Context:
    """What an accounting may know beside the operation itself.

    Args:
        static: images repeated T times (Eq. 19), not event frames (Eq. 20).
        spiking: the network has spiking neurons.
        time_steps: T.
        first_layer_once: charge the first layer of a static image for one step instead of T: its output is the
            same at every step.
    """

    static: bool
    spiking: bool
    time_steps: int
    first_layer_once: bool = False


@dataclass(frozen=True)
class Charge:
    """Operations charged, over all recorded images."""

    macs: float = 0.0
    acs: float = 0.0


Accounting = Callable[[Operation, Context], Charge]
ACCOUNTINGS: dict[str, Accounting] = {}
DEFAULT_ACCOUNTING = "paper"


def accounting(name: str) -> Callable[[Accounting], Accounting]:
    """Register an accounting under a name."""

    def register(function: Accounting) -> Accounting:
        ACCOUNTINGS[name] = function
        return function

    return register


def get_accounting(name: str) -> Accounting:
    """The accounting registered under `name`.

    Raises:
        InputError: there is none.
    """
    if name not in ACCOUNTINGS:
        raise InputError(f"unknown accounting {name!r}: choose one of {', '.join(ACCOUNTINGS)}")
    return ACCOUNTINGS[name]


@accounting("paper")
def paper(operation: Operation, context: Context) -> Charge:
    """Eqs. 18-20. MACs for the first layer of a static image, ACs at the nonzero rate for everything else.

    Padding is ignored (dense FLOPs); BatchNorm is folded and free, as are neurons, shortcuts and pooling. A product
    of two activations neither of which is binary multiplies real values, and is charged MACs at its rate. A network
    without spiking neurons is charged MACs throughout, which is how the paper's Table 5 treats softmax attention.
    """
    if not context.spiking:
        return Charge(macs=operation.dense)
    if context.static and operation.first:
        return Charge(macs=operation.dense / (context.time_steps if context.first_layer_once else 1))
    if len(operation.operands) > 1 and not operation.gate.binary:
        return Charge(macs=operation.sops)
    return Charge(acs=operation.sops)
