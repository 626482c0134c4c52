"""Plugins: files that register things, and what is said when one of them is at fault."""

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

from saformer import plugins
from saformer.analysis.accounting.rules import ACCOUNTINGS
from saformer.analysis.complexity.formulas import Sizes, choose
from saformer.analysis.complexity.verify import build_module
from saformer.analysis.diagnostics.attention_maps import inspect_image
from saformer.checkpoints import load, save
from saformer.data import open_dataset
from saformer.errors import InputError
from saformer.models import build
from saformer.reports.tables.attention import attention_report

pytestmark = pytest.mark.usefixtures("registries_kept")

RULE = '''
from saformer.analysis.accounting.rules import Charge, register_rule

@register_rule("mine")
def mine(item, context):
    """Nothing costs anything."""
    return Charge()
'''
# Two families: Spikformer under another name, which claims the checkpoints of Spikformer, too.
MODEL = """
from saformer.models import Model, register_model
from saformer.models.transformers.spikformer import Spikformer

@register_model("twin", title="Twin")
class Twin(Model):
    @classmethod
    def recognise(cls, weights, stored):
        return Spikformer.recognise(weights, stored)
"""
ATTENTION = """
from torch import nn
from saformer.attention import Held, Work, register_attention

@register_attention("mine", title="Mine", work=[Work("qk", {count!r}, part={part!r})], held=[])
class Mine(nn.Module):
    pass
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Any:
    """Writes a plugin, and returns its path."""

    def write(text: str, name: str = "plugin.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def complaint(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        plugins.load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_registers_what_it_defines_and_may_be_loaded_again(plugin: Any) -> None:
    path = plugin(RULE)
    module = plugins.load(path)
    assert ACCOUNTINGS["mine"] is module.mine
    again = plugins.load(path)
    assert ACCOUNTINGS["mine"] is again.mine is not module.mine


def test_a_file_finds_the_modules_beside_it(plugin: Any) -> None:
    plugin("NAME = 'beside'", "neighbour_of_a_plugin.py")
    assert plugins.load(plugin("from neighbour_of_a_plugin import NAME")).NAME == "beside"
    assert not any(str(Path(entry)) == str(plugin("").parent) for entry in sys.path)


def test_two_files_with_the_same_name_for_something(plugin: Any) -> None:
    first = plugin(RULE, "first.py")
    plugins.load(first)
    second = plugin(RULE, "second.py")
    said = f"plugin {second}, line 4: accounting 'mine' is there already, in {first}: register another name"
    assert complaint(second) == said


def test_a_name_of_the_package_is_taken(plugin: Any) -> None:
    assert re.search(
        r"line 4: .*'paper' is there already, in .*rules\.py", complaint(plugin(RULE.replace('"mine"', '"paper"')))
    )
    assert "line 5: model family 'sdt' is there already, in" in complaint(plugin(MODEL.replace('"twin"', '"sdt"')))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nx = = 2\n", "line 2: SyntaxError: invalid syntax"),
        ("def f():\n    return 1 / 0\n\nf()\n", "line 2: ZeroDivisionError: division by zero"),
        ("import json\n\njson.loads('[')\n", "line 3: JSONDecodeError: "),
        ("import there_is_no_such_module\n", "line 1: ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("import sys\nsys.exit('enough')\n", "line 2: SystemExit: enough"),
        ("from saformer.errors import InputError\nraise InputError('not today')\n", "line 2: not today"),
    ],
)
def test_a_fault_is_one_line_with_file_and_line(plugin: Any, text: str, said: str) -> None:
    path = plugin(text)
    assert complaint(path).startswith(f"plugin {path}, {said}")


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    assert complaint(tmp_path / "no.py") == f"cannot read the plugin {tmp_path / 'no.py'}: there is no such file"
    (tmp_path / "zip.py").write_bytes(b"PK\x03\x04\x00\xff")
    assert complaint(tmp_path / "zip.py").startswith(f"plugin {tmp_path / 'zip.py'}")


def test_a_fault_later_on_is_located_too(plugin: Any) -> None:
    path = plugin(RULE.replace("return Charge()", "return item.no_such_thing"))
    module = plugins.load(path)
    with pytest.raises(InputError, match=f"^plugin {path}, line 7: AttributeError: "), plugins.faults_located():
        module.mine(None, None)
    with pytest.raises(ZeroDivisionError), plugins.faults_located():
        _ = 1 / 0  # nothing of a plugin


def test_a_plugin_of_an_installed_package(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(RULE, "installed_plugin.py")
    monkeypatch.syspath_prepend(plugin("", "other.py").parent)
    entry = metadata.EntryPoint("mine", "installed_plugin", plugins.GROUP)
    monkeypatch.setattr(plugins, "installed", False)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry] if group == plugins.GROUP else [])
    plugins.load_installed()
    assert "mine" in ACCOUNTINGS
    monkeypatch.setattr(plugins, "installed", False)
    broken = metadata.EntryPoint("broken", "there_is_no_such_module", plugins.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [broken])
    with pytest.raises(InputError, match=r"^plugin broken \(there_is_no_such_module\) of a package cannot be loaded: "):
        plugins.load_installed()


def test_a_model_needs_settings_of_its_own(plugin: Any) -> None:
    text = MODEL.replace('title="Twin"', 'title="Twin", config=SDTConfig')
    said = complaint(plugin("from saformer.models.transformers.sdt import SDTConfig" + text))
    assert said.endswith("SDTConfig holds the settings of sdt: give 'twin' a class of its own")
    assert "small letters and digits" in complaint(plugin(MODEL.replace('"twin"', '"Twin-2"')))


def test_weights_that_two_families_claim_are_an_error_that_names_both(plugin: Any, tmp_path: Path) -> None:
    path = tmp_path / "published.pth"
    torch.save(build("spikformer-1-16").state_dict(), path)
    assert load(path).config.family == "spikformer"
    plugins.load(plugin(MODEL))
    with pytest.raises(InputError, match="the weights could be of spikformer and twin"):
        load(path)
    ours = tmp_path / "ours.safetensors"  # says which family it is of
    save(build("spikformer-1-16"), ours)
    assert load(ours).config.family == "spikformer"


@pytest.mark.parametrize(
    ("count", "part", "said"),
    [
        ("N*D*X", "attention", "attention 'mine': 'N*D*X' has an unknown symbol X: use N, D, n, H"),
        ("N**", "attention", "attention 'mine': 'N**' is no formula"),
        ("N*D", "attenton", "attention 'mine': unknown part 'attenton': choose one of input projections, "),
    ],
)
def test_a_formula_that_cannot_be_read(plugin: Any, count: str, part: str, said: str) -> None:
    plugins.load(plugin(ATTENTION.format(count=count, part=part)))
    with pytest.raises(InputError) as caught:
        choose("mine")
    assert str(caught.value).startswith(said)


def test_an_attention_without_a_module_has_formulas_alone(plugin: Any) -> None:
    plugins.load(plugin(ATTENTION.format(count="N*D", part="attention")))
    (mine,) = choose("mine")
    assert mine.count(Sizes()) == 4 * 64 * 384
    assert mine in choose("default") and mine in choose("all")
    with pytest.raises(InputError, match="attention 'mine' has formulas alone"):
        build_module(mine, Sizes())


MAPS = """
    map_inputs, map_meaning = ("q",), "the query itself"

    def __init__(self):
        super().__init__()
        self.q = nn.Linear(16, 16)

    def attention_map(self, q):
        return q.mean(-1)[:, None, None, None].expand(4, 1, 1, 64)
