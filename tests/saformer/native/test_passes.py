"""The compiled passes give what PyTorch's operators give: spikes bit for bit, counts exactly."""

import shutil

import pytest
import torch

from saformer.native import passes as compiled
from saformer.native.compiling import library
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


def some_spikes(*shape, seed=2):
    """Spikes, and a bit for each as neurons write them."""
    fired = one_pass.fire(currents(1, *shape, seed=seed) * 3, 1.0, 1.0, 0.0, in_words=True)
    return fired.spikes[0], fired.words


@needs_compiler
@pytest.mark.parametrize("shape", [(3, 5, 64), (2, 7, 16), (1, 1, 48), (2, 3, 5000)])
def test_a_bit_for_each_spike_is_written_beside_them(shape):
    spikes, words = some_spikes(*shape)
    if spikes[0].numel() % 16:
        assert words is None
        return
    bits = (words[: spikes.numel() // 16, None].int() >> torch.arange(16)) & 1
    assert torch.equal(bits.flatten(), spikes.flatten().int())


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(3, 48), (2, 5008), (1, 16), (5, 1237), (1, 7)])
@pytest.mark.parametrize("levels", [2, 4])
def test_a_bit_for_each_element_says_whether_it_is_zero(monkeypatch, shape, levels, threads):
    monkeypatch.setattr(compiled, "_threads", lambda x: threads)
    x = torch.randint(0, levels, shape, generator=torch.Generator().manual_seed(5)).float()
    x[0, :3] = torch.tensor([-0.0, 1.0, 0.0])
    if levels > 2:
        x[0, 3:6] = torch.tensor([float("nan"), -2.0, 1e-40])
    bits = (native().words(x)[: -(-x.numel() // 16), None].int() >> torch.arange(16)) & 1
    assert torch.equal(bits.flatten()[: x.numel()], x.flatten().ne(0).int())
    nonzero, *rest = native().look(x)
    assert torch.equal(nonzero, x.ne(0).sum(1))
    if levels == 2:
        assert rest == [int(x.sum()), 1.0, (0, 1, int(x.sum()))]


@needs_compiler
def test_no_bits_are_written_where_runs_are_no_multiples_of_sixteen():
    assert one_pass.fire(currents(2, 3, 7), 2.0, 1.0, 0.0, in_words=True).words is None
    assert one_pass.fire(currents(2, 3, 16), 2.0, 1.0, 0.0).words is None


HEADS = [(3, 32, 20), (2, 24, 175), (4, 12, 4), (1, 300, 7), (2, 8, 300), (2, 5, 300)]  # how many, their width, tokens


def met(x, y, rows):
    """Pairs that meet in the product of stacks of matrices."""
    return (x.ne(0).double() @ y.ne(0).double()).round().long().reshape(rows, -1).sum(1)


def factors(x, y, words=(None, None), look=(False, False)):
    """Stacks of matrices as the pass takes them."""
    (*lead, n, in_x), (*its_lead, in_y, m) = x.stride(), y.stride()
    first = compiled.Factor(x, words[0], tuple(lead), x.shape[-2], n, in_x, look[0])
    return first, compiled.Factor(y, words[1], tuple(its_lead), y.shape[-1], m, in_y, look[1])


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("heads", "width", "tokens"), HEADS)
def test_pairs_of_spikes_are_counted_by_their_bits_and_without(monkeypatch, threads, heads, width, tokens):
    monkeypatch.setattr(compiled, "_threads", lambda x: threads)
    monkeypatch.setattr(compiled, "_SHARED", 1 if threads > 1 else 1 << 40)
    (q, q_words), (k, k_words) = (some_spikes(4, tokens, heads * width, seed=seed) for seed in (1, 2))
    q, k = (x.unflatten(-1, (heads, width)).transpose(1, 2) for x in (q, k))
    for words in ((q_words, k_words), (None, k_words), (q_words, None), (None, None)):
        for x, y in ((q, k.transpose(-1, -2)), (q.transpose(-1, -2), k)):
            for rows in (4, 2, 1):
                events, seen = native().pairs(*factors(x, y, words), x.shape[:-2], x.shape[-1], rows)
                assert torch.equal(events, met(x, y, rows)) and seen == (None, None)


@needs_compiler
@pytest.mark.parametrize("shape", [(3, 2, 64, 64), (5, 1, 70, 90), (2, 1, 3, 300)])
def test_what_products_hold_is_looked_at_in_the_same_pass(shape):
    generator = torch.Generator().manual_seed(4)
    x = torch.randint(-1, 4, shape, generator=generator).float()
    y = torch.randn(*shape[:2], shape[3], 5, generator=generator).relu()
    events, (of_x, of_y) = native().pairs(*factors(x, y, look=(True, True)), shape[:2], shape[3], shape[0])
    assert torch.equal(events, met(x, y, shape[0]))
    for z, seen in ((x, of_x), (y, of_y)):
        nonzero, *rest = native().look(z.flatten(0, 1).flatten(1))
        assert torch.equal(seen[0], nonzero) and list(seen[1:]) == rest


@needs_compiler
@pytest.mark.parametrize("shape", [(7, 5001), (64, 12289), (1, 9000), (300, 1)])
def test_a_sum_is_looked_at_as_it_is_made(shape):
    x, y = (currents(*shape, seed=seed).round() for seed in (1, 2))
    y[0, 0] = 0.25
    for one, other in ((x, x.roll(1)), (x, y)):
        out = torch.empty_like(one)
        nonzero, *rest = native().add(one, other, out, shape[1])
        expected, *shown = native().look(one + other)
        assert torch.equal(out, one + other) and torch.equal(nonzero, expected) and rest == shown


@needs_compiler
@pytest.mark.parametrize("shape", [(5, 3, 5000), (4, 30, 64), (2, 9, 48), (3, 4, 1)])
def test_sums_of_weights_where_elements_are_not_zero(shape):
    x = torch.randint(-1, 2, shape, generator=torch.Generator().manual_seed(2)).float()
    weight = torch.randint(0, 1 << 40, shape[2:], generator=torch.Generator().manual_seed(3))
    sums, seen = native().weighted(x, weight)
    assert torch.equal(sums, (x.ne(0).long() * weight).sum((1, 2))) and seen is None
    again, (nonzero, *rest) = native().weighted(x, weight, look=True)
    in_one_look = native().look(x.flatten(1))
    assert torch.equal(again, sums) and torch.equal(nonzero, in_one_look[0]) and tuple(rest) == in_one_look[1:]
    spikes, words = some_spikes(*shape)
    assert torch.equal(native().weighted(spikes, weight, words)[0], (spikes.long() * weight).sum((1, 2)))


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
    assert compiled.compiled.__wrapped__() is None
    assert capfd.readouterr() == ("", "")


@needs_compiler
def test_it_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = tmp_path / "two.c"  # by the mechanism that compiles ours, which takes seconds
    source.write_text("int two(void) { return 2; }\n")
    assert library("two", "CC", "cc", [source], ["-O3"]).two() == 2
    (path,) = (tmp_path / "saformer").iterdir()
    made = path.stat().st_mtime_ns
    assert library("two", "CC", "cc", [source], ["-O3"]).two() == 2
    assert [p.stat().st_mtime_ns for p in (tmp_path / "saformer").iterdir()] == [made]
