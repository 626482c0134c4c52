"""`saformer complexity`: formulas, numbers, measured exponents, and what is wrong with a question."""

import json

import pytest


def test_tables_in_a_hundred_columns(saformer):
    result = saformer("complexity", "--tokens", "16", "--dim", "32", "-n", "4", "--heads", "4", "--verify")
    assert result.code == 0, result.err
    assert "O(HN² + ND)" in result.out and "E_AC T R 2ND²" in result.out
    assert "the recorder counts the same on the real modules" in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_numbers_follow_the_sizes(saformer):
    arguments = ("complexity", "--attention", "sasa", "--json", "-", "--tokens", "64", "--dim", "384")
    found = json.loads(saformer(*arguments, "-n", "8", "-T", "2", "--rate", "0.5").out)
    (sasa,) = found["attentions"]
    assert sasa["flops"] == 2 * (3 * 64 * 384**2 + 10 * 64 * 384 + 8 * 384)
    assert sasa["acs"] == sasa["flops"] / 2


def test_a_small_measurement(saformer, tmp_path):
    figure, numbers = tmp_path / "scaling.png", tmp_path / "scaling.json"
    result = saformer(
        *("complexity", "--measure", "--attention", "vsa,sasa", "--over-tokens", "16..64", "--over-dim", "16,32,48"),
        *("-n", "4", "-T", "2", "--seconds", "0.001", "--plot", figure, "--json", numbers),
    )
    assert result.code == 0, result.err
    assert "time over N" in result.out and "peak memory over D" in result.out and "N^" in result.out
    assert figure.read_bytes().startswith(b"\x89PNG")
    points = json.loads(numbers.read_text())["measured"]["points"]
    assert {p["tokens"] for p in points if p["over"] == "N"} == {16, 24, 32, 48, 64}
    assert {p["dim"] for p in points if p["over"] == "D"} == {16, 32, 48}

    again = saformer("complexity", "--measured", numbers, "-n", "4", "-T", "2", "--plot", tmp_path / "again.png")
    assert again.code == 0, again.err
    assert again.out == result.out
    assert (tmp_path / "again.png").read_bytes() == figure.read_bytes()
    copied = saformer("complexity", "--measured", numbers, "-n", "4", "-T", "2", "--json", "-").out
    assert json.loads(copied) == json.loads(numbers.read_text())
    one = saformer("complexity", "--measured", numbers, "--attention", "sasa", "--format", "csv").out
    assert "tokens,sasa_seconds\n" in one and "vsa" not in one
    assert "has not measured sdsa: it has vsa, sasa" in (
        saformer("complexity", "--measured", numbers, "--attention", "sasa,sdsa").complaint
    )
    assert "reads it" in saformer("complexity", "--measured", numbers, "--json", numbers).complaint


def test_one_size_alone_can_be_swept(saformer):
    result = saformer(
        *("complexity", "--measure", "--attention", "vsa", "--over-tokens", "16,32", "--over-dim", "-", "-n", "4"),
        *("--seconds", "0.001"),
    )
    assert result.code == 0, result.err
    assert "over N" in result.out and "over D at" not in result.out


def test_the_formulas_can_be_drawn(saformer, tmp_path):
    result = saformer("complexity", "--plot", tmp_path / "formulas.svg")
    assert result.code == 0, result.err
    assert "Energy per image" in (tmp_path / "formulas.svg").read_text()


def test_what_costs_nothing_has_no_place_on_a_logarithmic_axis(saformer, tmp_path):
    result = saformer("complexity", "--attention", "sasa", "--rate", 0, "--plot", tmp_path / "formulas.svg")
    assert result.code == 0, result.err
    drawn = (tmp_path / "formulas.svg").read_text()
    assert "FLOPs per image" in drawn and "Energy per image" not in drawn


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tokens", "0"), "tokens must be a whole number >= 1"),
        (("-n", "5"), "n = 5 does not divide N = 64"),
        (("--rate", "1.2"), "rate must lie between 0 and 1"),
        (("--heads", "7"), "H = 7 do not divide dim D = 384"),
        (("--attention", "softmax"), "unknown attention 'softmax'"),
        (("--over-dim", "64"), "belongs to --measure"),
        (("--seed", "1"), "--seed belongs to --measure"),
        (("--device", "auto", "--measured", "x.json"), "--device belongs to --measure"),
        (("--measure", "--over-tokens", "64..32"), "--over-tokens takes A..B"),
        (("--measure", "--over-tokens", "0..32"), "--over-tokens takes A..B"),
        (("--measure", "--over-dim", "x"), "--over-dim takes A..B"),
        (("--measure", "--over-tokens", "8,16"), "n = 16 does not divide N = 8"),
        (("--measure", "--over-tokens", "-", "--over-dim", "-"), "nothing to measure"),
        (("--measure", "--heads", "6"), "H = 6 do not divide dim D = 64"),
        (("--seconds", "0"), "--seconds"),
        (("--plot", "figure.jpg"), ".png, .pdf, .svg or .pgf"),
        (("--plot", "no/such/figure.png"), "no/such"),
        (("--hardware", "none"), "unknown hardware"),
        (("--measure", "--measured", "scaling.json"), "either --measure or --measured"),
        (("--measured", "no/such.json"), "cannot read the measurement no/such.json: there is no such file"),
        (("--json", "-", "--format", "csv"), "both want standard output"),
        (("--json", "same.png", "--plot", "same.png"), "same.png"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(saformer, arguments, words):
    assert words in saformer("complexity", *arguments).complaint


def test_help_shows_an_example(saformer):
    result = saformer("complexity", "--help")
    assert result.code == 0 and "saformer complexity --measure" in result.out
    assert max(map(len, result.out.splitlines())) <= 100