"""
NETWORK = """
from saformer.models import Model, register_model

@register_model("tiny", title="Tiny")
class Tiny(Model):
    def __init__(self, config):
        super().__init__(config)
        self.attn = Mine()

    def forward(self, x):
        return self.attn.q(x.new_ones(4, 16))
"""


def test_an_attention_of_a_plugin_has_maps(plugin: Any) -> None:
    text = ATTENTION.format(count="N*D", part="attention").replace("    pass\n", MAPS)
    said = complaint(plugin(text.replace(', map_meaning = ("q",), "the query itself"', ' = ("q",)')))
    assert said.endswith("Mine has map_inputs; for attention maps it needs map_inputs, attention_map, map_meaning")
    plugins.load(plugin(text + NETWORK))
    inspection = inspect_image(build("tiny-1-16", image_size=8), torch.zeros(1, 3, 8, 8))
    assert [(one.name, one.kind, one.values.shape) for one in inspection.maps] == [("attn", "Mine", (4, 1, 8, 8))]
    assert "Mine: the query itself, at each token" in str(attention_report({"tiny": inspection}, "an image").parts)


def test_a_reader_must_return_a_data_set(plugin: Any) -> None:
    plugins.load(
        plugin(
            "from saformer.data import DatasetInfo, register_dataset\n"
            "@register_dataset(DatasetInfo('mine', 'Mine', 2, (1, 8, 8), 'static', 1, 1, 'nothing', ''))\n"
            "def read(request):\n    return [request.split]\n"
        )
    )
    with pytest.raises(InputError, match="the reader of mine returned a list"):
        open_dataset("mine")


def test_the_command_line_says_where_a_plugin_fails(plugin: Any, forked_in: Any, tmp_path: Path) -> None:
    def run(*arguments: object) -> Any:
        return forked_in(tmp_path, "-m", "saformer.cli", *arguments)[0]

    path = plugin(RULE.replace("return Charge()", "return 1 / 0"))
    done = run("energy", "--plugin", path, "--accounting", "mine", "--limit", 2)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1] == f"saformer: plugin {path}, line 7: ZeroDivisionError: division by zero"
    for place in (("--plugin", path, "energy"), ("energy", "--plugin", path)):
        path.write_text("import\n")
        done = run(*place)
        assert (done.code, done.out) == (1, "")
        assert done.err == f"saformer: plugin {path}, line 1: SyntaxError: invalid syntax\n"
