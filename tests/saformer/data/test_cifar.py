import gzip
import io
import pickle
import shutil
import struct
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from saformer.data import DATASETS, open_dataset, tar_gz
from saformer.data.cifar import LAYOUTS
from saformer.errors import InputError

PYTHON = {
    "cifar10": SimpleNamespace(
        folder="cifar-10-batches-py",
        archive="cifar-10-python.tar.gz",
        train=[f"data_batch_{n}" for n in range(1, 6)],
        test=["test_batch"],
    ),
    "cifar100": SimpleNamespace(
        folder="cifar-100-python", archive="cifar-100-python.tar.gz", train=["train"], test=["test"]
    ),
}
BINARY = {
    "cifar10": SimpleNamespace(
        folder="cifar-10-batches-bin",
        archive="cifar-10-binary.tar.gz",
        train=[f"data_batch_{n}.bin" for n in range(1, 6)],
        test=["test_batch.bin"],
    ),
    "cifar100": SimpleNamespace(
        folder="cifar-100-binary", archive="cifar-100-binary.tar.gz", train=["train.bin"], test=["test.bin"]
    ),
}
NAMES = ["cifar10", "cifar100"]
LAYOUT_NAMES = ["python", "binary"]
PLACES = ["folder", "bare", "archive"]


def publisher(layout, name):
    return (PYTHON if layout == "python" else BINARY)[name]


def records(name, count, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, size=(count, 3072), dtype=np.uint8)
    return pixels, rng.integers(0, DATASETS[name].classes, size=count).tolist()


