"""Where published code keeps the layers of a plain network: the paths of its modules, as checkpoints name them."""

from collections import Counter
from collections.abc import Sequence

# Layouts that number each kind of layer by itself: what precedes the number.
_BY_KIND = {
    "stbp": {"conv": "conv", "norm": "bn", "neuron": "spike", "pool": "pool", "adaptive": "pool", "linear": "fc"},
    "bntt": {"conv": "conv", "norm": "bntt", "neuron": "spike", "pool": "pool", "adaptive": "pool", "linear": "fc"},
    "tsslbp": {"conv": "conv_", "neuron": "spike_", "pool": "pooling_", "linear": "FC_", "dropout": "dropout_"},
}
# What is numbered from 0; all else from 1.
_FROM_ZERO = {("stbp", "conv"), ("stbp", "norm"), ("stbp", "neuron")}

#: Names of layouts, after the paper whose code has it.
LAYOUTS = ("plif", "diet", "dsr", "ottt", "tet", *_BY_KIND)


def paths(layout: str, kinds: Sequence[str], once: bool) -> list[str]:
    """The path of each layer of a network.

    Args:
        layout: one of `LAYOUTS`.
        kinds: of the layers, in the order of the data: conv, norm, neuron, pool, adaptive, dropout, flatten, linear.
        once: whether the first convolution and its norm stand apart, before time begins ("plif").
    """
    if layout in _BY_KIND:
        return _by_kind(layout, kinds)
    if layout == "tet":
        return _tet(kinds)
    return _in_sequence(layout, kinds, once)


def _in_sequence(layout: str, kinds: Sequence[str], once: bool) -> list[str]:
    """Layers in nn.Sequential containers: up to the last pool, and behind it."""
    features, classifier = ("conv", "fc") if layout == "plif" else ("features", "classifier")
    found: list[str] = []
    taken: Counter[str] = Counter()
    stage, flat = 1, False
    for place, kind in enumerate(kinds):
        flat = flat or kind == "flatten"
        if kind == "adaptive" or (kind == "flatten" and layout in ("diet", "ottt")):
            found.append({"adaptive": "avgpool", "flatten": "flatten"}[kind])
            continue
        section = classifier if flat else features
        if once and place < 2:
            section = "static_conv"
        elif layout == "dsr" and not flat:
            section = f"layer{stage}"
            stage += kind == "pool"
        path = f"{section}.{taken[section]}"
        # The published training of OTTT wraps what follows spikes.
        wrapped = layout == "ottt" and place > 0 and kind in ("conv", "linear")
        found.append(f"{path}.op" if wrapped else path)
        # And a factor of its own stands behind each neuron.
        taken[section] += 2 if layout == "ottt" and kind == "neuron" else 1
    return found


def _tet(kinds: Sequence[str]) -> list[str]:
    """One module for convolution, norm and neuron, with numbers of its own in it."""
    found: list[str] = []
    layer = -1
    for kind in kinds:
        layer += kind in ("conv", "pool", "dropout")
        inside = {"conv": ".fwd.module.0", "norm": ".fwd.module.1", "neuron": ".act"}
        apart = {"flatten": "flatten", "linear": "classifier.module", "adaptive": "avgpool"}
        found.append(apart.get(kind) or f"features.{layer}{inside.get(kind, '')}")
    return found


def _by_kind(layout: str, kinds: Sequence[str]) -> list[str]:
    names = _BY_KIND[layout]
    counted: Counter[str] = Counter()
    found: list[str] = []
    last = len(kinds) - 1 - list(reversed(kinds)).index("linear")
    flat = False
    for place, kind in enumerate(kinds):
        flat = flat or kind == "flatten"
        if kind == "flatten":
            found.append(kind)
        elif layout == "bntt" and kind == "norm" and flat:
            counted["bntt_fc"] += 1
            found.append("bntt_fc" if counted["bntt_fc"] == 1 else f"bntt_fc{counted['bntt_fc']}")
        elif layout == "tsslbp" and place == last:
            found.append("output")
        else:
            name, first = names.get(kind, kind), (layout, kind) not in _FROM_ZERO
            found.append(f"{name}{first + counted[name]}")
            counted[name] += 1
    return found
