"""Spike patch splitting (SPS): five 3x3 convolutions from images to tokens, and how layers run at every time step."""

from collections.abc import Callable

from torch import Tensor, nn

from saformer.neurons.after_norm import normalised, per_step_weighed, spikes_of
from saformer.pooling import MaxPool2d
from saformer.steps import per_step

# How the published variants name what belongs to stage i: "{}" is conv, bn or the neuron; then the pool.
_STAGES = {
    "proj": [(f"proj_{{}}{i or ''}", f"maxpool{i or ''}") for i in range(4)],
    "block": [(f"block{i + 1}_{{}}", f"block{i + 1}_mp") for i in range(4)],
}


class PatchEmbedding(nn.Module):
    """Four stages Conv3x3-BN-neuron with optional pooling, then a relative position stage with a shortcut.

    Args:
        in_channels: channels of the image, or polarities of the event frame.
        dim: embedding dimension D, a multiple of 8; the stages have D/8, D/4, D/2 and D channels.
        pooling: one digit per stage, "1" where a max pool (3, stride 2, padding 1) halves the image.
        pool_first: per stage, whether the pool comes before the neuron (the gradient-accurate order).
        membrane_shortcut: the last stage adds to the pre-spike output of stage 4 (SAFormer, Spike-driven
            Transformer); otherwise spikes are added to spikes (Spikformer), which leaves integers.
        neuron: makes a layer of neurons.
        neuron_name: what the neurons are called in the parameter paths.
        stages: what the four stages are called there: "proj", or "block" (CML Spikformer).
    """

    def __init__(
        self,
        in_channels: int,
        dim: int,
        pooling: str,
        pool_first: tuple[bool, bool, bool, bool],
        membrane_shortcut: bool,
        neuron: Callable[[], nn.Module],
        neuron_name: str = "lif",
        stages: str = "proj",
    ) -> None:
        super().__init__()
        self.pooling, self.pool_first, self.membrane_shortcut = pooling, pool_first, membrane_shortcut
        self.neuron_name = neuron_name
        self.stages = _STAGES[stages]
        channels = (in_channels, dim // 8, dim // 4, dim // 2, dim)
        for i, (stage, pool) in enumerate(self.stages):
            conv = nn.Conv2d(channels[i], channels[i + 1], 3, padding=1, bias=False)
            self.add_module(stage.format("conv"), conv)
            self.add_module(stage.format("bn"), nn.BatchNorm2d(channels[i + 1]))
            self.add_module(stage.format(neuron_name), neuron())
            if pooling[i] == "1":
                self.add_module(pool, MaxPool2d(3, stride=2, padding=1))
        self.rpe_conv = nn.Conv2d(dim, dim, 3, padding=1, bias=False)
        self.rpe_bn = nn.BatchNorm2d(dim)
        if not membrane_shortcut:
            self.add_module(f"rpe_{neuron_name}", neuron())

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> T x B x D x h x w; membranes with a membrane shortcut, else sums of spikes."""
        membrane = x
        for i, (stage, pool) in enumerate(self.stages):
            pools = self.pooling[i] == "1"
            pools_first = pools and self.pool_first[i]
            conv, norm, neuron = (self.get_submodule(stage.format(n)) for n in ("conv", "bn", self.neuron_name))
            if pools_first or (self.membrane_shortcut and i == len(self.stages) - 1):
                x = normalised(norm, per_step_weighed(conv, x))
                if pools_first:
                    x = per_step(self.get_submodule(pool), x)
                membrane = x
                x = neuron(x)
            else:
                x = spikes_of(neuron, norm, conv, x)
            if pools and not pools_first:
                x = per_step(self.get_submodule(pool), x)
        if self.membrane_shortcut:
            return normalised(self.rpe_bn, per_step_weighed(self.rpe_conv, x)) + membrane
        return spikes_of(self.get_submodule(f"rpe_{self.neuron_name}"), self.rpe_bn, self.rpe_conv, x) + x
