"""The public networks: where each stands, how its own code builds it, and what it is given.

Widths and image sizes are those of the constructors where they take any; small ones keep the whole table at a few
minutes on two cores. Nothing of these repositories is kept here: `build` imports their code from the checkout.
"""

import ast
import importlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SJ12 = "pypi/spikingjelly-0.0.0.0.12"
SJ14 = "pypi/spikingjelly-0.0.0.0.14"
SJ2 = "pypi/spikingjelly-0.0.0.0.2"
EXTRAS = "pypi/extras"
TIMM = ("timm", "torchvision", "torchinfo", "cupy")
# The compiled neurons of early SpikingJelly are gone; those in plain PyTorch bear the same names.
CEXT = (("spikingjelly.cext.neuron", "spikingjelly.clock_driven.neuron"),)
NEURONS = r"Node|LIF|IF\b|Neuron|Spike\b|mem_update|LSNN|Leaky"


@dataclass(frozen=True)
class Network:
    """A public network.

    Args:
        name: a short name for the table.
        repository: owner/name; the checkout is CHECKOUTS/owner+name.
        kind: transformer, cnn, sequence, or the library it is written with.
        build: makes the model; gets the folder of the checkout.
        shape: of one image, without the batch.
        time_steps: T, read from the network's code or settings.
        folder: of the checkout, put on `sys.path`.
        libraries: other folders of CHECKOUTS on `sys.path`.
        stubs: packages that are replaced by stand-ins.
        batch: images.
        values: "image" (real), "events" (counts, T x C x H x W), "spikes" (zeros and ones) or "tokens" (integers).
        time_first: the model takes T x B x ...; the batch is repeated or turned before.
        torch_backend: neurons that ask for CuPy are told to use PyTorch, as their authors do without a GPU.
        products: modules in which an elementwise product of two activations belongs to the network's attention.
        neurons: classes of neurons; what they multiply is their own.
        aliases: modules that are gone, and those that took their place.
        gain: weights are multiplied by it, where a network without BatchNorm would stay silent.
        note: anything that must be known to read the numbers.
    """

    name: str
    repository: str
    kind: str
    build: Callable[[Path], nn.Module]
    shape: tuple[int, ...]
    time_steps: int
    folder: str = ""
    libraries: tuple[str, ...] = ()
    stubs: tuple[str, ...] = ()
    batch: int = 2
    values: str = "image"
    time_first: bool = False
    torch_backend: bool = True
    products: str | None = None
    neurons: str = NEURONS
    aliases: tuple[tuple[str, str], ...] = ()
    gain: float = 1.0
    note: str = ""

    def inputs(self) -> Tensor:
        """The same batch at every call: B x ..."""
        draw = torch.Generator().manual_seed(0)
        shape = (self.batch, *self.shape)
        if self.values == "events":
            rate = torch.rand(self.batch, *(1,) * len(self.shape), generator=draw) * 0.3 + 0.05
            return (torch.rand(shape, generator=draw) < rate) * torch.randint(1, 4, shape, generator=draw).float()
        if self.values == "spikes":
            return (torch.rand(shape, generator=draw) < 0.2).float()
        if self.values == "tokens":
            return torch.randint(0, 50, shape, generator=draw)
        return torch.randn(shape, generator=draw)

    def to_input(self, x: Tensor) -> Tensor:
        """What the model takes."""
        if not self.time_first:
            return x
        if self.values in ("events", "spikes"):
            return x.transpose(0, 1)
        return x.expand(self.time_steps, *x.shape)


def _from(module: str, name: str, *args: Any, **kwargs: Any) -> Callable[[Path], nn.Module]:
    """The model is one call of something in a module of the checkout."""

    def build(folder: Path) -> nn.Module:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    return build


class Loop(nn.Module):
    """The loop over time of a training script, around a network that computes one step."""

    def __init__(self, net: nn.Module, time_steps: int, **first: Any) -> None:
        super().__init__()
        self.net = net
        self.time_steps = time_steps
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        """The sum of the answers to the same image; the first step may be told that it is the first."""
        return sum(_first(self.net(x, **({} if step else self.first))) for step in range(self.time_steps))


def _first(result: Any) -> Tensor:
    return result[0] if isinstance(result, tuple | list) else result


