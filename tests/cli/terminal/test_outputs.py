"""`--format` in every command that prints a table, and outputs that want one place or a place that is none."""

import csv
import json
from io import StringIO

import pytest

COMMANDS = {
    "energy": ("energy", "--from-profile", "saformer.json"),
    "energy, all accountings": ("energy", "--from-profile", "saformer.json", "--accounting", "all"),
    "energy, all hardware": ("energy", "--from-profile", "saformer.json", "--hardware", "all"),
    "energy, memory and neurons": (
        *("energy", "--from-profile", "saformer.json"),
        *("--memory", "lemaire", "--spikes", "--layers"),
    ),
    "energy, run": ("energy", "--limit", "4"),
    "compare": ("compare", "saformer.json", "sdt.json"),
    "flops": ("flops", "--model", "saformer-1-16"),
    "audit": ("audit", "--from-profile", "spikformer.json"),
    "sensitivity": ("sensitivity", "--model", "saformer-1-16", "--uniform-rate", "0.1"),
    "complexity": ("complexity", "--verify", "--attention", "vsa,ssa,sasa", "--tokens", "16", "--dim", "16"),
    "hardware": ("hardware",),
    "hardware loihi": ("hardware", "loihi"),
    "models": ("models",),
    "datasets": ("datasets",),
}


@pytest.fixture(scope="module")
def profiles(prepared, tmp_path_factory):
    """A folder with a profile of each network that comes with the program: `saformer.json`, ..."""
    folder = tmp_path_factory.mktemp("profiles")
    for name in ("saformer", "sdt", "spikformer"):
        prepared("energy", f"digits/{name}", "--limit", "16", "--save-profile", folder / f"{name}.json")
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_every_table_has_every_format(saformer, profiles, monkeypatch, name):
    monkeypatch.chdir(profiles)
    command = COMMANDS[name]
    results = {f: saformer(*command, "--format", f) for f in ("rich", "markdown", "latex", "csv", "json")}
    for format, result in results.items():
        assert result.code == 0, (format, result.err)
        assert "Traceback" not in result.err
    assert results["rich"].out == saformer(*command).out
    assert not [line for line in results["rich"].out.splitlines() if line != line.rstrip()]
    json.loads(results["json"].out)
    tables = [list(csv.reader(StringIO(text))) for text in results["csv"].out.split("\n\n") if text]
    for table in tables:
        assert len(table) > 1 and {len(row) for row in table} == {len(table[0])}
        assert len(set(table[0])) == len(table[0]) and all(table[0])
    assert results["latex"].out.count(r"\toprule") == results["markdown"].out.count("\n|---") == len(tables)


def test_an_unknown_format_is_a_usage_error(saformer):
    result = saformer("models", "--format", "xml")
    assert result.code == 2 and "markdown" in result.err


def test_format_json_is_the_documented_object_and_json_dash_the_same(saformer):
    command = ("energy", "--limit", "4")
    found = saformer(*command, "--format", "json").out
    assert json.loads(found)["schema"] == 1 and json.loads(found)["totals"]["energy_mj"] > 0
    assert saformer(*command, "--json", "-").out == found
    assert saformer(*command, "--json", "-", "--format", "json").out == found


def test_csv_dash_is_the_file_that_csv_writes(saformer, tmp_path):
    command = ("energy", "--limit", "4")
    path = tmp_path / "o.csv"
    table = saformer(*command, "--csv", path).out
    shown = saformer(*command, "--csv", "-")
    assert shown.out == path.read_text() == saformer(*command, "--layers", "--format", "csv").out
    assert "block  " in table
    markdown = saformer(*command, "--format", "markdown", "--csv", path)
    assert markdown.out.startswith("- model: ") and path.read_text() == shown.out


def test_notes_that_csv_has_no_place_for_are_told_beside_it(saformer):
    result = saformer("energy", "--limit", "4", "--format", "csv")
    assert "note: no --ckpt given" in result.err and "note" not in result.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--json", "-", "--csv", "-"), "--json - and --csv - both want standard output"),
        (("--json", "-", "--format", "markdown"), "--format markdown and --json -"),
        (("--csv", "-", "--format", "json"), "--format json and --csv -"),
        (("--json", "-", "--csv", "/dev/stdout"), "both want standard output"),
        (("--csv", "/dev/stdout", "--format", "latex"), "both want standard output"),
        (("--save-profile", "-"), "--save-profile -: "),
        (("--save-profile", "/dev/stdout"), "--save-profile /dev/stdout: "),
        (("--json", "same.out", "--csv", "same.out"), "same.out"),
        (("--json", "same.out", "--csv", "./same.out"), "same.out"),
        (("--csv", "same.png", "--plot", "same.png"), "same.png"),
        (("--json", ""), "--json"),
        (("--csv", " "), "--csv"),
    ],
)
def test_two_outputs_never_share_a_place(saformer, tmp_path, monkeypatch, options, words):
    def never(*args, **kwargs):
        raise AssertionError("the model was run")

    monkeypatch.setattr("saformer.analysis.recording.run.profile", never)
    monkeypatch.chdir(tmp_path)
    assert words in " ".join(saformer("energy", *options).complaint.split())
    assert not list(tmp_path.iterdir())


def test_nothing_gets_in_the_way_of_the_null_device(saformer):
    assert saformer("energy", "--limit", "4", "--json", "/dev/null", "--csv", "/dev/null").code == 0


@pytest.mark.parametrize("option", ["--json", "--csv", "--plot", "--save-profile"])
def test_outputs_that_cannot_be_written_are_refused_before_the_run(saformer, tmp_path, option, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("the model was run")

    monkeypatch.setattr("saformer.analysis.recording.run.profile", never)
    assert "nowhere" in saformer("energy", option, tmp_path / "nowhere" / "o.png").complaint
    folder = tmp_path / "folder.png"
    folder.mkdir()
    assert "folder" in saformer("energy", option, folder).complaint


def test_plot_of_an_unknown_format(saformer, tmp_path):
    assert ".png, .pdf, .svg or .pgf" in saformer("energy", "--plot", tmp_path / "o.jpg").complaint


def test_an_output_is_no_input_and_no_other_output(saformer, tmp_path):
    saved = tmp_path / "p.json"
    assert saformer("energy", "--limit", "4", "--save-profile", saved).code == 0
    before = saved.read_bytes()
    assert "p.json" in saformer("energy", "--from-profile", saved, "--json", saved).complaint
    assert saved.read_bytes() == before
    twice = tmp_path / "twice.out"
    assert "twice.out" in saformer("energy", "--limit", "4", "--json", twice, "--csv", twice).complaint
    assert not twice.exists()


def test_a_file_called_all_is_not_taken_for_hardware(saformer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all").write_text("not hardware")
    assert saformer("energy", "--limit", "8", "--hardware", "all", "--json", "all").code == 0
    assert (tmp_path / "all").read_text().startswith("{")
    assert "./all" in saformer("energy", "--hardware", "./all").complaint
