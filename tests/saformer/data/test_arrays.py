import io
import zipfile

import numpy as np
import pytest
import torch

from saformer.data import npz, open_arrays
from saformer.data.arrays import NamedArrays, open_inputs
from saformer.errors import InputError


@pytest.fixture
def save(tmp_path):
    def save(**arrays):
        path = tmp_path / "mine.npz"
        np.savez(path, **arrays)
        return path

    return save


def images(count=3, dtype=np.float32):
    return np.random.default_rng(0).normal(size=(count, 2, 4, 5)).astype(dtype)


def refusal(path):
    with pytest.raises(InputError) as caught:
        open_arrays(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_images_come_back_exactly_in_their_own_precision(save, dtype):
    x = images(dtype=dtype)
    data = open_arrays(save(x=x))
    assert data.images.dtype == getattr(torch, dtype)
    assert np.array_equal(data.images.numpy(), x)
    assert (data.name, data.split, data.kind) == ("mine.npz", None, "static")
    assert (data.labels, data.classes, data.mean, data.std) == (None, None, None, None)
    assert (len(data), data.shape) == (3, (2, 4, 5))


def test_a_path_may_be_a_string(save):
    assert len(open_arrays(str(save(x=images())))) == 3


def test_a_compressed_file_reads_the_same(tmp_path):
    np.savez_compressed(tmp_path / "small.npz", x=images(), y=np.array([0, 5, 2]))
    data = open_arrays(tmp_path / "small.npz")
    assert np.array_equal(data.images.numpy(), images())
    assert data.labels.tolist() == [0, 5, 2]


def test_images_are_used_as_they_are(save):
    x = images()
    ((batch, _),) = open_arrays(save(x=x)).batches(8)
    assert np.array_equal(batch.numpy(), x)


@pytest.mark.parametrize("order", ["big-endian", "fortran"])
def test_byte_and_memory_order_do_not_matter(save, order):
    x = images().astype(">f4") if order == "big-endian" else np.asfortranarray(images())
    data = open_arrays(save(x=x))
    assert np.array_equal(data.images.numpy(), images())
    assert data.images.is_contiguous()


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "uint16", "uint32", "uint64", ">u2", ">i4"])
def test_labels_of_any_integer_type(save, dtype):
    labels = open_arrays(save(x=images(), y=np.array([1, 0, 99], dtype=dtype))).labels
    assert labels.dtype == torch.int64
    assert labels.tolist() == [1, 0, 99]


def test_events_are_not_counted_below_zero(save):
    frames = np.zeros((2, 3, 2, 4, 4), np.int16)
    frames[1, 2, 0, 3, 1] = -2
    with pytest.raises(InputError, match="x holds -2, and events are counted from 0"):
        open_inputs(save(x=frames))
    assert open_inputs(save(x=frames.astype(np.float32))).kind == "events"  # normalised


def test_five_axes_are_events(save):
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 4, 4))
    data = open_arrays(save(x=x))
    assert data.kind == "events"
    assert data.shape == (3, 2, 4, 4)
    assert np.array_equal(data.images.numpy(), x)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int64", "uint64", ">u2", ">i4"])
def test_event_counts_of_any_integer_type(save, dtype):
    x = np.arange(2 * 3 * 2 * 3 * 3).reshape(2, 3, 2, 3, 3).astype(dtype)
    data = open_arrays(save(x=x))
    assert data.kind == "events"
    assert np.array_equal(data.images.numpy(), x)
    assert data.images.dtype not in (torch.uint16, torch.uint32, torch.uint64)
    ((batch, _),) = data.batches(8)
    assert np.array_equal(batch.numpy(), x.astype(np.float32))


def test_wide_unsigned_counts_do_not_wrap_round(save):
    x = np.full((1, 1, 1, 1, 1), 40_000, dtype=np.uint16)
    assert open_arrays(save(x=x)).images.item() == 40_000
    x = np.full((1, 1, 1, 1, 1), 2**63, dtype=np.uint64)
    assert "x holds 9223372036854775808, which is too large" in refusal(save(x=x))


def test_a_missing_file(tmp_path):
    assert "there is no such file" in refusal(tmp_path / "absent.npz")


def test_a_directory(tmp_path):
    assert "it is a folder" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x", b"hello, this is some text\n" * 20, b"\x80\x04K\x01."])
def test_what_is_no_npz(tmp_path, content):
    path = tmp_path / "text.npz"
    path.write_bytes(content)
    assert "is not an .npz file" in refusal(path)


