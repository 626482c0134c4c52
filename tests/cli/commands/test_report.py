"""`saformer report`: the folder that it writes, and what it refuses."""

import re

import pytest


def test_it_writes_a_page_in_three_formats_and_the_figures(saformer, tmp_path, monkeypatch):
    monkeypatch.setattr("saformer.cli.commands.report._TIME_STEPS", [1, 2])
    monkeypatch.setattr("saformer.cli.commands.report._AGGREGATED", [1, 16])
    out = tmp_path / "made" / "report"
    result = saformer("report", "digits/saformer", "--out", out, "--limit", "8", "--batch-size", "8")
    assert result.code == 0, result.err
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("Figure 4: attention maps", "Figure 5: time steps", "Figure 6: aggregated tokens", "Tables 4 and 5"):
        assert words in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (out / "report.md").exists()
    assert "\\end{document}" in (out / "report.tex").read_text(encoding="utf-8")
    formats = {path.suffix for path in (out / "figures").iterdir()}
    assert formats == {".pdf", ".svg"}
    assert len(list((out / "figures").glob("*.pdf"))) == len(list((out / "figures").glob("*.svg"))) > 6


def test_saved_profiles_are_enough(saformer, tmp_path):
    profile = tmp_path / "p.json"
    assert saformer("energy", "--limit", "8", "--save-profile", profile).code == 0
    result = saformer("report", "--from-profile", profile, "--out", tmp_path / "r", "--title", "One & all")
    assert result.code == 0, result.err
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "<h1>One &amp; all</h1>" in page
    assert "Figure 5" not in page  # nothing is run again


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.pt",), "none.pt"),
        (("digits/saformer", "--accounting", "spreadsheet"), "spreadsheet"),
        (("digits/saformer", "--hardware", "abacus"), "abacus"),
        (("digits/saformer", "--ours", "digits/sdt"), "digits/sdt"),
        (("digits/saformer", "--complexity", "none.json"), "none.json"),
        (("digits/saformer", "digits/saformer"), "twice"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(saformer, tmp_path, arguments, words):
    out = tmp_path / "r"
    result = saformer("report", *arguments, "--out", out, "--limit", "4")
    assert result.code == 1
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert words in result.err
    assert not out.exists()


def test_a_file_in_the_place_of_the_folder(saformer, tmp_path):
    (tmp_path / "r").write_text("mine")
    result = saformer("report", "digits/saformer", "--out", tmp_path / "r", "--limit", "4")
    assert (result.code, len(result.err.strip().splitlines())) == (1, 1)
    assert (tmp_path / "r").read_text() == "mine"


def test_a_report_that_fails_leaves_no_folder(saformer, tmp_path):
    (tmp_path / "p.json").write_text("{}")
    assert "not a saved profile" in saformer("report", tmp_path / "p.json", "--out", tmp_path / "a" / "b").complaint
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.json"]
    assert saformer("report", tmp_path / "p.json", "--out", "").complaint.endswith("the name of a folder, got ''")


def test_it_says_beforehand_what_it_will_run_where_somebody_looks(saformer, tmp_path, monkeypatch):
    def end(*args):
        raise KeyboardInterrupt

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("saformer.cli.commands.report.profiles_of", end)
    result = saformer("report", "digits/saformer", "--limit", "4", "--quick", "--out", tmp_path / "quick")
    assert re.search(r"to run: 1 network; about \d+ s, less with --limit\n", result.err)
