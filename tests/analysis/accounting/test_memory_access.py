from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from saformer.analysis import Profile, profile
from saformer.analysis.accounting.account import DataInfo, ModelInfo
from saformer.analysis.accounting.memory_access import (
    MemoryModel,
    MemoryRow,
    load_memory_model,
    memory_energy,
    memory_model_names,
)
from saformer.analysis.profiles import Neurons, Operand, Operation, Values
from saformer.analysis.profiles.moments import Moments
from saformer.errors import InputError

LEMAIRE = load_memory_model("lemaire")
SPIKES_OF = "spikes of block.0.lif"

# Two images, T = 4: a word is held for an eighth of all elements.
STEM = Operation(
    "stem", "conv2d", 1000, (Operand(200, 150, 10),), 700, first=True, outputs=400, bias=5, sources=("x",), weights=45
)
CONV = Operation("block.0.conv", "conv2d", 3600, (Operand(400, 40, 40),), 300, outputs=800, weights=36)
FC = Operation("block.0.fc", "linear", 8000, (Operand(160, 16, 16),), 800, outputs=400, bias=50, weights=1000)
SUMS = Operation("block.0.sums", "linear", 8000, (Operand(160, 16, 15),), 800, outputs=400, weights=1000)
QK = Operation(
    *("block.0.qk", "matmul", 640, (Operand(80, 8, 8), Operand(160, 32, 32)), 20),
    outputs=320,
    sources=(SPIKES_OF, SPIKES_OF),
)
MASK = replace(QK, name="block.0.mask", op="product", events=10)
REAL = Operation("block.0.real", "matmul", 640, (Operand(80, 8, 3), Operand(160, 32, 3)), 20, outputs=320)
LIF = Neurons("block.0.lif", 800, (10, 20, 30, 40))
OPERATIONS = (STEM, CONV, FC, SUMS, QK, MASK, REAL)


def tiny(
    operations: tuple[Operation, ...] = OPERATIONS, kind: str = "static", neurons: tuple[Neurons, ...] = (LIF,)
) -> Profile:
    totals = [n for o in operations for n in (*(x.nonzero for x in o.operands), o.events)]
    return Profile(
        model=ModelInfo("tiny", 77, 4),
        data=DataInfo("toy", "test", 2, kind),
        operations=operations,
        neurons=neurons,
        free=(),
        uncounted=(),
        hits=None,
        unit="batch",
        moments=Moments.of(np.array([[2, *totals]], dtype=np.int64)),
    )


def rows(*args: object, **kwargs: object) -> dict[str, MemoryRow]:
    return {row.name: row for row in memory_energy(tiny(*args, **kwargs)).rows}  # type: ignore[arg-type]


# --- The cost of one access ---


@pytest.mark.parametrize(
    ("size", "pj"),
    [(0, 0), (4096, 5), (8192, 10), (20480, 15), (32768, 20), (540672, 60), (1048576, 100), (1 << 30, 100)],
)
def test_an_access_costs_by_the_size_of_its_memory(size: int, pj: float) -> None:
    assert LEMAIRE.access_pj(size / 4) == pytest.approx(pj)


def test_a_larger_memory_never_costs_less() -> None:
    costs = [LEMAIRE.access_pj(words) for words in range(0, 400_000, 997)]
    assert costs == sorted(costs)
    for name in ("stem", "block.0.conv", "block.0.fc", "block.0.sums"):
        grown = tuple(replace(o, weights=o.weights * 50) if o.name == name else o for o in OPERATIONS)
        before, after = rows(), rows(grown)
        assert after[name].weights_mj > before[name].weights_mj
        assert replace(after[name], weights_mj=0) == replace(before[name], weights_mj=0)
        assert {k: v for k, v in after.items() if k != name} == {k: v for k, v in before.items() if k != name}


def test_the_shipped_model_says_where_it_is_from() -> None:
    assert memory_model_names() == ["lemaire"]
    assert "2210.13107" in LEMAIRE.source
    assert any("8 kB 10 pJ, 32 kB 20 pJ, 1 MB 100 pJ" in line for line in LEMAIRE.assumptions)
    assert all("\n" not in line for line in LEMAIRE.assumptions)
    with pytest.raises(InputError, match="unknown memory model 'dram': choose one of lemaire"):
        memory_energy(tiny(), "dram")


# --- By hand. In memories this small an access costs 10 pJ x bytes / 8192 ---


def small(words: float) -> float:
    return words * 4 * 10 / 8192


def test_spikes_into_a_convolution() -> None:
    row = rows()["block.0.conv"]
    assert (row.weight_reads, row.input_reads, row.output_writes) == (150, 20, 0)
    assert (row.membrane_reads, row.membrane_writes) == (150, 150)
    assert (row.address_acs, row.address_macs) == (150, 40)
    assert row.weights_mj == pytest.approx(1e-9 * 150 * small(36))
    assert row.inputs_mj == pytest.approx(1e-9 * 20 * small(1000))  # the queue
    assert row.membranes_mj == pytest.approx(1e-9 * 300 * small(100))  # 800 over two images and four steps
    assert row.addressing_mj == pytest.approx(1e-9 * (150 * 0.1 + 40 * 3.2))
    assert row.total_mj == pytest.approx(row.weights_mj + row.inputs_mj + row.membranes_mj + row.addressing_mj)


