"""`saformer literature`: published energies, one network in full, and the search for a convention."""

import json
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "literature.md"


def test_the_page_in_docs_is_what_the_command_makes(saformer):
    made = saformer("literature", "--format", "markdown")
    assert made.code == 0, made.err
    # Written by: saformer literature --format markdown > docs/literature.md
    assert made.out == PAGE.read_text(encoding="utf-8")


def test_one_network_to_ten_digits_layer_by_layer(saformer):
    result = saformer("literature", "spikingformer-8-512")
    assert result.code == 0, result.err
    assert "sum of the layers 7.463502602" in result.out and "7.463502601886196 mJ" in result.out
    assert "block.7.mlp.mlp2_conv" in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_a_name_with_several_rows_shows_all(saformer):
    result = saformer("literature", "spikformer-8-768")
    assert [text for text in ("21.477 mJ", "1.701 mJ", "32.07 mJ") if f"printed     {text}" in result.out] == [
        "21.477 mJ",
        "1.701 mJ",
        "32.07 mJ",
    ]


def test_a_family_shows_its_networks(saformer):
    result = saformer("literature", "maxformer")
    assert result.code == 0, result.err
    assert [result.out.count(f"preset maxformer-10-{dim}") for dim in (384, 512, 768)] == [1, 2, 2]
    assert "did you mean" in saformer("literature", "maxforme").complaint


def test_a_sheet_is_added_up_as_printed_and_as_it_should_be(saformer):
    found = json.loads(saformer("literature", "spikeyolo-23m", "--json", "-").out)
    ways, layers = found["tables"][0]["rows"], found["tables"][1]["rows"]
    assert [way["energy_mj_per_image"] for way in ways if way["gives_the_printed_energy"]] == pytest.approx(
        [34.4893704192], abs=1e-10
    )
    assert ways[0]["energy_mj_per_image"] == pytest.approx(34.6001590272, abs=1e-10)
    assert len(layers) == 89


def test_a_stated_energy_is_explained(saformer):
    result = saformer("literature", "--explain", "21.477")
    assert "first layer of spikformer-6-512, T times" in result.out and "14 combinations tried" in result.out
    found = json.loads(saformer("literature", "--explain", "22.2740", "spikformer-8-768", "--json", "-").out)
    assert [hit["departures"] for hit in found["hits"]] == [0, 0]
    none = saformer("literature", "--explain", "70.934")
    assert "no convention gives 70.934 mJ" in none.out and "nearest: 71.0039" in none.out


def test_the_options_of_a_model_are_searched(saformer):
    small = ("--model", "spikformer-1-16", "--uniform-rate", "0.25")
    options = ("--accounting", "syops", "--first-layer", "once", "--leave-out", "head")
    energy = json.loads(saformer("energy", *small, *options, "--json", "-").out)["totals"]["energy_mj"]
    found = saformer("literature", "--explain", f"{energy:.12f}", *small)
    assert found.code == 0, found.err
    named = saformer("literature", small[1], "--explain", f"{energy:.12f}", *small[2:])
    assert named.out == found.out
    assert "--accounting syops" in found.out and "--leave-out head" in found.out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("spikformer-8-56",), "spikformer-8-512"),
        (("zzz",), "lists them"),
        (("--explain", "abc"), "positive number"),
        (("--explain", "1", "spikformer-8-56"), "spikformer-8-512"),
        (("--explain", "1", "--model", "sdt-1-16"), "--uniform-rate"),
        (("--explain", "1", "sdt-8-512", "--model", "sdt-1-16"), "not at both"),
        (("--model", "sdt-1-16"), "--explain"),
        (("net:factory",), "`saformer energy` says what yours costs"),
        (("digits/sdt",), "is a checkpoint, and this lists published networks"),
        (("--explain", "1", "--rates", "none.csv", "--model", "sdt-1-16"), "none.csv"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(saformer, options, named):
    assert named in saformer("literature", *options).complaint
