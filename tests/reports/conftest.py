"""A small account with fixed numbers: ten operations in four blocks, three spiking layers."""

import os
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from saformer.analysis.accounting.account import Account, Accuracy, DataInfo, LayerAccount, ModelInfo, NeuronAccount
from saformer.analysis.accounting.hardware import load_hardware
from saformer.analysis.profiles import ValueClass
from saformer.analysis.profiles.metadata import StepsFrom
from saformer.reports.document.blocks import Part, Report
from saformer.reports.results.comparison import IMPLIED, ComparisonRow
from saformer.reports.writers.terminal import Renderable

if TYPE_CHECKING:
    from saformer.analysis.complexity.benchmark import Measurement
    from saformer.analysis.complexity.formulas import Attention
    from saformer.analysis.diagnostics.attention_maps import Inspection

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
TIME_STEPS = 4
HARDWARE = load_hardware("45nm-fp32")


def operation(name: str, op: str, flops: int, elements: int, nonzero: float, binary: bool = True) -> LayerAccount:
    """An operation under the accounting `paper`: MACs for what is not binary, ACs at the firing rate else."""
    rate = nonzero / elements
    sops = rate * flops
    macs, acs = (0.0, sops) if binary else (float(flops), 0.0)
    return LayerAccount(
        name=name,
        op=op,
        flops=flops,
        input_elements=elements,
        input_nonzero=nonzero,
        firing_rate=rate,
        binary=binary,
        sops=sops,
        sops_exact=0.97 * sops,
        macs=macs,
        acs=acs,
        kind=ValueClass.SPIKES if binary else ValueClass.REAL,
        unit=1.0 if binary else None,
        levels=1 if binary else None,
        first=not binary and op == "conv2d",
        energy_mj=(macs * HARDWARE.mac_pj + acs * HARDWARE.ac_pj) * 1e-9,
    )


def neuron(name: str, neurons: int, per_step: tuple[float, ...]) -> NeuronAccount:
    """A spiking layer from its number of neurons and its spikes at each time step."""
    elements = neurons * len(per_step)
    return NeuronAccount(name, elements, sum(per_step), sum(per_step) / elements, per_step)


LAYERS = (
    operation("patch_embed.proj_conv", "conv2d", 5308416, 12288, 12271.5, binary=False),
    operation("patch_embed.proj_conv1", "conv2d", 169869312, 196608, 14155.25),
    operation("patch_embed.rpe_conv", "conv2d", 339738624, 98304, 18874.0),
    operation("block.0.attn.q_linear", "linear", 37748736, 98304, 24182.75),
    operation("block.0.attn.k_linear", "linear", 37748736, 98304, 24182.75),
    operation("block.0.attn.qk", "matmul", 98304, 24576, 1.5),
    operation("block.0.mlp.fc1_linear", "linear", 150994944, 98304, 30081.125),
    operation("block.1.attn.qk", "matmul", 98304, 24576, 0.0),
    operation("block.1.mlp.fc2_linear", "linear", 150994944, 393216, 33030.5),
    operation("head", "linear", 15360, 1536, 420.75),
)
NEURONS = (
    neuron("patch_embed.proj_lif", 49152, (2949.5, 4423.75, 3440.5, 3341.5)),
    neuron("block.0.attn.talking_heads_lif", 24576, (0.0, 1228.75, 2457.5, 7372.75)),
    neuron("head_lif", 384, (0.0, 0.0, 0.0, 0.0)),
)


@pytest.fixture
def account() -> Account:
    return Account(
        model=ModelInfo(
            name="saformer-1-384",
            parameters=5764234,
            time_steps=TIME_STEPS,
            checkpoint="/home/someone/runs/[7]/model_best.pth.tar",
            sha256="0f" * 32,
        ),
        data=DataInfo(name="cifar10", split="test", images=10000, kind="static"),
        accounting="paper",
        hardware=HARDWARE,
        accuracy=Accuracy(top1=0.9548, top5=0.9986),
        layers=LAYERS,
        neurons=NEURONS,
        energy_mj_ci95=0.00047,
        ci_unit="image",
        steps_from=StepsFrom.CHECKPOINT,
        taken_for="static images",
        uncounted=(),
        notes=("BatchNorm is folded into the layer before it and costs nothing.",),
    )