def test_spikes_into_a_linear_layer_with_a_bias() -> None:
    row = rows()["block.0.fc"]
    assert (row.weight_reads, row.input_reads) == ((800 + 400) / 2, 8)
    assert (row.membrane_reads, row.membrane_writes) == (400, 400)
    assert (row.address_acs, row.address_macs) == (400, 0)
    assert row.weights_mj == pytest.approx(1e-9 * 600 * small(1050))


def test_an_input_that_is_not_binary_is_handled_densely() -> None:
    linear, conv = rows()["block.0.sums"], rows()["stem"]
    assert (linear.weight_reads, linear.input_reads, linear.output_writes) == (4000, 80, 200)
    assert (linear.membrane_reads, linear.membrane_writes) == (0, 0)
    assert (linear.address_acs, linear.address_macs) == ((160 + 400) / 2, 0)
    assert linear.inputs_mj == pytest.approx(1e-9 * (80 * small(20) + 200 * small(50)))
    # A convolution reads its input again for each multiplication.
    assert (conv.weight_reads, conv.input_reads, conv.output_writes) == ((1000 + 400) / 2, 500, 200)
    assert conv.weights_mj == pytest.approx(1e-9 * 700 * small(50))


def test_event_frames_are_messages() -> None:
    stem = rows(kind="events")["stem"]
    assert (stem.weight_reads, stem.input_reads, stem.membrane_writes) == ((700 + 400) / 2, 75, 350)


def test_whether_neurons_are_listed_decides_nothing() -> None:
    assert rows(neurons=()) == {name: row for name, row in rows().items() if name != LIF.name}


def test_the_class_of_an_input_decides_how_it_is_handled() -> None:
    values = Values(unit=0.5, levels=1, magnitudes=1)
    scaled = replace(CONV, operands=(replace(CONV.gate, ones=0, values=values),))
    ternary = replace(CONV, operands=(replace(CONV.gate, ones=0, values=replace(values, negative=True)),))
    graded = replace(CONV, operands=(replace(CONV.gate, ones=0, values=replace(values, magnitudes=2, levels=2)),))
    plain = rows()[CONV.name]
    assert rows((scaled,))[CONV.name] == rows((ternary,))[CONV.name] == plain
    assert rows((graded,))[CONV.name].membrane_reads == 0 < plain.membrane_reads


def test_a_network_without_spikes_is_dense_throughout() -> None:
    real = Values("real", False, magnitudes=2, multiples=False)
    changed = tuple(replace(o, operands=tuple(replace(x, values=real) for x in o.operands)) for o in OPERATIONS)
    for row in rows(changed, neurons=()).values():
        assert row.membrane_reads == row.membrane_writes == row.address_macs == 0
        assert row.output_writes > 0


def test_products_of_activations() -> None:
    found = rows()
    qk = found["block.0.qk"]
    assert qk.input_reads == (8 + 640 * 8 / 80) / 2  # spikes of Q, and for each its partners of K
    assert (qk.membrane_reads, qk.membrane_writes, qk.weight_reads) == (10, 10, 0)
    assert qk.inputs_mj == pytest.approx(1e-9 * (4 * small(1000) + 32 * small(20)))
    mask = found["block.0.mask"]
    assert (mask.membrane_reads, mask.membrane_writes) == (0, 5)
    real = found["block.0.real"]
    assert (real.input_reads, real.output_writes, real.address_acs) == (640, 160, (80 + 160 + 320) / 2)


def test_neurons_read_and_write_their_membrane_at_every_step() -> None:
    row = rows()["block.0.lif"]
    assert (row.op, row.membrane_reads, row.membrane_writes, row.output_writes) == ("neurons", 400, 400, 50)
    assert row.membranes_mj == pytest.approx(1e-9 * 800 * small(100))
    assert row.inputs_mj == pytest.approx(1e-9 * 50 * small(1000))
    assert row.block == "block.0"


def test_no_spikes_no_event_reads() -> None:
    silent = tuple(
        replace(o, operands=tuple(Operand(x.elements, 0, 0) for x in o.operands), events=0, bias=0, first=False)
        for o in OPERATIONS
    )
    for row in memory_energy(tiny(silent, neurons=(replace(LIF, per_step=(0, 0, 0, 0)),))).rows:
        assert row.weight_reads == row.input_reads == row.output_writes == row.address_acs == row.address_macs == 0
        assert (row.membrane_reads > 0) == (row.op == "neurons")
        assert (row.total_mj > 0) == (row.op == "neurons")