def _pieces(file: Path, names: tuple[str, ...], **given: Any) -> SimpleNamespace:
    """Definitions out of a script or notebook that cannot be imported, because it trains when it is."""
    source = file.read_text()
    if file.suffix == ".ipynb":
        cells = [cell for cell in json.loads(source)["cells"] if cell["cell_type"] == "code"]
        texts = ["".join(cell["source"]) for cell in cells]
    else:
        texts = [source]
    found: dict[str, ast.stmt] = {}
    for text in texts:
        try:
            tree = ast.parse("\n".join(line for line in text.splitlines() if not line.startswith(("%", "!"))))
        except SyntaxError:
            continue
        for node in tree.body:
            targets = [t.id for t in getattr(node, "targets", ()) if isinstance(t, ast.Name)]
            for name in (getattr(node, "name", None), *targets):
                if name in names and name not in found:
                    found[name] = node
    space = {"torch": torch, "nn": nn, "F": F, "np": numpy, "math": math, "device": "cpu", **given}
    ordered = [found[name] for name in names]
    exec(compile(ast.Module(ordered, []), str(file), "exec"), space)
    return SimpleNamespace(**{name: space[name] for name in names})


NETWORKS: list[Network] = []


def network(
    name: str, repository: str, kind: str, build: Callable[[Path], nn.Module], *args: Any, **kwargs: Any
) -> None:
    """Add one to the table."""
    NETWORKS.append(Network(name, repository, kind, build, *args, **kwargs))


_CIFAR = {"img_size_h": 32, "img_size_w": 32, "patch_size": 4, "in_channels": 3, "num_classes": 10}
_DVS = {"img_size_h": 64, "img_size_w": 64, "patch_size": 16, "in_channels": 2, "num_classes": 10}

network(
    "Spikformer 2-96, CIFAR-10", "ZK-Zhou/spikformer", "transformer",
    _from("model", "spikformer", **_CIFAR, embed_dims=96, num_heads=12, mlp_ratios=4, depths=2, sr_ratios=1, T=4),
    (3, 32, 32), 4, folder="cifar10", libraries=(SJ12,), stubs=TIMM,
)  # fmt: skip
network(
    "Spikformer 2-32, CIFAR10-DVS", "ZK-Zhou/spikformer", "transformer",
    _from("model", "Spikformer", **_DVS | {"img_size_h": 128, "img_size_w": 128}, embed_dims=32, num_heads=16,
          mlp_ratios=4, depths=2, sr_ratios=1),
    (4, 2, 128, 128), 4, folder="cifar10dvs", libraries=(SJ12, EXTRAS), stubs=TIMM, values="events", batch=1,
)  # fmt: skip
network(
    "Spikformer 2-96, ImageNet code", "ZK-Zhou/spikformer", "transformer",
    _from("model", "Spikformer", **_DVS | {"in_channels": 3}, embed_dims=96, num_heads=8, mlp_ratios=4, depths=2,
          sr_ratios=1),
    (3, 64, 64), 4, folder="imagenet", libraries=(SJ12, EXTRAS), stubs=TIMM,
)  # fmt: skip
network(
    "Spike-driven Transformer 2-96", "BICLab/Spike-Driven-Transformer", "transformer",
    _from("model.spikeformer", "sdt", **_CIFAR, embed_dims=96, num_heads=8, mlp_ratios=4, depths=2, sr_ratios=1, T=4,
          pooling_stat="0011"),
    (3, 32, 32), 4, libraries=(SJ12,), stubs=TIMM, products=r"attn",
)  # fmt: skip
network(
    "Spike-driven Transformer 2-96, events", "BICLab/Spike-Driven-Transformer", "transformer",
    _from("model.spikeformer", "sdt", **_DVS, embed_dims=96, num_heads=8, mlp_ratios=4, depths=2, sr_ratios=1, T=4,
          pooling_stat="1111", dvs_mode=True),
    (4, 2, 64, 64), 4, libraries=(SJ12,), stubs=TIMM, values="events", products=r"attn",
)  # fmt: skip


def _meta(folder: Path) -> nn.Module:
    models = importlib.import_module("models")
    model = models.Spiking_vit_MetaFormer(
        img_size_h=64, img_size_w=64, patch_size=16, embed_dim=[16, 32, 48, 64], num_heads=8, mlp_ratios=4,
        in_channels=3, num_classes=100, qkv_bias=False, depths=8, sr_ratios=1,
    )  # fmt: skip
    model.T = 3  # as their training script sets it, from --time_steps
    return model


