"""`saformer report`: one page with every table and figure, as HTML, Markdown and LaTeX."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli import options as opt
from saformer.cli.compare import names_of, profiles_of
from saformer.cli.options import DataOptions, RunOptions
from saformer.cli.terminal import progress, show

if TYPE_CHECKING:
    from saformer.reports.records import Report

_DEFAULT = ["digits/saformer", "digits/sdt", "digits/spikformer"]


def report(
    data: DataOptions,
    run: RunOptions,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="A B ...", help="Checkpoints, models by name, or saved profiles. Default: digits/..."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write into.")] = Path("report"),
    from_profile: Annotated[
        list[str] | None,
        typer.Option("--from-profile", metavar="FILE", help="A saved profile, as if it were named; repeat it."),
    ] = None,
    ours: Annotated[
        list[str] | None,
        typer.Option("--ours", metavar="NAME", help="Whom Eq. 21 compares with, one per data set. Default: the first."),
    ] = None,
    accounting: opt.AccountingName = "paper",
    hardware: opt.HardwareName = "45nm-fp32",
    title: Annotated[
        str, typer.Option("--title", metavar="TEXT", help="Title of the page.")
    ] = "Energy of spiking transformers",
) -> None:
    """One page with every table and figure: what each network costs, where and why, beside the paper's numbers.

      saformer report --out report digits/saformer digits/sdt digits/spikformer

    Writes report.html (one file, opens without a network), report.md, report.tex, and the figures as PDF and PNG.
    """
    from saformer.analysis.accountings import get_accounting
    from saformer.analysis.hardware import load_hardware
    from saformer.reports.page.contents import Subject, page

    get_accounting(accounting)
    table = load_hardware(hardware)
    sources = [*(models or []), *(from_profile or [])] or list(_DEFAULT)
    names = names_of(sources)
    profiles = profiles_of(sources, data, run)
    subjects = [Subject(*each) for each in zip(names, profiles, sources, strict=True)]
    wanted = [names[sources.index(name)] if name in sources else name for name in ours or []]
    command = shlex.join(["saformer", *sys.argv[1:]])
    _write(page(subjects, table, accounting, wanted, command), title, out)


def _write(made: "Report", title: str, out: Path) -> None:
    """The page in three formats, and its figures in two."""
    from saformer.files import make_folder, write_bytes_atomic, write_text_atomic
    from saformer.reports.page.html import html_text
    from saformer.reports.plots import figure_bytes
    from saformer.reports.records import Heading, Report
    from saformer.reports.writers import PICTURES, latex_document, markdown_text

    pictures = make_folder(out / PICTURES)
    with progress("drawing", 2 * len(made.pictures) + 3) as advance:
        for picture in made.pictures:
            for format in ("pdf", "png"):
                write_bytes_atomic(pictures / f"{picture.name}.{format}", figure_bytes(picture.figure, format))
                advance(1)
        for name, text in (
            ("report.html", html_text(made, title)),
            ("report.md", markdown_text(Report([Heading(title, 1), *made.parts]))),
            ("report.tex", latex_document(made, title)),
        ):
            write_text_atomic(out / name, text)
            advance(1)
    show(f"wrote {out / 'report.html'}, report.md, report.tex, and {len(made.pictures)} figures in {pictures}")
