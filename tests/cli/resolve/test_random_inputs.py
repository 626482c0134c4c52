"""`--input-shape`, `--input-dtype` and `--high`: random inputs of every kind."""

import pytest
import torch

from saformer.cli.options.model import ModelOptions
from saformer.cli.resolve.random_inputs import random_data, random_inputs
from saformer.errors import InputError


def drawn(*shapes, seed=1, **more):
    data = random_data(ModelOptions(input_shape=list(shapes), **more), seed)
    return data, next(data.batches(32))[0]


def test_the_seed_decides():
    assert torch.equal(drawn("3,8,8")[1], drawn("3,8,8")[1])
    assert not torch.equal(drawn("3,8,8")[1], drawn("3,8,8", seed=2)[1])


@pytest.mark.parametrize(
    ("shape", "sizes", "kind"),
    [
        ("784", (784,), "arrays"),
        ("100,40", (100, 40), "arrays"),
        ("3,8,8", (3, 8, 8), "static"),
        ("3x8x8", (3, 8, 8), "static"),
        ("5,2,8,8", (5, 2, 8, 8), "events"),
        ("3,4,2,8,8", (3, 4, 2, 8, 8), "arrays"),
        ("3,8,8:float32", (3, 8, 8), "static"),
    ],
)
def test_images_vectors_series_and_clips(shape, sizes, kind):
    data, x = drawn(shape)
    assert (tuple(x.shape[1:]), data.kind, len(data), x.dtype) == (sizes, kind, 16, torch.float32)
    assert x.std() == pytest.approx(1, abs=0.3)


def test_tokens():
    _, x = drawn("128", input_type="int64", high=30522)
    assert x.dtype == torch.int64 and x.min() >= 0 and 20000 < x.max() < 30522
    _, x = drawn("128", input_type="int64")
    assert set(x.flatten().tolist()) == {0, 1}
    assert drawn("8:bool")[1].dtype == torch.bool


def test_several_inputs_by_name():
    data, given = drawn("ids=12:int64", "mask=12", "kind=3,4:int32:5", high=100)
    assert [(name, tuple(x.shape), x.dtype) for name, x in given.items()] == [
        ("ids", (16, 12), torch.int64),
        ("mask", (16, 12), torch.float32),
        ("kind", (16, 3, 4), torch.int32),
    ]
    assert given["ids"].max() > 50 and given["kind"].max() == 4
    assert data.name == "random ids 12, mask 12, kind 3x4"
    data, given = drawn("x=3,8,8")
    assert list(given) == ["x"]


def test_floats_follow_the_type_of_the_run():
    data, _ = drawn("ids=12:int64", "mask=12")
    given = next(data.batches(4, dtype=torch.float64))[0]
    assert (given["ids"].dtype, given["mask"].dtype) == (torch.int64, torch.float64)


@pytest.mark.parametrize(
    "shape", ["a,b,c", "3,8,0", "3,-8,8", "3.5,8,8", "", "3,,8", "3,8,8:float99", "=3", "a b=3", "3:int64:0", "3:"]
)
def test_shapes_that_are_none(shape):
    with pytest.raises(InputError, match="--input-shape takes the shape of one sample"):
        random_inputs(ModelOptions(input_shape=[shape]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_shape": ["3", "4"]}, "several inputs go by the names"),
        ({"input_shape": ["a=3", "4"]}, "several inputs go by the names"),
        ({"input_shape": ["a=3", "a=4"]}, "several inputs go by the names"),
        ({"input_shape": ["3"], "high": 5}, "--high bounds whole numbers"),
        ({"input_shape": ["3"], "input_type": "int64", "high": 0}, "--high must be at least 1"),
        ({"input_shape": ["3"], "input_type": "word"}, "--input-dtype is one of"),
    ],
)
def test_options_that_contradict_each_other(options, words):
    with pytest.raises(InputError, match=words):
        random_inputs(ModelOptions(**options))