@pytest.fixture
def large_account(account: Account) -> Account:
    """Sixty operations with long names and sixteen time steps: what a published model gives."""
    rates = [0.31, 0.04, 0.12, 0.0004, 0.22, 0.18, 0.09]
    layers = [operation("patch_embed.proj_conv", "conv2d", 5308416, 12288, 12271.5, binary=False)]
    for block in range(8):
        for i, part in enumerate(("q_linear", "k_linear", "talking_heads", "qk", "fc1_linear", "fc2_linear", "dwc")):
            op = "matmul" if part == "qk" else "conv2d" if part == "dwc" else "linear"
            flops = (i + 1) * 9437184 * (1 + block)
            place = "mlp" if part.startswith("fc") else "attn"
            layers.append(operation(f"block.{block}.{place}.{part}", op, flops, 98304, 98304 * rates[i]))
    layers += [
        operation("block.7.attn.talking_heads_convolution", "conv2d", 1000000, 98304, 9000.5),
        operation("head_norm.linear", "linear", 150000, 1536, 1536.0, binary=False),
        operation("head", "linear", 15360, 1536, 420.75),
    ]
    neurons = [
        neuron(f"block.{block}.attn.talking_heads_lif", 24576, tuple(100.25 * (t + block) for t in range(16)))
        for block in range(8)
    ]
    model = replace(account.model, name="spikformer-8-512", parameters=29_700_000, time_steps=16)
    return replace(
        account,
        model=model,
        layers=tuple(layers),
        neurons=tuple(neurons),
        energy_mj_ci95=0.0132,
        ci_unit="batch",
        uncounted=("block.0.attn.aten::einsum", "aten::fft_rfft2"),
    )


@pytest.fixture
def comparison_rows() -> list[ComparisonRow]:
    data = "cifar10, test, 10,000 images"
    return [
        ComparisonRow("Spikformer-4-384", 9330874, 4, 1.75e9, 284.84e6, 5.15, None, 0.955, data, 0.90485),
        ComparisonRow("S-Transformer-4-384", 9.33e6, 4, 1.70e9, 412.5e6, 0.5213, 0.0031, 0.956, data, 0.0600),
        ComparisonRow("published only", None, None, None, None, 0.452, None, None, data, -0.0841, origin=IMPLIED),
        ComparisonRow("SAFormer-4-384", 5764234, 4, 1.02e9, 402.125e6, 0.49, 0.0014, 0.958, data, 0.0, reference=True),
    ]


@pytest.fixture
def render() -> Callable[[Report | Part, int], str]:
    """What a report looks like without colour, as in a file or a pipe."""

    def draw(report: Report | Part, width: int) -> str:
        output = StringIO()
        console = Console(width=width, file=output, force_terminal=False, color_system=None, legacy_windows=False)
        console.print(Renderable(report))
        # Trailing blanks pad cells; nobody sees them, and editors take them out of the golden files.
        return "".join(line.rstrip() + "\n" for line in output.getvalue().splitlines())

    return draw


@pytest.fixture
def matches_golden(render: Callable[[Report | Part, int], str]) -> Callable[[Report | Part, str], None]:
    """Compare the whole printed output, 100 and 80 columns wide, with the text kept in `tests/data/golden`.

    After an intended change of layout, write the files anew with `SAFORMER_UPDATE_GOLDEN=1 pytest
    tests/reports` and read their diff: it shows what users will see change.
    """

    def check(report: Report | Part, name: str) -> None:
        for width in (100, 80):
            path = GOLDEN / f"{name}_{width}.txt"
            text = render(report, width)
            if os.environ.get("SAFORMER_UPDATE_GOLDEN") == "1":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="\n")
            assert text == path.read_text(encoding="utf-8"), f"differs from {path.name}"

    return check


@pytest.fixture
def inspections() -> "dict[str, Inspection]":
    """Two networks, T = 3, 2 x 2 tokens, and a layer with few and one with many neurons."""
    import torch

    from saformer.analysis.diagnostics.attention_maps import AttentionMap, Inspection, SpikeTrain
    from saformer.attention import SASA, SDSA

    values = torch.arange(24.0).view(3, 2, 2, 2) / 24
    few = (torch.arange(15) % 3 == 0).float().view(3, 5)
    many = (torch.arange(3000) % 7 == 0).float().view(3, 1000)
    trains = (SpikeTrain("few", few), SpikeTrain("many", many))
    return {
        module.__name__: Inspection(
            (AttentionMap("block.0.attn", module.__name__, module.map_meaning, values),),
            trains,
            torch.tensor([0.1, 0.9]),
        )
        for module in (SASA, SDSA)
    }


@pytest.fixture
def chosen() -> "list[Attention]":
    """Four attentions, one of them in two orders of its products."""
    from saformer.analysis.complexity.formulas import choose

    return choose("vsa,ssa,ssa-keys-first,sasa")


@pytest.fixture
def measurement(chosen: "list[Attention]") -> "Measurement":
    """Times and memories that follow the formulas, 5 % up and down in turn; one size did not fit."""
    from saformer.analysis.complexity.benchmark import Measurement, Point
    from saformer.analysis.complexity.formulas import Sizes

    points = []
    for axis, values in (("tokens", (64, 256, 1024, 4096, 16384)), ("dim", (64, 128, 256, 512))):
        for a in chosen:
            for i, value in enumerate(values):
                sizes = replace(Sizes(tokens=64, dim=64), **{axis: value})
                point = Point(a, axis, sizes)
                if a.key == "ssa" and value == 16384:
                    point.skipped = "needs about 5.02 GiB, 3.1 GiB are free"
                else:
                    point.seconds = [a.count(sizes) * 1e-9 * (1.05 if i % 2 else 0.95)]
                    point.peak = 2 * point.held
                points.append(point)
    return Measurement(tuple(points), {a.key: 2e-5 for a in chosen}, "cpu", 2)
