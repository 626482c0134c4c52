"""NIR graphs run as NIR says, and as snnTorch runs them."""

from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise

import nir
import numpy as np
import pytest
import snntorch
import torch
from snntorch.export_nir import export_to_nir
from snntorch.import_nir import import_from_nir
from torch import nn

from saformer.analysis import profile
from saformer.errors import InputError
from saformer.nir.network import network_from

DT = 1e-4
SNN = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}


def chain(*nodes, shape):
    """Input -> nodes -> Output, named n0, n1, ..."""
    named = {f"n{i}": node for i, node in enumerate(nodes)}
    names = ["input", *named, "output"]
    ends = {"input": nir.Input({"input": np.array(shape)}), "output": nir.Output({"output": np.array(shape)})}
    return nir.NIRGraph({**ends, **named}, list(pairwise(names)), type_check=False)


def ran(graph, x, **settings):
    """What the output puts out at each step: T x B x ..."""
    with torch.no_grad():
        return network_from(graph, **settings).run(torch.as_tensor(x, dtype=torch.float32))[0]


def column(*values):
    return np.array(values, np.float64)


def test_lif_is_forward_euler_with_a_reset():
    lif = nir.LIF(tau=column(2e-4), r=column(1.5), v_leak=column(0.5), v_threshold=column(1.0), v_reset=column(-1.0))
    found = ran(chain(lif, shape=[1]), [[[1.0]] * 3])
    v, expected = 0.0, []
    for _ in range(3):
        v += 0.5 * (0.5 - v + 1.5 * 1.0)
        expected.append(float(v > 1.0))
        v = -1.0 if v > 1.0 else v
    assert found.ravel().tolist() == expected == [0.0, 1.0, 0.0]


def test_li_and_cuba_li_put_out_membranes():
    li = nir.LI(tau=column(4e-4), r=column(2.0), v_leak=column(0.0))
    assert ran(chain(li, shape=[1]), [[[1.0], [0.0]]]).ravel().tolist() == [0.5, 0.375]
    cuba = nir.CubaLI(tau_syn=column(2e-4), tau_mem=column(4e-4), r=column(1.0), v_leak=column(0.0), w_in=column(2.0))
    # i = 0.5 * 2 = 1, then 0.5; v = 0.25 * 1, then 0.75 * 0.25 + 0.25 * 0.5.
    assert ran(chain(cuba, shape=[1]), [[[1.0], [0.0]]]).ravel().tolist() == [0.25, 0.3125]


def test_integrators_add_their_input_at_each_step():
    assert ran(chain(nir.I(r=column(2.0)), shape=[1]), [[[1.0], [3.0]]]).ravel().tolist() == [2.0, 8.0]
    fire = nir.IF(r=column(1.0, 1.0), v_threshold=column(1.0, 2.0), v_reset=column(0.5, 0.0))
    # Strictly above the threshold: 1 does not fire, 1.5 does.
    assert ran(chain(fire, shape=[2]), [[[1.0, 1.5], [0.5, 1.0], [0.5, 1.0]]])[:, 0].tolist() == [
        [0.0, 0.0],
        [1.0, 1.0],
        [0.0, 0.0],
    ]


def test_arithmetic_without_state():
    weight = np.array([[1.0, 2.0], [0.0, -1.0]])
    x = [[[3.0, 4.0]]]
    assert ran(chain(nir.Affine(weight, column(1.0, 0.0)), shape=[2]), x).ravel().tolist() == [12.0, -4.0]
    assert ran(chain(nir.Linear(weight), shape=[2]), x).ravel().tolist() == [11.0, -4.0]
    assert ran(chain(nir.Scale(column(2.0, 0.5)), shape=[2]), x).ravel().tolist() == [6.0, 2.0]
    assert ran(chain(nir.Threshold(column(3.0, 3.0)), shape=[2]), x).ravel().tolist() == [0.0, 1.0]
    stacked = np.arange(8.0).reshape(2, 2, 2)
    found = ran(chain(nir.Linear(stacked), shape=[2, 2]), [[[[1.0, 0.0], [0.0, 1.0]]]])
    assert found.squeeze().tolist() == [[0.0, 2.0], [5.0, 7.0]]