network(
    "Meta-SpikeFormer (SDT V2)", "BICLab/Spike-Driven-Transformer-V2", "transformer", _meta, (3, 64, 64), 3,
    folder="classification", libraries=(SJ12, EXTRAS), stubs=TIMM,
)  # fmt: skip
network(
    "E-SpikeFormer (SDT V3), D = 4", "BICLab/Spike-Driven-Transformer-V3", "transformer",
    _from("models", "Spiking_vit_MetaFormer_Spike_SepConv", img_size_h=64, img_size_w=64, patch_size=16,
          embed_dim=[16, 32, 48, 64], num_heads=8, mlp_ratios=4, in_channels=3, num_classes=100, qkv_bias=False,
          depths=8, sr_ratios=1),
    (3, 64, 64), 1, folder="SDT_V3/Classification/Model_Base", libraries=(EXTRAS,), stubs=TIMM,
    note="integer neurons, no time axis: T is 1",
)  # fmt: skip
network(
    "QKFormer 4-96, CIFAR-10", "zhouchenlin2096/QKFormer", "transformer",
    _from("model", "QKFormer", **_CIFAR, embed_dims=96, num_heads=8, mlp_ratios=4, depths=4, sr_ratios=1, T=4),
    (3, 32, 32), 4, folder="cifar10", libraries=(SJ12,), stubs=TIMM, products=r"attn|tssa",
)  # fmt: skip
network(
    "QKFormer, CIFAR10-DVS", "zhouchenlin2096/QKFormer", "transformer",
    _from("model", "vit_snn", **_DVS, embed_dims=96, num_heads=16, mlp_ratios=1, depths=4, sr_ratios=1, T=4),
    (4, 2, 64, 64), 4, folder="cifar10-dvs", libraries=(SJ12, EXTRAS), stubs=TIMM, values="events",
    products=r"attn|tssa",
)  # fmt: skip
network(
    "QKFormer, ImageNet code", "zhouchenlin2096/QKFormer", "transformer",
    _from("qkformer", "hierarchical_spiking_transformer", **_DVS | {"in_channels": 3}, embed_dims=96, num_heads=8,
          mlp_ratios=4, depths=10, sr_ratios=1, T=2),
    (3, 64, 64), 2, folder="imagenet", libraries=(SJ12, EXTRAS), stubs=TIMM, products=r"attn|tssa",
)  # fmt: skip
for _path, _embedding in (("Spikingformer", 96), ("Spikingformer-CML", 48)):
    network(
        f"{_path} 2-{_embedding}, CIFAR-10", f"zhouchenlin2096/{_path}", "transformer",
        _from("model", "Spikingformer", **_CIFAR, embed_dims=_embedding, num_heads=12, mlp_ratios=4, depths=2,
              sr_ratios=1, T=4),
        (3, 32, 32), 4, folder="cifar10", libraries=(SJ12,), stubs=TIMM,
    )  # fmt: skip
