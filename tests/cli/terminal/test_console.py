"""What is printed cannot steer the terminal, nor fill it."""

import pytest


def test_text_of_a_file_cannot_steer_the_terminal(saformer, tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('title = "\\u001b]0;owned\\u0007"\nsource = "\\u001b[2J\\u202e"\n[energy_pj]\nac = 0.5\n')
    for command in (("hardware", path), ("hardware", path, "--format", "markdown"), ("energy", "--hardware", path)):
        result = saformer(*command)
        assert result.code == 0
        assert not [c for c in result.out + result.err if not c.isprintable() and c != "\n"]
    path.write_text('[energy_pj]\nac = 0.5\n"a\\u001b[2J" = 1\n')
    assert saformer("hardware", path).complaint.isprintable()


@pytest.mark.parametrize(
    "words",
    [
        ("energy", "--dataset", "x" * 200_000),
        ("energy", "--model", "x" * 200_000),
        ("energy", "--accounting", "\x1b[2J" * 50_000),
        ("compare", "x" * 3000 + "\n", "y"),
        ("energy", "--limit", "x" * 200_000),
        ("energy", f"--{'x' * 200_000}"),
        ("x" * 200_000,),
    ],
    ids=lambda words: " ".join(word[:9] for word in words).encode("unicode_escape").decode(),
)
def test_a_word_of_any_length_makes_a_short_complaint(saformer, words):
    result = saformer(*words)
    assert result.code in (1, 2) and len(result.err) < 3000
    assert not [c for c in result.err if not c.isprintable() and c != "\n"]
