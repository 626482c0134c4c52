"""A report as text in any format but the terminal's."""

from collections.abc import Callable

from saformer.reports.document.blocks import Facts, Format, Report
from saformer.reports.document.table import Column, Table
from saformer.reports.writers.csv_json import csv_text, json_text, report_data
from saformer.reports.writers.latex import latex_text
from saformer.reports.writers.markdown import markdown_text

_WRITERS: dict[Format, Callable[[Report], str]] = {
    Format.markdown: markdown_text,
    Format.latex: latex_text,
    Format.csv: csv_text,
    Format.json: lambda report: json_text(report_data(report)),
}


def report_text(report: Report, format: Format) -> str:
    """The report in one of the text formats.

    Raises:
        KeyError: the format is not one of text (`Format.rich` is for terminals).
    """
    if not report.tables and format is not Format.json:
        # Facts are the answer then, not what stands above it.
        parts = [_tabulated(part) if isinstance(part, Facts) else part for part in report.parts]
        report = Report(parts, report.data)
    return _WRITERS[format](report)


def _tabulated(facts: Facts) -> Table:
    return Table("", [Column("property"), Column("value")], list(facts.facts))