def test_delay_is_that_of_each_element():
    x = np.arange(1.0, 7.0).reshape(1, 3, 2)
    found = ran(chain(nir.Delay(column(0.0, 2 * DT)), shape=[2]), x)
    assert found[:, 0].tolist() == [[1.0, 0.0], [3.0, 0.0], [5.0, 2.0]]


def test_convolutions_pools_and_flatten_are_those_of_pytorch():
    generator = np.random.default_rng(0)
    weight, bias = generator.normal(size=(4, 2, 3, 3)).astype(np.float32), generator.normal(size=4).astype(np.float32)
    x = torch.as_tensor(generator.normal(size=(2, 1, 4, 6, 6)), dtype=torch.float32)
    conv = nir.Conv2d((6, 6), weight, (2, 1), (1, 1), (1, 1), 2, bias)
    expected = nn.functional.conv2d(x[:, 0], torch.tensor(weight), torch.tensor(bias), (2, 1), (1, 1), 1, 2)
    assert torch.equal(ran(chain(conv, shape=[4, 6, 6]), x)[0], expected)
    same = nir.Conv2d((6, 6), weight, 1, "same", 1, 2, bias)
    assert ran(chain(same, shape=[4, 6, 6]), x).shape == (1, 2, 4, 6, 6)
    window = [np.array([2, 2]), np.array([2, 2]), np.array([0, 0])]
    mean = ran(chain(nir.AvgPool2d(*window), shape=[4, 6, 6]), x)
    assert torch.equal(mean[0], nn.functional.avg_pool2d(x[:, 0], 2))
    assert torch.allclose(ran(chain(nir.SumPool2d(*window), shape=[4, 6, 6]), x), 4 * mean)
    flat = ran(chain(nir.Flatten({"input": np.array([4, 6, 6])}, 0), shape=[4, 6, 6]), x)
    assert torch.equal(flat[0], x[:, 0].flatten(1))
    # An exporter that counts the batch as a dimension records it in the type of the input.
    flat = ran(chain(nir.Flatten({"input": np.array([1, 4, 6, 6])}, 1), shape=[4, 6, 6]), x)
    assert torch.equal(flat[0], x[:, 0].flatten(1))
    one = nir.Conv1d(6, weight[:, :, 0], 2, 1, 1, 1, bias)
    x = x[:, :, :2, 0]
    expected = nn.functional.conv1d(x[:, 0], torch.tensor(weight[:, :, 0]), torch.tensor(bias), 2, 1)
    assert torch.equal(ran(chain(one, shape=[2, 6]), x)[0], expected)


def test_a_bias_of_zeros_stands_for_none():
    assert network_from(chain(nir.Affine(np.ones((2, 2)), np.zeros(2)), shape=[2])).n0.bias is None
    assert network_from(chain(nir.Affine(np.ones((2, 2)), np.ones(2)), shape=[2])).n0.bias is not None


def steps_of_snntorch(graph, x):
    """snnTorch's own import of the graph, fed step by step."""
    with redirect_stdout(StringIO()):  # it prints warnings
        net = import_from_nir(graph)
    for module in net.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    found, state = [], None
    with torch.no_grad():
        for current in x.unbind(1):
            y, state = net(current, state)
            found.append(y[0] if isinstance(y, tuple) else y)
    return torch.stack(found)


def exported(net, example):
    with redirect_stdout(StringIO()):
        return export_to_nir(net, example, ignore_dims=[0])


@pytest.mark.parametrize(
    "neurons",
    [
        lambda n: snntorch.Leaky(torch.full((n,), 0.9), threshold=torch.ones(n), **SNN),
        lambda n: snntorch.Synaptic(torch.full((n,), 0.8), torch.full((n,), 0.9), threshold=torch.ones(n), **SNN),
    ],
)
def test_spikes_are_those_of_snntorchs_own_import(neurons):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 30), neurons(30), nn.Linear(30, 10, bias=False), neurons(10))
    for layer in (net[0], net[2]):
        layer.weight.data *= 3
    x = torch.rand(4, 25, 20)
    graph = exported(net, x[:, 0])
    ours, theirs = ran(graph, x), steps_of_snntorch(graph, x)
    assert ours.shape == theirs.shape == (25, 4, 10)
    assert 0.02 < ours.mean() < 0.9
    assert torch.equal(ours, theirs)


