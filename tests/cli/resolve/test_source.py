"""How networks are named: `[LABEL=]WHAT[+key=value...]`."""

import json
from pathlib import Path

import pytest

from saformer.cli.options.model import ModelOptions, NetworksOptions
from saformer.cli.resolve.source import CHECKPOINT, FACTORY, NAME, PROFILE, names_of, parse, source_of, sources_of
from saformer.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("run.pt", "a=b.pt", "a+b=c.pt", "C:\\runs\\best.pt", "sdt-2-64=x.pt"):
        Path(name).write_bytes(b"\x80")
    Path("my.json").write_text(' {"kind": "profile"}')
    return tmp_path


@pytest.mark.parametrize(
    ("text", "label", "what", "settings"),
    [
        ("run.pt", None, "run.pt", None),
        ("Ours=run.pt", "Ours", "run.pt", None),
        ("SAFormer (ours) = run.pt", "SAFormer (ours)", "run.pt", None),
        ("A+B=run.pt", "A+B", "run.pt", None),
        ("T=4=run.pt", "T=4", "run.pt", None),
        ("a=b.pt", None, "a=b.pt", None),
        ("a+b=c.pt", None, "a+b=c.pt", None),
        ("a=a=b.pt", "a", "a=b.pt", None),
        ("a+b=c.pt+time_steps=2", None, "a+b=c.pt", ["time_steps=2"]),
        ("C:\\runs\\best.pt", None, "C:\\runs\\best.pt", None),
        ("old: C=C:\\runs\\best.pt+time_steps=2", "old: C", "C:\\runs\\best.pt", ["time_steps=2"]),
        ("digits/sdt+time_steps=2", None, "digits/sdt", ["time_steps=2"]),
        ("sdt-2-64+heads=8+mlp_ratio=2", None, "sdt-2-64", ["heads=8", "mlp_ratio=2"]),
        ("x=sdt-2-64+attention=my.own:Class", "x", "sdt-2-64", ["attention=my.own:Class"]),
        ("sdt-2-64=x.pt", None, "sdt-2-64=x.pt", None),
    ],
)
def test_a_label_is_told_from_settings_and_from_files(text, label, what, settings):
    found = parse(text)
    assert (found.label, found.what, found.options.settings) == (label, what, settings)
    assert not found.foreign and found.kind is (NAME if found.options.model else CHECKPOINT)


@pytest.mark.parametrize(
    ("text", "label", "model", "arguments", "weights"),
    [
        ("net:factory", None, "net:factory", None, None),
        ("net:factory+pool=1111", None, "net:factory", ["pool=1111"], None),
        ("My+Net=pkg.net:Shelf.Net+a=b=c+d=e+f", "My+Net", "pkg.net:Shelf.Net", ["a=b=c", "d=e+f"], None),
        ("net: mine=net:factory@run.pt", "net: mine", "net:factory", None, "run.pt"),
    ],
)
def test_a_factory_takes_arguments_and_weights(text, label, model, arguments, weights):
    found = parse(text)
    assert found.kind is FACTORY and found.foreign and found.label == label
    assert (found.options.model, found.options.arguments, found.options.checkpoint) == (model, arguments, weights)


def test_options_of_the_command_hold_for_all_and_arguments_of_one_for_it():
    options = NetworksOptions(networks=["net:a+x=2", "b=net:b"], time_first=4, arguments=["x=1"])
    one, other = sources_of(options)
    assert one.options.time_first == other.options.time_first == 4
    assert (one.options.arguments, other.options.arguments) == (["x=1", "x=2"], ["x=1"])


def test_names_in_tables():
    sources = sources_of(NetworksOptions(networks=["my.json", "Ours=run.pt", "digits/sdt"], checkpoints=["./run.pt"]))
    assert names_of(sources) == ["my.json", "Ours", "digits/sdt", "run.pt"]
    assert sources[0].kind is PROFILE and sources[0].saved
    with pytest.raises(InputError, match="two networks are called 'Ours'"):
        names_of(sources_of(NetworksOptions(networks=["Ours=run.pt", "Ours=digits/sdt"])))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ours=spikformr-2-64", "'spikformr-2-64' is no file"),
        ("digits/saformr", "did you mean digits/saformer?"),
        ("my.json+time_steps=2", "settings are those of its run"),
        ("=", "no file"),
        (" ", "empty name"),
    ],
)
def test_what_is_no_name_is_refused(text, words):
    with pytest.raises(InputError) as error:
        parse(text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"checkpoint": "run.pt", "model": "sdt-1-8"}, "either --ckpt or --model"),
        ({"network": "run.pt", "checkpoint": "run.pt"}, "both name a network"),
        ({"network": "run.pt", "model": "sdt-1-8"}, "both name a network"),
        ({"network": "a=run.pt", "label": "b"}, "leave out the one"),
        ({"model": "net:f@run.pt", "checkpoint": "run.pt"}, "both name weights"),
    ],
)
def test_one_network_named_twice(options, words):
    with pytest.raises(InputError, match=words):
        source_of(ModelOptions(**options))


def test_labels_reach_tables_json_and_profiles(saformer, folder):
    result = saformer("energy", "digits/sdt", "--label", "SDT (theirs)", "--limit", "4", "--save-profile", "p.json")
    assert result.code == 0, result.err
    assert "SDT (theirs) (sdt-2-64)" in result.out
    found = json.loads(saformer("energy", "p.json", "--json", "-").out)
    assert (found["model"]["name"], found["model"]["label"]) == ("sdt-2-64", "SDT (theirs)")
    assert "Theirs on digits" in saformer("audit", "Theirs=p.json").out
    compared = saformer("compare", "Old & new=p.json", "digits/saformer", "--limit", "4", "--format", "latex").out
    assert r"Old \& new" in compared
