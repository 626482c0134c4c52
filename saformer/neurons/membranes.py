"""Membranes of a block of neurons, step by step: charge, fire, reset, and the slopes of what is put out."""

import math
from collections.abc import Iterable, Iterator
from itertools import repeat

import torch
from torch import Tensor

from saformer.neurons.rule import ANALOG, Rule, exact, next_to


class Membranes:
    """The arithmetic of a `Rule` on a block of neurons, in memory that is given.

    All membranes have their sign changed: then one operator resets, for `torch.threshold` replaces what does not exceed
    a number. Few operators matter, for threads wait for one another after each. No rounding is affected.

    Args:
        rule: how they charge, fire and reset.
        rate: 1/tau with `decay_input`, else the leak, where that is learned; it takes the place of the number.
        threshold: the same of V_th.
        dtype: of the membranes.
    """

    def __init__(self, rule: Rule, rate: float | None, threshold: float | None, dtype: torch.dtype) -> None:
        self.rule = rule = rule if threshold is None else rule._replace(threshold=threshold)
        self.rate = rate
        # Beyond the threshold is at the number that follows it.
        self.fires_at = next_to(rule.threshold, math.inf, dtype) if rule.strict else rule.threshold
        self.below = next_to(self.fires_at, -math.inf, dtype)
        self.adaptive = rule.beta != 0
        analog = rule.firing in ANALOG
        #: Whether the reset is one `torch.threshold`, which reads no spikes.
        self.replaces = rule.reset is not None and (rule.firing == "spikes" or analog) and not self.adaptive
        self.analog = analog
        #: What `fire` writes has to be multiplied by: the height, and the sign.
        self.sign = 1.0 if rule.firing == "spikes" else -1.0
        self.scale = self.sign * rule.height
        #: dU[t+1] / dH[t].
        if rule.decay_input:
            self.carried = 1.0 - (1.0 / rule.tau if rate is None else rate)
        else:
            self.carried = rule.leak if rate is None else rate
        #: Rows of memory that `use` takes: a membrane and a drive, and with adaptation a and -V.
        self.rows = 4 if self.adaptive else 2

    def by_current(self, slope: float) -> float:
        """What dU[t] / dX[t] makes of a slope."""
        if not self.rule.decay_input:
            return slope
        return slope / self.rule.tau if self.rate is None else slope * self.rate

    def use(self, memory: Tensor, held: Tensor | None = None, levels: Tensor | None = None) -> None:
        """Work in these rows from now on, from before the first step.

        Args:
            memory: as many rows as `rows` says.
            held: rows in which -H before each step is to be kept, or None.
            levels: the same of -V, with adaptation.
        """
        self.membrane, self.drive = memory[:2]
        if self.adaptive:
            self.rise, self.level = memory[2:4]
            self.rise.zero_()
        self._held, self._levels = held, levels
        self.first = True

    def charge(self, current: Tensor, out: Tensor) -> None:
        """Write -U, of the membranes as the reset left them."""
        rule, membrane, drive = self.rule, self.membrane, self.drive
        if self.first:
            self.first = False
            if rule.start == 0 and rule.decay_input:  # fewer passes from H = 0
                begin = torch.add(current, rule.rest, out=drive) if rule.rest else current
                if self.rate is not None:
                    torch.mul(begin, -self.rate, out=out)
                elif exact(rule.tau):
                    torch.mul(begin, -1.0 / rule.tau, out=out)
                else:
                    torch.div(begin, -rule.tau, out=out)
                return
            if rule.start == 0 and rule.rest == 0:
                torch.neg(current, out=out)
                return
            membrane.fill_(-rule.start)
        if rule.decay_input:
            if rule.rest:
                torch.add(membrane, rule.rest, out=drive).add_(current)
            else:
                torch.add(current, membrane, out=drive)
            if self.rate is not None:
                torch.sub(membrane, drive.mul_(self.rate), out=out)
            elif exact(rule.tau):  # times 1/tau is the same number as division by tau
                torch.sub(membrane, drive, alpha=1.0 / rule.tau, out=out)
            else:
                torch.sub(membrane, drive.div_(rule.tau), out=out)
            return
        leak = rule.leak if self.rate is None else self.rate
        if leak == 1:
            torch.sub(membrane, current, out=out)
        elif rule.rest:
            torch.add(membrane, rule.rest, out=drive).mul_(leak).sub_(rule.rest)
            torch.sub(drive, current, out=out)
        else:
            torch.mul(membrane, leak, out=drive)
            torch.sub(drive, current, out=out)

    def fire(self, charged: Tensor, out: Tensor) -> None:
        """Write what is put out, without its height and with `sign`, of -U."""
        rule = self.rule
        if rule.firing == "spikes" and not self.adaptive:
            torch.le(charged, -self.fires_at, out=out)  # Eq. 2: U >= V_th
        elif rule.firing == "spikes":
            torch.mul(self.rise, -rule.beta, out=self.level).sub_(rule.threshold)
            (torch.lt if rule.strict else torch.le)(charged, self.level, out=out)
        elif rule.firing == "ternary":
            torch.ops.aten.hardshrink.out(charged, self.below, out=out).sign_()
        elif rule.firing == "integer":
            unit = charged if rule.threshold == 1 else torch.div(charged, rule.threshold, out=self.drive)
            torch.clamp(unit, -rule.levels, 0, out=out).round_()
        elif rule.firing == "relu":
            torch.clamp(charged, max=0, out=out)
        else:
            out.copy_(charged)

    def reset(self, charged: Tensor, fired: Tensor) -> None:
        """Reset the membranes of -U; what was put out is read where it decides (not where the reset `replaces`)."""
        rule, membrane = self.rule, self.membrane
        if self.replaces:
            assert rule.reset is not None
            torch.threshold(charged, -self.fires_at, -rule.reset, out=membrane)
            return
        if self.analog:
            fired = torch.le(charged, -self.fires_at, out=self.drive)
        if rule.reset is not None:  # keeps -U where nothing was put out: where that is within (-1/2, 1/2)
            torch.ops.aten.hardtanh_backward.grad_input(charged, fired, -0.5, 0.5, grad_input=membrane)
            if rule.reset:
                membrane.add_(torch.ne(fired, 0, out=self.drive), alpha=-rule.reset)
        elif self.adaptive:
            torch.addcmul(charged, self.level, fired, value=-1, out=membrane)
        elif rule.firing == "integer" and not exact(rule.threshold):
            torch.add(charged, torch.mul(fired, -rule.threshold, out=self.drive), out=membrane)
        else:
            torch.add(charged, fired, alpha=rule.threshold * (1.0 if self.analog else self.sign), out=membrane)
        if self.adaptive:
            self.rise.mul_(rule.rho).add_(fired)

    def steps(
        self, count: int, currents: Iterable[Tensor], charged: Iterable[Tensor], fired: Iterable[Tensor] | None
    ) -> Iterator[int]:
        """Charge, fire and reset for each of so many currents, the last reset left out, for nothing follows.

        Yields each step; -U stands in `charged` then, and what is put out in `fired`; both may be changed. Where the
        reset `replaces`, `fired` may be None: nothing is put out.
        """
        outputs = repeat(self.drive) if fired is None else fired
        for t, (current, charge, out) in enumerate(zip(currents, charged, outputs)):  # noqa: B905
            if self._levels is not None:
                self.level = self._levels[t]
            self.charge(current, charge)
            if fired is not None:
                self.fire(charge, out)
            if t + 1 < count:
                if self._held is not None:
                    self.membrane = self._held[t + 1]
                self.reset(charge, out)
            yield t

    def slope(self, gradient: Tensor, charged: Tensor, alpha: float, out: Tensor) -> None:
        """Write the gradient by U that comes by what was put out, of its gradient; `charged`, -U, is used up.

        spikes: alpha s (1 - s) with s = sigmoid(alpha (U - V)); ternary: the same with |U| for U; integer: 1/V within
        [0, levels V]; relu: 1 above 0; membrane: 1. The height, and the alpha, are left out.
        """
        rule = self.rule
        if rule.firing in ("spikes", "ternary"):
            if rule.firing == "ternary":
                charged.abs_().neg_()
            offset = 0.0 if self.adaptive else -alpha * rule.threshold  # adaptive: -(U - V) is given
            slope = torch.add(charged.new_full((), offset), charged, alpha=-alpha, out=charged).sigmoid_()
            # sigmoid_backward(d, s) = d s (1 - s), in one pass
            torch.ops.aten.sigmoid_backward.grad_input(gradient, slope, grad_input=out)
        elif rule.firing == "membrane":
            out.copy_(gradient)
        else:
            # Open intervals of -U: those around [-levels V, 0], and below 0.
            integer = rule.firing == "integer"
            low = next_to(-rule.levels * rule.threshold, -math.inf, charged.dtype) if integer else -math.inf
            high = torch.finfo(charged.dtype).tiny if integer else 0.0
            torch.ops.aten.hardtanh_backward.grad_input(gradient, charged, low, high, grad_input=out)

    def steepness(self, alpha: float) -> float:
        """What `slope` left out: height and alpha."""
        rule = self.rule
        if rule.firing == "integer":
            return rule.height / rule.threshold
        return rule.height * (1.0 if self.analog else alpha)


def changed(x: Tensor, rate: Tensor | None, threshold: Tensor | None, rule: Rule) -> int:
    """How often a membrane changes: each one at the first step, then where H[t] is another number than H[t-1].

    Args:
        x: input current, T x ...
        rate: 1/tau (without `decay_input`: the leak) where it is learned.
        threshold: V_th where it is learned.
        rule: how the neurons charge, fire and reset.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    leak, level = (None if one is None else float(one) for one in (rate, threshold))
    membranes = Membranes(rule, leak, level, wide)
    currents = x.detach().reshape(len(x), -1).to(wide)
    memory = currents.new_empty(membranes.rows + 3, currents.shape[1])
    membranes.use(memory[: membranes.rows])
    charged, fired, before = memory[membranes.rows :]
    total = 0
    for t, current in enumerate(currents):
        membranes.charge(current, charged)
        membranes.fire(charged, fired)
        if t:
            before.copy_(membranes.membrane)
        membranes.reset(charged, fired)
        total += int((membranes.membrane != before).count_nonzero()) if t else current.numel()
    return total
