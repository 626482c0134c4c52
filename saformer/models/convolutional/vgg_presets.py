"""Plain convolutional networks of the papers: their layers, and what their neurons, norms and heads are."""

from collections.abc import Mapping, Sequence
from typing import Any

CIFAR = {"in_channels": 3, "image_size": 32, "num_classes": 10}
EVENTS = {"in_channels": 2, "image_size": 128, "num_classes": 10}
GESTURE = {**EVENTS, "num_classes": 11}
SMALL_EVENTS = {**EVENTS, "image_size": 48}


def chain(text: str) -> tuple[str, ...]:
    """Layers from words with blanks between; a number alone is a convolution."""
    return tuple(f"c{word}" if word.isdecimal() else word for word in text.split())


def with_dropout(words: Sequence[str]) -> tuple[str, ...]:
    """Layers with dropout behind each that no pool follows."""
    after = (*words[1:], "")
    return tuple(
        part for word, next_ in zip(words, after, strict=True) for part in (word, "d")[: 1 + ("p" not in (word, next_))]
    )


# What the networks of one paper have in common.
PLIF: Mapping[str, Any] = {
    "layout": "plif",
    "neuron": "plif",
    "norm": "batch",
    "pool": "max",
    "votes": 10,
    "head_spikes": True,
    "readout": "sum",
}
DIET: Mapping[str, Any] = {"layout": "diet", "neuron": "learnable", "readout": "sum", "dropout": 0.2}
HYBRID: Mapping[str, Any] = {
    "layout": "diet",
    "neuron": "delayed",
    "readout": "sum",
    "dropout": 0.3,
    "encoding": "poisson",
}
BNTT: Mapping[str, Any] = {
    "layout": "bntt",
    "tau": 20.0,
    "subtract": True,
    "decay_input": False,
    "strict": True,
    "norm": "step",
    "linear_norm": True,
    "encoding": "poisson",
    "rate": 0.5,
}
SALT: Mapping[str, Any] = {**BNTT, "norm": "batch", "linear_norm": False}
TET: Mapping[str, Any] = {
    "layout": "tet",
    "decay_input": False,
    "strict": True,
    "norm": "batch",
    "conv_bias": True,
    "linear_bias": True,
}
DSR: Mapping[str, Any] = {
    "layout": "dsr",
    "neuron": "dsr-if",
    "threshold": 6.0,
    "norm": "batch",
    "linear_norm": True,
    "conv_bias": True,
    "linear_bias": True,
    "head_spikes": True,
    "dropout": 0.1,
}
DSR_LIF: Mapping[str, Any] = {
    **DSR,
    "neuron": "dsr-lif",
    "threshold": 0.3,
    "fires_at": 0.3,
    "least_threshold": 0.0005,
    "tau": 1.0,
    "readout": "recent",
}
OTTT: Mapping[str, Any] = {
    "layout": "ottt",
    "subtract": True,
    "decay_input": False,
    "height": 2.74,
    "norm": "weights",
    "conv_bias": True,
    "linear_bias": True,
}
STBP: Mapping[str, Any] = {
    "layout": "stbp",
    "threshold": 0.2,
    "tau": 4 / 3,  # a quarter of the membrane stays
    "decay_input": False,
    "strict": True,
    "norm": "tdbn",
    "linear_bias": True,
    "pool_spikes": True,
    "head_spikes": True,
}
TSSL_BP: Mapping[str, Any] = {
    "layout": "tsslbp",
    "tau": 5.0,
    "decay_input": False,
    "strict": True,
    "trace": 3.0,
    "pool": "sum",
    "head_spikes": True,
    "readout": "sum",
    "dropout": 0.2,
}

#: Layers of VGGs without dropout, by the published code's number of convolutions: DIET-SNN, hybrid conversion.
VGGS = {
    3: "64 p 128 128 p",
    7: "64 p 128 256 p 256 512 p 512 p 512",
    8: "64 p 128 256 p 512 512 p 512 p 512 512",
    9: "64 p 128 256 256 p 512 512 512 p 512 512",
    10: "64 64 p 128 128 p 256 256 p 512 512 512 p 512",
    13: "64 64 p 128 128 p 256 256 256 p 512 512 512 p 512 512 512",
    16: "64 64 p 128 128 p 256 256 256 256 p 512 512 512 512 p 512 512 512 512",
}

