"""Which plain network the weights of a published checkpoint are of, and what they show of it."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor

from saformer.errors import InputError
from saformer.models.convolutional.preact_resnet import DSR_NEURON, published_dsr_neuron
from saformer.models.convolutional.vgg_presets import (
    BNTT,
    BNTT_VGGS,
    CIFARNET,
    DIET,
    DSR,
    DSR_LIF,
    HYBRID,
    OTTT,
    PLIF,
    STBP,
    TET,
    TSSL_BP,
    TSSL_BP_CIFARNET,
    VGGS,
    with_dropout,
)
from saformer.models.recognition import Published, rank

Weights = Mapping[str, Tensor]

# Settings of the published constructors, commands and input pipelines, which weights do not show.
_CHOSEN = (
    "delta",
    "dropout",
    "encoding",
    "fires_at",
    "least_threshold",
    "pool",
    "rate",
    "tau",
    "threshold",
    "thresholds",
)


def recognise_vgg(weights: Weights, stored: Mapping[str, Any]) -> Published | None:
    """What a checkpoint of one of the published codes shows; None for one that is of none of them.

    Args:
        weights: parameter name -> tensor.
        stored: settings beside them, and given ones.

    Raises:
        InputError: it is of one of them, and of a network that is not known here.
    """
    found = next((found for read in _READERS if (found := read(weights)) is not None), None)
    return _dsr(weights, stored) if found is None else found


def _numbered(weights: Weights, pattern: str, dimensions: int) -> dict[int, Tensor]:
    """The tensors of so many dimensions whose names are of a pattern, "features.#.weight", by number."""
    expression = re.compile(re.escape(pattern).replace("\\#", "(\\d+)"))
    found = ((expression.fullmatch(name), tensor) for name, tensor in weights.items() if tensor.ndim == dimensions)
    return dict(sorted((int(match[1]), tensor) for match, tensor in found if match))


def _with_gaps(layers: Mapping[int, Tensor], spacing: int, before: int | None = None) -> list[str]:
    """Words of convolutions, and a pool for each place that is empty between two: a layer takes `spacing` of them."""
    words: list[str] = []
    for number, weight in layers.items():
        words += ["p"] * (0 if before is None else number - before - spacing)
        words.append(f"c{weight.shape[0]}")
        before = number
    return words


def _as_published(layers: Sequence[Tensor], known: Mapping[int, str]) -> list[str] | None:
    """Words of convolutions, with pools where the published network of as many has them."""
    widths = iter(layers)
    words = known.get(len(layers), "").split()
    return [f"c{next(widths).shape[0]}" if word.isdecimal() else word for word in words if word[0] != "f"] or None


def _biased(weights: Weights, **layers: Mapping[int, Tensor]) -> bool:
    """Whether some of the layers, by the name of their container, has a bias."""
    return any(f"{name}.{number}.bias" in weights for name, numbers in layers.items() for number in numbers)


def _side(channels: int, features: int) -> int:
    """Pixels along one side of what the first linear layer reads."""
    return max(round((features / channels) ** 0.5), 1)


def _published(
    base: Mapping[str, Any],
    layers: Sequence[str],
    first: Tensor,
    head: Tensor,
    shown: Mapping[str, Any] = {},
    **more: Any,
) -> Published:
    """What shapes and the code show; what its users may choose is taken as published."""
    seen = {"layers": tuple(layers), "in_channels": first.shape[1], "num_classes": head.shape[0]}
    seen |= {key: value for key, value in base.items() if key not in _CHOSEN} | {**shown}
    chosen = {key: value for key, value in base.items() if key in _CHOSEN}
    defaults = {**chosen, **more.pop("defaults")}
    return Published(seen, defaults, **more)


def _plif(weights: Weights) -> Published | None:
    """`conv` of convolution, norm, neuron and pool, `fc` from flattening on; for images, `static_conv` before."""
    static = _numbered(weights, "static_conv.#.weight", 4)
    convolutions, linear = (_numbered(weights, f"{name}.#.weight", n) for name, n in (("conv", 4), ("fc", 2)))
    first = static.get(0, convolutions.get(0))
    if first is None or len(linear) < 2 or 0 in linear or len(static) > 1:
        return None
    norm = "static_conv.1.running_mean" if static else "conv.1.running_mean"
    if norm not in weights or _biased(weights, static_conv=static, conv=convolutions, fc=linear):
        return None
    layers = [f"c{first.shape[0]}"] if static else []
    # The neurons of the static convolution are the first layer of `conv`: as if it stood two places before.
    layers += _with_gaps(convolutions, 3, -2 if static else None)
    numbers, (hidden, *_), head = list(linear), linear.values(), [*linear.values()][-1]
    last = int(next(word[1:] for word in reversed(layers) if word != "p"))
    layers.append("p")
    size = _side(last, hidden.shape[1]) << layers.count("p")
    layers += ["d"] * (numbers[0] - 1)
    for number, after in pairwise(numbers):
        layers += [f"f{linear[number].shape[0]}", *["d"] * (after - number - 2)]
    votes = PLIF["votes"]
    if head.shape[0] % votes:
        return None
    learned = bool(_numbered(weights, "conv.#.w", 0))
    shown = {"num_classes": head.shape[0] // votes, "once": bool(static)}
    defaults = {"time_steps": 8 if static else 20, "image_size": size}
    if learned:
        return _published(PLIF, layers, first, head, {**shown, "neuron": "plif"}, defaults=defaults)
    # The code's LIF has no parameters to tell it from anything else.
    base = {key: value for key, value in PLIF.items() if key != "neuron"}
    return _published(base, layers, first, head, shown, defaults={**defaults, "neuron": "lif", "tau": 2.0})


def _diet(weights: Weights) -> Published | None:
    """Convolutions, neurons and pools or dropout in threes, no biases; DIET-SNN keeps thresholds and leaks apart."""
    convolutions, linear = (
        _numbered(weights, f"{name}.#.weight", n) for name, n in (("features", 4), ("classifier", 2))
    )
    regular = all(number == 3 * place for layers in (convolutions, linear) for place, number in enumerate(layers))
    words = _as_published([*convolutions.values()], VGGS)
    if (
        words is None
        or len(linear) < 2
        or not regular
        or "features.1.running_mean" in weights
        or _biased(weights, features=convolutions, classifier=linear)
    ):
        return None
    numbers = [*convolutions, *(3 * len(convolutions) + number for number in [*linear][:-1])]
    places = [*(f"features.{n + 1}" for n in convolutions), *(f"classifier.{n + 1}" for n in [*linear][:-1])]
    renamed = {
        f"{kind}.{kind[0]}{number}": f"{place}.{kind}"
        for number, place in zip(numbers, places, strict=True)
        for kind in ("threshold", "leak")
    }
    first, last, hidden = convolutions[0], [*convolutions.values()][-1], linear[0]
    size = _side(last.shape[0], hidden.shape[1]) << words.count("p")
    hidden_words = [f"f{weight.shape[0]}" for weight in [*linear.values()][:-1]]
    learned = "threshold.t0" in weights or "features.1.threshold" in weights
    base = DIET if learned else {**HYBRID, "rate": 1.0, "thresholds": ()}
    defaults = {"time_steps": 5 if learned else 125, "image_size": size}
    layers = with_dropout([*words, *hidden_words])
    return _published(base, layers, first, [*linear.values()][-1], defaults=defaults, renamed=renamed)


def _tet(weights: Weights) -> Published | None:
    """`features` of `fwd` and neurons; pools between two of them, and one behind the last, have their own numbers."""
    convolutions = _numbered(weights, "features.#.fwd.module.0.weight", 4)
    head = weights.get("classifier.module.weight")
    words = [*_with_gaps(convolutions, 1), "p"]
    if head is None or words.count("p") < 2:  # one network has strides instead, which weights do not show
        return None
    first, last = convolutions[0], [*convolutions.values()][-1]
    size = _side(last.shape[0], head.shape[1]) << words.count("p")
    return _published(TET, words, first, head, defaults={"time_steps": 10, "image_size": size})


def _ottt(weights: Weights) -> Published | None:
    """Standardised convolutions, neurons and their factor in threes; behind spikes they are wrapped, in networks that
    learned with the rates of the spikes (`grad_with_rate`)."""
    convolutions = _numbered(weights, "features.#.op.weight", 4)
    first, head = weights.get("features.0.weight"), weights.get("classifier.0.op.weight")
    renamed: dict[str, str] = {}
    if not convolutions:
        convolutions = {n: weight for n, weight in _numbered(weights, "features.#.weight", 4).items() if n > 0}
        head = weights.get("classifier.0.weight")
        plain = [*(f"features.{n}" for n in convolutions), "classifier.0"]
        renamed = {f"{layer}.{kind}": f"{layer}.op.{kind}" for layer in plain for kind in ("weight", "bias", "gain")}
    if first is None or head is None or "features.0.gain" not in weights or not convolutions:
        return None
    words = _with_gaps({0: first, **convolutions}, 3)
    last = [*convolutions.values()][-1].shape[0]
    words.append(f"a{_side(last, head.shape[1])}")
    defaults = {"time_steps": 6, "image_size": 32, "tau": 2.0}
    return _published(OTTT, words, first, head, defaults=defaults, renamed=renamed)


def _dsr(weights: Weights, stored: Mapping[str, Any]) -> Published | None:
    """Stages `layer#` of convolution, norm, neuron with `Vth` and dropout, and a pool at the end of each."""
    head, words, stage = weights.get("classifier.1.weight"), list[str](), 1
    while stage_layers := _numbered(weights, f"layer{stage}.#.weight", 4):
        for weight in stage_layers.values():
            words += [f"c{weight.shape[0]}", "d"]
        words.append("p")
        stage += 1
    if head is None or not words or rank(weights, "classifier.2.running_mean") != 1 or "layer1.2.Vth" not in weights:
        return None
    last = int(next(word[1:] for word in reversed(words) if word[0] == "c"))
    words.append(f"a{_side(last, head.shape[1])}")
    first = weights["layer1.0.weight"]
    base = DSR_LIF if published_dsr_neuron(weights, stored) == "dsr-lif" else DSR
    told = ("neuron", "readout", "fires_at")  # which V_th hints at
    hinted = {"readout": "mean", **{key: value for key, value in base.items() if key in told}}
    defaults = {"time_steps": 20, "image_size": 48, **hinted}
    shown = {"threshold": base["threshold"]}  # before training
    base = {key: value for key, value in base.items() if key not in told}
    return _published(base, words, first, head, shown, defaults=defaults, notes=DSR_NEURON)


def _tssl_bp(weights: Weights) -> Published | None:
    """A list of weights without names, those of convolutions over images and time, 1 in time."""
    convolutions, linear = (_numbered(weights, "my_parameters.#", n) for n in (5, 2))
    if not linear or len(convolutions) + len(linear) != len(weights):
        return None
    shapes = {tuple(weight.shape[2:]) for weight in convolutions.values()}
    if (len(convolutions), len(linear), shapes) != (5, 3, {(3, 3, 1)}):
        raise InputError(
            "the weights have no names, as those of TSSL-BP's code, and are not those of its CIFARNet (five 3x3 "
            "convolutions, three linear layers): run its own code with them, --model package.module:factory --ckpt FILE"
        )
    widths = iter([*convolutions.values(), *linear.values()])
    words = [word if word in "pd" else f"{word[0]}{next(widths).shape[0]}" for word in TSSL_BP_CIFARNET]
    names = (*(f"conv_{i + 1}" for i in range(5)), "FC_1", "FC_2", "output")
    renamed = {f"my_parameters.{i}": f"{name}.weight" for i, name in enumerate(names)}
    *_, last = convolutions.values()
    hidden, _, head = linear.values()
    size = _side(last.shape[0], hidden.shape[1]) << words.count("p")
    defaults = {"time_steps": 5, "image_size": size}
    first = convolutions[0]
    return _published(TSSL_BP, words, first, head, defaults=defaults, renamed=renamed, timed=r"conv_\d\.weight")


def _stbp(weights: Weights) -> Published | None:
    """Layers `conv#`, `bn#` and `fc#`, which the file holds twice."""
    convolutions, linear = (_numbered(weights, f"{name}#.weight", n) for name, n in (("conv", 4), ("fc", 2)))
    words = _as_published([*convolutions.values()], {5: CIFARNET})
    if words is None or 0 not in convolutions or len(linear) != 3 or rank(weights, "bn0.running_mean") != 1:
        return None
    hidden = [f"f{weight.shape[0]}" for weight in [*linear.values()][:-1]]
    size = _side([*convolutions.values()][-1].shape[0], linear[1].shape[1]) << words.count("p")
    defaults = {"time_steps": 12, "image_size": size}
    return _published(
        STBP, [*words, *hidden], convolutions[0], linear[3], defaults=defaults, repeated=r"(conv|fc|pool)\d+_s\..*"
    )


def _bntt(weights: Weights) -> Published | None:
    """Layers `conv#`, `bntt#` with a norm for each step, and `fc#`."""
    convolutions, linear = (_numbered(weights, f"{name}#.weight", n) for name, n in (("conv", 4), ("fc", 2)))
    steps, words = _numbered(weights, "bntt1.#.weight", 1), _as_published([*convolutions.values()], BNTT_VGGS)
    if words is None or not steps or len(linear) != 2 or "bntt_fc.0.weight" not in weights:
        return None
    last = [*convolutions.values()][-1].shape[0]
    size = 32 if "a1" in words else _side(last, linear[1].shape[1]) << words.count("p")
    words.append(f"f{linear[1].shape[0]}")
    shown = {"time_steps": len(steps)}
    return _published(BNTT, words, convolutions[1], linear[2], shown, defaults={"image_size": size})


_READERS = (_plif, _diet, _tet, _ottt, _stbp, _bntt, _tssl_bp)
