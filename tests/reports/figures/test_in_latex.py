"""Figures in a document of LaTeX: PDF, and PGF where its package is installed."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from saformer.analysis.accounting.account import Account
from saformer.errors import InputError
from saformer.reports.figures import saving
from saformer.reports.figures.energy import energy_figure
from saformer.reports.figures.saving import check_format, figure_bytes, save_figure
from saformer.reports.figures.style import Width

HOSTILE = r"a.$\frac{1}{0$_x^2 & 50 %"


@pytest.fixture
def hostile(account: Account) -> Account:
    layers = [replace(layer, name=HOSTILE + layer.name[-4:]) for layer in account.layers[:4]]
    return replace(account, layers=tuple(layers))


@pytest.mark.parametrize("format", ["png", "pdf", "svg"])
def test_names_are_drawn_as_they_stand(hostile: Account, format: str) -> None:
    made = figure_bytes(energy_figure(hostile), format)
    if format == "svg":
        assert r"a.$\frac{1}{0$_x^2 &amp; 50 %" in made.decode()
    if format == "pdf":
        assert b"/Type3" not in made and b"/FontFile2" in made


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("format", ["pdf", "pgf"])
def test_figures_fit_their_column_and_their_page(hostile: Account, tmp_path: Path, format: str) -> None:
    try:
        check_format(tmp_path / f"x.{format}")
    except InputError as error:
        pytest.skip(str(error))
    inputs = []
    for width in Width:
        save_figure(energy_figure(hostile, width=width), tmp_path / f"{width}.{format}")
        put = rf"\input{{{width}.pgf}}" if format == "pgf" else rf"\includegraphics{{{width}.pdf}}"
        inputs.append(rf"\noindent\begin{{minipage}}{{{width.inches}in}}{put}\end{{minipage}}\par")
    source = [
        r"\documentclass[10pt]{article}",
        r"\usepackage[paperwidth=8.5in,textwidth=7.2in]{geometry}",
        r"\usepackage{" + ("pgf" if format == "pgf" else "graphicx") + "}",
        r"\begin{document}",
        *inputs,
        r"\end{document}",
    ]
    (tmp_path / "t.tex").write_text("\n".join(source), encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "t.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout, done.stdout[-2000:]


def test_pgf_is_refused_before_the_run_where_it_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="pixels"):
        check_format("maps.pgf", pixels=True)
    monkeypatch.setattr(saving.shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="pdflatex"):
        check_format("bars.pgf")
