"""`saformer compare`: several models, accountings, published numbers, figures."""

import os

import pytest


@pytest.fixture(scope="module")
def profiles(prepared, tmp_path_factory):
    """Two saved profiles on digits, and one from rates, which is a data set of its own."""
    folder = tmp_path_factory.mktemp("profiles")
    paths = [folder / f"{name}.json" for name in ("saformer", "sdt", "rates")]
    for path in paths[:2]:
        prepared("energy", "--ckpt", f"digits/{path.stem}", "--limit", "24", "--save-profile", path)
    prepared("energy", "--model", "saformer-1-32", "--uniform-rate", "0.2", "--save-profile", paths[2])
    return paths


def test_rows_are_grouped_by_data_set(saformer, profiles):
    result = saformer("compare", *profiles)
    assert result.code == 0, result.err
    lines = [line.strip() for line in result.out.splitlines()]
    assert lines.index("digits") < lines.index("uniform rate 0.2")
    assert any(line.startswith("rates.json") and line.endswith("rates") for line in lines)


def test_all_accountings_stand_side_by_side(saformer, profiles, tmp_path):
    figure = tmp_path / "all.pdf"
    result = saformer("compare", *profiles[:2], "--accounting", "all", "--plot", figure)
    assert result.code == 0, result.err
    assert "syops" in result.out and "RD (Eq. 21)" in result.out
    assert figure.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("figure", ["relative", "energy", "accuracy"])
def test_figures_of_relative_differences(saformer, profiles, tmp_path, figure):
    path = tmp_path / "f.png"
    result = saformer("compare", *profiles[:2], "--figure", figure, "--plot", path)
    assert result.code == 0, result.err
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_published_numbers_alone(saformer, tmp_path):
    result = saformer("compare", "--published", "--figure", "relative", "--plot", tmp_path / "p.svg")
    assert result.code == 0, result.err
    assert "dvs128-gesture" in result.out and "published in the SAFormer paper" in result.out
    only = saformer("compare", "--published", "--dataset", "cifar100").out
    assert "cifar100" in only and "dvs128-gesture" not in only


def test_published_numbers_beside_measured_ones(saformer, profiles):
    result = saformer("compare", *profiles[:2], "--published")
    assert result.code == 0
    assert "the SAFormer paper published nothing for digits" in result.out


def test_bad_input_is_one_line(saformer, profiles, tmp_path):
    assert "say what to compare" in saformer("compare").complaint
    assert "published nothing for digits" in saformer("compare", "--published", "--dataset", "digits").complaint
    assert "--ours" in saformer("compare", *profiles[:2], "--ours", "else").complaint
    both = saformer("compare", *profiles[:2], "--ours", "saformer.json", "--ours", "sdt.json").complaint
    assert "two models on digits" in both
    mixed = saformer("compare", *profiles[:2], "--accounting", "all", "--figure", "relative").complaint
    assert "--accounting all" in mixed
    cut = tmp_path / "cut.json"
    cut.write_text(profiles[0].read_text()[:300])
    assert "cut.json" in saformer("compare", profiles[1], cut).complaint


def test_options_that_would_say_nothing_are_refused(saformer, profiles):
    for option in (("--dataset", "cifar10"), ("--limit", "3"), ("--input", "x.npz"), ("--dtype", "float64")):
        complaint = saformer("compare", *profiles[:2], *option).complaint
        assert f"nothing is run, the numbers are there already: leave out {option[0]}" in complaint
    assert "leave out --seed" in saformer("compare", "--published", "--seed", "3").complaint
    assert saformer("compare", "--published", "--dataset", "cifar10").code == 0
    assert "--ours names one of the models" in saformer("compare", "--published", "--ours", "x").complaint
    assert "add --plot FILE" in saformer("compare", *profiles[:2], "--figure", "relative").complaint
    report = ("report", "--quick", "--from-profile", profiles[0], "--out", "page")
    assert "leave out --limit" in saformer(*report, "--limit", "3").complaint


def test_names_that_cannot_be_drawn(saformer, profiles, tmp_path, recwarn):
    odd = [tmp_path / "\u6a21\u578b.json", tmp_path / os.fsdecode(b"b\xff.json")]
    for path, profile in zip(odd, profiles, strict=False):
        path.write_bytes(profile.read_bytes())
    result = saformer("compare", *odd, "--plot", tmp_path / "c.png")
    assert result.code == 0 and (tmp_path / "c.png").exists()
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_compare_has_a_row_each_and_the_relative_difference(saformer, tmp_path):
    saved = tmp_path / "sdt.json"
    saformer("energy", "--ckpt", "digits/sdt", "--limit", "40", "--save-profile", saved)
    figure = tmp_path / "c.png"
    result = saformer(
        *(
            "compare",
            "digits/saformer",
            saved,
            "saformer-2-32",
            "--dataset",
            "digits",
            "--limit",
            "40",
            "--plot",
            figure,
        )
    )
    assert result.code == 0, result.err
    assert "digits/saformer" in result.out and "sdt.json" in result.out and "saformer-2-32" in result.out
    assert "untrained" in result.out
    assert figure.stat().st_size > 1000


def test_compare_with_another_reference(saformer):
    result = saformer("compare", "digits/saformer", "digits/sdt", "--limit", "40", "--ours", "digits/sdt")
    row = next(line for line in result.out.splitlines() if line.startswith("digits/saformer"))
    assert row.rstrip().endswith("%")
    assert "ours: digits/sdt." in result.out


def test_profiles_of_one_name_are_told_apart(saformer, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        saformer("energy", "--limit", "16", "--save-profile", tmp_path / folder / "p.json")
    result = saformer(
        "compare", tmp_path / "a" / "p.json", tmp_path / "b" / "p.json", "--ours", tmp_path / "b" / "p.json"
    )
    assert result.code == 0, result.err


def test_notes_of_a_saved_profile_are_not_taken_for_remarks_on_the_comparison(saformer, tmp_path):
    saved = tmp_path / "p.json"
    saformer("energy", "--limit", "16", "--save-profile", saved)
    result = saformer("compare", saved, "digits/sdt", "--limit", "16")
    text = " ".join(result.out.split())
    assert "p.json, when it was saved: no --ckpt given" in text and "digits/sdt: 16 of 360 images" in text


def test_compare_with_something_unknown(saformer):
    assert "nothing-9" in saformer("compare", "digits/saformer", "nothing-9").complaint
    assert "--ours" in saformer("compare", "digits/saformer", "--ours", "else").complaint
    assert "--dataset" in saformer("compare", "spikformer-2-64").complaint
