"""DECOLLE (Kaiser et al., Front. Neurosci. 2020): convolutions of filtered spikes, each with a fixed readout."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.config import Model, ModelConfig, in_time
from saformer.models.recognition import Published, rank
from saformer.models.registry import register_model
from saformer.neurons import AdaptiveLIF
from saformer.steps import per_step


@dataclass(frozen=True, kw_only=True)
class DECOLLEConfig(ModelConfig):
    """Settings of DECOLLE.

    Args:
        widths: channels of the convolutions.
        pools: size of the max pool behind each, 1 for none.
        kernel: of the convolutions, odd.
        membrane: share of the second filter of the input that stays after a step.
        synapse: share of the first filter.
        refractory: share of the trace of a neuron's own spikes, which is taken off its potential.
    """

    widths: tuple[int, ...] = (64, 128, 128)
    pools: tuple[int, ...] = (2, 1, 2)
    kernel: int = 7
    membrane: float = 0.97
    synapse: float = 0.92
    refractory: float = 0.65

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("kernel")
        self.check_share("membrane", "synapse", "refractory")
        self.check_whole_each("widths")
        self.check_whole_each("pools")
        if len(self.pools) != len(self.widths) or self.sides[-1] < 1 or self.kernel % 2 == 0:
            raise InputError(f"{self.family}: it needs a pool for each width, pixels after the last, and an odd kernel")

    @property
    def sides(self) -> list[int]:
        """Pixels along one side behind each pool."""
        side, found = self.image_size, list[int]()
        for pool in self.pools:
            side //= pool
            found.append(side)
        return found


class Layer(nn.Module):
    """Conv(P), with the input filtered twice, and neurons whose own spikes raise their threshold for a while.

    `Q[t] = synapse Q[t-1] + (1 - synapse) S_in[t]`, `P[t] = membrane P[t-1] + (1 - membrane) Q[t-1]`,
    `R[t] = refractory R[t-1] - (1 - refractory) S[t-1]`, `S[t] = 1{Conv(P[t]) + R[t] > 0}`.
    """

    def __init__(self, config: DECOLLEConfig, inputs: int, outputs: int) -> None:
        super().__init__()
        self.membrane, self.synapse = config.membrane, config.synapse
        self.base_layer = nn.Conv2d(inputs, outputs, config.kernel, padding=config.kernel // 2)
        # A membrane without memory, so that all that stays of the past is the threshold.
        self.neuron = AdaptiveLIF(
            threshold=0.0,
            tau=1.0,
            beta=1.0 - config.refractory,
            rho=config.refractory,
            decay_input=False,
            strict=True,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Spikes from spikes or event counts, T x B x C x H x W -> T x B x C' x H x W."""
        synapse = membrane = torch.zeros_like(x[0])
        filtered = []
        for current in x:
            membrane = self.membrane * membrane + (1.0 - self.membrane) * synapse
            synapse = self.synapse * synapse + (1.0 - self.synapse) * current
            filtered.append(membrane)
        return self.neuron(per_step(self.base_layer, torch.stack(filtered)))


@register_model(
    "decolle",
    title="DECOLLE, filtered spikes and local readouts",
    config=DECOLLEConfig,
    presets={"decolle": {"in_channels": 2, "image_size": 32, "num_classes": 11, "time_steps": 500}},
)
class DECOLLE(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes.

    Only the last readout answers; those of the other layers, which serve to train them, are computed as in the
    published code. `readout` weights are random and fixed.
    """

    config: DECOLLEConfig

    def __init__(self, config: DECOLLEConfig) -> None:
        super().__init__(config)
        self.LIF_layers, self.pool_layers, self.readout_layers = (nn.ModuleList() for _ in range(3))
        inputs = config.in_channels
        for width, pool, side in zip(config.widths, config.pools, config.sides, strict=True):
            self.LIF_layers.append(Layer(config, inputs, width))
            self.pool_layers.append(nn.MaxPool2d(pool))
            self.readout_layers.append(nn.Linear(width * side**2, config.num_classes).requires_grad_(False))
            inputs = width

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Layers with a `base_layer`, and readouts; the time constants in the file scale other variants alone."""
        widths: list[int] = []
        features: list[int] = []
        while rank(weights, f"LIF_layers.{len(widths)}.base_layer.weight") == 4:
            readout = f"readout_layers.{len(widths)}.weight"
            if rank(weights, readout) != 2:
                return None
            widths.append(weights[f"LIF_layers.{len(widths)}.base_layer.weight"].shape[0])
            features.append(weights[readout].shape[1])
        if not widths:
            return None
        first, head = weights["LIF_layers.0.base_layer.weight"], weights["readout_layers.0.weight"]
        sides = [max(round((f / width) ** 0.5), 1) for f, width in zip(features, widths, strict=True)]
        # The image is not stored: the first pool halves it, as the published one does.
        pools = [2, *(max(before // side, 1) for before, side in pairwise(sides))]
        shown = {
            "widths": tuple(widths),
            "kernel": first.shape[2],
            "in_channels": first.shape[1],
            "num_classes": head.shape[0],
        }
        defaults = {"time_steps": 500, "image_size": 2 * sides[0], "pools": tuple(pools)}
        constants = {"membrane": 0.97, "synapse": 0.92, "refractory": 0.65}
        return Published(shown, {**defaults, **constants}, unused=r"LIF_layers\.\d+\.tau_[ms]")

    def forward(self, x: Tensor) -> Tensor:
        """Class scores: the mean over time of the last readout."""
        x = in_time(x, self.config)
        scores = x
        for layer, pool, readout in zip(self.LIF_layers, self.pool_layers, self.readout_layers, strict=True):
            x = per_step(pool, layer(x))
            scores = readout(x.flatten(2))
        return scores.mean(0)