network(
    "Spikingformer, CIFAR10-DVS", "zhouchenlin2096/Spikingformer", "transformer",
    _from("model", "vit_snn", **_DVS | {"img_size_h": 128, "img_size_w": 128}, embed_dims=32, num_heads=16,
          mlp_ratios=4, depths=2, sr_ratios=1, T=4),
    (4, 2, 128, 128), 4, folder="cifar10-dvs", libraries=(SJ12, EXTRAS), stubs=TIMM, values="events", batch=1,
)  # fmt: skip
network(
    "SpikingResformer, CIFAR", "xyshi2000/SpikingResformer", "transformer",
    _from("models.spikingresformer", "SpikingResformer", [["DSSA", "GWFFN"]] * 3, [32, 64, 96], [1, 2, 3], [4, 2, 1],
          img_size=64, T=4, num_classes=10, group_size=32),
    (3, 64, 64), 4, libraries=(SJ14,), stubs=TIMM,
)  # fmt: skip
network(
    "Spikeformer (SEW tokens), CIFAR10-DVS", "Loydian/Spikeformer", "transformer",
    _from("spikeformer", "Spikeformer", kernel_size=3, n_conv_layers=4, img_size=32, num_classes=10, depth=2,
          num_heads=4, mlp_ratio=2, embed_dim=48, stride=[2, 1, 2, 1], padding=1, n_input_channels=2, num_frames=3),
    (3, 2, 32, 32), 3, folder="dvscifar10", libraries=(SJ12, EXTRAS), stubs=TIMM, values="events",
)  # fmt: skip
network(
    "Max-Former 64, CIFAR", "bic-L/MaxFormer", "transformer",
    _from("max_former", "Max_Former", in_channels=3, num_classes=10, embed_dims=64, mlp_ratios=4, depths=4, T=4),
    (3, 32, 32), 4, folder="cifar10-100", libraries=(SJ12, EXTRAS), stubs=TIMM,
)  # fmt: skip
network(
    "STSA, DVS128 Gesture", "ppppps/STSA_4_Asyn_SNN", "transformer",
    _from("models.STSTransformer_dvs128", "STSTransformer", img_size_h=128, img_size_w=128, patch_size=16,
          in_channels=2, num_classes=11, token_len=48, num_heads=2, mlp_ratios=1, depths=1, T=3),
    (3, 2, 128, 128), 3, libraries=(EXTRAS,), stubs=TIMM, values="events", batch=1,
)  # fmt: skip
_SEW = {"channels": 16, "mid_channels": 16, "num_blocks": 1, "block_type": "sew"}
network(
    "SEW-ResNet-7B, DVS128 Gesture", "fangwei123456/Spike-Element-Wise-ResNet", "cnn",
    _from("smodels", "ResNetN", [_SEW | {"up_kernel_size": 1, "k_pool": 2}] * 7, 11, "ADD"),
    (4, 2, 128, 128), 4, folder="dvsgesture", libraries=(SJ12,), aliases=CEXT, values="events", batch=1,
)  # fmt: skip
network(
    "SEW-ResNet, IAND", "fangwei123456/Spike-Element-Wise-ResNet", "cnn",
    _from("smodels", "ResNetN", [_SEW | {"up_kernel_size": 3, "k_pool": 4}] * 3, 11, "IAND"),
    (4, 2, 128, 128), 4, folder="dvsgesture", libraries=(SJ12,), aliases=CEXT, values="events", batch=1,
    products=r"^conv\.\d+$",
)  # fmt: skip
network(
    "SEW-ResNet-18, ImageNet code", "fangwei123456/Spike-Element-Wise-ResNet", "cnn",
    _from("sew_resnet", "sew_resnet18", num_classes=10, T=4, connect_f="ADD"),
    (3, 64, 64), 4, folder="imagenet", libraries=(SJ12,), aliases=CEXT,
)  # fmt: skip
network(
    "PLIF net, DVS128 Gesture", "fangwei123456/Parametric-Leaky-Integrate-and-Fire-Spiking-Neuron", "cnn",
    _from("models", "DVS128GestureNet", T=4, init_tau=2.0, use_plif=True, use_max_pool=True, alpha_learnable=False,
          detach_reset=True, channels=16, number_layer=5),
    (4, 2, 128, 128), 4, folder="codes", libraries=(SJ2,), stubs=("torchvision",),
    values="events", batch=1,
)  # fmt: skip
network(
    "MS-ResNet-18", "Ariande1/MS-ResNet", "cnn", _from("models.MS_ResNet", "resnet18"), (3, 64, 64), 6, batch=1,
    neurons="mem_update",
)  # fmt: skip
network(
    "TET VGGSNN", "Gus-Lab/temporal_efficient_training", "cnn", _from("models.VGG_models", "VGGSNN"),
    (4, 2, 48, 48), 4, values="events",
)  # fmt: skip


def _tet_resnet(folder: Path) -> nn.Module:
    model = importlib.import_module("models.resnet_models").resnet19(num_classes=10)
    model.T = 2  # as their training script sets it
    return model


network("TET ResNet-19", "Gus-Lab/temporal_efficient_training", "cnn", _tet_resnet, (3, 16, 16), 2)
network(
    "BNTT VGG-9", "Intelligent-Computing-Lab-Yale/BNTT-Batch-Normalization-Through-Time", "cnn",
    _from("model", "SNN_VGG9_BNTT", num_steps=3), (3, 32, 32), 3,
)  # fmt: skip
network(
    "DIET-SNN VGG-5", "nitin-rathi/DIET-SNN", "cnn",
    _from("self_models.vgg_spiking", "VGG_SNN_STDB", "VGG5", labels=10, timesteps=5, leak=0.9, default_threshold=0.5),
    (3, 32, 32), 5, neurons="^$", stubs=("matplotlib",),
)  # fmt: skip
network(
    "Hybrid conversion VGG-5", "nitin-rathi/hybrid-snn-conversion", "cnn",
    _from("self_models.vgg_spiking", "VGG_SNN_STDB", "VGG5", labels=10, timesteps=5, leak=0.9, default_threshold=0.5),
    (3, 32, 32), 5, neurons="^$", stubs=("matplotlib",), gain=3.0,
)  # fmt: skip


# Networks of other training methods.
network(
    "STBP SCNN, MNIST", "yjwu17/STBP-for-training-SpikingNN", "cnn", _from("spiking_model", "SCNN"), (1, 28, 28), 20,
    stubs=("torchvision",), batch=100, note="draws its spikes by chance; the batch of 100 is a constant of its code",
)  # fmt: skip


def _stbp_simple(name: str) -> Callable[[Path], nn.Module]:
    def build(folder: Path) -> nn.Module:
        module = importlib.import_module("model")
        module.steps = 2  # its example scripts define it
        return getattr(module, name)()

    return build


network("STBP-simple N-MNIST, time last", "thiswinex/STBP-simple", "cnn", _stbp_simple("NMNISTNet"), (2, 38, 38, 2), 2,
        values="spikes", gain=2.0, note="B x C x H x W x T")  # fmt: skip
