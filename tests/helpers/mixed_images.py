"""A network that mixes the images of a batch."""

from torch import Tensor, nn


class Mixed(nn.Module):
    """Tokens, images and halves of a channel in one dimension: neither images nor what is repeated comes first, so a
    batch is one unit of the variance.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Two numbers for each of B x 5 x 6."""
        y = x.unflatten(2, (2, 3)).transpose(0, 1).flatten(0, 2)
        return self.out(self.fc(y).relu()).view(5, len(x), 2, 2).mean((0, 2))
