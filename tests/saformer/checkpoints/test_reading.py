import argparse
import hashlib
import io
import json
import os
import pickle
import random
import struct
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from decimal import Decimal
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from saformer.checkpoints.reading import read_checkpoint, sha256_of
from saformer.errors import InputError

ORACLES = Path(__file__).resolve().parents[2] / "data" / "oracles"


class Evil:
    """Leaves a file behind if anybody unpickles it."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.sentinel}'",)


class EvilEval(Evil):
    def __reduce__(self) -> Any:
        return eval, (f"open({str(self.sentinel)!r}, 'w')",)


def weights(**more: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)} | more


def refusal(path: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught, warnings.catch_warnings():
        warnings.simplefilter("error")
        read_checkpoint(path, **options)
    message = str(caught.value)
    assert message.startswith(f"cannot read the checkpoint {path}: ")
    assert message.isprintable()
    for advice in ("weights_only", "torch.load", "safe_globals", "Traceback"):
        assert advice not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return message


def saved(path: Any, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def packed(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


# --- Files that are in order ---


@pytest.mark.parametrize("zipped", [True, False])
def test_the_layout_of_the_published_training_scripts(tmp_path: Path, zipped: Any) -> None:
    args = argparse.Namespace(
        model="spikformer",
        lr=5e-4,
        amp=True,
        resume=None,
        size=(2, 32, 32),
        betas=[0.9, 0.999],
        best=np.float64(91.5),
        steps=np.int32(4),
        flag=np.bool_(True),
        small=np.float16(0.5),
        output=Path("/data/out"),
        nested={"a": 1},
        deep=[[1]],
        complex=1j,
        label=np.str_("x"),
    )
    content = {
        "epoch": 3,
        "arch": "spikformer",
        "state_dict": OrderedDict(weights()),
        "state_dict_ema": {name: tensor + 1 for name, tensor in weights().items()},
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "version": 2,
        "args": args,
        "metric": np.float64(12.5),
        "best_acc1": torch.tensor(90.0),
        "history": [1.0, 2.0],
        "counts": defaultdict(list, {"x": [1]}),
    }
    path = saved(tmp_path / "c.pth.tar", content, _use_new_zipfile_serialization=zipped)
    raw = read_checkpoint(path)
    assert raw.path == path
    assert raw.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == sha256_of(path)
    assert raw.format == "torch"
    assert raw.weights_key == "state_dict"
    assert same(raw.weights, weights())
    assert raw.metadata == {}
    assert raw.settings == {
        "model": "spikformer",
        "lr": 5e-4,
        "amp": True,
        "resume": None,
        "size": [2, 32, 32],
        "betas": [0.9, 0.999],
        "best": 91.5,
        "steps": 4,
        "flag": True,
        "small": 0.5,
        "output": "/data/out",
    }
    for name in ("best", "steps", "flag", "small"):
        assert type(raw.settings[name]) in (int, float, bool)
    beside = {"epoch": 3, "arch": "spikformer", "version": 2, "metric": 12.5, "best_acc1": 90.0}
    assert raw.other == {**beside, "history": [1.0, 2.0]}
    json.dumps([raw.settings, raw.other])

    ema = read_checkpoint(path, weights_key="state_dict_ema")
    assert ema.weights_key == "state_dict_ema"
    assert same(ema.weights, {name: tensor + 1 for name, tensor in weights().items()})


def test_the_oracles() -> None:
    found = sorted(ORACLES.glob("*.pth.tar"))
    assert len(found) >= 5
    for path in found:
        raw = read_checkpoint(path)
        assert raw.weights_key in ("state_dict", "model", "net")
        assert raw.weights


def test_safetensors_under_any_name(tmp_path: Path) -> None:
    for name in ("m.safetensors", "m.pth", "m"):
        save_file(weights(), tmp_path / name, metadata={"family": "sdt"})
        raw = read_checkpoint(str(tmp_path / name))
        assert raw.format == "safetensors"
        assert raw.metadata == {"family": "sdt"}
        assert (raw.weights_key, raw.settings, raw.other) == ("", {}, {})
        assert same(raw.weights, weights())


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_named_safetensors(tmp_path: Path, zipped: Any) -> None:
    path = saved(tmp_path / "m.safetensors", weights(), _use_new_zipfile_serialization=zipped)
    raw = read_checkpoint(path)
    assert raw.format == "torch"
    assert same(raw.weights, weights())


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved("m.safetensors", weights())
    assert same(read_checkpoint("m.safetensors").weights, weights())


@pytest.mark.parametrize("key", ["state_dict", "model", "model_ema", "state_dict_ema", ""])
def test_where_weights_may_be(tmp_path: Path, key: Any) -> None:
    path = saved(tmp_path / "c", ({key: weights()} if key else weights()) | {"epoch": 1})
    raw = read_checkpoint(path)
    assert raw.weights_key == key
    assert same(raw.weights, weights())
    assert raw.other == {"epoch": 1}


def test_an_entry_without_tensors_is_passed_over(tmp_path: Path) -> None:
    path = saved(tmp_path / "c", {"state_dict": {}, "model": "spikformer", "model_ema": weights()})
    raw = read_checkpoint(path)
    assert raw.weights_key == "model_ema"
    assert raw.other == {"model": "spikformer"}


def test_a_key_of_ones_own(tmp_path: Path) -> None:
    path = saved(tmp_path / "c", {"teacher": weights(), "state_dict": {"x": torch.ones(1)}, "t": torch.ones(1)})
    assert same(read_checkpoint(path, weights_key="teacher").weights, weights())
    assert same(read_checkpoint(path, weights_key="").weights, {"t": torch.ones(1)})
    message = refusal(path, weights_key="student")
    assert message.endswith("no weights under student; it has weights under: teacher, state_dict, the top level")
    path = saved(tmp_path / "d", {"teacher": weights()})
    assert refusal(path).endswith("in no usual place; choose one of these keys: teacher")
    save_file(weights(), tmp_path / "s")
    assert refusal(tmp_path / "s", weights_key="model").endswith("weights under: the top level")


def test_entries_that_are_no_tensors_are_ignored(tmp_path: Path) -> None:
    path = saved(tmp_path / "c", {"state_dict": weights() | {"_metadata": {"v": 1}, "note": "x", 3: None}})
    assert same(read_checkpoint(path).weights, weights())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["module.a", "module.b"], ["a", "b"]),
        (["module.a", "b"], ["module.a", "b"]),
        (["_orig_mod.module.a", "_orig_mod.module.module.b"], ["a", "module.b"]),
        (["module._orig_mod.module.a"], ["a"]),
        (["module.", "module.b"], ["module.", "module.b"]),
        (["modules.a"], ["modules.a"]),
    ],
)
def test_prefixes(tmp_path: Path, names: Any, expected: Any) -> None:
    path = saved(tmp_path / "c", {"model": {name: torch.ones(1) for name in names}})
    assert list(read_checkpoint(path).weights) == expected


@pytest.mark.parametrize("key", ["args", "config", "hyper_parameters"])
@pytest.mark.parametrize("kind", [dict, argparse.Namespace])
def test_settings(tmp_path: Path, key: Any, kind: Any) -> None:
    path = saved(tmp_path / "c", {"model": weights(), key: kind(depth=4, names=["a", None])})
    assert read_checkpoint(path).settings == {"depth": 4, "names": ["a", None]}


def test_settings_that_are_empty_or_odd(tmp_path: Path) -> None:
    content = {"model": weights(), "args": argparse.Namespace(), "config": {1: 2, "x": 3, "t": torch.ones(1)}}
    assert read_checkpoint(saved(tmp_path / "c", content)).settings == {"x": 3}


def test_names_of_numpy_and_python_versions_other_than_ours(tmp_path: Path) -> None:
    content = {"model": weights(), "args": {"n": np.float32(0.5), "p": PureWindowsPath("C:\\a\\b")}}
    path = tmp_path / "c.pth"
    torch.save(content, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.write_bytes(data.replace(b"cpathlib\nPureWindowsPath", b"cpathlib._local\nWindowsPath"))
    assert read_checkpoint(path).settings == {"n": 0.5, "p": "C:/a/b"}


def test_weights_are_copies_that_outlive_the_file(tmp_path: Path) -> None:
    torch_file = saved(tmp_path / "c", {"model": {"a": torch.ones(5000), "t": torch.ones(3, 4).t()}})
    save_file({"a": torch.ones(5000)}, tmp_path / "s")
    for path in (torch_file, tmp_path / "s"):
        raw = read_checkpoint(path)
        with path.open("r+b") as file:
            file.truncate(0)
        assert all(tensor.is_contiguous() for tensor in raw.weights.values())
        assert float(raw.weights["a"].sum()) == 5000


def test_a_file_system_that_cannot_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "c", weights())
    load = torch.load

    def load_without_map(*args: Any, **options: Any) -> Any:
        if options.get("mmap"):
            raise RuntimeError("unable to mmap 1234 bytes from file <c>: No such device (19)")
        return load(*args, **options)

    monkeypatch.setattr(torch, "load", load_without_map)
    assert same(read_checkpoint(path).weights, weights())


def test_parameters_become_plain_tensors(tmp_path: Path) -> None:
    path = saved(tmp_path / "c", {"a": torch.nn.Parameter(torch.ones(2))})
    found = read_checkpoint(path).weights["a"]
    assert type(found) is torch.Tensor
    assert not found.requires_grad


def test_number_formats(tmp_path: Path) -> None:
    content = {
        str(kind): torch.tensor([0, 1]).to(kind)
        for kind in (
            torch.float64,
            torch.float16,
            torch.bfloat16,
            torch.float8_e4m3fn,
            torch.uint8,
            torch.bool,
        )
    }
    found = read_checkpoint(saved(tmp_path / "c", content)).weights
    assert {name: str(tensor.dtype) for name, tensor in found.items()} == {name: name for name in content}


def test_what_the_process_trusts_otherwise_is_left_alone(tmp_path: Path) -> None:
    before = torch.serialization.get_safe_globals()
    try:
        torch.serialization.add_safe_globals([Decimal, argparse.Namespace])
        expected = set(torch.serialization.get_safe_globals())
        path = saved(tmp_path / "c", {"model": weights(), "x": Decimal(1), "args": argparse.Namespace(a=1)})
        assert "it asks for decimal.Decimal," in refusal(path)
        assert set(torch.serialization.get_safe_globals()) == expected
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


# --- Files that would run code ---


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize(("kind", "named"), [(Evil, f"{os.system.__module__}.system"), (EvilEval, "builtins.eval")])
@pytest.mark.parametrize("how", ["pickle", "legacy", "zip"])
def test_no_code_is_run(tmp_path: Path, how: Any, kind: Any, named: Any, protocol: Any) -> None:
    sentinel = tmp_path / "sentinel"
    path = tmp_path / "c.pth"
    content = {"state_dict": weights(), "x": kind(sentinel)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(kind(sentinel), protocol=protocol))
    elif protocol < 2:
        pytest.skip("torch.save needs protocol 2")
    else:
        saved(path, content, pickle_protocol=protocol, _use_new_zipfile_serialization=how == "zip")
    message = refusal(path)
    assert not sentinel.exists()
    assert f"it asks for {named}," in message
    assert "the file was not executed" in message


def test_a_class_of_the_authors_own(tmp_path: Path) -> None:
    path = saved(tmp_path / "c", {"model": torch.nn.Linear(2, 2)})
    message = refusal(path)
    assert "it asks for torch.nn.modules.linear.Linear," in message
    assert message.endswith("save model.state_dict() with plain settings instead")


def test_a_harmless_pickle_of_a_protocol_that_torch_does_not_write(tmp_path: Path) -> None:
    path = saved(tmp_path / "c", weights(), pickle_protocol=4)
    assert "of a protocol that cannot be read safely" in refusal(path)


# --- Files that are no checkpoints ---


def test_a_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.pth").endswith("there is no such file")
    with pytest.raises(InputError, match="there is no such file"):
        sha256_of(tmp_path / "no.pth")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "e.pth").touch()
    assert refusal(tmp_path / "e.pth").endswith("the file is empty; copy or download it again")


def test_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path).endswith("it is a folder; name the file in it")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    assert "not a regular file" in refusal(tmp_path / "p")


def test_a_name_with_a_nul() -> None:
    with pytest.raises(InputError, match=r"a\\x00b: that is not a file name"):
        read_checkpoint("a\0b")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read anything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = saved(tmp_path / "c", weights())
    path.chmod(0)
    assert refusal(path).endswith("no permission to read it")


@pytest.mark.parametrize("text", ["hello\n", "c a\nb", "config\nvalue\nmore of it\n", "lorem ipsum " * 9000])
def test_a_text_file(tmp_path: Path, text: Any) -> None:
    (tmp_path / "t.pth").write_text(text)
    assert "it is a text file, expected" in refusal(tmp_path / "t.pth")


def test_a_git_lfs_pointer(tmp_path: Path) -> None:
    (tmp_path / "t.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    assert refusal(tmp_path / "t.pth").endswith("run git lfs pull")


def test_other_bytes(tmp_path: Path) -> None:
    (tmp_path / "t.pth").write_bytes(b"\x7fELF\x00\x01\x02" * 100)
    assert "of no known kind" in refusal(tmp_path / "t.pth")


def test_a_tar_archive(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "c.pth.tar", "w") as archive:
        archive.add(saved(tmp_path / "c", weights()), "c")
    assert "it is a tar archive" in refusal(tmp_path / "c.pth.tar")


def test_a_zip_archive_that_is_no_checkpoint(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.pth", "w") as archive:
        for i in range(10):
            archive.writestr(f"{i}.txt", "x")
    message = refusal(tmp_path / "z.pth")
    assert "it is a zip archive, but no checkpoint" in message
    assert message.endswith("0.txt, 1.txt, 2.txt, 3.txt, 4.txt, 5.txt, 6.txt, 7.txt and 2 more")


def repacked(path: Path, compression: int, **more: str) -> None:
    with (
        zipfile.ZipFile(io.BytesIO(packed(weights()))) as old,
        zipfile.ZipFile(path, "w", compression) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
        for name, text in more.items():
            new.writestr(name.replace("__", "/").replace("_", "."), text)


def test_a_torchscript_archive(tmp_path: Path) -> None:
    repacked(tmp_path / "c", zipfile.ZIP_STORED, archive__constants_pkl="x")
    assert "TorchScript" in refusal(tmp_path / "c")


def test_a_checkpoint_that_was_compressed(tmp_path: Path) -> None:
    repacked(tmp_path / "stored", zipfile.ZIP_STORED)
    assert same(read_checkpoint(tmp_path / "stored").weights, weights())
    repacked(tmp_path / "c", zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(tmp_path / "c")


def test_a_truncated_zip(tmp_path: Path) -> None:
    data = packed(weights())
    (tmp_path / "c").write_bytes(data[: len(data) // 2])
    assert refusal(tmp_path / "c").endswith("cut short or damaged; copy or download it again")


def test_a_truncated_legacy_file(tmp_path: Path) -> None:
    data = saved(tmp_path / "l", weights(), _use_new_zipfile_serialization=False).read_bytes()
    (tmp_path / "c").write_bytes(data[:-5])
    assert "unexpected EOF" in refusal(tmp_path / "c")


@pytest.mark.parametrize("length", [20, -3])
def test_a_truncated_safetensors_file(tmp_path: Path, length: Any) -> None:
    (tmp_path / "c").write_bytes(save(weights())[:length])
    message = refusal(tmp_path / "c")
    assert "the safetensors file is cut short" in message
    assert message.endswith("copy or download it again")


def test_a_safetensors_header_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(struct.pack("<Q", 8) + b"{hello!}")
    assert "invalid JSON" in refusal(tmp_path / "c")


def test_a_record_shorter_than_the_tensor_it_belongs_to(tmp_path: Path) -> None:
    hundred, millions = b"Kd", b"J\xff\xff\xff\x00"
    with (
        zipfile.ZipFile(io.BytesIO(packed({"a": torch.zeros(100)}))) as old,
        zipfile.ZipFile(tmp_path / "c", "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("data.pkl"):
                assert content.count(hundred) == 2  # of the storage and of the tensor
                content = content.replace(hundred, millions)
            new.writestr(name, content)
    assert "claims more bytes than are there" in refusal(tmp_path / "c")


def test_tensors_that_would_fill_the_memory(tmp_path: Path) -> None:
    path = saved(tmp_path / "c", {"a": torch.zeros(1).expand(2**40)})
    assert "claim 4398046511104 bytes" in refusal(path)


# --- Checkpoints whose contents are of no use ---


def test_no_tensors(tmp_path: Path) -> None:
    path = saved(tmp_path / "c", {f"key{i}": i for i in range(11)})
    message = refusal(path)
    assert message.endswith("it has: key0, key1, key2, key3, key4, key5, key6, key7 and 3 more")
    assert refusal(saved(tmp_path / "d", {})).endswith("at its top level it has: nothing")
    save_file({}, tmp_path / "s")
    assert refusal(tmp_path / "s").endswith("at its top level it has: nothing")


def test_no_dictionary(tmp_path: Path) -> None:
    assert "it holds a tensor, not" in refusal(saved(tmp_path / "c", torch.ones(3)))
    assert "of type list, not" in refusal(saved(tmp_path / "d", [torch.ones(3)]))


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = saved(tmp_path / "c", {"model": weights() | {7: torch.ones(1)}})
    assert "have the name 7, where every name must be text" in refusal(path)


def test_names_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    path = saved(tmp_path / "c", {"\x1b[31m\n" + "x" * 500: 1})
    message = refusal(path)
    assert r"\x1b[31m\n" in message
    assert len(message) < 400 + len(str(path))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float8_e5m2])
def test_weights_that_are_not_finite(tmp_path: Path, value: Any, kind: Any) -> None:
    bad = torch.tensor([1.0, value, 2.0, value]).to(kind)
    path = saved(tmp_path / "c", {"model": weights(c=bad, d=bad[:2]), "model_ema": weights()})
    assert "the tensor c has NaN or infinity in 2 of its 4 values, as have 2 of 4 tensors" in refusal(path)
    assert same(read_checkpoint(path, weights_key="model_ema").weights, weights())


def test_one_infinity_in_safetensors(tmp_path: Path) -> None:
    save_file(weights(c=torch.tensor([float("inf")])), tmp_path / "c")
    assert "the tensor c has NaN or infinity in 1 of its 1 values" in refusal(tmp_path / "c")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["sparse", "sparse_csr", "quantised", "meta", "nested"])
def test_tensors_that_are_not_supported(tmp_path: Path, kind: Any) -> None:
    dense = torch.eye(3)
    make: dict[str, Any] = {
        "sparse": dense.to_sparse,
        "sparse_csr": dense.to_sparse_csr,
        "quantised": lambda: torch.quantize_per_tensor(dense, 0.1, 0, torch.qint8),
        "meta": lambda: dense.to("meta"),
        "nested": lambda: torch.nested.nested_tensor([dense, dense[:2]]),
    }
    path = saved(tmp_path / "c", {"model": weights(odd=make[kind]())})
    message = refusal(path)
    assert f"the tensor odd is {'a ' if kind == 'meta' else ''}{kind.partition('_')[0]}" in message
    assert "not supported" in message


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "c", weights())
    load = torch.load

    def slow_load(*args: Any, **options: Any) -> Any:
        found = load(*args, **options)
        os.utime(path, ns=(1, 1))
        return found

    monkeypatch.setattr(torch, "load", slow_load)
    assert "it changed while it was being read" in refusal(path)


# --- Damage at random ---


def test_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    content = {
        "epoch": 1,
        "state_dict": weights(),
        "args": argparse.Namespace(lr=np.float64(0.1), out=Path("/a/b"), sizes=[1, 2]),
    }
    legacy = saved(tmp_path / "l", content, _use_new_zipfile_serialization=False).read_bytes()
    random_ = random.Random(0)
    path = tmp_path / "c"
    outcomes = {True: 0, False: 0}
    for data in (packed(content), legacy, save(weights(), metadata={"a": "b"})):
        for trial in range(150):
            damaged = bytearray(data)
            if trial % 3 == 0:
                del damaged[random_.randrange(1, len(data)) :]
            else:
                for _ in range(random_.choice((1, 1, 3))):
                    damaged[random_.randrange(len(data))] = random_.randrange(256)
            path.write_bytes(damaged)
            try:
                read_checkpoint(path)
                outcomes[True] += 1
            except InputError as error:
                assert str(error).isprintable()
                assert "weights_only" not in str(error)
                outcomes[False] += 1
    assert min(outcomes.values()) > 20


# --- Files that would take more than they have ---


def with_pickle(path: Path, pickled: bytes, more: tuple[tuple[str, bytes], ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("c/data.pkl", pickled), ("c/version", b"3\n"), ("c/byteorder", b"little"), *more):
            archive.writestr(name, content)
    return path


DOUBLED = b"\x80\x02}K\x01" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(40)) + b"Ns."


@pytest.mark.parametrize(
    ("pickled", "said"),
    [
        (DOUBLED, "a tuple of 2,199,023,255,551 parts is a key in it"),
        (b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "it asks for an array of bytes of any length"),
        (b"\x80\x02Nr\xff\xff\xff\x0f.", "places to remember values in"),
        (
            b"\x80\x02ctorch._utils\n_rebuild_device_tensor_from_cpu_tensor\n.",
            "asks for torch._utils._rebuild_device",
        ),
    ],
)
def test_a_small_pickle_that_asks_for_much(tmp_path: Path, pickled: bytes, said: str) -> None:
    assert said in refusal(with_pickle(tmp_path / "c.pth", pickled))
    legacy = packed(weights(), _use_new_zipfile_serialization=False)
    start = legacy.index(b"\x80\x02}", 30)  # after the number and the version: in place of the machine
    (tmp_path / "c.pth").write_bytes(legacy[:start] + pickled + legacy[start:])
    assert said in refusal(tmp_path / "c.pth")


def test_the_pickle_that_torch_reads_is_the_one_that_is_looked_through(tmp_path: Path) -> None:
    harmless = pickle.dumps({}, 2)
    path = tmp_path / "c.pth"
    for name in ("c/data.pkl", "c/DATA.PKL", "d/data.pkl"):
        with warnings.catch_warnings(action="ignore"):  # of the zip module, at two of one name
            with_pickle(path, harmless, ((name, DOUBLED),))
        assert "two files in it have one name" in refusal(path)


def test_files_in_an_archive_cannot_overlap(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "c.pth", pickle.dumps({}, 2), (("c/data/0", bytes(1000)),))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 20 : entry + 28] = struct.pack("<II", 10**6, 10**6)
    path.write_bytes(content)
    assert "the files in it claim more bytes than it has" in refusal(path)


def test_a_long_text_among_the_settings_is_left_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.pth", {"state_dict": weights(), "args": {"a": "x" * 20_000, "b": [1] * 20_000, "c": 1}})
    assert read_checkpoint(path).settings == {"c": 1}
