"""Images and steps in time, told apart in the counts."""

import pytest
import torch
from exact_counts import assert_images, indicator, layer_of_ones, nonzeros, only, run, values
from function_net import Net
from torch import Tensor, nn

from saformer.analysis import profile


@pytest.mark.parametrize("layout", ["T x B", "T*B"])
def test_images_are_told_apart_in_time(pass_size: None, layout: str) -> None:
    steps, batch = 2, 3
    conv, x = nn.Conv2d(2, 3, 3, padding=1), values("real", batch, steps, 2, 5, 4)

    def network(m: Net, y: Tensor) -> Tensor:
        z = y.transpose(0, 1)
        if layout == "T*B":
            return m.fc(m.conv(z.flatten(0, 1)).flatten(1)[:, :7].relu())
        hidden = m.conv(z.flatten(0, 1)).unflatten(0, (steps, batch))
        return m.fc(hidden.flatten(2)[:, :, :7].relu())

    net = Net(network, conv=conv, fc=nn.Linear(7, 5))
    p = run(net, x, time_steps=steps)
    rows = []
    for image in x:
        with torch.no_grad():
            hidden = conv(image).flatten(1)[:, :7].relu()
        rows.append((nonzeros(image), layer_of_ones(conv, image).sum(), nonzeros(hidden), 5 * nonzeros(hidden)))
    assert_images(p, rows)


@pytest.mark.parametrize("turned", [False, True])
def test_products_of_a_step_with_all_steps(turned: bool) -> None:
    """Left and right factor differ in whether they have a time axis."""
    steps, batch = 4, 3
    x = values("real", batch, 5, 6)

    def network(m: Net, y: Tensor) -> Tensor:
        every = torch.stack([y.roll(t, 1) for t in range(steps)])
        return every * y if turned else y * every

    every = torch.stack([x.roll(t, 1) for t in range(steps)])
    both = (indicator(x) * indicator(every)).transpose(0, 1).flatten(1).sum(1)
    single = [nonzeros(image) for image in x]
    rows = [(n, n * steps, e) for n, e in zip(single, both.tolist(), strict=True)]
    p = run(Net(network), x, time_steps=steps)
    assert only(p).events == both.sum()
    assert_images(p, [(b, a, e) for a, b, e in rows] if turned else rows)


def test_a_layer_before_time_begins_with_as_many_channels_as_images_and_steps() -> None:
    # B x C x H x W with B = C = T could be taken for T x B x H x W.
    conv, x = nn.Conv2d(3, 2, 3, padding=1), values("real", 3, 3, 5, 5)
    p = run(Net(lambda m, y: m.conv(y), conv=conv), x, time_steps=3)
    assert only(p).events == layer_of_ones(conv, x).sum()
    assert_images(p, [(nonzeros(image), layer_of_ones(conv, image[None]).sum()) for image in x])


def test_where_images_mix_the_batch_is_the_unit() -> None:
    # Tokens first, then images, then halves, in one dimension.
    x = values("real", 3, 5, 6)
    net = Net(lambda m, y: m.fc(y.unflatten(2, (2, 3)).transpose(0, 1).flatten(0, 2)), fc=nn.Linear(3, 2))
    p = profile(net, [x, x[:2]], check_flops=False)
    assert p.unit == "batch"
    z = [(3, nonzeros(x), 2 * nonzeros(x)), (2, nonzeros(x[:2]), 2 * nonzeros(x[:2]))]
    columns = list(zip(*z, strict=True))
    assert p.moments.sums == tuple(map(sum, columns))
    assert p.moments.gram == tuple(
        tuple(sum(a * b for a, b in zip(u, v, strict=True)) for v in columns) for u in columns
    )


def test_an_operation_that_some_batches_lack() -> None:
    x = values("real", 6, 4)
    x[:3, 0], x[3:, 0] = 1.0, -1.0
    net = Net(lambda m, y: m.b(y) if y[0, 0] < 0 else m.a(y), a=nn.Linear(4, 2), b=nn.Linear(4, 3))
    p = profile(net, [x[:3], x[3:]], check_flops=False)
    rows = [(nonzeros(i), 2 * nonzeros(i), 0, 0) for i in x[:3]] + [(0, 0, nonzeros(i), 3 * nonzeros(i)) for i in x[3:]]
    assert_images(p, rows)