#: Layers of the VGGs of BNTT, by the number of convolutions.
BNTT_VGGS = {
    7: "64 64 p 128 128 p 256 256 256 p f1024",
    8: "64 p 128 p 256 256 p 512 512 p 512 512 a1 f4096",
}

DSR_VGG = chain("64 d p 128 d p 256 d 256 d p 512 d 512 d p 512 d 512 d p a7")

TSSL_BP_CIFARNET = chain("96 d 256 p d 384 p d 384 d 256 d f1024 d f1024 d")
CIFARNET = "128 256 p 512 p 1024 512 f1024 f512"

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "bntt-vgg-9": {**BNTT, **CIFAR, "time_steps": 25, "layers": chain(BNTT_VGGS[7])},
    "bntt-vgg-11": {**BNTT, **CIFAR, "num_classes": 100, "time_steps": 50, "layers": chain(BNTT_VGGS[8])},
    "stbp-cifarnet": {**STBP, **CIFAR, "time_steps": 12, "layers": chain(CIFARNET)},
    "neunorm-cifarnet": {
        **STBP,
        **CIFAR,
        "norm": "none",
        "linear_bias": False,
        "time_steps": 12,
        "layers": chain(CIFARNET),
    },
    "diet-vgg-9": {**DIET, **CIFAR, "time_steps": 5, "layers": with_dropout(chain(f"{VGGS[7]} f4096 f4096"))},
    "diet-vgg-11": {**DIET, **CIFAR, "time_steps": 5, "layers": with_dropout(chain(f"{VGGS[8]} f4096 f4096"))},
    "diet-vgg-16": {**DIET, **CIFAR, "time_steps": 5, "layers": with_dropout(chain(f"{VGGS[13]} f4096 f4096"))},
    "dsr-vgg-11": {**DSR, **SMALL_EVENTS, "time_steps": 20, "layers": DSR_VGG},
    "dsr-vgg-11-lif": {**DSR_LIF, **SMALL_EVENTS, "time_steps": 20, "layers": DSR_VGG},
    "hybrid-vgg-11": {
        **HYBRID,
        **CIFAR,
        "num_classes": 100,
        "time_steps": 125,
        "layers": with_dropout(chain(f"{VGGS[9]} f1024 f1024")),
    },
    "hybrid-vgg-16": {**HYBRID, **CIFAR, "time_steps": 100, "layers": with_dropout(chain(f"{VGGS[13]} f4096 f4096"))},
    "ottt-vgg-11": {**OTTT, **CIFAR, "time_steps": 6, "layers": chain("64 128 p 256 256 p 512 512 p 512 512 a1")},
    "plif-vgg-6-dvs": {
        **PLIF,
        **EVENTS,
        "time_steps": 20,
        "layers": chain("128 p 128 p 128 p 128 p d f2048 d"),
    },
    "plif-vgg-7-gesture": {
        **PLIF,
        **GESTURE,
        "time_steps": 20,
        "layers": chain("128 p 128 p 128 p 128 p 128 p d f512 d"),
    },
    "plif-vgg-8": {
        **PLIF,
        **CIFAR,
        "once": True,
        "time_steps": 8,
        "layers": chain("256 256 256 p 256 256 256 p d f2048"),
    },
    "salt-vgg-9": {**SALT, **CIFAR, "time_steps": 40, "layers": chain(BNTT_VGGS[7])},
    "salt-vgg-11": {**SALT, **CIFAR, "num_classes": 100, "time_steps": 40, "layers": chain(BNTT_VGGS[8])},
    "salt-vgg-16-dvs": {
        **SALT,
        **SMALL_EVENTS,
        "encoding": "direct",
        "time_steps": 20,
        "layers": chain(f"{VGGS[13]} a1 f4096"),
    },
    "tet-vggsnn": {
        **TET,
        **SMALL_EVENTS,
        "time_steps": 10,
        "layers": chain("64 128 p 256 256 p 512 512 p 512 512 p"),
    },
    "tssl-bp-cifarnet": {
        **TSSL_BP,
        **CIFAR,
        "time_steps": 5,
        "layers": TSSL_BP_CIFARNET,
    },
}
