import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from awake_models import awake
from torch import Tensor, nn

import saformer
from saformer.analysis import Profile, profile
from saformer.analysis.profiles import Operand, ValueClass
from saformer.analysis.profiles.groups import GROUPS
from saformer.analysis.profiles.moments import PAIRED, Moments
from saformer.analysis.profiles.serialization import UNSEALED
from saformer.analysis.recording.operations.operators import OPERATORS
from saformer.errors import InputError
from saformer.models.config import Model

aten = torch.ops.aten
ORACLES = Path(__file__).resolve().parents[2] / "data" / "oracles"
NAMES = ["spikformer_2_64_cifar", "spikformer_2_32_cifar10dvs", "spikformer_2_32_imagenet", "sdt_2_64_cifar"]


class Oracle:
    """A published network, its input, what is expected of it, and its profile."""

    def __init__(self, name: str) -> None:
        self.model = saformer.load(ORACLES / f"{name}.pth.tar").double()
        self.x = torch.from_numpy(np.load(ORACLES / f"{name}.input.npz")["x"]).double()
        self.expected = json.loads((ORACLES / f"{name}.expected.json").read_text())
        self.profile = profile(self.model, [self.x], data=name)


@pytest.fixture(scope="module")
def oracles() -> Callable[[str], Oracle]:
    known: dict[str, Oracle] = {}

    def get(name: str) -> Oracle:
        if name not in known:
            known[name] = Oracle(name)
        return known[name]

    return get


@pytest.fixture(scope="module")
def small() -> Profile:
    """A profile with everything in it: labels, neurons, products, free arithmetic."""
    model, x = awake("saformer-1-16", batch=5, image_size=16, time_steps=3)
    return profile(model, [(x[:3], torch.tensor([1, 2, 3])), (x[3:], torch.tensor([4, 5]))], run={"seed": 1})


# --- The published networks ---


