"""Devices that are not here, and memory that is not enough."""

import pytest
import torch


@pytest.mark.parametrize("name", ["mps", "banana", "cuda:99", "privateuseone", "xla", ""])
def test_a_device_that_is_not_here_names_those_that_are(saformer, name):
    complaint = saformer("energy", "--device", name).complaint
    if not torch.backends.mps.is_available() or name != "mps":
        assert complaint.startswith(f"saformer: --device {name}: there is no such device here, choose one of auto, cpu")
        assert len(complaint) < 120 + 10 * torch.cuda.device_count()


def exhaust(self, *args, **kwargs):
    raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory")


def test_out_of_memory_says_which_batch_size_to_try(saformer, monkeypatch):
    monkeypatch.setattr("saformer.models.transformers.saformer.SAFormer.forward", exhaust)
    assert "--batch-size 8" in saformer("energy", "--limit", "40").complaint
    assert "even one image" in saformer("energy", "--batch-size", "1").complaint


@pytest.mark.parametrize("images", [1, 40])
def test_too_many_steps_are_not_the_fault_of_the_batch(saformer, monkeypatch, images):
    monkeypatch.setattr("saformer.models.transformers.saformer.SAFormer.forward", exhaust)
    complaint = saformer("energy", "--time-steps", 60_000, "--limit", images).complaint
    assert "T = 60,000 time steps: try fewer (--time-steps" in complaint


def test_steps_beyond_any_memory_are_refused_before_anything_is_made(saformer):
    complaint = saformer("energy", "--time-steps", 10**12).complaint
    assert "time_steps must be a whole number from 1 to 65,536, got 1000000000000" in complaint
