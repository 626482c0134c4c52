"""Options from a file."""

import pytest

from saformer.cli.options.config import read_config
from saformer.errors import InputError


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "paper.toml"
        path.write_text(text)
        return path

    return write


def test_a_table_stands_for_the_options_of_its_command(saformer, config, few_digits):
    path = config(
        '[hardware]\nname = "loihi"\n[energy]\nlimit = 4\naccounting = "exact"\nformat = "csv"\nlayers = true\n'
    )
    said = saformer("energy", "--limit", 4, "--accounting", "exact", "--format", "csv", "--layers")
    assert saformer("energy", "--config", path).out == said.out != ""
    # What stands on the command line wins.
    other = saformer("energy", "--config", path, "--accounting", "paper")
    assert other.out != said.out and ",paper," in other.out


def test_arguments_and_lists_are_taken_too(saformer, config):
    path = config('[attentions]\nformat = "csv"\n[models]\nname = "sdt"\nformat = "csv"\n')
    assert saformer("models", "--config", path).out == saformer("models", "sdt", "--format", "csv").out
    path = config('[flops]\nmodel = "sdt-1-32"\nset = ["time_steps=2", "heads=2"]\nformat = "csv"\n')
    wanted = saformer("flops", "--model", "sdt-1-32", "--set", "time_steps=2", "--set", "heads=2", "--format", "csv")
    assert wanted.code == 0 and saformer("flops", "--config", path).out == wanted.out


def test_what_is_wrong_is_said_with_its_line(saformer, config):
    for line, words in (
        ("limt = 3", "no option 'limt' (did you mean limit?)"),
        ('limit = "few"', "limit: "),
        ("limit = 4.5", "limit: "),
        ("limit = [1, 2]", "not a list"),
        ("layers = 1", "true or false"),
        ("accounting = true", "text or a number"),
        ("dataset = 2000-01-01", "text or a number"),
        ("config = 'other.toml'", "no option 'config'"),
        ("limit = ", "no TOML"),
    ):
        path = config(f"# a comment\n[energy]\nseed = 3\n{line}\n")
        complaint = saformer("energy", "--config", path).complaint
        assert f"{path}, line 4: " in complaint and words in complaint, complaint


def test_tables_are_those_of_commands(saformer, config):
    assert (
        "'enrgy' is no command (did you mean energy?)" in saformer("flops", "--config", config("[enrgy]\n")).complaint
    )
    assert "has no table [flops]" in saformer("flops", "--config", config("[energy]\nlimit = 3\n")).complaint
    assert "[energy]" in saformer("flops", "--config", config("energy = 3\n")).complaint
    assert "there is no such file" in saformer("flops", "--config", "missing.toml").complaint


def test_a_line_is_found_in_nested_tables_and_lists_of_tables(config):
    path = config(
        '[data]\nlimit = 3\n[networks.ours]\nsource = "a"\n\n[[output]]\nfile = "a"\n[[output]]\n# here\nfile = "b"\n'
    )
    file = read_config(path)
    assert file.where("data", "limit") == f"{path}, line 2"
    assert file.where("networks", "ours", "source") == f"{path}, line 4"
    assert file.where("output", 0, "file") == f"{path}, line 7"
    assert file.where("output", 1, "file") == f"{path}, line 10"
    assert file.where("output", 1) == f"{path}, line 8"
    assert file.where("nothing") == str(path)


def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="no text"):
        read_config(tmp_path / "a.toml")
    (tmp_path / "a.toml").write_bytes(b"#" * 2**21)
    with pytest.raises(InputError, match="such a file may have 262,144 at most"):
        read_config(tmp_path / "a.toml")


def test_a_line_of_spaces_is_not_searched_for_ever(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("[energy]\nx = [\n[" + " " * 200_000 + "\n1]]\n[ compare ]\nlimit = 1\n")
    file = read_config(path)
    assert file.where("compare", "limit") == f"{path}, line 6"
    assert file.where("energy", "x") == f"{path}, line 2"
