from collections.abc import Callable

from saformer.reports.document.blocks import Part, Report
from saformer.reports.tables.flops import FlopsRow, flops_table

Render = Callable[[Report | Part, int], str]
Golden = Callable[[Report | Part, str], None]
FLOPS_ROWS = [
    FlopsRow("patch_embed.proj_conv", "conv2d", 5308416, 5308416),
    FlopsRow("block.0.attn.qk", "matmul", 98304, None),
    FlopsRow("head", "linear", 15360, 15361),
]


def test_flops(matches_golden: Golden) -> None:
    matches_golden(flops_table(FLOPS_ROWS), "flops")


def test_difference_of_counters_is_marked(render: Render) -> None:
    marks = {line.split()[0]: "≠" in line for line in render(flops_table(FLOPS_ROWS), 100).splitlines() if line.strip()}
    assert not marks["patch_embed.proj_conv"]
    assert marks["head"] and not marks["block.0.attn.qk"]  # what a counter leaves out by convention is no difference
    assert "agree on all 1 operations" in render(flops_table(FLOPS_ROWS[:1]), 100)