@pytest.mark.parametrize("name", NAMES)
def test_inputs_of_every_layer_are_those_of_the_published_code(oracles: Any, name: str) -> None:
    oracle = oracles(name)
    layers = {o.name: o.operands[0] for o in oracle.profile.operations if len(o.operands) == 1}
    assert {key: {"numel": x.elements, "nonzero": x.nonzero, "binary": x.binary} for key, x in layers.items()} == {
        key: {k: v[k] for k in ("numel", "nonzero", "binary")} for key, v in oracle.expected["layers"].items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_exact_events_of_every_layer_are_those_of_the_published_code(oracles: Any, name: str) -> None:
    oracle = oracles(name)
    events = {o.name: o.events for o in oracle.profile.operations if len(o.operands) == 1}
    assert events == oracle.expected["exact_sops"]


@pytest.mark.parametrize("name", NAMES)
def test_spikes_of_every_neuron_and_step_are_those_of_the_published_code(oracles: Any, name: str) -> None:
    oracle = oracles(name)
    found = {n.name: (n.elements, n.spikes, list(n.per_step)) for n in oracle.profile.neurons}
    expected = {k: (v["numel"], v["spikes"], v["per_step"]) for k, v in oracle.expected["neurons"].items()}
    assert found == expected


@pytest.mark.parametrize("name", NAMES)
def test_published_networks_leave_nothing_uncounted_and_fvcore_agrees(oracles: Any, name: str) -> None:
    p = oracles(name).profile
    assert p.uncounted == ()
    assert p.notes == ()
    assert p.unit == "image"
    assert p.images == oracles(name).expected["batch"]
    assert p.data.kind == ("events" if "dvs" in name else "static")


PRODUCTS = {
    "spikformer_2_64_cifar": [("qk", "matmul"), ("qkv", "matmul")],
    "spikformer_2_32_cifar10dvs": [("qk", "matmul"), ("qkv", "matmul")],
    "spikformer_2_32_imagenet": [("kv", "matmul"), ("qkv", "matmul")],
    "sdt_2_64_cifar": [("kv", "product"), ("qg", "product")],
}


@pytest.mark.parametrize("name", NAMES)
def test_products_inside_attention_are_named_and_sized_as_the_method_says(oracles: Any, name: str) -> None:
    oracle = oracles(name)
    config, p = oracle.model.config, oracle.profile
    found = {o.name: (o.op, o.dense) for o in p.operations if len(o.operands) == 2}
    tokens, runs = config.tokens, p.images * config.time_steps
    if config.family == "sdt":
        dense = tokens * config.dim
    elif config.keys_first:
        dense = tokens * config.dim**2 // config.heads
    else:
        dense = tokens**2 * config.dim
    assert found == {f"block.{i}.attn.{what}": (op, runs * dense) for i in range(2) for what, op in PRODUCTS[name]}


@pytest.mark.parametrize("name", NAMES)
def test_events_of_products_are_the_pairs_that_meet(oracles: Any, name: str) -> None:
    """Q, K, V and the gate as the neurons give them, multiplied head by head; all are 0 or 1."""
    oracle = oracles(name)
    attention, config = oracle.model.block[1].attn, oracle.model.config
    neurons = {"q": "q_lif", "k": "k_lif", "v": "v_lif"}
    if config.family == "sdt":
        neurons["g"] = "talking_heads_lif"
    seen: dict[str, Tensor] = {}
    hooks = [
        attention.get_submodule(path).register_forward_hook(lambda _, __, out, key=key: seen.__setitem__(key, out))
        for key, path in neurons.items()
    ]
    with torch.no_grad():
        oracle.model(oracle.x)
    for hook in hooks:
        hook.remove()

    def heads(y: Tensor) -> Tensor:
        """T x B x heads x N x d from T x B x N x D, T x B x D x N or T x B x D x h x w."""
        if attention.kind != "linear":
            y = y.flatten(3).transpose(2, 3)
        return y.reshape(*y.shape[:3], config.heads, -1).transpose(2, 3)

    q, k, v = (heads(seen[key]) for key in ("q", "k", "v"))
    if config.family == "sdt":
        pairs = {"kv": k * v, "qg": q * seen["g"]}
    elif config.keys_first:
        kv = k.transpose(-1, -2) @ v
        pairs = {"kv": kv, "qkv": q @ (kv != 0).double()}
    else:
        qk = q @ k.transpose(-1, -2)
        pairs = {"qk": qk, "qkv": (qk != 0).double() @ v}
    found = {o.name: o.events for o in oracle.profile.operations if o.name in [f"block.1.attn.{key}" for key in pairs]}
    assert found == {f"block.1.attn.{key}": int(value.sum()) for key, value in pairs.items()}
    assert all(found.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_profile_says_what_was_run(oracles: Any, name: str) -> None:
    oracle = oracles(name)
    info = oracle.profile.model
    assert info.parameters == sum(p.numel() for p in oracle.model.parameters())
    assert info.time_steps == oracle.model.config.time_steps
    assert info.checkpoint == f"{name}.pth.tar"
    assert info.sha256 == oracle.model.origin.sha256
    assert info.name == oracle.model.config.name
    assert oracle.profile.run["dtype"] == "float64"
    assert [o.first for o in oracle.profile.operations].index(True) == 0
    assert sum(o.first for o in oracle.profile.operations) == 1


def test_recording_does_not_change_what_the_model_computes(oracles: Any) -> None:
    oracle = oracles("spikformer_2_32_imagenet")
    outputs: list[Tensor] = []
    handle = oracle.model.register_forward_hook(lambda _, __, out: outputs.append(out.clone()))
    profile(oracle.model, [oracle.x], check_flops=False)
    handle.remove()
    expected = torch.tensor(oracle.expected["logits"], dtype=torch.float64)
    assert torch.allclose(outputs[0], expected, rtol=0, atol=1e-9)


# --- Adding ---


def counts(p: Profile) -> Profile:
    """The profile without the settings of its run, such as the batch size, and the passes that follow from it."""
    return replace(p, run={}, passes=1)


def parts_and_whole(
    model: Model, x: Tensor, cut: int, labels: Tensor | None = None
) -> tuple[Profile, Profile, Profile]:
    def of(part: slice) -> Profile:
        return profile(model, [(x[part], None if labels is None else labels[part])], check_flops=False)

    return of(slice(0, cut)), of(slice(cut, None)), of(slice(None))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("saformer-1-16", {"image_size": 16}),
        ("saformer-1-16", {"image_size": 16, "aggregate": "spikes", "aggregated": 4}),
        ("saformer-1-16", {"in_channels": 2, "image_size": 16, "time_steps": 5}),
        ("spikformer-1-16", {"image_size": 16, "heads": 2}),
        ("spikformer-1-16", {"image_size": 16, "projection": "conv1d", "mlp_projection": "conv1d"}),
        ("sdt-1-16", {"in_channels": 2, "image_size": 16, "time_steps": 5}),
        ("vit-1-16", {"image_size": 16, "heads": 2}),
    ],
)
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_halves_add_up_to_the_whole(name: str, settings: dict[str, Any], cut: int) -> None:
    model, x = awake(name, batch=5, **settings)
    a, b, whole = parts_and_whole(model, x, cut, torch.arange(5))
    total = a + b
    assert counts(total) == counts(b + a) == counts(whole)
    assert total.moments == whole.moments  # what == compares, said again, for the parts that matter most
    assert total.operations == whole.operations
    assert total.neurons == whole.neurons
    assert total.free == whole.free
    assert total.hits == whole.hits
    assert whole.unit == "image"
    assert total.images == 5
    assert total.account().to_json() == whole.account().to_json()


