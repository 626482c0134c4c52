"""Plain convolutional networks: one chain of layers, in the variants of the papers of spiking VGGs and CIFARNets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.config import Model, ModelConfig, in_time
from saformer.models.convolutional.preact_resnet import make_dsr_neuron, weighted_by_age
from saformer.models.convolutional.resnet import ThresholdNorm
from saformer.models.convolutional.vgg_layouts import LAYOUTS, paths
from saformer.models.convolutional.vgg_parts import (
    DelayedIF,
    NormOfEachStep,
    PoissonEncoder,
    StandardisedConv2d,
    SteadyDropout,
    SumPool,
    Trace,
    check_leak,
)
from saformer.models.convolutional.vgg_presets import PRESETS
from saformer.models.convolutional.vgg_published import recognise_vgg
from saformer.models.recognition import Published
from saformer.models.registry import register_model
from saformer.neurons import LIF, PLIF, LearnableLIF
from saformer.steps import per_step

NEURONS = ("lif", "plif", "learnable", "delayed", "dsr-if", "dsr-lif")
NORMS = ("none", "batch", "tdbn", "step", "weights")
POOLS = {"max": lambda: nn.MaxPool2d(2), "average": lambda: nn.AvgPool2d(2), "sum": SumPool}

# Kinds of layers that see all steps at once; the others are applied to each.
_IN_TIME = (SteadyDropout, NormOfEachStep, ThresholdNorm)


@dataclass(frozen=True, kw_only=True)
class VGGConfig(ModelConfig):
    """Settings of a plain network.

    Args:
        layers: "c64": a 3x3 convolution to 64 channels, a norm where there is one, neurons; "p": a pool of 2 x 2; "a7":
            an average over parts of the image, which leaves 7 x 7; "d": dropout; "f512": a linear layer to 512 values
            and neurons. The linear layer to the classes follows by itself.
        layout: whose code named the layers (`vgg_layouts`).
        neuron: "lif"; "plif" learns its time constant; "learnable" leak and threshold, and resets by subtraction;
            "delayed" does not leak, and its spikes come a step later; "dsr-if" and "dsr-lif" learn V_th and put out
            spikes of its height (LIF: over `delta`).
        threshold: V_th; before training, where it is learned.
        thresholds: V_th of each layer of neurons, in the order of the data; empty for `threshold` everywhere.
        tau: time constant of the membrane in steps ("lif"; "plif" before training), and of "dsr-lif" in units of time.
        delta: duration of a step, "dsr-lif".
        subtract: the reset of "lif" takes V_th off; otherwise it sets the membrane to 0.
        decay_input: the current is divided by tau, too.
        strict: "lif" fires beyond V_th alone, not at it.
        height: what a spike of "lif" is worth.
        fires_at: share of V_th at which the neurons of DSR fire; their reset takes V_th off.
        least_threshold: what V_th of DSR cannot fall below.
        trace: time constant of the filter behind the neurons and the input; 0 for none.
        norm: "batch"; "tdbn": BatchNorm times V_th; "step": one for each step; "weights": of convolutions,
            standardised; "none".
        linear_norm: linear layers before neurons have the norm, too.
        conv_bias: biases of convolutions.
        linear_bias: biases of linear layers.
        pool: "max", "average", or "sum".
        pool_spikes: neurons stand behind pools, too.
        once: of an image, the first convolution is computed once, and its result repeated.
        encoding: "direct": the input is the current of the first layer; "poisson": it gives the rates of random spikes.
        rate: spikes per step of an input of 1.
        seed: of the random spikes, the same in every call.
        votes: outputs of the head for each class, which are averaged.
        head_spikes: neurons stand behind the head.
        readout: over the steps "mean", "sum", or "recent", whose weights fall off towards the past (DSR's LIF).
        dropout: share of values that "d" leaves out in training.
    """

    layers: tuple[str, ...] = ("c64", "p", "c128", "p", "f256")
    layout: str = "plif"
    neuron: str = "lif"
    threshold: float = 1.0
    thresholds: tuple[float, ...] = ()
    tau: float = 2.0
    subtract: bool = False
    decay_input: bool = True
    strict: bool = False
    height: float = 1.0
    fires_at: float = 0.5
    least_threshold: float = 0.01
    delta: float = 0.05
    trace: float = 0.0
    norm: str = "none"
    linear_norm: bool = False
    conv_bias: bool = False
    linear_bias: bool = False
    pool: str = "average"
    pool_spikes: bool = False
    once: bool = False
    encoding: str = "direct"
    rate: float = 1.0
    seed: int = 0
    votes: int = 1
    head_spikes: bool = False
    readout: str = "mean"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_one_of("layout", LAYOUTS)
        self.check_one_of("neuron", NEURONS)
        self.check_one_of("norm", NORMS)
        self.check_one_of("pool", POOLS)
        self.check_one_of("encoding", ("direct", "poisson"))
        self.check_one_of("readout", ("mean", "sum", "recent"))
        self.check_whole("votes")
        for name in ("threshold", "height", "fires_at", "least_threshold", "delta", "rate"):
            self.check_number(name, above=0)
        self.check_number("tau", above=0 if self.neuron == "dsr-lif" else 1)
        self.check_share("dropout")
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            raise InputError(f"{self.family}: seed must be a whole number from 0, got {self.seed!r}")
        if self.trace != 0:
            self.check_number("trace", above=0)
        if self.once and self.layout != "plif":
            raise InputError(f"{self.family}: once goes with layout=plif, where the first layer stands apart")
        self._check_layers()
        count = sum(kind == "neuron" for kind in self.kinds())
        given = self.thresholds
        if not isinstance(given, tuple) or len(given) not in (0, count) or not all(value > 0 for value in given):
            raise InputError(f"{self.family}: thresholds takes none or {count} numbers above 0, got {given!r}")

    def _check_layers(self) -> None:
        size, flat = self.image_size, False
        for word in self.layers:
            letter, number = word[:1], word[1:]
            if (
                letter not in "cpadf"
                or (letter in "pd") != (number == "")
                or (number and not number.isdecimal())
                or len(word) > 7
            ):
                raise InputError(f"{self.family}: layers takes words such as c64, p, a7, d and f512, got {word!r}")
            if (number and int(number) < 1) or (flat and letter in "cpa"):
                raise InputError(f"{self.family}: {word} has no place in layers={','.join(self.layers)}")
            flat = flat or letter == "f"
            size = size // 2 if letter == "p" else int(number) if letter == "a" else size
            if size < 1:
                raise InputError(f"{self.family}: an image of {self.image_size} pixels is too small for its pools")
        if not any(word.startswith("c") for word in self.layers):
            raise InputError(f"{self.family}: layers needs a convolution, such as c64")

    @property
    def has_norms(self) -> bool:
        """Whether norms are layers of their own."""
        return self.norm not in ("none", "weights")

    def kinds(self) -> list[str]:
        """Kinds of the layers, in the order of the data (`vgg_layouts.paths`)."""
        found: list[str] = []
        norm = ["norm"] * self.has_norms
        linear_norm = norm if self.linear_norm else []
        for word in self.layers:
            if word[0] == "f" and "flatten" not in found:
                found.insert(self._flattens_at(found), "flatten")
            found += {
                "c": ["conv", *norm, "neuron"],
                "p": ["pool", *["neuron"] * self.pool_spikes],
                "a": ["adaptive"],
                "d": ["dropout"],
                "f": ["linear", *linear_norm, "neuron"],
            }[word[0]]
        if "flatten" not in found:
            found.insert(self._flattens_at(found), "flatten")
        return [*found, "linear", *([*linear_norm, "neuron"] if self.head_spikes else [])]

    def _flattens_at(self, before: list[str]) -> int:
        """Where among the layers before the first linear one the image is flattened: "plif" does so before dropout."""
        place = len(before)
        while self.layout == "plif" and before[place - 1] == "dropout":
            place -= 1
        return place


@register_model("vgg", title="plain convolutional networks (VGG, CIFARNet)", config=VGGConfig, presets=PRESETS)
class VGG(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes."""

    config: VGGConfig

    def __init__(self, config: VGGConfig) -> None:
        super().__init__(config)
        if config.encoding == "poisson":
            self.encoder = PoissonEncoder(config.rate, config.seed)
        if config.trace:
            self.input_trace = Trace(config.trace)
        kinds = config.kinds()
        self.chain = tuple(paths(config.layout, kinds, config.once))
        for path, module in zip(self.chain, self._modules_of(kinds), strict=True):
            _add_at(self, path, module)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _modules_of(self, kinds: list[str]) -> Iterator[nn.Module]:
        """The layers, in the order of the data."""
        config = self.config
        words = iter([word for word in config.layers if word[0] in "cfa"])
        thresholds = iter(config.thresholds or [config.threshold] * kinds.count("neuron"))
        width, size, flat = config.in_channels, config.image_size, False
        for kind in kinds:
            if kind in ("conv", "linear", "adaptive"):
                word = next(words, f"f{config.num_classes * config.votes}")
                inputs, outputs = width, int(word[1:])
            if kind == "conv":
                yield self._convolution(inputs, outputs)
            elif kind == "norm":
                yield self._norm(width, flat)
            elif kind == "neuron":
                yield self._neuron(next(thresholds))
            elif kind == "pool":
                yield POOLS[config.pool]()
                size //= 2
            elif kind == "adaptive":
                yield nn.AdaptiveAvgPool2d(outputs)
                size = outputs
            elif kind == "dropout":
                yield SteadyDropout(config.dropout)
            elif kind == "flatten":
                yield nn.Flatten()
                width, flat = width * size**2, True
            else:
                yield nn.Linear(inputs, outputs, bias=config.linear_bias)
            if kind in ("conv", "linear"):
                width = outputs

    def _convolution(self, inputs: int, outputs: int) -> nn.Module:
        if self.config.norm == "weights":
            return StandardisedConv2d(inputs, outputs, self.config.conv_bias)
        return nn.Conv2d(inputs, outputs, 3, padding=1, bias=self.config.conv_bias)

    def _norm(self, channels: int, flat: bool) -> nn.Module:
        norm = nn.BatchNorm1d if flat else nn.BatchNorm2d
        if self.config.norm == "step":
            return NormOfEachStep(norm(channels, eps=1e-4) for _ in range(self.config.time_steps))
        if self.config.norm == "tdbn" and not flat:
            return ThresholdNorm(channels, self.config.threshold)
        return norm(channels)

    def _neuron(self, threshold: float) -> nn.Module:
        config = self.config
        if config.neuron == "plif":
            made: nn.Module = PLIF(threshold, init_tau=config.tau, decay_input=config.decay_input)
        elif config.neuron == "learnable":
            made = LearnableLIF(threshold)
        elif config.neuron == "delayed":
            made = DelayedIF(threshold)
        elif config.neuron in ("dsr-if", "dsr-lif"):
            made = make_dsr_neuron(
                config.neuron, threshold, config.fires_at, config.least_threshold, config.tau, config.delta
            )
        else:
            made = LIF(
                threshold,
                config.tau,
                None if config.subtract else 0.0,
                decay_input=config.decay_input,
                strict=config.strict,
                height=config.height,
            )
        return nn.Sequential(made, Trace(config.trace)) if config.trace else made

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """By the names of each published code (`vgg_published`)."""
        found = recognise_vgg(weights, stored)
        if found is not None and found.shown.get("neuron") == "delayed":
            check_leak(stored)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, the mean or the sum over the steps."""
        config, image = self.config, x.ndim == 4
        x = in_time(x, config)
        if config.encoding == "poisson":
            x = self.encoder(x)
        if config.trace:
            x = self.input_trace(x)
        steps = len(x)
        if config.once and image:
            x = x[:1]
        for path, kind in zip(self.chain, config.kinds(), strict=True):
            module = self.get_submodule(path)
            if kind == "neuron":
                x = module(x.expand(steps, *x.shape[1:]))
            else:
                x = module(x) if isinstance(module, _IN_TIME) else per_step(module, x)
        if config.votes > 1:
            x = x.unflatten(-1, (config.num_classes, config.votes)).mean(-1)
        if config.readout == "recent":
            return weighted_by_age(x, config.tau, config.delta)
        return x.sum(0) if config.readout == "sum" else x.mean(0)


def _add_at(model: nn.Module, path: str, module: nn.Module) -> None:
    """Register a module under a dotted path; containers on the way are made."""
    *parents, name = path.split(".")
    for parent in parents:
        if not hasattr(model, parent):
            model.add_module(parent, nn.Module())
        model = model.get_submodule(parent)
    model.add_module(name, module)
