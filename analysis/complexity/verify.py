"""The modules of registered attentions at chosen sizes, and what the recorder counts on them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from saformer.analysis.complexity.formulas import SYNAPTIC, Attention, Sizes, exact, whole
from saformer.analysis.profiles import Profile
from saformer.analysis.recording.run import profile
from saformer.attention.registry import ATTENTIONS
from saformer.errors import InputError


def steps_of(attention: Attention, sizes: Sizes) -> int:
    """T, or 1 for an attention that runs once."""
    return sizes.time_steps if attention.spiking else 1


def build_module(attention: Attention, sizes: Sizes, seed: int = 0) -> nn.Module:
    """The module in evaluation mode, with random weights.

    Raises:
        InputError: the attention was registered without `build`.
    """
    build = ATTENTIONS[attention.key].build
    if build is None:
        raise InputError(f"attention {attention.key!r} has formulas alone: register it with build=, or leave it out")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(sizes).eval()


def random_input(attention: Attention, sizes: Sizes, batch: int = 1, seed: int = 0) -> Tensor:
    """T x B x N x D (x D x N, x D x h x w for convolutions): spikes at the rate R, or what makes neurons put them out.

    A neuron that integrates 2 fires at once and rests, and one that gets 0 keeps silent (tau = 2, threshold 1).
    """
    entry = ATTENTIONS[attention.key]
    shape = (steps_of(attention, sizes), batch, sizes.tokens, sizes.dim)
    generator = torch.Generator().manual_seed(seed)
    if entry.reads == "values":
        x = torch.randn(shape, generator=generator)
    else:
        x = torch.rand(shape, generator=generator).lt(sizes.rate).float()
        if entry.reads == "membranes":
            x *= 2
    if entry.layout == "linear":
        return x
    x = x.transpose(2, 3).contiguous()
    return x if entry.layout == "conv1d" else x.unflatten(3, sizes.grid)


def record(attention: Attention, sizes: Sizes, batch: int = 1, seed: int = 0) -> Profile:
    """What the recorder counts on the real module, run once on random input.

    BatchNorm is first fitted to that input and shifted up, so that every layer of neurons fires.
    """
    module = build_module(attention, sizes, seed)
    x = random_input(attention, sizes, batch, seed)
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if norms and x.numel() > x.shape[0] * sizes.dim:
        for norm in norms:
            norm.momentum = None
            nn.init.constant_(norm.bias, 1.0)
        with torch.no_grad():
            module.train()(x)
        module.eval()
    return profile(
        module,
        [x.transpose(0, 1)],
        kind="static" if ATTENTIONS[attention.key].reads == "values" else "events",
        time_steps=len(x),
        to_input=lambda images: images.transpose(0, 1),
        check_flops=False,
    )


@dataclass(frozen=True)
class Difference:
    """Something that the formula and the recorder do not count alike; None where one of them does not know it."""

    what: str
    formula: int | None
    recorder: int | None


def differences(attention: Attention, sizes: Sizes, recorded: Profile) -> list[Difference]:
    """Where the formulas and the recorder disagree, per image over all time steps; empty if nowhere.

    Every synaptic operation of the module must be a term of the formula, and every term must be found in the module.
    """
    values, steps, images = sizes.values(), steps_of(attention, sizes), recorded.images
    operations = {o.name.removesuffix("_linear").removesuffix("_conv"): o for o in recorded.operations}
    neurons = {layer.name: layer.elements for layer in recorded.neurons}
    free: dict[str, int] = {}
    for item in recorded.free:
        # A pool's work lies in what it reads.
        elements = item.elements if item.operand is None else item.operand.elements
        free[item.op] = free.get(item.op, 0) + elements

    pairs: list[tuple[str, int | None, int | None]] = []
    for term in attention.terms:
        booked = operations[term.name].dense if term.name in operations else None
        if term.part not in SYNAPTIC:
            booked = free.get(term.name, 0)
        pairs.append((f"{term.part}: {term.name}", whole(steps * term.at(values)), _per_image(booked, images)))
    named = {term.name for term in attention.terms if term.part in SYNAPTIC}
    pairs += [(name, None, _per_image(o.dense, images)) for name, o in operations.items() if name not in named]
    for matrix in attention.matrices:
        held = matrix.held
        found: int | None = neurons.get(held.of)
        if held.kind != "neurons":
            operation = operations.get(held.of)
            if operation is not None:
                result = held.kind == "result"
                found = operation.outputs if result else operation.operands[held.operand].elements
        elements = whole(steps * exact(matrix.elements.xreplace(values)))
        pairs.append((f"elements of {held.name}", elements, _per_image(found, images)))
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def _per_image(count: int | None, images: int) -> int | None:
    return None if count is None else count // images