def test_a_single_array(tmp_path):
    np.save(tmp_path / "one.npy", images())
    assert "is a single array, not an .npz file" in refusal(tmp_path / "one.npy")


@pytest.mark.parametrize("kept", [10, 200, 0.5, 0.99])
def test_a_truncated_file(save, kept):
    path = save(x=images(), y=np.zeros(3, dtype=int))
    content = path.read_bytes()
    path.write_bytes(content[: kept if kept > 1 else int(len(content) * kept)])
    assert "is a truncated or damaged .npz file" in refusal(path)


def test_a_flipped_bit_in_the_images(save):
    path = save(x=images())
    content = bytearray(path.read_bytes())
    place = content.index(images().tobytes()) + 17
    content[place] ^= 1
    path.write_bytes(bytes(content))
    assert "x cannot be read (Bad CRC-32" in refusal(path)


def test_a_member_that_is_no_array(tmp_path):
    path = tmp_path / "odd.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"not an array at all")
    assert "x is not an array" in refusal(path)


def test_no_x_names_the_arrays_found(save):
    assert "has no array 'x' (arrays found: 'images', 'y')" in refusal(save(images=images(), y=np.zeros(3)))
    assert "has no array 'x' (arrays found: none)" in refusal(save())


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((), "0 axes (a single number)"),
        ((3, 4), "2 axes (3 x 4)"),
        ((3, 4, 4), "3 axes"),
        ((1,) * 6, "6 axes"),
    ],
)
def test_the_wrong_number_of_axes(save, shape, found):
    message = refusal(save(x=np.zeros(shape, dtype=np.float32)))
    assert f"x has {found}" in message
    assert "expected 4 (N x C x H x W) or, for events, 5 (N x T x C x H x W)" in message


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 3, 0, 4), (2, 0, 3, 4, 4)])
def test_an_empty_axis(save, shape):
    assert f"x is empty ({' x '.join(map(str, shape))})" in refusal(save(x=np.zeros(shape, dtype=np.float32)))


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_raw_pixels(save, dtype):
    message = refusal(save(x=np.zeros((2, 3, 4, 4), dtype=dtype)))
    assert f"x is {dtype}, but images must be normalised floating numbers" in message


@pytest.mark.parametrize("dtype", ["complex64", "<U3", "S3", "bool", "datetime64[s]"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 3, 2, 4, 4)])
def test_x_of_what_is_no_number(save, dtype, shape):
    assert "expected float16, float32 or float64" in refusal(save(x=np.zeros(shape, dtype=dtype)))


@pytest.mark.skipif(np.longdouble().itemsize <= 8, reason="long double is double here")
def test_x_wider_than_torch_can_hold(save):
    assert "expected float16, float32 or float64" in refusal(save(x=images(dtype=np.longdouble)))


class Trap:
    """An object that runs something when it is unpickled."""

    def __init__(self, sentinel):
        self.sentinel = sentinel

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.sentinel}",)


@pytest.mark.parametrize("name", ["x", "y"])
def test_objects_are_never_unpickled(save, tmp_path, name):
    trap = np.full((1, 1, 1, 1), Trap(tmp_path / "sprung"), dtype=object)
    path = save(**{"x": images(1), name: trap})
    assert f"{name} cannot be read (Object arrays" in refusal(path)
    assert not (tmp_path / "sprung").exists()
    # The trap is a real one.
    np.load(path, allow_pickle=True)[name]
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4"])
def test_the_first_number_that_is_not_finite_is_named(save, value, dtype):
    x = images(dtype=dtype)
    x[1, 0, 3, 2] = value
    x[2, 1, 0, 0] = np.nan
    assert f"x[1, 0, 3, 2] is {value}" in refusal(save(x=x))


@pytest.mark.parametrize(
    ("y", "found"),
    [
        (np.zeros(2, dtype=int), "y is 2, expected one label for each of the 3 images"),
        (np.zeros((3, 1), dtype=int), "y is 3 x 1, expected one label"),
        (np.array(1), "y is a single number, expected one label"),
        (np.zeros(3), "y is float64, expected integer labels"),
        (np.zeros(3, dtype=bool), "y is bool, expected integer labels"),
        (np.array(["a", "b", "c"]), "y is <U1, expected integer labels"),
        (np.array([0, 4, -1]), "y[2] is -1: labels must be 0 or more"),
        (np.array([0, 1, 2**63], dtype=np.uint64), "y holds 9223372036854775808, which is too large"),
    ],
)
def test_labels_that_cannot_be(save, y, found):
    assert found in refusal(save(x=images(), y=y))


# --- What a model of the user's own takes ---