def test_a_recurrent_layer_reads_the_spikes_of_the_step_before_as_in_snntorch():
    torch.manual_seed(0)
    layer = snntorch.RLeaky(beta=0.8, all_to_all=True, linear_features=12, **SNN)
    net = nn.Sequential(nn.Linear(6, 12), layer)
    net[0].weight.data *= 2
    x = torch.rand(3, 20, 6)
    graph = exported(net, x[:, 0])
    network = network_from(graph)
    with torch.no_grad():
        ours = network.run(x)[0]
    # By the equations of snnTorch's RLeaky, written out.
    w_in, b_in, w, b = net[0].weight, net[0].bias, layer.recurrent.weight, layer.recurrent.bias
    spikes, v, expected = torch.zeros(3, 12), torch.zeros(3, 12), []
    with torch.no_grad():
        for current in x.unbind(1):
            v = 0.8 * v + current @ w_in.T + b_in + spikes @ w.T + b
            spikes = (v > 1.0).float()
            v = torch.where(spikes > 0, torch.zeros(()), v)
            expected.append(spikes)
    assert 0.02 < ours.mean() < 0.9
    assert torch.equal(ours, torch.stack(expected))
    assert {"1.lif", "1.w_rec"} <= {name for name, _ in network.named_modules()}


def test_a_loop_over_layers_takes_one_step():
    fire = nir.IF(r=column(1.0), v_threshold=column(0.5))
    nodes = {
        "input": nir.Input({"input": np.array([1])}),
        "a": fire,
        "double": nir.Scale(column(2.0)),
        "b": nir.I(r=column(1.0)),
        "output": nir.Output({"output": np.array([1])}),
    }
    edges = [("input", "a"), ("a", "double"), ("double", "b"), ("b", "a"), ("b", "output")]
    found = ran(nir.NIRGraph(nodes, edges, type_check=False), [[[1.0], [0.0], [0.0]]])
    # a fires at once; b is 2, which reaches a one step later, which fires again: b is 4, then 6.
    assert found.ravel().tolist() == [2.0, 4.0, 6.0]


def test_several_edges_into_a_node_add_up():
    graph = chain(nir.Scale(column(2.0)), nir.Scale(column(1.0)), shape=[1])
    graph.edges.append(("input", "n1"))
    assert ran(graph, [[[1.0]]]).ravel().tolist() == [3.0]


def test_state_ends_with_a_call_and_images_repeat():
    network = network_from(chain(nir.I(r=column(1.0)), shape=[1]), time_steps=3)
    assert network(torch.ones(2, 1)).tolist() == network(torch.ones(2, 1)).tolist() == [[2.0], [2.0]]
    with pytest.raises(InputError, match="--time-steps"):
        network_from(chain(nir.I(r=column(1.0)), shape=[1]))(torch.ones(2, 1))
    with pytest.raises(InputError, match="reads 1 at each step"):
        network(torch.ones(2, 5))
    with pytest.raises(InputError, match="has 2 steps"):
        network(torch.ones(2, 2, 1))


def test_samples_of_another_shape_are_read_in_their_order():
    x = torch.arange(12.0).view(1, 3, 2, 2)
    graph = chain(nir.Scale(np.ones(4)), shape=[4])
    assert torch.equal(ran(graph, x), x.transpose(0, 1).flatten(2))
    assert torch.equal(ran(graph, x[:, 0], time_steps=2), x[:, :1].transpose(0, 1).flatten(2).repeat(2, 1, 1))
    images = x[:, :1]  # of one channel, which is no step of time
    assert len(ran(graph, images, time_steps=2)) == 2
    with pytest.raises(InputError, match="has no time"):
        ran(graph, images)
    assert len(ran(graph, images.flatten(2))) == 1
    # A sample of the graph's own shape is one, whatever its first dimension could be.
    assert len(ran(chain(nir.Scale(np.ones((3, 4))), shape=[3, 4]), x.view(1, 3, 4), time_steps=5)) == 5