network("STBP-simple ResNet-19 (tdBN)", "thiswinex/STBP-simple", "cnn", _stbp_simple("resnet19"), (3, 16, 16, 2), 2,
        note="B x C x H x W x T")  # fmt: skip


def _sltt(folder: Path) -> nn.Module:
    surrogate = importlib.import_module("spikingjelly.clock_driven.surrogate")
    net = importlib.import_module("models.spiking_resnet").spiking_resnet18(
        neuron=importlib.import_module("modules.neuron").SLTTNeuron, num_classes=10, neuron_dropout=0.0, tau=1.1,
        surrogate_function=surrogate.ATan(), c_in=3,
    )  # fmt: skip
    return Loop(net, 3)


network("SLTT ResNet-18", "qymeng94/SLTT", "cnn", _sltt, (3, 32, 32), 3, libraries=(SJ12,), note="loop over time ours")


def _dsr(neuron: str) -> Callable[[Path], nn.Module]:
    def build(folder: Path) -> nn.Module:
        settings = {
            "timesteps": 4, "train_Vth": True, "Vth": 0.3, "tau": torch.tensor(1.0), "delta_t": 0.05, "alpha": 0.3,
            "Vth_bound": 0.0005, "rate_stat": False,
        }  # fmt: skip
        return getattr(importlib.import_module("modules.preresnet"), f"resnet18_{neuron}")(settings, num_classes=10)

    return build


network("DSR ResNet-18, IF", "qymeng94/DSR", "cnn", _dsr("if"), (3, 32, 32), 4, folder="cifar",
        note="spikes are as high as the learned threshold")  # fmt: skip
network("DSR ResNet-18, LIF", "qymeng94/DSR", "cnn", _dsr("lif"), (3, 32, 32), 4, folder="cifar",
        note="spikes are as high as the learned threshold over the time step")  # fmt: skip


def _qcfs(folder: Path) -> nn.Module:
    net = importlib.import_module("Models").modelpool("vgg16", "cifar10")
    replace = importlib.import_module("utils")
    net = replace.replace_maxpool2d_by_avgpool2d(net)
    net = replace.replace_activation_by_neuron(replace.replace_activation_by_floor(net, t=4))
    return Loop(net, 4)


network("QCFS conversion VGG-16", "putshua/SNN_conversion_QCFS", "cnn", _qcfs, (3, 32, 32), 4, batch=1,
        note="loop over time ours; spikes are as high as the learned threshold")  # fmt: skip
network(
    "TCJA-SNN, DVS128 Gesture", "ridgerchu/TCJA", "cnn", _from("dvs128", "CextNet", 128), (20, 2, 128, 128), 20,
    folder="src", batch=1, values="events", stubs=("torchvision", "cupy"), products=r"^conv\.",
    note="T = 20 is a constant of its code",
)  # fmt: skip
network(
    "GLIF CIFARNet", "Ikarosy/Gated-LIF", "cnn",
    lambda folder: importlib.import_module("networks_for_CIFAR").ResNet_18_stand(
        {"gate": [0.6, 0.8, 0.6], "param": [0.25, 0.5, 0.1, 0.5], "t": 2, "static_gate": True, "static_param": False,
         "time_wise": True, "soft_mode": False},
        input_size=32, n_class=10),
    (3, 32, 32), 2, libraries=(SJ12,), batch=1,
)  # fmt: skip


def _clif(folder: Path) -> nn.Module:
    neuron, surrogate = importlib.import_module("modules.neuron"), importlib.import_module("modules.surrogate")
    net = importlib.import_module("models.spiking_vgg_bn").spiking_vgg11_bn(
        neuron=neuron.BPTTNeuron if hasattr(neuron, "BPTTNeuron") else neuron.CLIFSpike, num_classes=10,
        neuron_dropout=0.0, tau=2.0, surrogate_function=surrogate.Rectangle(), c_in=3,
    )  # fmt: skip
    return Loop(net, 3)


network("CLIF VGG-11", "HuuYuLong/Complementary-LIF", "cnn", _clif, (3, 32, 32), 3, libraries=(SJ12,), batch=1,
        note="loop over time ours")  # fmt: skip


def _ottt(folder: Path) -> nn.Module:
    neuron, surrogate = importlib.import_module("modules.neuron"), importlib.import_module("modules.surrogate")
    net = importlib.import_module("models.spiking_vgg").online_spiking_vgg11_ws(
        single_step_neuron=neuron.OnlineLIFNode, tau=2.0, surrogate_function=surrogate.Sigmoid(alpha=4.0),
        track_rate=True, c_in=3, num_classes=10, neuron_dropout=0.0, grad_with_rate=True, fc_hw=1, v_reset=None,
    )  # fmt: skip
    return Loop(net, 3, init=True)


