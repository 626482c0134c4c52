"""A small network of every family, by its name: the name of a network, and settings that make it small."""

from typing import Any

METAFORMER = {"widths": (8, 16, 32, 40), "blocks": (1, 1), "image_size": 32, "num_classes": 10}
RESIDUAL = {"blocks": (1, 1), "widths": (8, 16), "time_steps": 2}

SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "saformer": ("saformer-1-32", {}),
    "spikformer": ("spikformer-1-32", {}),
    "spikingformer": ("spikingformer-1-32", {}),
    "sdt": ("sdt-1-32", {}),
    "metaspikeformer": ("metaspikeformer-15m", {**METAFORMER, "time_steps": 2}),
    "espikeformer": ("espikeformer-3m", METAFORMER),
    "espikeformerlarge": (
        "espikeformer-83m",
        {"widths": (8, 16, 32), "blocks": 1, "image_size": 32, "num_classes": 10},
    ),
    "spikingresformer": (
        "spikingresformer-cifar",
        {"widths": (8, 16), "blocks": (1, 1), "heads": (1, 2), "patches": (2, 1), "group": 8, "image_size": 8},
    ),
    "affspikformer": ("affspikformer-1-32", {}),
    "dista": ("dista-1-32", {}),
    "qkformer": ("qkformer-3-64", {"time_steps": 2}),
    "maxformer": ("maxformer-3-64", {"time_steps": 2}),
    "spikegpt": ("spikegpt-1-32", {"num_classes": 50, "time_steps": 8}),
    "stsa": ("stsa-1-32", {"image_size": 32, "time_steps": 2}),
    "spikeformer": ("spikeformer-1-32", {}),
    "mst": (
        "mst-cifar10",
        {"dim": 8, "blocks": (2, 1), "heads": (1, 2), "window": 4, "image_size": 32, "time_steps": 3},
    ),
    "vit": ("vit-1-32", {}),
    "vgg": ("plif-vgg-8", {"layers": ("c8", "p", "c8", "p", "f16"), "time_steps": 2}),
    "tcja": ("tcja-snn-gesture", {"width": 8, "blocks": 2, "attended": 1, "image_size": 16, "time_steps": 4}),
    "tasnn": ("ta-snn-gesture", {"widths": (8, 8), "hidden": 16, "image_size": 8, "time_steps": 5}),
    "decolle": ("decolle", {"widths": (4, 4), "pools": (2, 1), "kernel": 3, "image_size": 16, "time_steps": 3}),
    "convsnn": ("rollout-densenet-dvs", {"width": 8, "blocks": 3, "image_size": 32, "time_steps": 2}),
    "resnet": ("tdbn-resnet-19", {**RESIDUAL, "stem_width": 8, "hidden": 8}),
    "msresnet": ("ms-resnet-18", RESIDUAL),
    "sewresnet": ("sew-resnet-18", RESIDUAL),
    "sew7b": ("sew-7b-net-gesture", {"widths": (8, 8), "image_size": 16, "time_steps": 2}),
    "preactresnet": ("dsr-preact-resnet-18", RESIDUAL),
    "dietresnet": ("diet-resnet-20", RESIDUAL),
}