def test_what_cannot_run_is_refused_in_one_line():
    linear = nir.Linear(np.ones((3, 2)))
    for graph, words in (
        (chain(linear, linear, shape=[2]), "n1.*does not take"),
        (chain(nir.LIF(*[column(1e-5)] * 3, column(1.0)), shape=[1]), "shorter than dt"),
        (chain(nir.LIF(*[column(-1.0)] * 3, column(1.0)), shape=[1]), "must be positive"),
        (chain(nir.Delay(column(-1.0)), shape=[1]), "must not be negative"),
        (chain(nir.Delay(column(1e9)), shape=[1]), "more than"),
        (nir.NIRGraph({"a": linear}, [], type_check=False), "0 Input and 0 Output"),
    ):
        with pytest.raises(InputError, match=words) as raised:
            network_from(graph)
        assert "\n" not in str(raised.value)
    loop = chain(nir.Scale(column(1.0)), nir.Scale(column(1.0)), shape=[1])
    loop.edges.append(("n1", "n0"))
    with pytest.raises(InputError, match="no neurons"):
        network_from(loop)
    loop.edges.append(("n1", "nowhere"))
    with pytest.raises(InputError, match="nowhere"):
        network_from(loop)


def test_the_step_is_said_and_can_be_another():
    graph = chain(nir.LI(tau=column(0.02), r=column(1.0), v_leak=column(0.0)), shape=[1])
    assert "dt = 0.0001 s" in network_from(graph).remarks[0] and "0.995" in network_from(graph).remarks[0]
    assert ran(graph, [[[1.0]]], dt=0.01).item() == 0.5
    with pytest.raises(InputError, match="dt"):
        network_from(graph, dt=0.0)


def test_a_recurrent_graph_is_counted_exactly():
    neurons = nir.LIF(tau=np.full(3, 2e-4), r=np.full(3, 2.0), v_leak=np.zeros(3), v_threshold=np.ones(3))
    nodes = {
        "input": nir.Input({"input": np.array([2])}),
        "fc": nir.Linear(np.array([[2.5, 0.0], [0.0, 2.5], [0.9, 0.9]], np.float32)),
        "lif": neurons,
        "w_rec": nir.Linear(np.array([[0.0, 1.0, 1.0], [-1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], np.float32)),
        "output": nir.Output({"output": np.array([3])}),
    }
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    network = network_from(nir.NIRGraph(nodes, edges, type_check=False))
    torch.manual_seed(0)
    x = (torch.rand(30, 8, 2) < 0.5).float()
    with torch.no_grad():
        spikes = network.run(x)[0]
    found = profile(network, [x[:10], x[10:]], kind="events")
    by_name = {operation.name: operation for operation in found.operations}
    (layer,) = found.neurons
    assert (layer.name, layer.per_step) == ("lif", tuple(int(step.sum()) for step in spikes))
    recurrent = by_name["w_rec"]
    assert recurrent.dense == 30 * 8 * 9
    # At each step it reads the spikes of the step before, which meet two weights that are not zero, of three.
    before = int(spikes[:-1].sum())
    assert before > 100 and (recurrent.events, recurrent.effective) == (3 * before, 2 * before)
    assert (by_name["fc"].dense, by_name["fc"].events) == (30 * 8 * 6, 3 * int(x.sum()))
    assert found.model.time_steps == 8 and not found.uncounted


def test_a_published_neuron_fires_when_norse_snntorch_and_the_exact_solution_do():
    # github.com/neuromorphs/NIR, paper/01_lif: lif_norse.nir; input and spikes of lif_norse.csv, lif_snntorch.csv and
    # lif_exact.csv, which have the same.
    lif = nir.LIF(tau=column(0.0025), r=column(1.0), v_leak=column(0.0), v_threshold=column(0.1))
    read = [60, 220, 270, 310, 320, 350, 370, 400, *range(410, 540, 10), *range(670, 790, 10), 840, 850]
    read.remove(420)
    x = torch.zeros(1, 1000, 1)
    x[0, read] = 1
    assert len(read) == 34
    assert ran(chain(lif, shape=[1]), x).ravel().nonzero().ravel().tolist() == [460, 510, 710, 760]