network(
    "OTTT VGG (weight standardisation)", "pkuxmq/OTTT-SNN", "cnn",
    _ottt, (3, 32, 32), 3, libraries=(SJ12,), batch=1, note="loop over time ours",
)  # fmt: skip
network("PSN VGG, CIFAR10-DVS", "fangwei123456/Parallel-Spiking-Neuron", "cnn", _from("models", "VGGPSN"),
        (4, 2, 48, 48), 4, folder="cifar10dvs", libraries=(SJ12,), values="events", batch=1,
        note="its neurons are matrices over time")  # fmt: skip
network("TEBN VGG, CIFAR10-DVS", "fangwei123456/Parallel-Spiking-Neuron", "cnn", _from("models", "VGGSNN"),
        (10, 2, 48, 48), 10, folder="cifar10dvs", libraries=(SJ12,), values="events", batch=1)  # fmt: skip
network("Attention-SNN ResNet-18", "BICLab/Attention-SNN", "cnn", _from("models.resnet_2", "resnet18"), (3, 64, 64), 1,
        folder="Att_Res_SNN", libraries=(EXTRAS,), neurons="mem_update", products=r"attention$",
        note="T = 1 is a constant of its code")  # fmt: skip


def _ternary(folder: Path) -> nn.Module:
    models = importlib.import_module("models")
    model = models.SpikeModel(models.resnet20_cifar_modified(num_classes=10), 4)
    model.set_spike_state(True)
    return model


network("Ternary Spike ResNet-20", "yfguo91/Ternary-Spike", "cnn", _ternary, (3, 32, 32), 4, stubs=("IPython",),
        neurons="LIFAct", batch=1)  # fmt: skip

# Sequences.


def _shd(folder: Path) -> nn.Module:
    config = importlib.import_module("config").Config
    config.model_type, config.n_hidden_neurons = "snn", 64
    return importlib.import_module("snn").SNN(config)


network("SNN for spoken digits", "Thvnvtos/SNN-delays", "sequence", _shd, (15, 140), 15, libraries=(SJ14,),
        stubs=("wandb", "datasets", "torchvision"), values="spikes", time_first=True,
        note="T x B x F; the network without delays")  # fmt: skip
for _neuron in ("LIF", "RadLIF"):
    network(
        f"sparch {_neuron}, spoken words", "idiap/sparch", "sequence",
        _from("sparch.models.snns", "SNN", input_shape=(2, None, 40), layer_sizes=[64, 64, 10], neuron_type=_neuron),
        (25, 40), 25, values="spikes", gain=3.0, note="B x T x F; recurrent" if _neuron == "RadLIF" else "B x T x F",
    )  # fmt: skip


def _gsc(folder: Path) -> nn.Module:
    space = {}
    for name in ("spike_dense", "spike_neuron", "spike_rnn"):
        space |= vars(importlib.import_module(f"SRNN_layers.{name}"))
    layers = importlib.import_module("SRNN_layers.spike_neuron")
    space["thr_func"] = layers.ActFun_adp.apply
    return _pieces(folder / "GSC" / "srnn_fin.py", ("is_bias", "RNN_spike"), **space | {"device": "cpu"}).RNN_spike()


network("Adaptive SRNN, speech commands", "byin-cwi/Efficient-spiking-networks", "sequence", _gsc, (3, 20, 40), 20,
        folder="GSC", gain=3.0, note="recurrent; B x C x T x F")  # fmt: skip
network(
    "iSpikformer, time series", "microsoft/SeqSNN", "sequence",
    _from("SeqSNN.network.snn.ispikformer", "iSpikformer", dim=32, depths=2, max_length=24, num_steps=4, heads=4),
    (24, 7), 4, libraries=(SJ14,), stubs=("utilsd", "torchinfo"),
)  # fmt: skip
network(
    "Spikformer, time series", "microsoft/SeqSNN", "sequence",
    _from("SeqSNN.network.snn.spikformer", "Spikformer", dim=32, depths=2, max_length=24, num_steps=4, heads=4,
          input_size=7),
    (24, 7), 4, libraries=(SJ14,), stubs=("utilsd", "torchinfo"),
)  # fmt: skip


def _decolle(folder: Path) -> nn.Module:
    return importlib.import_module("decolle.lenet_decolle_model").LenetDECOLLE(
        (2, 32, 32), Nhid=[16, 32], Mhid=[64], out_channels=11, kernel_size=[7], pool_size=[2, 2], num_conv_layers=2,
        num_mlp_layers=1, deltat=1, method="bptt", lc_ampl=0.5,
    )  # fmt: skip