def test_the_first_layer_of_a_static_image_can_run_once() -> None:
    always, once = memory_energy(tiny()), memory_energy(tiny(), first_layer_once=True)
    assert once.rows[0].total_mj == pytest.approx(always.rows[0].total_mj / 4)
    assert once.rows[1:] == always.rows[1:]
    events = tiny(kind="events")
    assert memory_energy(events, first_layer_once=True) == memory_energy(events)


# --- Sums ---


def test_rows_add_up_and_so_do_profiles() -> None:
    memory = memory_energy(tiny())
    plain = memory.to_json()
    for key, total in plain["totals"].items():
        assert total == pytest.approx(sum(layer[key] for layer in plain["layers"]))
    parts = ("weights_mj", "inputs_mj", "membranes_mj", "addressing_mj")
    assert plain["totals"]["total_mj"] == memory.total_mj == pytest.approx(sum(plain["totals"][p] for p in parts))
    # Twice the same images: the same numbers per image.
    assert memory_energy(tiny() + tiny()).total_mj == pytest.approx(memory.total_mj)
    more = tiny(tuple(replace(o, operands=(Operand(o.gate.elements, 1, 1),), events=9) for o in (CONV, FC)))
    both = memory_energy(tiny((CONV, FC)) + more)
    for row, one, other in zip(both.rows, memory_energy(tiny((CONV, FC))).rows, memory_energy(more).rows, strict=True):
        assert row.total_mj == pytest.approx((one.total_mj + other.total_mj) / 2)


def test_dearer_accesses_cost_in_proportion() -> None:
    dear = replace(LEMAIRE, points=tuple((size, 3 * pj) for size, pj in LEMAIRE.points), add_pj=0, multiply_pj=0)
    free = MemoryModel("free", "", "", 4, 1000, ((0, 0), (1, 0)), 0.1, 3.1)
    total = memory_energy(tiny()).total_mj
    addressing = memory_energy(tiny(), free).total_mj
    assert addressing == pytest.approx(memory_energy(tiny()).sum("addressing_mj"))
    assert memory_energy(tiny(), dear).total_mj == pytest.approx(3 * (total - addressing))


# --- A second witness ---


@pytest.mark.filterwarnings("ignore:Lemaire formulas do not support Flatten")
def test_spiking_layers_cost_what_spikingjelly_says() -> None:
    # Its implementation of the same paper. Kernels of 1 x 1: it multiplies spikes by Hk Wk, edges or not.
    theirs = pytest.importorskip("spikingjelly.activation_based.op_counter.analytical_energy")
    from spikingjelly.activation_based import functional, layer, neuron

    torch.manual_seed(0)
    network = nn.Sequential(
        *(layer.Conv2d(3, 16, 1), neuron.IFNode(), layer.Conv2d(16, 24, 1, bias=False), neuron.IFNode()),
        *(layer.Flatten(), layer.Linear(24 * 64, 50), neuron.IFNode(), layer.Linear(50, 10, bias=False)),
    )
    functional.set_step_mode(network, "m")
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.1, 0.5)
    x = (torch.rand(4, 1, 3, 8, 8) > 0.5).float()
    expected = theirs.estimate_lemaire_energy(network, x, config=theirs.LemaireEnergyConfig(strict=False))
    functional.reset_net(network)
    found = profile(network, [x[:, 0][None]], to_input=lambda b: b.transpose(0, 1), time_steps=4, check_flops=False)
    memory = memory_energy(found)
    assert all(neurons.spikes for neurons in found.neurons)
    for ours, name in (("inputs", "inout"), ("weights", "params"), ("membranes", "potential"), ("addressing",) * 2):
        assert memory.sum(f"{ours}_mj") == pytest.approx(1e-9 * expected.breakdown_pj[f"{name}_pj"], rel=1e-12)


# --- The number of weights ---


def test_the_recorder_writes_down_the_number_of_weights() -> None:
    model = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(6 * 16, 5, bias=False))
    found = profile(model, [torch.randn(3, 4, 6, 6), torch.randn(2, 4, 6, 6)], check_flops=False)
    assert [o.weights for o in found.operations] == [6 * 2 * 9, 6 * 16 * 5]
    assert Profile.from_json(found.to_json()) == found
    assert [o.weights for o in (found + found).operations] == [108, 480]
    assert memory_energy(found).total_mj > 0


def test_a_profile_of_an_earlier_version_says_that_it_lacks_them() -> None:
    plain = tiny().to_json()
    del plain["checksum"]
    for operation in plain["operations"]:
        del operation["weights"]
    old = Profile.from_json(plain)
    assert [o.weights for o in old.operations] == [0] * len(OPERATIONS)
    with pytest.raises(InputError, match=r"the number of weights of stem.*record it again") as caught:
        memory_energy(old)
    assert "\n" not in str(caught.value)
    assert memory_energy(replace(old, operations=old.operations[4:])).total_mj > 0  # products have none
