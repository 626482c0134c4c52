import pytest
import torch

from saformer.analysis.complexity import benchmark as measuring
from saformer.analysis.complexity.benchmark import measure
from saformer.analysis.complexity.formulas import Sizes, choose
from saformer.analysis.complexity.peak_memory import available_bytes, left_by_control_group, left_by_kernel, peak_bytes
from saformer.analysis.complexity.verify import build_module, random_input

CPU = torch.device("cpu")
MIB = 2**20


def test_the_peak_is_what_lives_at_once_and_not_what_was_ever_allocated() -> None:
    def work() -> torch.Tensor:
        for _ in range(5):
            block = torch.empty(4 * MIB, dtype=torch.uint8)
            del block
        kept = torch.empty(2 * MIB, dtype=torch.uint8)
        both = torch.empty(MIB, dtype=torch.uint8)
        return kept[:1] + both[:1]

    assert peak_bytes(work, CPU) == 4 * MIB
    held = torch.empty(8 * MIB, dtype=torch.uint8)
    assert peak_bytes(lambda: torch.empty(MIB, dtype=torch.uint8), CPU) == MIB
    del held


def test_memory_inside_an_operator_is_seen() -> None:
    # A current whose steps do not follow each other in memory is copied inside the neuron's own operator.
    x = torch.zeros(MIB // 4, 4, 4).transpose(0, 1)
    lif = torch.ops.saformer.lif.default
    spikes = x.numel() * 4
    assert peak_bytes(lambda: lif(x, 2.0, 1.0, 0.0), CPU) >= 2 * spikes


def test_the_attention_map_is_in_the_peak() -> None:
    sizes = Sizes(tokens=256, dim=16, aggregated=16, time_steps=2)
    for attention in choose("vsa,ssa,sasa"):
        module, x = build_module(attention, sizes), random_input(attention, sizes)
        with torch.inference_mode():
            peak = peak_bytes(lambda module=module, x=x: module(x), CPU)
        assert 0.9 * 4 * attention.elements(sizes) < peak < 8 * 4 * attention.elements(sizes)


def test_available_memory_is_the_least_that_anybody_says(tmp_path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   5 kB\n")
    assert left_by_kernel(tmp_path / "meminfo") == [5120]
    assert left_by_kernel(tmp_path / "none") == left_by_control_group(tmp_path) == []
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("100\n")
    assert left_by_control_group(tmp_path) == []
    (tmp_path / "memory.max").write_text("250\n")
    assert left_by_control_group(tmp_path) == [150]
    assert available_bytes(CPU) is None or available_bytes(CPU) > 0
    assert available_bytes(torch.device("meta")) is None


def test_a_small_run_measures_every_size_of_every_attention() -> None:
    chosen = choose("all")
    shares: list[float] = []
    over_tokens = [Sizes(tokens, 16, 4, 2) for tokens in (16, 32, 64)]
    over_dim = [Sizes(16, dim, 4, 2) for dim in (8, 16)]
    result = measure(chosen, over_tokens, over_dim, seconds=0.001, progress=shares.append)
    assert len(result.points) == len(chosen) * 5
    assert all(p.skipped is None and len(p.seconds) >= 5 and min(p.seconds) > 0 and p.peak > 0 for p in result.points)
    for attention in chosen:
        assert [p.size for p in result.series(attention, "tokens")] == [16, 32, 64]
        assert result.overhead[attention.key] > 0
        assert result.memory_fit(attention, "tokens").measured.exponent > 0.5
        assert result.time_fit(attention, "dim").symbolic == 2
    assert shares[0] > 0 and shares[-1] == pytest.approx(1) and max(shares) <= 1 + 1e-9


def test_what_will_not_fit_is_skipped_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "available_bytes", lambda device: 3 * MIB)
    result = measure(choose("ssa,sasa"), [Sizes(n, 16, 4, 2) for n in (16, 4096)], [], seconds=0.001)
    skipped = {(p.attention.key, p.size): p.skipped for p in result.points if p.skipped}
    assert set(skipped) == {("ssa", 4096), ("sasa", 4096)}
    assert "GiB are free" in skipped["ssa", 4096]
    assert result.time_fit(choose("ssa")[0], "tokens").measured is None


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_running_out_of_memory_skips_that_size_alone(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    real = measuring.peak_bytes

    def peak(work, device):
        if not calls.pop():
            raise error
        return real(work, device)

    calls = [True, False]
    monkeypatch.setattr(measuring, "peak_bytes", peak)
    result = measure(choose("vsa"), [Sizes(n, 16, 4, 2) for n in (16, 32)], [], seconds=0.001)
    assert [p.skipped for p in result.points] == ["out of memory", None]


def test_another_error_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(work, device):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(measuring, "peak_bytes", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        measure(choose("vsa"), [Sizes(16, 16, 4, 2)], [])
