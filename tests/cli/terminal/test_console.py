"""What is printed cannot steer the terminal, nor fill it; one bar stands for a command of several runs."""

import pytest

from saformer.cli.terminal import console


def test_text_of_a_file_cannot_steer_the_terminal(saformer, tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('title = "\\u001b]0;owned\\u0007"\nsource = "\\u001b[2J\\u202e"\n[energy_pj]\nac = 0.5\n')
    for command in (("hardware", path), ("hardware", path, "--format", "markdown"), ("energy", "--hardware", path)):
        result = saformer(*command)
        assert result.code == 0
        assert not [c for c in result.out + result.err if not c.isprintable() and c != "\n"]
    path.write_text('[energy_pj]\nac = 0.5\n"a\\u001b[2J" = 1\n')
    assert saformer("hardware", path).complaint.isprintable()


def test_bars_inside_the_bar_of_the_whole_move_it_and_go(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with console.whole("in all", 4) as part:
        around = console._WHOLE.get()
        with part(1, 1), console.progress("a", 10) as advance:
            advance(5)
            assert around.bar.tasks[0].completed == 12.5
        with part(3, 2):
            for _ in range(2):
                with console.progress("b", 3) as advance:
                    advance(3)
        assert around.bar.tasks[0].completed == 100 and len(around.bar.tasks) == 1
    with console.progress("alone", 2) as advance:
        advance(2)


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
