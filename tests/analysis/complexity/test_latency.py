import torch
from torch import nn

from saformer.analysis.complexity.latency import measure


class Doubles(nn.Module):
    """Makes `copies` tensors of the size of its input and keeps them until it returns."""

    def __init__(self, copies: int) -> None:
        super().__init__()
        self.copies = copies

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return [x + i for i in range(self.copies)][-1]


def test_peak_memory_is_what_is_alive_at_once() -> None:
    x = torch.zeros(1 << 18)  # 1 MiB of float32
    found = measure([Doubles(1), Doubles(5)], x)
    assert [round(one.peak_bytes / 2**20) for one in found] == [1, 5]
    assert all(one.seconds > 0 and one.passes >= 3 for one in found)
