import pytest

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
