"""The real modules of `saformer.attention` at chosen sizes, and what the recorder counts on them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from saformer.analysis.complexity.formulas import SYNAPTIC, Attention, Sizes
from saformer.analysis.profiles import Profile
from saformer.analysis.recording.run import profile
from saformer.attention import SASA, SDSA, SSA, VSA


def grid_of(tokens: int) -> tuple[int, int]:
    """The tokens as an image h x w, as nearly square as they can be."""
    height = next(h for h in range(math.isqrt(tokens), 0, -1) if tokens % h == 0)
    return height, tokens // height


@dataclass(frozen=True)
class _Build:
    """How a module is made, in which layout it takes its input, and whether it takes spikes or membranes."""

    make: Callable[[Sizes], nn.Module]
    layout: str = "linear"
    reads: str = "membranes"


def _sasa(depthwise: bool) -> _Build:
    return _Build(lambda s: SASA(s.dim, grid_of(s.tokens), s.aggregated, depthwise=depthwise))


def _spikingformer(keys_first: bool) -> _Build:
    return _Build(lambda s: SSA(s.dim, s.heads, "conv1d", keys_first=keys_first, spikes_out=False), "conv1d")


# In the layouts of the published networks for images of CIFAR's size.
_BUILDS: dict[str, _Build] = {
    "vsa": _Build(lambda s: VSA(s.dim, s.heads), reads="values"),
    "ssa": _Build(lambda s: SSA(s.dim, s.heads), reads="spikes"),
    "ssa-keys-first": _Build(lambda s: SSA(s.dim, s.heads, keys_first=True), reads="spikes"),
    "spikingformer": _spikingformer(False),
    "spikingformer-keys-first": _spikingformer(True),
    "sdsa": _Build(lambda s: SDSA(s.dim, s.heads), "conv2d"),
    "sasa": _sasa(True),
    "sasa-without-d": _sasa(False),
}


def steps_of(attention: Attention, sizes: Sizes) -> int:
    """T, or 1 for an attention that runs once."""
    return sizes.time_steps if attention.spiking else 1


def build_module(attention: Attention, sizes: Sizes, seed: int = 0) -> nn.Module:
    """The module in evaluation mode, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _BUILDS[attention.key].make(sizes).eval()


def random_input(attention: Attention, sizes: Sizes, batch: int = 1, seed: int = 0) -> Tensor:
    """T x B x N x D (x D x N, x D x h x w for convolutions): spikes at the rate R, or what makes neurons put them out.

    A neuron that integrates 2 fires at once and rests, and one that gets 0 keeps silent (tau = 2, threshold 1).
    """
    build = _BUILDS[attention.key]
    shape = (steps_of(attention, sizes), batch, sizes.tokens, sizes.dim)
    generator = torch.Generator().manual_seed(seed)
    if build.reads == "values":
        x = torch.randn(shape, generator=generator)
    else:
        x = torch.rand(shape, generator=generator).lt(sizes.rate).float()
        if build.reads == "membranes":
            x *= 2
    if build.layout == "linear":
        return x
    x = x.transpose(2, 3).contiguous()
    return x if build.layout == "conv1d" else x.unflatten(3, grid_of(sizes.tokens))


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
        kind="events",
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
        pairs.append((f"{term.part}: {term.name}", steps * term.at(values), _per_image(booked, images)))
    named = {term.name for term in attention.terms if term.part in SYNAPTIC}
    pairs += [(name, None, _per_image(o.dense, images)) for name, o in operations.items() if name not in named]
    for matrix in attention.matrices:
        found: int | None = neurons.get(matrix.of)
        if matrix.kind != "neurons":
            operation = operations.get(matrix.of)
            if operation is not None:
                result = matrix.kind == "result"
                found = operation.outputs if result else operation.operands[matrix.operand].elements
        held = int(matrix.elements.subs(values))
        pairs.append((f"elements of {matrix.name}", steps * held, _per_image(found, images)))
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def _per_image(count: int | None, images: int) -> int | None:
    return None if count is None else count // images