network("DECOLLE LeNet", "nmi-lab/decolle-public", "sequence", _decolle, (5, 2, 32, 32), 6, values="events",
        note="five frames; the first runs twice, as a burn-in")  # fmt: skip

# Other libraries.


def _norse(folder: Path) -> nn.Module:
    return importlib.import_module("norse.torch.models.conv").ConvNet(num_channels=1, feature_size=28)


network("norse ConvNet", "norse/norse", "norse", _norse, (6, 1, 28, 28), 6, libraries=(EXTRAS,), values="spikes",
        time_first=True)  # fmt: skip


network(
    "norse LSNN, speech commands", "norse/norse", "norse",
    _from("norse.task.speech_commands.model", "lsnn_model", n_features=32, n_input=20, n_output=5), (12, 20), 12,
    libraries=(EXTRAS,), values="spikes", time_first=True, note="T x B x F; recurrent", stubs=("torchaudio",),
)  # fmt: skip


class Squeezed(nn.Module):
    """Time in the batch, as the layers of sinabs that end in -Squeeze take it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """B x T x C x H x W -> B x T x classes."""
        return self.net(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _sinabs(folder: Path) -> nn.Module:
    ann = _pieces(folder / "examples" / "mnist" / "specksim_network.py", ("ann",)).ann
    from_model = importlib.import_module("sinabs.from_torch").from_model
    return Squeezed(from_model(ann, add_spiking_output=True, batch_size=2).spiking_model)


network("sinabs MNIST example", "synsense/sinabs", "sinabs", _sinabs, (5, 1, 28, 28), 5, libraries=(EXTRAS,),
        values="events", gain=2.0, neurons="IAF")  # fmt: skip


def _synnet(folder: Path) -> nn.Module:
    return importlib.import_module("rockpool.nn.networks").SynNet(
        n_classes=5, n_channels=16, size_hidden_layers=[24, 24], time_constants_per_layer=[2, 4]
    )


network("rockpool SynNet", "synsense/rockpool", "rockpool", _synnet, (20, 16), 20, libraries=(EXTRAS,), values="spikes",
        neurons="LIFTorch|LIFExodus", gain=3.0)  # fmt: skip
network(
    "snnTorch FCN, tutorial 5", "jeshraghian/snntorch", "snnTorch",
    lambda folder: _pieces(
        folder / "examples" / "tutorial_5_FCN.ipynb",
        ("num_inputs", "num_hidden", "num_outputs", "num_steps", "beta", "Net"),
        snn=importlib.import_module("snntorch"),
    ).Net(),
    (784,), 25, note="the class of the notebook",
)  # fmt: skip


def _snntorch_cnn(folder: Path) -> nn.Module:
    snntorch, surrogate = importlib.import_module("snntorch"), importlib.import_module("snntorch.surrogate")
    found = _pieces(folder / "examples" / "tutorial_6_CNN.ipynb", ("net",), snn=snntorch, surrogate=surrogate,
                    beta=0.5, spike_grad=surrogate.fast_sigmoid(slope=25))  # fmt: skip
    return Loop(found.net, 5)


network("snnTorch CNN, tutorial 6", "jeshraghian/snntorch", "snnTorch", _snntorch_cnn, (1, 28, 28), 5,
        gain=2.0, note="the network of the notebook; loop over time ours")  # fmt: skip


def _zoo(module: str, name: str, time_steps: int, **settings: Any) -> Callable[[Path], nn.Module]:
    """A network of SpikingJelly's model zoo, in multi-step mode."""

    def build(folder: Path) -> nn.Module:
        base = importlib.import_module("spikingjelly.activation_based")
        neuron, functional = (importlib.import_module(f"{base.__name__}.{x}") for x in ("neuron", "functional"))
        surrogate = importlib.import_module(f"{base.__name__}.surrogate")
        net = getattr(importlib.import_module(f"{base.__name__}.model.{module}"), name)(
            spiking_neuron=neuron.LIFNode, surrogate_function=surrogate.ATan(), detach_reset=True, **settings
        )
        functional.set_step_mode(net, "m")
        return net

    return build


network("SpikingJelly SEW-ResNet-18", "fangwei123456/spikingjelly", "SpikingJelly",
        _zoo("sew_resnet", "sew_resnet18", 2, num_classes=10, cnf="ADD"), (3, 64, 64), 2, time_first=True,
        stubs=("torchvision",), batch=1)  # fmt: skip
network("SpikingJelly Spiking-ResNet-18", "fangwei123456/spikingjelly", "SpikingJelly",
        _zoo("spiking_resnet", "spiking_resnet18", 2, num_classes=10), (3, 64, 64), 2, time_first=True,
        stubs=("torchvision",), batch=1)  # fmt: skip