@pytest.mark.parametrize("name", NAMES)
def test_halves_of_published_networks_add_up(oracles: Any, name: str) -> None:
    oracle = oracles(name)
    cut = len(oracle.x) // 2
    parts = [profile(oracle.model, [part], data=name, check_flops=False) for part in (oracle.x[:cut], oracle.x[cut:])]
    assert counts(parts[0] + parts[1]) == counts(oracle.profile)


def test_batches_make_no_difference() -> None:
    model, x = awake("saformer-1-16", batch=5, image_size=16)
    profiles = [counts(profile(model, x.split(size), check_flops=False)) for size in (1, 2, 3, 5)]
    assert all(p == profiles[0] for p in profiles)


def one_line(error: Any) -> str:
    message = str(error.value)
    assert "\n" not in message and len(message) < 300
    return message


def test_profiles_that_do_not_belong_together(small: Profile) -> None:
    first = small.neurons[0]
    others = {
        "model.sha256": replace(small, model=replace(small.model, sha256="0" * 64)),
        "model.time_steps": replace(small, model=replace(small.model, time_steps=7)),
        "data.name": replace(small, data=replace(small.data, name="other")),
        "run.graded": replace(small, run={**small.run, "graded": True}),
        "run.dtype": replace(small, run={**small.run, "dtype": "float16"}),
        "run.confidence": replace(small, run={**small.run, "confidence": 0.998}),
        "the unit of the variance": replace(small, unit="batch"),
        "operation 1": replace(small, operations=small.operations[1:]),
        f"operation {len(small.operations)}": replace(small, operations=small.operations[:-1]),
        f"time steps of {first.name}": replace(
            small, neurons=(replace(first, per_step=(*first.per_step, 0)), *small.neurons[1:])
        ),
        "pool 1": replace(small, free=tuple(f for f in small.free if f.operand is None)),
        "the number of counters": replace(small, moments=replace(small.moments, sums=small.moments.sums[:-1])),
    }
    for what, other in others.items():
        for a, b in ((small, other), (other, small)):
            with pytest.raises(InputError, match=f"cannot be added: .*{what} is .* in one, .* in the other") as caught:
                a + b
            one_line(caught)


def test_what_one_part_did_not_take_for_neurons_is_none(small: Profile) -> None:
    # It put out other values there; in the other part it may have been silent.
    fewer = replace(small, neurons=small.neurons[1:])
    assert (small + fewer).neurons == (fewer + small).neurons == (small + small).neurons[1:]
    turned = replace(small, neurons=small.neurons[::-1])
    assert (small + turned).neurons == (small + small).neurons


def test_what_two_runs_may_differ_in_is_recorded_of_both(small: Profile) -> None:
    a = replace(small, run={"device": "cuda:0", "dtype": "float32", "part": 1})
    b = replace(small, run={"device": "cuda:1", "dtype": "float32", "batch_size": 8})
    assert (a + b).run == {"device": ["cuda:0", "cuda:1"], "dtype": "float32", "part": 1, "batch_size": 8}
    assert (a + b + a + b).run["device"] == ["cuda:0", "cuda:1"]
    assert Profile.from_json((a + b).to_json()) == a + b


def test_hits_of_which_one_part_knows_nothing_are_unknown(small: Profile) -> None:
    assert (small + replace(small, hits=None)).hits is None
    assert (small + small).hits == replace(small.hits, labelled=10, top1=2 * small.hits.top1, top5=2 * small.hits.top5)


def test_notes_and_uncounted_operators_are_kept_once(small: Profile) -> None:
    a = replace(small, notes=("x", "y"), uncounted=("u",))
    b = replace(small, notes=("y", "z"), uncounted=("v", "u"))
    assert (a + b).notes == ("x", "y", "z")
    assert (a + b).uncounted == ("u", "v")


# --- Labels ---