def python_batch(name, pixels, labels):
    """A batch as the publisher's Python 2 wrote it: protocol 2, byte strings, numpy's old module names."""

    def string(text):
        return b"U" + bytes([len(text)]) + text

    def integers(values):
        return b"](" + b"".join(b"K" + bytes([value]) for value in values) + b"e"

    shape = b"".join(b"M" + struct.pack("<H", extent) for extent in pixels.shape)
    dtype = b"cnumpy\ndtype\n" + string(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + string(b"|") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + b"K\x00tb"
    raw = pixels.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + string(b"b") + b"\x87R"
    array += b"(K\x01" + shape + b"\x86" + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"
    items = string(b"batch_label") + string(b"a batch") + string(b"data") + array
    if name == "cifar100":
        items += string(b"coarse_labels") + integers([label // 5 for label in labels])
        items += string(b"fine_labels") + integers(labels)
    else:
        items += string(b"labels") + integers(labels)
    return b"\x80\x02}(" + items + b"u."


def binary_batch(name, pixels, labels):
    coarse = [bytes([label // 5]) if name == "cifar100" else b"" for label in labels]
    return b"".join(c + bytes([label]) + row.tobytes() for c, label, row in zip(coarse, labels, pixels, strict=True))


def batch(layout, name, pixels, labels):
    return (python_batch if layout == "python" else binary_batch)(name, pixels, labels)


def pack(archive, members):
    with tarfile.open(archive, "w:gz") as tar:
        for path, content in members.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def put(root, layout, name, files, place="folder"):
    """Lay the files of one layout into `root`; returns what --data-dir should be."""
    known = publisher(layout, name)
    if place == "archive":
        pack(root / known.archive, {f"{known.folder}/{file}": content for file, content in files.items()})
        return root
    folder = root / known.folder
    folder.mkdir()
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return folder if place == "bare" else root


def put_one(root, content, layout="python", name="cifar10", place="folder"):
    """Lay one test batch into `root`."""
    return put(root, layout, name, {publisher(layout, name).test[0]: content}, place)


def refusal(data_dir, name="cifar10", split="test"):
    with pytest.raises(InputError) as caught:
        open_dataset(name, data_dir, split)
    message = str(caught.value)
    assert message.isprintable()
    return message


def test_the_written_batches_are_in_the_publishers_format():
    # The publisher's own instructions for reading a batch, with a pickle that may do anything.
    pixels, labels = records("cifar100", 3, 0)
    read = pickle.loads(python_batch("cifar100", pixels, labels), encoding="bytes")
    assert np.array_equal(read[b"data"], pixels)
    assert read[b"fine_labels"] == labels


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("layout", LAYOUT_NAMES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_form_gives_the_same_images_and_labels(tmp_path, name, layout, place, split):
    known = publisher(layout, name)
    # Batches of different sizes, so that none can stand in for another.
    made = {file: records(name, n + 1, n) for n, file in enumerate([*known.train, *known.test])}
    files = {file: batch(layout, name, *made[file]) for file in reversed(made)}
    data = open_dataset(name, put(tmp_path, layout, name, files, place), split)

    wanted = [made[file] for file in getattr(known, split)]
    pixels = np.concatenate([pixels for pixels, _ in wanted]).reshape(-1, 3, 32, 32)
    assert data.images.dtype == torch.uint8
    assert np.array_equal(data.images.numpy(), pixels)
    assert data.labels.dtype == torch.int64
    assert data.labels.tolist() == [label for _, labels in wanted for label in labels]
    assert (data.name, data.split, data.kind) == (name, split, "static")
    assert (data.shape, data.classes) == (DATASETS[name].shape, DATASETS[name].classes)


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("cifar10", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        ("cifar100", (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    ],
)
def test_the_published_normalisation(tmp_path, name, mean, std):
    pixels, labels = records(name, 2, 0)
    data = open_dataset(name, put_one(tmp_path, binary_batch(name, pixels, labels), "binary", name))
    assert (data.mean, data.std) == (mean, std)
    ((images, _),) = data.batches(2, dtype=torch.float64)
    blue = pixels[1, 2048:].reshape(32, 32)
    assert np.array_equal(images[1, 2].numpy(), (blue / 255 - mean[2]) / std[2])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_only_the_files_of_the_split_are_needed(tmp_path, place, split):
    files = {file: python_batch("cifar10", *records("cifar10", 1, 0)) for file in getattr(PYTHON["cifar10"], split)}
    data_dir = put(tmp_path, "python", "cifar10", files, place)
    assert len(open_dataset("cifar10", data_dir, split)) == len(files)


def test_other_files_are_not_even_opened(tmp_path):
    good = python_batch("cifar10", *records("cifar10", 1, 0))
    put(
        tmp_path,
        "python",
        "cifar10",
        {"test_batch": good, "data_batch_1": b"rubbish", "batches.meta": b"rubbish"},
    )
    assert len(open_dataset("cifar10", tmp_path)) == 1


def test_the_data_directory_is_data_unless_told(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    put_one(tmp_path / "data", python_batch("cifar10", *records("cifar10", 2, 0)))
    monkeypatch.chdir(tmp_path)
    assert len(open_dataset("cifar10")) == 2


def test_the_data_directory_may_be_a_string(tmp_path):
    put_one(tmp_path, python_batch("cifar10", *records("cifar10", 2, 0)))
    assert len(open_dataset("cifar10", str(tmp_path))) == 2


def test_a_half_unpacked_folder_gives_way_to_the_archive(tmp_path):
    put(tmp_path, "python", "cifar10", {"data_batch_1": b"rubbish"})
    put_one(tmp_path, python_batch("cifar10", *records("cifar10", 3, 0)), place="archive")
    assert len(open_dataset("cifar10", tmp_path)) == 3


def test_an_archive_packed_from_the_inside(tmp_path):
    pack(
        tmp_path / "cifar-10-python.tar.gz",
        {"./test_batch": python_batch("cifar10", *records("cifar10", 3, 0))},
    )
    assert len(open_dataset("cifar10", tmp_path)) == 3


def test_nothing_is_extracted(tmp_path):
    put_one(tmp_path, python_batch("cifar10", *records("cifar10", 1, 0)), place="archive")
    open_dataset("cifar10", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-python.tar.gz"]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["list", "array"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_batches_written_again_by_python_3(tmp_path, protocol, kind, order):
    pixels, labels = records("cifar10", 3, 0)
    content = {
        b"data": np.asarray(pixels, order=order),
        b"labels": labels if kind == "list" else np.array(labels),
    }
    put_one(tmp_path, pickle.dumps(content, protocol))
    data = open_dataset("cifar10", tmp_path)
    assert np.array_equal(data.images.numpy().reshape(3, 3072), pixels)
    assert data.labels.tolist() == labels


def test_the_listing_names_what_is_looked_for():
    for name in NAMES:
        for layout in LAYOUTS[name]:
            assert f"{layout.folder}/" in DATASETS[name].expected
            assert layout.archive in DATASETS[name].expected


# What is not there


def test_a_missing_data_directory(tmp_path):
    message = refusal(tmp_path / "absent")
    assert f"the data directory {tmp_path / 'absent'} does not exist" in message
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in message
    assert "--data-dir" in message


def test_a_data_directory_that_is_a_file(tmp_path):
    put_one(tmp_path, b"", place="archive")
    archive = tmp_path / "cifar-10-python.tar.gz"
    assert f"{archive} is not a directory" in refusal(archive)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_data_directory(tmp_path, name):
    message = refusal(tmp_path, name)
    assert f"is not in {tmp_path}: looked there for {DATASETS[name].expected}" in message
    assert DATASETS[name].download in message
    assert publisher("binary", name).test[0] in message


def test_one_data_set_is_not_taken_for_the_other(tmp_path):
    put_one(tmp_path, python_batch("cifar10", *records("cifar10", 1, 0)))
    assert "CIFAR-100 (test split) is not in" in refusal(tmp_path, "cifar100")


@pytest.mark.parametrize("layout", LAYOUT_NAMES)
@pytest.mark.parametrize("place", PLACES)
def test_one_batch_of_the_split_is_missing(tmp_path, layout, place):
    known = publisher(layout, "cifar10")
    content = batch(layout, "cifar10", *records("cifar10", 1, 0))
    files = {file: content for file in known.train if "3" not in file}
    message = refusal(put(tmp_path, layout, "cifar10", files, place), split="train")
    absent = known.train[2]
    if place == "archive":
        assert f"{tmp_path / known.archive} holds no file {known.folder}/{absent}" in message
    else:
        assert f"{tmp_path / known.folder / absent} is missing from the train split" in message


def test_an_empty_folder_of_the_right_name(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert f"{tmp_path / 'cifar-10-batches-py' / 'test_batch'} is missing" in refusal(tmp_path)


def test_folders_where_files_should_be(tmp_path):
    (tmp_path / "test").mkdir()
    assert "is not in" in refusal(tmp_path, "cifar100")


# Archives at fault


def test_an_archive_that_is_none(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"<html>404 not found</html>")
    message = refusal(tmp_path)
    assert f"{tmp_path / 'cifar-10-python.tar.gz'} is truncated or not a .tar.gz archive" in message


def test_a_compressed_file_that_is_no_archive(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(gzip.compress(b"hello" * 1000))
    assert "is truncated or not a .tar.gz archive" in refusal(tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 0.1, 0.5, 0.9])
def test_a_truncated_archive(tmp_path, kept):
    put_one(tmp_path, python_batch("cifar10", *records("cifar10", 20, 0)), place="archive")
    archive = tmp_path / "cifar-10-python.tar.gz"
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    message = refusal(tmp_path)
    assert str(archive) in message
    assert "truncated" in message


def test_an_archive_with_damage_in_the_middle(tmp_path):
    put_one(tmp_path, python_batch("cifar10", *records("cifar10", 20, 0)), place="archive")
    archive = tmp_path / "cifar-10-python.tar.gz"
    content = bytearray(archive.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    archive.write_bytes(bytes(content))
    assert str(archive) in refusal(tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_only_regular_files_of_an_archive_are_read(tmp_path, kind):
    good = tmp_path / "good"
    good.write_bytes(python_batch("cifar10", *records("cifar10", 1, 0)))
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as tar:
        tar.add(good, "elsewhere")
        member = tarfile.TarInfo("cifar-10-batches-py/test_batch")
        member.type = kind
        member.linkname = "elsewhere" if kind == tarfile.LNKTYPE else str(good)
        tar.addfile(member)
    assert "holds no file cifar-10-batches-py/test_batch" in refusal(tmp_path)


def test_a_member_outside_the_folder_is_not_taken(tmp_path):
    content = python_batch("cifar10", *records("cifar10", 1, 0))
    pack(
        tmp_path / "cifar-10-python.tar.gz",
        {"../cifar-10-batches-py/test_batch": content, "other/test_batch": content},
    )
    assert "holds no file" in refusal(tmp_path)


# Batches at fault


@pytest.mark.parametrize("place", ["folder", "archive"])
@pytest.mark.parametrize("layout", LAYOUT_NAMES)
def test_an_empty_batch(tmp_path, layout, place):
    message = refusal(put_one(tmp_path, b"", layout, place=place))
    known = publisher(layout, "cifar10")
    assert f"{known.test[0]}" in message
    assert f"{tmp_path / (known.archive if place == 'archive' else known.folder)}" in message
    assert "is empty" in message


@pytest.mark.parametrize("place", ["folder", "archive"])
@pytest.mark.parametrize("layout", LAYOUT_NAMES)
@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_batch(tmp_path, name, layout, place):
    content = batch(layout, name, *records(name, 3, 0))[:-1]
    message = refusal(put_one(tmp_path, content, layout, name, place), name)
    assert f"{publisher(layout, name).folder}/{publisher(layout, name).test[0]}" in message
    assert "is truncated or not a CIFAR" in message


@pytest.mark.parametrize("kept", [1, 3, 20, 60, 200, 3000, 9300])
def test_a_python_batch_cut_anywhere(tmp_path, kept):
    put_one(tmp_path, python_batch("cifar10", *records("cifar10", 3, 0))[:kept])
    assert "is truncated or not a CIFAR Python batch" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"hello\n" * 50, b"\x00" * 100, b"<html></html>", pickle.dumps({})[:-1]])
def test_what_is_no_pickle(tmp_path, content):
    put_one(tmp_path, content)
    assert "test_batch is truncated or not a CIFAR Python batch" in refusal(tmp_path)


def test_a_pickle_of_something_else(tmp_path):
    put_one(tmp_path, pickle.dumps([1, 2, 3]))
    assert "it holds a list, not a dictionary" in refusal(tmp_path)


def pickled(**changes):
    pixels, labels = records("cifar10", 3, 0)
    return pickle.dumps({key.encode(): value for key, value in ({"data": pixels, "labels": labels} | changes).items()})


def test_a_batch_without_its_keys(tmp_path):
    put_one(tmp_path, pickle.dumps({b"labels": [1], "data": 3}))
    message = refusal(tmp_path)
    assert "test_batch has no b'data' (it has b'labels', 'data')" in message


def test_a_cifar_10_batch_for_cifar_100(tmp_path):
    put_one(tmp_path, python_batch("cifar10", *records("cifar10", 1, 0)), name="cifar100")
    message = refusal(tmp_path, "cifar100")
    assert "has no b'fine_labels' (it has b'batch_label', b'data', b'labels')" in message


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (np.zeros((3, 3071), dtype=np.uint8), "3 x 3071 of uint8, not N x 3072"),
        (np.zeros((3, 3, 32, 32), dtype=np.uint8), "3 x 3 x 32 x 32 of uint8, not N x 3072"),
        (np.zeros(3072, dtype=np.uint8), "3072 of uint8, not N x 3072"),
        (np.zeros((0, 3072), dtype=np.uint8), "0 x 3072 of uint8, not N x 3072 of uint8 with N >= 1"),
        (np.zeros((3, 3072), dtype=np.float32), "3 x 3072 of float32, not N x 3072 of uint8"),
        (np.zeros((3, 3072), dtype=np.int8), "3 x 3072 of int8, not N x 3072 of uint8"),
        (b"\x00" * 3072, "a bytes, not an array"),
        (None, "a NoneType, not an array"),
    ],
)
def test_data_of_the_wrong_shape_or_type(tmp_path, data, found):
    put_one(tmp_path, pickled(data=data))
    message = refusal(tmp_path)
    assert f"test_batch: b'data' is {found}" in message


@pytest.mark.parametrize(
    "data", [np.zeros((3, 3072), dtype=object), np.zeros(3, dtype="V3072"), np.zeros(3, dtype="U9")]
)
def test_data_that_is_no_number(tmp_path, data):
    put_one(tmp_path, pickled(data=data))
    assert "test_batch is truncated or not a CIFAR Python batch (an array of type" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([1, 2], "2 labels for 3 images"),
        ([1, 2, 3, 4], "4 labels for 3 images"),
        ([], "0 labels for 3 images"),
        ([1, 10, 2], "label 1 is 10, outside 0 to 9"),
        ([1, 2, -1], "label 2 is -1, outside 0 to 9"),
        ([1, 2, 10**5000], "label 2 is a huge number, outside 0 to 9"),
        ([1, 2.0, 3], "label 1 is a float, not an integer"),
        ([True, 2, 3], "label 0 is a bool, not an integer"),
        (np.array([1, 2, 11]), "label 2 is 11, outside 0 to 9"),
        (np.array([1.0, 2, 3]), "is 3 of float64, not a row of integer labels"),
        (np.array([[1, 2, 3]]), "is 1 x 3 of int64, not a row of integer labels"),
        ("123", "is a str, not a list of labels"),
        (None, "is a NoneType, not a list of labels"),
    ],
)
def test_labels_that_cannot_be(tmp_path, labels, found):
    put_one(tmp_path, pickled(labels=labels))
    message = refusal(tmp_path)
    assert "test_batch: b'labels'" in message
    assert found in message


def test_the_last_class_is_allowed_and_the_next_is_not_in_binary(tmp_path):
    pixels, _ = records("cifar100", 2, 0)
    data_dir = put_one(tmp_path, binary_batch("cifar100", pixels, [99, 0]), "binary", "cifar100")
    assert open_dataset("cifar100", data_dir).labels.tolist() == [99, 0]
    shutil.rmtree(tmp_path / "cifar-100-binary")
    put_one(tmp_path, binary_batch("cifar100", pixels, [0, 100]), "binary", "cifar100")
    assert "test.bin: label 1 is 100, outside 0 to 99" in refusal(data_dir, "cifar100")


# Batches that mean harm


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("place", ["folder", "archive"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_command_in_a_batch_is_refused_and_not_run(tmp_path, place, protocol):
    import os

    sentinel = tmp_path / "sprung"
    content = pickle.dumps({b"data": Call(os.system, f"touch {sentinel}"), b"labels": [0]}, protocol)
    message = refusal(put_one(tmp_path, content, place=place))
    assert "cifar-10-batches-py/test_batch" in message
    assert f"asks for '{os.name}.system', which no CIFAR batch needs" in message
    assert not sentinel.exists()
    # The trap is a real one.
    pickle.loads(content)
    assert sentinel.exists()


def test_builtins_are_refused(tmp_path):
    put_one(tmp_path, pickled(labels=Call(eval, "1 + 1")))
    assert "asks for 'builtins.eval'" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x8c\x05numpy\x8c\x0dsave.__call__\x93.",
        b"cnumpy\nload\n.",
        b"c__builtin__\neval\n.",
        b"c_codecs\ndecode\n.",
        b"csaformer.data.cifar\nos\n.",
    ],
)
def test_other_names_of_allowed_modules_are_refused(tmp_path, content):
    put_one(tmp_path, content)
    assert "asks for" in refusal(tmp_path)


def test_a_forbidden_name_cannot_write_to_the_terminal(tmp_path):
    name = b"\x1b[2J\n" + b"A" * 50
    put_one(tmp_path, b"\x80\x04\x8c\x02os\x8c" + bytes([len(name)]) + name + b"\x93.")
    assert r"asks for 'os.\x1b[2J\nAAAA" in refusal(tmp_path)


def test_forged_pointers_are_not_followed(tmp_path):
    # Raw bytes declared to be an array of objects: numpy would take them for addresses.
    content = python_batch("cifar10", *records("cifar10", 1, 0)).replace(b"U\x02u1", b"U\x02O8")
    put_one(tmp_path, content)
    assert "an array of type '|O8'" in refusal(tmp_path)


def test_an_array_that_claims_more_than_it_holds(tmp_path):
    content = python_batch("cifar10", *records("cifar10", 1, 0))
    shape = b"M\x01\x00M\x00\x0c\x86"
    assert shape in content
    put_one(tmp_path, content.replace(shape, b"J\xff\xff\xff\x7fM\x00\x0c\x86"))
    assert "is truncated or not a CIFAR Python batch" in refusal(tmp_path)


def test_reading_a_batch_leaves_the_reader_as_it_was(tmp_path):
    # A pickle may set attributes on whatever it can name. Protocol 2 of Python 3 uses all of these names.
    pixels, labels = records("cifar10", 2, 0)
    good = pickle.dumps({b"data": pixels, b"labels": labels}, 2)
    for target in (b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n"):
        attack = b"\x80\x04" + target + b"N}\x8c\x07__new__Ns\x86b."
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        put_one(folder, attack)
        refusal(folder)
        (folder / "cifar-10-batches-py" / "test_batch").write_bytes(good)
        assert len(open_dataset("cifar10", folder)) == 2


# --- files that would take more than they have


@pytest.mark.parametrize("name", ["cifar-10-batches-py/test_batch", "cifar-10-batches-py/notes", "x" * (8 * 2**20)])
def test_an_archive_of_zeros_is_not_unpacked(tmp_path, monkeypatch, name):
    """In a file that is wanted, in another, and in a long name, which tarfile would take into memory."""
    monkeypatch.setattr(tar_gz, "_ALLOWANCE", 2**20)
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.size = 0 if name.startswith("x") else 8 * 2**20
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    assert "(it unpacks to more than its size allows)" in refusal(tmp_path)


def test_attributes_and_long_names_in_an_archive_are_passed_over(tmp_path):
    pixels, labels = records("cifar10", 3, 0)
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for name, content in (("long" * 100, b"?" * 700), ("cifar-10-batches-py/test_batch", None)):
            content = content or python_batch("cifar10", pixels, labels)
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1.5  # a time that only an attribute can hold
            tar.addfile(info, io.BytesIO(content))
    assert open_dataset("cifar10", tmp_path, "test").labels.tolist() == labels


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x80\x02Nr\xff\xff\xff\x0f.", "places to remember values in"),
        (
            b"\x80\x02}K\x01" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(40)) + b"Ns.",
            "a tuple of 2,199,023,255,551 parts is a key in it, or part of a set",
        ),
    ],
)
def test_a_small_batch_that_asks_for_much(tmp_path, content, said):
    assert said in refusal(put_one(tmp_path, content))