network("SpikingJelly Spiking-VGG-11", "fangwei123456/spikingjelly", "SpikingJelly",
        _zoo("spiking_vgg", "spiking_vgg11_bn", 2, num_classes=10), (3, 32, 32), 2, time_first=True,
        stubs=("torchvision",), batch=1)  # fmt: skip

network(
    "SpikingJelly Spikformer-Ti", "fangwei123456/spikingjelly", "SpikingJelly",
    _from("spikingjelly.activation_based.model", "spikformer_ti", T=4, img_size_h=96, img_size_w=96, num_classes=10),
    (3, 96, 96), 4, stubs=("torchvision",), batch=8,
)  # fmt: skip


def _spike_yolo(folder: Path) -> nn.Module:
    os.environ["YOLO_VERBOSE"] = "false"
    tasks = importlib.import_module("ultralytics.nn.tasks")
    settings = importlib.import_module("yaml").safe_load(
        (folder / "ultralytics/cfg/models/v8/snn_yolov8.yaml").read_text()
    )
    settings["scales"] = {"n": [0.33, 0.125, 1024]}
    return tasks.DetectionModel(settings | {"scale": "n"}, ch=3, nc=5, verbose=False)


network("SpikeYOLO", "BICLab/SpikeYOLO", "cnn", _spike_yolo, (3, 64, 64), 1, libraries=(SJ12, EXTRAS),
        stubs=(*TIMM, "cv2", "thop", "seaborn", "matplotlib", "psutil", "cpuinfo"), neurons="mem_update", batch=1,
        note="integer neurons, T is 1 as published; an eighth as wide")  # fmt: skip


def _lava(folder: Path) -> nn.Module:
    slayer = importlib.import_module("lava.lib.dl.slayer")
    script = folder / "tutorials/lava/lib/dl/slayer/nmnist/nmnist.py"
    return _pieces(script, ("Network",), slayer=slayer).Network()


network("lava-dl SLAYER, N-MNIST", "lava-nc/lava-dl", "lava-dl", _lava, (2312, 30), 30, folder="src",
        values="spikes", neurons="^Neuron", stubs=("cv2", "torchvision", "matplotlib"), note="B x F x T")  # fmt: skip

# Why the counts of a network differ; printed where they do.
_ONE_CALL = (
    "All steps go through one call of each layer, and the recorder does not see where time stands in its shapes."
)
_SCALED = "Its spikes are not zeros and ones, and its neurons are not recognised, nor is T, which is read from them."
_FUNCTIONS = "Its neurons are functions in `forward` and are not recognised, nor is T, which is read from them."
REASONS = {
    "E-SpikeFormer (SDT V3), D = 4": _SCALED,
    "TET VGGSNN": _ONE_CALL,
    "TET ResNet-19": _ONE_CALL,
    "TEBN VGG, CIFAR10-DVS": _ONE_CALL,
    "PSN VGG, CIFAR10-DVS": _ONE_CALL,
    "STBP-simple N-MNIST, time last": "Time stands last in its shapes.",
    "STBP-simple ResNet-19 (tdBN)": "Time stands last in its shapes.",
    "sparch LIF, spoken words": _ONE_CALL,
    "sparch RadLIF, spoken words": (
        "The recurrent weights are made anew in each pass and used in a loop: one layer, but a row for each step; "
        "the first step, from zeros, is left out."
    ),
    "BNTT VGG-9": _FUNCTIONS,
    "DIET-SNN VGG-5": (
        f"{_FUNCTIONS} A mask of ones, dropout in evaluation, is taken for an activation: products that are none."
    ),
    "Hybrid conversion VGG-5": (
        f"{_FUNCTIONS} The first step of a layer that nothing has reached yet is taken for a constant and left out."
    ),
    "DSR ResNet-18, IF": _SCALED,
    "DSR ResNet-18, LIF": _SCALED,
    "Ternary Spike ResNet-20": f"{_SCALED} The reset of its ternary neurons is taken for products.",
    "QCFS conversion VGG-16": "Its neurons run once more, to be charged with half a threshold; its layers do not.",
    "TCJA-SNN, DVS128 Gesture": "The padding that `padding='same'` adds for an even kernel is taken for input.",
    "Adaptive SRNN, speech commands": f"{_FUNCTIONS} Its reset, spikes times a threshold, is taken for products.",
    "SpikeYOLO": _SCALED,
    "lava-dl SLAYER, N-MNIST": "Time stands last in its shapes.",
    "norse LSNN, speech commands": (
        "The first step of the recurrence, from zeros, is left out, and what neurons multiply is taken for products."
    ),
}

RATIO = "SpikingJelly Spikformer-Ti"