class Scores(nn.Module):
    """Gives its input as scores."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_hits_are_counted() -> None:
    scores = torch.tensor([[6.0, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]])
    p = profile(Scores(), [(scores, torch.tensor([0, 0, 4]))], check_flops=False)
    assert (p.hits.labelled, p.hits.top1, p.hits.top5) == (3, 1, 2)
    assert p.account().to_json()["accuracy"] == {"top1": 1 / 3, "top5": 2 / 3}


def test_top_5_of_four_classes_means_nothing() -> None:
    p = profile(Scores(), [(torch.eye(4), torch.tensor([0, 1, 2, 0]))], check_flops=False)
    assert (p.hits.labelled, p.hits.top1, p.hits.top5) == (4, 3, None)
    assert p.account().to_json()["accuracy"] == {"top1": 0.75, "top5": None}


def test_without_labels_there_is_no_accuracy() -> None:
    p = profile(Scores(), [torch.eye(4), (torch.eye(4), None)], check_flops=False)
    assert p.hits is None
    assert p.account().accuracy is None


def test_a_label_that_the_model_cannot_predict() -> None:
    with pytest.raises(InputError, match="label 9, the model only 4 classes") as caught:
        profile(Scores(), [(torch.eye(4), torch.tensor([0, 1, 9, 2]))], check_flops=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("batches", [[], [torch.zeros(0, 3, 16, 16)]])
def test_no_images(batches: list[Tensor]) -> None:
    with pytest.raises(InputError, match="no image"):
        profile(Scores(), batches)


def test_empty_batches_are_passed_over() -> None:
    p = profile(Scores(), [torch.zeros(0, 4), torch.eye(4), torch.zeros(0, 4)], check_flops=False)
    assert p.images == 4


# --- Files ---


def test_what_is_saved_is_loaded(small: Profile, tmp_path: Path) -> None:
    small.save(tmp_path / "p.json")
    again = Profile.load(tmp_path / "p.json")
    assert again == small
    again.save(tmp_path / "q.json")
    assert (tmp_path / "q.json").read_bytes() == (tmp_path / "p.json").read_bytes()
    assert again.account().to_json() == small.account().to_json()


@pytest.mark.parametrize("name", NAMES)
def test_profiles_of_published_networks_survive_a_file(oracles: Any, name: str, tmp_path: Path) -> None:
    p = oracles(name).profile
    p.save(str(tmp_path / "p.json"))
    assert Profile.load(str(tmp_path / "p.json")) == p


def test_numbers_beyond_64_bits_survive_a_file(small: Profile, tmp_path: Path) -> None:
    total = small
    for _ in range(40):
        total = total + total
    total.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == total
    assert max(max(row) for row in total.moments.gram) > 2**64


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        Profile.load(path)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300 + len(str(path))
    assert str(path) in message
    return message


def test_a_file_cut_short_anywhere(small: Profile, tmp_path: Path) -> None:
    small.save(tmp_path / "p.json")
    data, path = (tmp_path / "p.json").read_bytes(), tmp_path / "cut.json"
    for length in [0, 1, 2, *range(3, len(data) - 2, len(data) // 50), len(data) - 2]:
        path.write_bytes(data[:length])
        refusal(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"3", b"null", b"\xff\xfe", b"{", b'{"schema": 1}', b"\x00" * 9, b"[" * 200_000],
    ids=["empty", "object", "list", "number", "null", "no text", "brace", "no kind", "zeros", "deeply nested"],
)
def test_files_that_are_no_profiles(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_bytes(content)
    refusal(tmp_path / "p.json")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "no.json")
    assert "it is a folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for whoever writes
    assert "not a regular file" in refusal(tmp_path / "pipe")


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "p.json", "wb") as file:
        file.truncate(2**40)
    assert "such a file may have 67,108,864 at most" in refusal(tmp_path / "p.json")


def test_a_profile_of_an_earlier_version(small: Profile, tmp_path: Path) -> None:
    # Neither passes, nor moments of what pools read.
    plain = without_checksum(small)
    size = len(plain["moments"]["sums"]) - len(small.pools)
    assert small.pools
    plain["moments"] = {
        "units": small.moments.units,
        "sums": plain["moments"]["sums"][:size],
        "gram": plain["moments"]["gram"][:size],
    }
    del plain["passes"]
    (tmp_path / "p.json").write_text(json.dumps(plain))
    before = Profile.load(tmp_path / "p.json")
    assert before.operations == small.operations and before.passes == 1
    single = replace(small, passes=1).account("syops")
    assert before.account("syops").energy_mj == single.energy_mj
    assert before.account("syops").energy_mj_ci95 == pytest.approx(single.energy_mj_ci95, rel=0.5)
    assert before.account().to_json() == {**small.account().to_json(), "notes": [UNSEALED]}
    assert (before + before).images == 2 * small.images
    with pytest.raises(InputError, match="the number of counters"):
        before + small


def without_checksum(p: Profile) -> dict[str, Any]:
    """The profile as an earlier version would write it, to be changed."""
    plain = json.loads(json.dumps(p.to_json()))
    del plain["checksum"]
    return plain


def as_written_before_classes(p: Profile) -> dict[str, Any]:
    """The profile as a version wrote it that told zeros and ones from the rest alone."""
    plain = without_checksum(p)
    for operation in plain["operations"]:
        for key in ("weights", "executions", "summed", "constant"):
            del operation[key]
    operands = [x for o in plain["operations"] for x in o["operands"]]
    for x in (*operands, *(f["operand"] for f in plain["free"] if f["operand"])):
        for key in ("values", "product", "broadcast", "neurons"):
            del x[key]
    del plain["passes"], plain["origin"]
    plain["undecided"] = []
    return plain


LACKS = (
    "the profile was saved by an earlier version, which looked for zeros and ones alone: what holds other values is "
    "taken for sums or averages of spikes"
)


@pytest.mark.parametrize("name", ["spikformer-1-16", "spikingformer-1-16", "sdt-1-16", "saformer-1-16"])
def test_a_profile_from_before_values_were_looked_at(name: str, tmp_path: Path) -> None:
    model, x = awake(name, batch=5, image_size=16)
    new = profile(model, [x], check_flops=False)
    (tmp_path / "p.json").write_text(json.dumps(as_written_before_classes(new)))
    old = Profile.load(tmp_path / "p.json")
    assert old.undecided == () and old.moments == new.moments
    for a, b in zip(old.operations, new.operations, strict=True):
        assert (a.dense, a.events, a.sources, a.weights, a.executions) == (b.dense, b.events, b.sources, 0, 0)
        for x, y in zip(a.operands, b.operands, strict=True):
            assert (x.elements, x.nonzero, x.ones, x.values) == (y.elements, y.nonzero, y.ones, None)
            wanted = ValueClass.SPIKES if y.binary else ValueClass.AVERAGED
            wanted = wanted if y.nonzero else ValueClass.SILENT
            assert x.kind is wanted and x.unit is None
    # It says so, is charged as it was, and can be saved, loaded and added once more.
    account = old.account()
    assert account.notes == (UNSEALED, LACKS)
    rows = {row.name: row for row in account.layers}
    for row in new.account().layers:
        if row.kind is not ValueClass.REAL or row.name == new.operations[0].name:
            assert (rows[row.name].macs, rows[row.name].acs) == (row.macs, row.acs)
    for accounting in ("syops", "spikingformer"):
        assert old.account(accounting).energy_mj == new.account(accounting).energy_mj
    old.save(tmp_path / "q.json")
    assert Profile.load(tmp_path / "q.json") == old
    both = old + old
    assert all(x.values is None for o in both.operations for x in o.operands)
    assert both.account().energy_mj == account.energy_mj
    # Nobody knows the values of a sum of which one part was not looked at.
    mixed = old + replace(new, operations=tuple(replace(o, weights=0) for o in new.operations))
    assert all(x.values is None for o in mixed.operations for x in o.operands)


def test_a_network_without_neurons_from_before_values_were_looked_at(tmp_path: Path) -> None:
    new = profile(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), [torch.randn(5, 6)], check_flops=False)
    (tmp_path / "p.json").write_text(json.dumps(as_written_before_classes(new)))
    old = Profile.load(tmp_path / "p.json")
    assert [o.gate.kind for o in old.operations] == [ValueClass.REAL] * 2
    assert old.account().macs == new.account().macs == 24 + 8 and old.account().acs == 0


def test_an_operand_of_zeros_has_no_class_but_silent() -> None:
    assert Operand(10, 0, 0).kind is ValueClass.SILENT


def test_time_steps_that_nobody_knows(tmp_path: Path) -> None:
    # A network without neurons, laid out as its author likes: nothing shows T.
    p = profile(nn.Linear(6, 2), [torch.ones(4, 6)], check_flops=False)
    assert p.model.time_steps is None
    p.save(tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text())["model"]["time_steps"] is None
    again = Profile.load(tmp_path / "p.json")
    assert again == p
    assert again.account().to_json()["model"]["time_steps"] is None
    assert again.account("exact", first_layer_once=True).energy_mj > 0
    # What one part shows, the other does not contradict: its layers may have been silent.
    one, two = (profile(nn.Linear(6, 2), [torch.ones(4, 6)], time_steps=steps, check_flops=False) for steps in (1, 2))
    assert one.model.time_steps == 1
    assert (p + one).model.time_steps == (one + p).model.time_steps == 1
    with pytest.raises(InputError, match="time_steps is 1 in one, 2 in the other"):
        one + two


def changed(small: Profile, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    plain = without_checksum(small)
    change(plain)
    path.write_text(json.dumps(plain))
    return path


def at(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    """Puts a value in place of what is at the end of these keys; a function is applied to it."""

    def change(plain: Any) -> None:
        for key in keys[:-1]:
            plain = plain[key]
        plain[keys[-1]] = value(plain[keys[-1]]) if callable(value) else value

    change.__name__ = ".".join(map(str, keys)) + f"={getattr(value, '__name__', value)}"
    return change


def more(value: int) -> int:
    return value + 1


def negative(value: int) -> int:
    return -value


@pytest.mark.parametrize(
    "change",
    [
        at("schema", value=2),
        at("schema", value=None),
        at("schema", value="1"),
        at("kind", value="saformer-account"),
        at("operations", 1, "operands", 0, "nonzero", value=more),
        at("operations", 1, "operands", 0, "nonzero", value=negative),
        at("operations", 1, "operands", 0, "nonzero", value=float),
        at("operations", 1, "operands", 0, "elements", value=1),
        at("operations", 1, "operands", 0, "ones", value=lambda v: 10 * v),
        at("operations", 1, "operands", value=[]),
        at("operations", 1, "events", value=more),
        at("operations", 1, "events", value=True),
        at("operations", 1, "dense", value=negative),
        at("operations", 1, "dense", value=None),
        at("operations", 1, "name", value=7),
        at("operations", 1, "first", value="no"),
        at("operations", 1, "dense", value=0),
        at("operations", value=lambda v: v[:-1]),
        at("operations", value=None),
        at("operations", value={}),
        at("data", "images", value=more),
        at("data", "images", value=0),
        at("data", value=[]),
        at("model", "time_steps", value="3"),
        at("model", value=None),
        at("neurons", 0, "elements", value=1),
        at("neurons", 0, "per_step", 0, value=1.5),
        at("neurons", 0, "per_step", value=lambda v: [-1, v[0] + 1, *v[2:]]),
        at("moments", "sums", 0, value=more),
        at("moments", "sums", value=lambda v: v[:-1]),
        at("moments", "gram", value=lambda v: v[:-1]),
        at("moments", "gram", 3, value=lambda v: v[:-1]),
        at("moments", "gram", 3, 0, value="1"),
        at("moments", "gram", value=None),
        at("moments", "units", value=more),
        at("moments", value=None),
        at("hits", "top1", value=1000),
        at("hits", value=3),
        at("operations", 1, "operands", 0, "ones", value=float("nan")),
        at("operations", 1, "operands", 0, "elements", value=2**101),
        at("operations", 1, "operands", 0, "elements", value=10**4000),
        at("operations", 1, "weights", value=-1),
        at("operations", 1, "name", value=lambda name: "no such\nname" * 10**5 and [name]),
        at("operations", value=lambda v: [v[0], *v]),
        at("neurons", value=lambda v: [v[0], *v]),
        at("free", value=lambda v: [{**f, "operand": f["operand"] and {**f["operand"], "nonzero": 1}} for f in v]),
        at("free", value=lambda v: [{**f, "elements": -1} for f in v]),
        at("operations", 1, "operands", 0, "values", value=3),
        at("operations", 1, "operands", 0, "values", "provenance", value="sure"),
        at("operations", 1, "operands", 0, "values", "linear", value=1),
        at("operations", 1, "operands", 0, "values", "unit", value=0),
        at("operations", 1, "operands", 0, "values", "unit", value=-1.0),
        at("operations", 1, "operands", 0, "values", "unit", value="1"),
        at("operations", 1, "operands", 0, "values", "levels", value=-1),
        at("operations", 1, "operands", 0, "values", "magnitudes", value=3),
        at("operations", 1, "operands", 0, "values", "total", value=1.5),
        at("operations", 1, "operands", 0, "values", "channels", value=[-1.0]),
        at("operations", 1, "operands", 0, "values", "multiples", value=None),
        at("operations", 1, "operands", 0, "product", value=1),
        at("operations", 1, "operands", 0, "broadcast", value="yes"),
        at("operations", 1, "operands", 0, "neurons", value=None),
        lambda plain: plain["operations"][1]["operands"][0]["values"].pop("unit"),
        at("moments", "gram", 0, 0, value=more),
        at("moments", "gram", 2, 2, value=0),
        at("moments", "gram", 2, 1, value=lambda v: v**2),
        at("moments", "gram", 2, 0, value=more),
        at("passes", value=0),
        at("passes", value=6),
        at("passes", value=None),
        at("model", "time_steps", value=0),
        at("model", "parameters", value=-1),
        at("hits", "labelled", value=6),
        at("run", "confidence", value=float("nan")),
        at("run", "confidence", value=1.0),
        at("run", value=[]),
        at("notes", value="a note"),
        at("notes", value=lambda _: ["x" * 200_000]),
        at("operations", 1, "name", value=lambda _: "x" * 200_000),
        at("unit", value=None),
        at("unit", value="epoch"),
        lambda plain: plain.pop("moments"),
        lambda plain: plain.pop("hits"),
        lambda plain: plain["model"].pop("sha256"),
        lambda plain: plain["operations"][0].pop("events"),
    ],
    ids=lambda change: change.__name__,
)
def test_edited_files(small: Profile, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    refusal(changed(small, tmp_path / "p.json", change))


@pytest.mark.parametrize(
    ("change", "contradict"),
    [
        (at("operations", 1, "graded", value=10**30), "events"),
        (at("operations", 1, "operands", 0, "values", "total", value=0), "the values of operands"),
        (at("operations", 1, "operands", 0, "values", "total", value=10**30), "the values of operands"),
        (at("operations", 1, "operands", 0, "values", "levels", value=0), "the values of operands"),
        (at("operations", 1, "outputs", value=0), "events"),
        (at("operations", 1, "effective", value=lambda v: v + 10**9), "events"),
        (at("operations", 1, "operands", 0, "ones", value=lambda v: v + 10**9), "elements, nonzeros and ones"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_counts_that_cannot_be(
    small: Profile, tmp_path: Path, change: Callable[[dict[str, Any]], None], contradict: str
) -> None:
    message = refusal(changed(small, tmp_path / "p.json", change))
    assert f"contradict each other in {contradict}: it was cut or edited" in message


@pytest.fixture(scope="module")
def deep() -> Profile:
    """More counters than have pairs, more units than are kept one by one."""
    net = nn.Sequential(*[nn.Linear(3, 3) for _ in range(PAIRED // 2)])
    x = torch.randn(GROUPS + 2, 3, generator=torch.Generator().manual_seed(0))
    return profile(net, [x], check_flops=False)


def test_a_deep_profile_saves_loads_and_adds_up(deep: Profile, tmp_path: Path) -> None:
    assert deep.moments.groups is not None and deep.unit == "image"
    deep.save(tmp_path / "p.json")
    again = Profile.load(tmp_path / "p.json")
    assert again == deep
    both = again + deep
    assert both.moments.units == 2 * deep.images
    assert Profile.from_json(both.to_json()) == both
    assert deep.account().energy_mj_ci95 == 0  # dense operations alone: every image costs the same


@pytest.mark.parametrize(
    "change",
    [
        at("moments", "groups", value=lambda v: v[:-1]),
        at("moments", "groups", value=[]),
        at("moments", "groups", value=None),
        at("moments", "groups", 0, value=lambda v: v[:-1]),
        at("moments", "groups", 0, 0, value=more),
        at("moments", "groups", 0, 1, value=more),
        at("moments", "groups", 0, 2, value=more),
        at("moments", "groups", 0, 2, value=-1),
        at("moments", "squares", value=lambda v: v[:-1]),
        at("moments", "squares", 3, value=0),
        at("moments", "squares", 0, value=more),
        at("moments", "cross", 3, value=more),
        lambda plain: plain["moments"].pop("cross"),
        at("moments", "units", value=more),
    ],
    ids=lambda change: change.__name__,
)
def test_edited_groups(deep: Profile, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    refusal(changed(deep, tmp_path / "p.json", change))


def test_a_deep_profile_of_an_earlier_version_has_pairs(deep: Profile, tmp_path: Path) -> None:
    one = [total // deep.images for total in deep.moments.sums]  # every image costs the same
    gram = tuple(tuple(deep.images * a * b for a in one) for b in one)
    pairs = replace(deep, moments=Moments(deep.images, deep.moments.sums, gram))
    pairs.save(tmp_path / "p.json")
    before = Profile.load(tmp_path / "p.json")
    assert before == pairs and (before + before).images == 2 * deep.images
    assert before.account().to_json() == deep.account().to_json()
    with pytest.raises(InputError, match="spread is kept in is 'pairs' in one, 'groups' in the other"):
        pairs + deep


def test_a_file_that_was_changed_says_so_and_how_to_go_on(small: Profile, tmp_path: Path) -> None:
    small.save(tmp_path / "p.json")
    plain = json.loads((tmp_path / "p.json").read_text())
    (tmp_path / "pretty.json").write_text(json.dumps(plain, indent=4, sort_keys=True))
    assert Profile.load(tmp_path / "pretty.json") == small == Profile.load(tmp_path / "p.json")
    plain["operations"][0]["name"] = "stem"
    (tmp_path / "p.json").write_text(json.dumps(plain))
    assert "changed after it was written" in (message := refusal(tmp_path / "p.json"))
    assert 'record it again, or take its entry "checksum" out' in message
    del plain["checksum"]
    (tmp_path / "p.json").write_text(json.dumps(plain))
    edited = Profile.load(tmp_path / "p.json")
    assert edited.operations[0].name == "stem" and edited.notes == (UNSEALED,) == edited.account().notes
    edited.save(tmp_path / "again.json")  # does not launder it
    assert Profile.load(tmp_path / "again.json") == edited


def test_a_key_that_stands_twice_is_refused(small: Profile, tmp_path: Path) -> None:
    text = json.dumps(without_checksum(small))
    path = tmp_path / "p.json"
    path.write_text(text.replace('"images": 5', '"images": 5, "images": 6', 1))
    assert "'images' stands twice in one object" in refusal(path)


def test_another_schema_is_named(small: Profile, tmp_path: Path) -> None:
    assert "schema 2, this version reads schema 1" in refusal(changed(small, tmp_path / "p", at("schema", value=2)))


def test_a_file_is_written_whole_or_not_at_all(small: Profile, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        small.save(tmp_path / "no" / "p.json")
    assert list(tmp_path.iterdir()) == []


# --- fvcore as a witness ---

FAMILIES = [
    ("saformer-2-16", {}),
    ("saformer-2-16", {"depthwise": False}),
    ("saformer-2-16", {"aggregated": None}),
    ("saformer-2-16", {"aggregated": None, "depthwise": False}),
    ("saformer-2-16", {"aggregate": "spikes"}),
    ("saformer-2-16", {"in_channels": 2, "image_size": 64, "time_steps": 3}),
    ("spikformer-2-16", {"heads": 2}),
    ("spikformer-2-16", {"heads": 2, "keys_first": True}),
    ("spikformer-2-16", {"projection": "conv1d", "mlp_projection": "conv1d", "in_channels": 2, "time_steps": 3}),
    ("spikformer-2-16", {"projection": "conv1d", "mlp_projection": "conv2d", "keys_first": True}),
    ("sdt-2-16", {}),
    ("sdt-2-16", {"in_channels": 2, "image_size": 32, "time_steps": 3}),
    ("vit-2-16", {"heads": 2}),
    ("vit-2-16", {"heads": 2, "in_channels": 2, "time_steps": 3}),
]


@pytest.mark.parametrize(("name", "settings"), FAMILIES)
def test_fvcore_agrees_on_every_family(name: str, settings: dict[str, Any]) -> None:
    settings = {"image_size": 16, **settings}
    model = saformer.build(name, **settings)
    config = model.config
    steps = () if config.input_kind == "static" else (config.time_steps,)
    x = torch.randn(2, *steps, config.in_channels, config.image_size, config.image_size)
    p = profile(model, [x])
    assert p.notes == ()
    assert p.uncounted == ()


def test_a_wrong_count_is_reported_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    right = OPERATORS[aten.convolution].formula
    assert right is not None

    def wrong(args: Any, out: Tensor, is_activation: Any) -> Any:
        call = right(args, out, is_activation)
        return replace(call, dense=call.dense + 4) if args[1].shape[:2] == (8, 4) else call

    monkeypatch.setitem(OPERATORS, aten.convolution, replace(OPERATORS[aten.convolution], formula=wrong))
    model = saformer.build("saformer-1-16", image_size=16, time_steps=2)
    p = profile(model, [torch.randn(1, 3, 16, 16)])
    # 8 x 4 channels: the third stage only, an image of 16 x 16 pixels twice.
    right_count = 2 * 16 * 16 * 8 * 4 * 9
    assert p.notes == (
        f"fvcore counts {right_count:,} multiply-accumulates per image in patch_embed.proj_conv2, "
        f"the recorder {right_count + 4:,}",
    )


def test_a_product_that_the_recorder_misses_is_reported_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for operator in (aten.bmm, aten.matmul):
        monkeypatch.setitem(OPERATORS, operator, replace(OPERATORS[operator], formula=lambda *_: None))
    model = saformer.build("spikformer-2-16", heads=2, image_size=16, time_steps=2)
    p = profile(model, [torch.randn(1, 3, 16, 16)])
    # Q K^T and its product with V, at two steps: the witness vetoes "every operation was counted".
    assert p.uncounted == tuple(f"{2 * 2 * 64**2 * 16:,} multiply-accumulates in block.{i}.attn" for i in range(2))


def test_a_layer_that_the_recorder_misses_is_reported_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for operator in (aten.linear, aten.addmm):
        monkeypatch.setitem(OPERATORS, operator, replace(OPERATORS[operator], formula=lambda *_: None))
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    p = profile(net, [torch.randn(2, 6)])
    assert p.operations == () and p.uncounted == ("24 multiply-accumulates in 0",)
    assert "every operation was counted" not in p.account().coverage


def test_a_model_that_fvcore_cannot_trace_is_said_to_be_unchecked() -> None:
    class Untraceable(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if torch.jit.is_tracing():
                raise ValueError("no\nthanks")
            return x @ x.t()

    mixed, note = profile(Untraceable(), [torch.randn(2, 6)]).notes
    assert "not cross-checked (ValueError)" in note
    assert mixed.startswith("the answer for an image depends on the other images of its batch")


def test_the_witness_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saformer.analysis.recording.flop_check.fvcore_flops", lambda *_: pytest.fail("was asked"))
    assert profile(nn.Linear(6, 4), [torch.randn(2, 6)], check_flops=False).notes == ()
