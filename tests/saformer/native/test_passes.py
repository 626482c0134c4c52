"""The compiled passes give what PyTorch's operators give: spikes bit for bit, counts exactly."""

import shutil

import pytest
import torch

from saformer.native import passes as compiled
from saformer.native.passes import MOST_STEPS, native
from saformer.neurons import one_pass
from saformer.neurons.integrate_and_fire import fire_backward_cpu, fire_cpu
from saformer.neurons.rule import Rule

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
SETTINGS = [(2.0, 1.0, 0.0), (1.5, 0.5, 0.0), (3.0, 1.0, -0.25), (1.0, 1.0, 0.1)]


def currents(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + 0.5


def plain(tau, threshold, reset):
    return Rule(tau=tau, threshold=threshold, rest=reset, reset=reset)


@needs_compiler
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("shape", [(4, 3, 5, 7), (1, 2, 700), (6, 1, 3), (5, 4), (3,), (2, 3, 8, 40, 40)])
def test_spikes_are_those_of_the_operators_and_are_counted_as_they_fire(shape, settings):
    x = currents(*shape)
    fired = one_pass.fire(x, *settings)
    assert fired is not None and fired.finite and fired.counts is not None
    assert torch.equal(fired.spikes, fire_cpu(x, None, None, *plain(*settings)))
    images = shape[1] if len(shape) > 1 else 1
    assert torch.equal(fired.counts, fired.spikes.reshape(shape[0], images, -1).sum(2).long())


@needs_compiler
def test_layouts_stay_and_images_that_are_not_side_by_side_are_not_counted_apart():
    x = currents(3, 2, 6, 5, 4)
    last = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (3, 2))
    fired = one_pass.fire(last, 2.0, 1.0, 0.0)
    assert fired is not None and fired.spikes.stride() == last.stride() and fired.counts is not None
    assert torch.equal(fired.spikes, fire_cpu(x, None, None, *Rule()))
    assert torch.equal(fired.counts, fired.spikes.sum((2, 3, 4)).long())
    batch_inside = currents(3, 6, 2).transpose(1, 2)
    inside = one_pass.fire(batch_inside, 2.0, 1.0, 0.0)
    assert inside is not None and inside.counts is None
    assert torch.equal(inside.spikes, fire_cpu(batch_inside, None, None, *Rule()))


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_the_work(monkeypatch, threads):
    monkeypatch.setattr(compiled, "_SHARED", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        x, gradient = currents(4, 5, 1234), currents(4, 5, 1234, seed=1)
        fired = one_pass.fire(x, 2.0, 1.0, 0.0)
        slope = one_pass.gradient_of(gradient, x, 2.0, 1.0, 0.0, 4.0)
    finally:
        torch.set_num_threads(before)
    assert fired is not None and fired.counts is not None
    assert torch.equal(fired.spikes, fire_cpu(x, None, None, *Rule()))
    assert torch.equal(fired.counts, fired.spikes.sum(2).long())
    assert slope is not None
    torch.testing.assert_close(slope, fire_backward_cpu(gradient, x, None, None, 4.0, *Rule())[0])


@needs_compiler
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("steps", [1, 4, MOST_STEPS])
def test_gradients_are_those_of_the_operators(steps, settings):
    x, gradient = 3 * currents(steps, 3, 111), currents(steps, 3, 111, seed=1)
    slope = one_pass.gradient_of(gradient, x, *settings, 4.0)
    assert slope is not None
    expected = fire_backward_cpu(gradient, x, None, None, 4.0, *plain(*settings))[0]
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-6)


@needs_compiler
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_current_that_is_not_finite_is_noticed(value):
    x = currents(2, 3, 300)
    x[1, 2, 299] = value
    fired = one_pass.fire(x, 2.0, 1.0, 0.0)
    assert fired is not None and not fired.finite
    assert torch.equal(fired.spikes, fire_cpu(x, None, None, *Rule()))


@needs_compiler
@pytest.mark.parametrize("shape", [(7, 5001), (64, 12289), (1, 9000), (3000, 1)])
def test_one_look_counts_and_measures(shape):
    library = native()
    assert library is not None
    x = torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(2)).float()
    expected = int(x.eq(1).sum()), 3.0, (-3, 3, int(x.abs().sum()))
    nonzero, *rest = library.look(x)
    assert torch.equal(nonzero, x.ne(0).sum(1)) and tuple(rest) == expected
    assert library.look(x / 8, 8.0)[3] == expected[2]
    x[0, 0] = 0.5
    assert library.look(x)[3] is None
    for other in (0.5, float("nan"), 2.0**19, -(2.0**31), 1e30):
        _, _, largest, whole = library.look(torch.tensor([[1.0, other]]))
        assert whole is None and not largest < abs(other)


@needs_compiler
@pytest.mark.parametrize("shape", [(5, 7, 300), (40, 20, 1), (1, 3, 1025)])
def test_nonzeros_along_a_dimension(shape):
    library = native()
    assert library is not None
    x = torch.randint(-1, 2, shape, generator=torch.Generator().manual_seed(2)).float()
    assert torch.equal(library.along(x[None])[0], x.ne(0).sum(1))
    apart = torch.stack([x, x.roll(1), x.roll(2)])[::2]
    assert torch.equal(library.along(apart), apart.ne(0).sum(2))


@needs_compiler
def test_sums_of_weights_where_elements_are_not_zero():
    library = native()
    assert library is not None
    x = torch.randint(-1, 2, (5, 3, 5000), generator=torch.Generator().manual_seed(2)).float()
    weight = torch.randint(0, 1 << 18, (5000,), generator=torch.Generator().manual_seed(3), dtype=torch.int32)
    assert torch.equal(library.weighted(x, weight), (x.ne(0).long() * weight).sum((1, 2)))


@pytest.mark.parametrize("other", [torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 0), torch.zeros(2, 3).half()])
def test_other_tensors_are_left_to_the_operators(other):
    assert one_pass.fire(other, 2.0, 1.0, 0.0) is None


@pytest.mark.parametrize("missing", ["compiler", "works", "private"])
def test_without_a_library_there_is_none_and_nothing_is_said(monkeypatch, tmp_path, missing, capfd):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if missing == "compiler":
        monkeypatch.setenv("CC", "no-such-compiler")
    elif missing == "works":
        monkeypatch.setenv("CC", "false")
    else:
        (tmp_path / "saformer").mkdir()
        (tmp_path / "saformer").chmod(0o777)
    assert compiled.native.__wrapped__() is None
    assert capfd.readouterr() == ("", "")


@needs_compiler
def test_it_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled.native.__wrapped__() is not None
    (path,) = (tmp_path / "saformer").iterdir()
    made = path.stat().st_mtime_ns
    assert compiled.native.__wrapped__() is not None
    assert [p.stat().st_mtime_ns for p in (tmp_path / "saformer").iterdir()] == [made]
