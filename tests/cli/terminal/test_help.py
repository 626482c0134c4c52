"""`--help`: prose fills the line of any terminal, and nothing is said in types of Python."""

import pytest

from saformer.cli.commands import all_commands
from saformer.cli.terminal.help import help_text


def test_a_paragraph_is_one_line_and_a_command_stands_for_itself():
    assert help_text("First.\n\n    Two lines\n    --of prose.\n\n      saformer energy\n    ") == (
        "First.\n\nTwo lines --of prose.\n\n$ saformer energy"
    )


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("command", [one.name for one in all_commands()])
def test_no_command_shows_a_type_of_python(saformer, monkeypatch, command, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = saformer(command, "--help").out
    assert not any(word in shown for word in ("<bool>", "<str>", "<path>", "<list["))
    assert max(map(len, shown.splitlines())) <= width
    assert shown.rindex("--help") > shown.rindex("--config")


def test_the_options_of_a_network_begin_with_which_it_is(saformer):
    shown = saformer("energy", "--help").out
    places = [
        shown.index(f"│ {option} ") for option in ("--ckpt", "--model-arg", "--dataset", "--batch-size", "--config")
    ]
    assert places == sorted(places)