@pytest.mark.parametrize("shape", [(3, 7), (3, 5, 7), (3, 2, 2, 2, 2, 2), (3,)])
def test_one_input_of_any_shape(save, shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    data = open_inputs(save(x=x, y=np.array([1, 0, 2])))
    assert (data.kind, len(data), data.shape, data.labels.tolist()) == ("arrays", 3, shape[1:], [1, 0, 2])
    ((batch, labels),) = data.batches(8, dtype=torch.float64)
    assert batch.dtype == torch.float64 and np.array_equal(batch.numpy(), x) and labels.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("int64", torch.int64),
        ("int32", torch.int64),
        ("uint32", torch.int64),
        ("uint8", torch.float32),
        ("int16", torch.float32),
        ("bool", torch.float32),
        ("float16", torch.float32),
    ],
)
def test_tokens_stay_whole_and_counts_become_floats(save, dtype, expected):
    x = np.arange(6).reshape(2, 3).astype(dtype)
    ((batch, _),) = open_inputs(save(x=x)).batches(8)
    assert batch.dtype == expected
    assert np.array_equal(batch.numpy(), x.astype(np.float64))


def test_images_and_events_are_what_they_are_for_our_own_models(save):
    assert open_inputs(save(x=images())).kind == "static"
    assert open_inputs(save(x=images()[:, None])).kind == "events"
    with pytest.raises(InputError, match="normalised floating numbers"):
        open_inputs(save(x=np.zeros((2, 3, 4, 4), np.uint8)))


@pytest.mark.parametrize("label", ["y", "labels"])
def test_an_array_for_each_input(save, label):
    ids, mask = np.arange(12).reshape(3, 4), np.ones((3, 4), bool)
    data = open_inputs(save(ids=ids, mask=mask, **{label: np.array([2, 1, 0])}))
    assert isinstance(data, NamedArrays) and len(data) == 3
    batches = list(data.batches(2))
    assert [list(given) for given, _ in batches] == [["ids", "mask"]] * 2
    given, labels = batches[0]
    assert given["ids"].tolist() == ids[:2].tolist() and given["mask"].dtype == torch.bool
    assert labels.tolist() == [2, 1]
    assert len(data.batches(3, limit=2).__next__()[0]["ids"]) == 2


def test_what_is_no_label_for_each_sample_is_an_input(save):
    data = open_inputs(save(x=images(), z=images(), y=np.zeros((3, 5))))
    assert list(next(data.batches(3))[0]) == ["x", "z", "y"] and data.labels is None
    assert list(next(open_inputs(save(y=images())).batches(3))[0]) == ["y"]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "holds no array"),
        ({"a": np.zeros((2, 3)), "b": np.zeros((3, 3))}, "different numbers of samples (a 2, b 3)"),
        ({"a": np.zeros((0, 3))}, "a holds no samples"),
        ({"x": np.zeros((2, 3)), "b": np.array(1.0)}, "b holds no samples"),
        ({"x": np.array([[1.0, np.nan]])}, "x[0, 1] is nan"),
        ({"a": np.array([["b"]])}, "a is <U1, expected floating or whole numbers"),
        ({"x": np.zeros((2, 3)), "y": np.zeros((2, 2), int)}, "expected one label for each of the 2"),
        ({"ids": np.zeros((2, 3)), "y": np.zeros(3, int)}, "expected one label for each of the 2"),
    ],
)
def test_inputs_that_cannot_be(save, arrays, words):
    path = save(**arrays)
    with pytest.raises(InputError) as caught:
        open_inputs(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


# --- files that would take more memory than they have


def test_an_array_that_claims_to_be_larger_than_it_is(tmp_path):
    path = tmp_path / "big.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (500_000, 3, 32, 32)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(100))
    assert "x cannot be read (500000 x 3 x 32 x 32 of float32 are 6,144,000,000 bytes, it has 100)" in refusal(path)


def test_zeros_that_are_packed_a_thousandfold(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "_ALLOWANCE", 0)
    path = tmp_path / "zeros.npz"
    np.savez_compressed(path, x=np.zeros((1, 2, 200, 2000), np.float32))
    assert "its arrays claim 3,200,128 bytes, far more than its" in refusal(path)
    np.savez_compressed(path, x=np.zeros((1, 2, 20, 20), np.float32))
    assert len(open_arrays(path)) == 1


def test_a_packing_that_numpy_never_uses(tmp_path):
    path = tmp_path / "odd.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", bytes(100))
    assert "x.npy is compressed as numpy never does it" in refusal(path)
