"""Pickles that are small and ask for much are refused before anything is made of them."""

import pickle
import struct
from collections import Counter, OrderedDict
from typing import Any

import pytest

from saformer.pickles import UnsafePickle, check_pickle


def check(content: bytes) -> list[str]:
    """The globals that it names."""
    names: list[str] = []
    assert check_pickle(content, names.append) == len(content)
    return names


def refusal(content: bytes) -> str:
    with pytest.raises(UnsafePickle) as caught:
        check(content)
    return str(caught.value)


class Shared:
    """Pickles what it is told in place of itself."""

    def __init__(self, *told: Any) -> None:
        self.told = told

    def __reduce__(self) -> Any:
        return self.told


# A tuple of two of the tuple before, forty times: 2^41 parts in a hundred bytes.
DOUBLED = b"\x80\x02K\x01" + b"".join(b"q%cq%ch%c\x86" % (i, i, i) for i in range(40))
KEY = b"\x80\x02}" + DOUBLED[2:] + b"Ns."
WIDE = b"(" + b"K\x01" * 101 + b"t"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_checkpoints_and_batches_hold_passes(protocol: int) -> None:
    state = {
        "text": "x" * 1000,
        b"bytes": b"y" * 1000,
        "numbers": [1, 2.5, True, None, -(10**30)],
        ("a", ("b", 3)): {4: [(5, 6)] * 50},
        "state of the generator": (3, tuple(range(625)), None),
        "steps": Counter({3: 1}),
        "ordered": OrderedDict(a=[{}], b={"c": ()}),
        "set": {1, "a"},
        "labels": list(range(10_000)),
        "raw": bytearray(b"abc"),
    }
    state["again"] = state["labels"]
    content = pickle.dumps(state, protocol)
    names = check(content)
    assert {"collections.OrderedDict", "collections.Counter", "builtins.bytearray"} <= set(names) | (
        {"builtins.bytearray"} if protocol == 5 else set()
    )


def test_the_next_pickle_of_a_stream_is_left() -> None:
    content = pickle.dumps([1]) + pickle.dumps({2: 3})
    end = check_pickle(content, print)
    assert pickle.loads(content[end:]) == {2: 3}
    assert check_pickle(content, print, end) == len(content)


@pytest.mark.parametrize(
    "content",
    [
        KEY,
        b"\x80\x02}(" + DOUBLED[2:] + b"Nu.",
        b"(" + DOUBLED[2:] + b"Nd.",
        b"\x80\x04\x8f(" + DOUBLED[2:] + b"\x90.",
        b"\x80\x04(" + DOUBLED[2:] + b"\x91.",
        b"\x80\x02cbuiltins\nset\n](" + DOUBLED[2:] + b"e\x85R.",
        b"\x80\x02cbuiltins\nset\n" + DOUBLED[2:] + b"\x85\x85R.",
        b"\x80\x02}" + WIDE + b"Ns.",
        b"\x80\x02" + DOUBLED[2:] + b"Q.",
    ],
)
def test_a_tuple_that_takes_for_ever_to_hash(content: bytes) -> None:
    message = refusal(content)
    assert message.startswith("a tuple of ") and message.endswith(" parts is a key in it, or part of a set")


@pytest.mark.parametrize(
    "made", [b"ccollections\nOrderedDict\n", b"ccollections\nCounter\n", b"cyacs.config\nCfgNode\n"]
)
def test_pairs_with_long_tuples_are_no_dictionary(made: bytes) -> None:
    content = b"\x80\x02" + made + b"](](" + WIDE + b"K\x01ee\x85R."
    of_tuple = b"\x80\x02" + made + b"](" + WIDE + b"K\x01e\x85\x85R."
    for one in (content, of_tuple):
        assert refusal(one) == "it makes a dictionary of a list of pairs, and has long tuples"
    assert len(check(content.replace(WIDE, b"K\x01"))) == 1


def test_integers_that_hash_alike() -> None:
    content = pickle.dumps({i * (2**61 - 1): i for i in range(1, 9)}, 2)
    assert refusal(content) == "an integer of more than 61 bits is a key in it"
    assert check(pickle.dumps({2**61 - 2: 0, -5: 1}, 2)) == []


@pytest.mark.parametrize("code", [b"r" + struct.pack("<I", 2**28), b"p%d\n" % 2**40])
def test_a_place_of_memory_far_away(code: bytes) -> None:
    assert refusal(b"\x80\x02K\x01" + code + b".").endswith("places to remember values in")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (Shared(bytearray, (2**31 - 1,)), "it asks for an array of bytes of any length"),
        (Shared(bytearray, ([2**31 - 1],)), "it asks for an array of bytes of any length"),
    ],
)
def test_an_array_of_any_length(told: Any, said: str) -> None:
    assert refusal(pickle.dumps(told, 2)) == said


def test_encodings() -> None:
    import _codecs

    assert check(pickle.dumps(Shared(_codecs.encode, ("a", "latin1")), 2)) == ["_codecs.encode"]
    for more in (("idna",), (), ("latin1", "x")):
        content = pickle.dumps(Shared(_codecs.encode, ("a", *more)), 2)
        assert refusal(content) == "it asks for an encoding other than latin1"


def test_copies_upon_copies() -> None:
    # One text of a megabyte, of which each six bytes more make another megabyte.
    text = b"\x80\x02X" + struct.pack("<I", 2**20) + b"x" * 2**20 + b"q\x00X\x06\x00\x00\x00latin1q\x01"
    content = text + b"c_codecs\nencode\nq\x02](" + b"h\x02h\x00h\x01\x86R" * 1000 + b"e."
    assert refusal(content) == "its pickle copies the same values again and again"
    assert check(content.replace(b"h\x02h\x00h\x01\x86R" * 1000, b"h\x02h\x00h\x01\x86R" * 3))
    made = b"cbuiltins\nset\nq\x00](" + b"K\x01" * 10_000 + b"e\x85q\x01](" + b"h\x00h\x01R" * 1000 + b"e."
    assert refusal(b"\x80\x02" + made) == "its pickle copies the same values again and again"


def test_paths_are_of_texts() -> None:
    assert check(b"\x80\x02cpathlib\nPosixPath\nX\x01\x00\x00\x00a\x85R.") == ["pathlib.PosixPath"]
    assert refusal(b"\x80\x02cpathlib\nPosixPath\n]\x85R.") == "the parts of a path in it are no texts"


def test_as_many_tensors_as_nobody_has() -> None:
    reference = b"K\x01Q0"
    assert check(b"\x80\x02" + reference * 10_000 + b"N.") == []
    assert (
        refusal(b"\x80\x02" + reference * 50_000 + b"N.") == "its pickle refers to more than 40,000 storages of tensors"
    )


def test_a_tensor_is_rebuilt_by_nothing_else() -> None:
    content = b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cbuiltins\nbytearray\nN(J\xff\xff\xff\x7ft}tR."
    assert refusal(content) == "it asks to rebuild a tensor with builtins.bytearray"


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"\x80\x02X\xff\xff\xff\xff.", b"\xff", KEY[:-3]])
def test_what_is_cut_short(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check(content)
    assert not isinstance(caught.value, UnsafePickle)


@pytest.mark.parametrize(
    "content", [b"\x80\x02s.", b"u.", b"R.", b"h\x05.", b"t.", b"0.", b"2.", b"l.", b"d.", b"o.", b"b."]
)
def test_what_unpickling_refuses_by_itself_passes(content: bytes) -> None:
    check(content)
