from dataclasses import replace
from functools import cache

import torch
from torch import nn

from saformer.analysis.diagnostics.module_tree import ModuleTree, module_tree
from saformer.neurons import LIF
from saformer.reports.document.blocks import Format
from saformer.reports.tables.summary import summary_report
from saformer.reports.writers.text import report_text


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.lif = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), LIF()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lif(self.bn(self.conv(x)).expand(4, *x.shape[:1], 4, *x.shape[2:]))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([Block()])
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes = self.stages[0](x)
        return torch.stack([self.head(step.flatten(1)) for step in spikes]).mean(0)


@cache
def tree(measured: bool = True) -> ModuleTree:
    torch.manual_seed(0)
    net = Net()
    net.head.weight.data[:5] = 0
    made = module_tree(net, [torch.arange(64.0).view(2, 2, 4, 4) / 8], data="ramps", name="net", measured=measured)
    return replace(made, profile=replace(made.profile, notes=()))


def test_summary(matches_golden):
    matches_golden(summary_report(tree(), depth=2, dt=0.001), "summary")


def test_summary_without_data_has_no_numbers_of_a_run(matches_golden):
    matches_golden(summary_report(tree(measured=False), depth=0), "summary_static")


def test_the_depth_is_a_level_of_the_tree(render):
    text = render(summary_report(tree(), depth=1), 100)
    assert "stages.0" in text and "conv" not in text


def test_every_format_has_exact_numbers():
    report = summary_report(tree(), depth=0)
    lines = report_text(report, Format.csv).splitlines()
    head = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
    assert (head["path"], head["weights"], head["zero_weights"], head["dense_per_image"]) == (
        "head",
        "640",
        "320",
        "2560",
    )
    assert "stages.0" in report_text(report, Format.latex) and "stages.0" in report_text(report, Format.markdown)
