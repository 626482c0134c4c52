"""The page in its three formats."""

import re
import shutil
import subprocess

import pytest

from saformer.reports.document.blocks import Heading, Report, Verbatim
from saformer.reports.document.table import Table
from saformer.reports.figures.saving import figure_bytes
from saformer.reports.writers.common import PICTURES
from saformer.reports.writers.html.page import html_text
from saformer.reports.writers.latex import latex_document
from saformer.reports.writers.markdown import markdown_text


def test_it_has_the_papers_tables_and_says_how_each_number_was_made(made_page, subjects):
    headings = [part.text for part in made_page.parts if isinstance(part, Heading)]
    assert {"Overview", "Tables 1 and 2: accuracy and energy", "Table 3: ablation of SASA"} <= set(headings)
    assert headings.index("How each number was made") > headings.index("Overview")
    text = markdown_text(made_page)
    for subject in subjects:
        assert subject.profile.model.sha256 in text
        assert re.search(rf"## {re.escape(subject.name)} on digits", text)
    assert "saformer report digits/saformer digits/spikformer" in text


def test_published_numbers_are_told_from_measured_ones(made_page):
    table = next(part for part in made_page.parts if isinstance(part, Table) and len(part.rows) > 40)
    origin = [column.title for column in table.columns].index("from")
    assert {row.cells[origin] for row in table.every_row if not row.role} == {"paper", "implied"}
    assert "The paper has no numbers for digits" in markdown_text(made_page)


def test_html_escapes_what_it_is_given():
    page = html_text(Report([Heading("<b>"), Verbatim("a <script>\nb")]), "<i>", {})
    assert "<script>\nb" not in page
    assert "a &lt;script&gt;\nb" in page
    assert "<title>&lt;i&gt;</title>" in page


def test_markdown_names_each_picture_of_the_folder(made_page):
    text = markdown_text(made_page)
    for picture in made_page.pictures:
        assert f"]({PICTURES}/{picture.name}.svg)" in text
    names = [picture.name for picture in made_page.pictures]
    assert len(names) == len(set(names))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_the_latex_document_compiles_with_its_figures(made_page, figures, drawings, tmp_path):
    (tmp_path / PICTURES).mkdir()
    assert figures.keys() == drawings.keys()  # drawn for the page first, as `saformer report` does
    for name, figure in figures.items():
        (tmp_path / PICTURES / f"{name}.pdf").write_bytes(figure_bytes(figure, "pdf"))
    (tmp_path / "report.tex").write_text(latex_document(made_page, "Energy & more"), encoding="utf-8")
    made = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"], cwd=tmp_path, capture_output=True
    )
    assert made.returncode == 0, made.stdout.decode(errors="replace")[-800:]
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
