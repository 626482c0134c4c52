"""`saformer figures`: the tables and figures of one file."""

import shutil
from pathlib import Path

import pytest

from saformer.cli.resolve import profile

EXAMPLE = Path(__file__).parents[3] / "docs/examples/paper.toml"
TWO = """
[data]
dataset = "digits"
limit = 4

[networks.ours]
source = "digits/saformer"
label = "SAFormer (ours)"

[networks.sdt]
source = "digits/sdt"
"""


@pytest.fixture
def paper(tmp_path):
    def write(outputs, head=TWO):
        path = tmp_path / "paper.toml"
        path.write_text(head + outputs)
        return path

    return write


@pytest.fixture
def counted(monkeypatch):
    """How often a network was run."""
    found = []
    whole = profile.run_profile

    def counting(*args, **more):
        found.append(args[0].config.name)
        return whole(*args, **more)

    monkeypatch.setattr(profile, "run_profile", counting)
    return found


def output(file, command, **more):
    lines = [f"{key.replace('_', '-')} = {value}" for key, value in more.items()]
    return "\n".join(["[[output]]", f'file = "{file}"', f'command = "{command}"', *lines, ""])


def test_the_example_makes_what_it_names_and_runs_each_network_once(saformer, counted, tmp_path, few_digits):
    shutil.copy(EXAMPLE, tmp_path)
    result = saformer("figures", tmp_path / "paper.toml")
    assert result.code == 0, result.err
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["comparison.pdf", "comparison.tex", "complexity.tex", "energy.pdf", "layers.md"]
    assert sorted(counted) == ["saformer-2-64", "sdt-2-64", "spikformer-2-64"]
    table = (tmp_path / "out/comparison.tex").read_text()
    assert "SAFormer (ours)" in table and "when it was saved" not in table and "/tmp" not in table
    assert result.out == "" and result.err.count("wrote ") == 5 and "8 of 8" in result.err
    assert str(tmp_path) not in result.err


def test_an_output_is_what_its_command_makes(saformer, paper, tmp_path, few_digits):
    path = paper(
        output("compare.csv", "compare")
        + output("deep/energy.json", "energy", networks='"sdt"', accounting='"exact"')
        + output("modules.md", "summary", networks='["ours"]', depth=1)
        + output("hardware.txt", "hardware")
    )
    assert saformer("figures", path).code == 0
    said = saformer(
        "compare",
        "SAFormer (ours)=digits/saformer",
        "digits/sdt",
        "--dataset",
        "digits",
        "--limit",
        4,
        "--format",
        "csv",
    ).out
    assert (tmp_path / "compare.csv").read_text() == said.replace("digits/sdt,", "sdt,", 1)
    said = saformer(
        "energy", "digits/sdt", "--dataset", "digits", "--limit", 4, "--accounting", "exact", "--format", "json"
    )
    made = (tmp_path / "deep/energy.json").read_text()
    assert [line for line in said.out.splitlines() if '"label"' not in line] == [
        line for line in made.splitlines() if '"label"' not in line
    ]
    assert "patch_embed" in (tmp_path / "modules.md").read_text()
    assert "45nm-fp32" in (tmp_path / "hardware.txt").read_text()


def test_only_what_is_asked_for_is_made_and_run(saformer, paper, counted, tmp_path, few_digits):
    path = paper(output("a.csv", "compare") + output("b.csv", "energy", networks='["sdt"]', name='"b"'))
    assert saformer("figures", path, "--only", "b").code == 0
    assert counted == ["sdt-2-64"] and not (tmp_path / "a.csv").exists() and (tmp_path / "b.csv").exists()
    assert "no output is called so (did you mean a.csv?)" in saformer("figures", path, "--only", "a.cs").complaint


def test_a_table_of_a_command_holds_for_its_outputs(saformer, paper, tmp_path, few_digits):
    path = paper('[energy]\naccounting = "exact"\n' + output("a.csv", "energy", networks='"sdt"'))
    assert saformer("figures", path).code == 0
    assert ",exact," in (tmp_path / "a.csv").read_text()


def test_networks_may_take_their_input_in_different_ways(saformer, tmp_path, monkeypatch, few_digits):
    (tmp_path / "papernet.py").write_text(
        "from torch import nn\nfrom spikingjelly.activation_based import functional, layer, neuron\n\n"
        "def net(width=3):\n"
        "    net = nn.Sequential(layer.Flatten(), layer.Linear(64, width), neuron.IFNode(), layer.Linear(width, 10))\n"
        "    functional.set_step_mode(net, 'm')\n    return net\n"
    )
    path = tmp_path / "paper.toml"
    head = '[data]\ndataset = "digits"\nlimit = 4\n'
    nets = "".join(f'[networks.n{t}]\nsource = "papernet:net+width={t}"\ntime-first = {t}\n' for t in (2, 3))
    monkeypatch.chdir("/")
    path.write_text(head + nets + output("a.csv", "sweep", parameter='"time-steps"', values='"1,2"'))
    assert "takes one time-first for all its networks" in saformer("figures", path).complaint
    path.write_text(head + nets + output("a.csv", "compare"))
    assert saformer("figures", path).code == 0
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert [line.split(",")[2] for line in lines[1:]] == ["2", "3"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (output("a.csv", "compar"), 14, "'compar' is no command (did you mean compare?)"),
        (output("a.csv", "compare", hardwar='"loihi"'), 15, "no option 'hardwar' (did you mean hardware?)"),
        (output("a.csv", "compare", limit='"few"'), 15, "limit: "),
        (output("a.docx", "compare"), 13, "ends in one of .tex"),
        (output("a.png", "flops", networks='"sdt"'), 13, "draws no such figure"),
        (output("a.png", "energy", networks='"sdt"', draw='"raster"'), 13, "draw is one of plot"),
        (output("a.csv", "train"), 13, "makes no table"),
        (output("a.csv", "energy"), 12, "takes one network"),
        (output("a.csv", "compare", networks='["our"]'), 15, "did you mean ours?"),
        (output("a.csv", "hardware", networks='["ours"]'), 15, "takes no networks"),
        (output("a.csv", "compare") + output("a.csv", "compare"), 15, "another output"),
        ("[[output]]\ncommand = 'energy'\n", 12, "an output has a file"),
        ("[network.x]\n", 12, "no table here (did you mean networks?)"),
        ("[networks.x]\nlabel = 'y'\n" + output("a.csv", "compare"), 12, "has a source"),
        ("[networks.x]\nsource = 'y'\ntime-fist = 3\n" + output("a.csv", "compare"), 14, "did you mean time-first?"),
        ("", None, "makes nothing"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_before_anything_runs(saformer, paper, counted, text, line, words):
    path = paper(text)
    complaint = saformer("figures", path).complaint
    assert words in complaint, complaint
    assert line is None or f"{path}, line {line}: " in complaint, complaint
    assert not counted and list(path.parent.iterdir()) == [path]


def test_what_a_command_refuses_is_said_with_the_line_of_its_output(saformer, paper, few_digits):
    path = paper(output("a.csv", "attention", networks='["ours"]'))
    complaint = saformer("figures", path).complaint
    assert f"{path}, line 12: " in complaint and "--image" in complaint
    path = paper(output("a.csv", "compare"), TWO.replace("digits/sdt", "digits/st"))
    assert f"{path}, line 11: 'digits/st' is no file" in saformer("figures", path).complaint


def test_what_fails_leaves_no_empty_folder(saformer, paper, few_digits):
    path = paper(output("new/a.csv", "attention", networks='["ours"]'))
    assert "--image" in saformer("figures", path).complaint
    assert list(path.parent.iterdir()) == [path]
