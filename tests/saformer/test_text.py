import pytest

from saformer.errors import InputError
from saformer.text import PLAIN_ERRORS, encodable, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain µ ± é 中", "plain µ ± é 中"),
        ("\x1b[2J\x07\x9b", "\\x1b[2J\\x07\\x9b"),
        ("a\tb\nc\r", "a\\tb\\nc\\r"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("model\udcff.pth", "model\\udcff.pth"),
    ],
)
def test_what_could_steer_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_a_character_that_an_encoding_lacks_gets_a_plain_one() -> None:
    assert encodable("1 ± 2 µJ, 3†, × ≠ …", "ascii") == "1 +/- 2 uJ, 3*, x != ..."
    assert encodable("1 ± 2 µJ, 3†", "latin-1") == "1 ± 2 µJ, 3*"
    assert encodable("1 ± 2 µJ, 3†", "utf-8") == "1 ± 2 µJ, 3†"
    assert encodable("中", "ascii") == "?"
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", errors=PLAIN_ERRORS)


def test_a_message_is_one_line_of_a_sane_length_whatever_stands_in_it() -> None:
    assert str(InputError("file a\nb\t\x1b[2Jc\udcff: name another")) == "file a b \\x1b[2Jc\\udcff: name another"
    message = str(InputError(f"no layer {'x' * 200_000} in the network: see `saformer flops` for its names"))
    assert len(message) < 1100 and "[...]" in message
    assert message.startswith("no layer xxx") and message.endswith(
        "xxx in the network: see `saformer flops` for its names"
    )
