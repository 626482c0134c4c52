"""CSV and JSON: plain numbers in full, with units in the names.

Sums are left out: whoever adds up a column should not count twice.
"""

import csv
import json
import math
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any

from saformer.reports.document.blocks import Facts, Line, Report
from saformer.reports.document.table import Cell, Table
from saformer.reports.writers.common import sentence
from saformer.text import printable

SCHEMA = 1
# Beyond this a float does not tell neighbouring whole numbers apart: writing it out would invent digits.
_LARGEST_EXACT = 2**53
_FORMULA = "=+-@"  # tabs and line ends are written out


def json_text(data: Mapping[str, Any]) -> str:
    """An object as JSON. Counts that are whole read as integers; NaN and infinity as null."""
    # ASCII only (the default of `json`): the text survives any terminal and any file name in it.
    return json.dumps(_plain(data), indent=2, allow_nan=False) + "\n"


def report_data(report: Report) -> Mapping[str, Any]:
    """The report's own object, or its tables as lists of records, with facts and notes."""
    if report.data is not None:
        return report.data
    return {
        "schema": SCHEMA,
        "facts": {label: text for part in report.parts if isinstance(part, Facts) for label, text in part.facts},
        "tables": [
            {
                "title": table.title,
                "rows": [dict(zip(_names(table), values, strict=True)) for values in _values(table)],
                "notes": list(table.notes),
            }
            for table in report.tables
        ],
        "notes": [sentence(part) for part in report.parts if isinstance(part, Line) and part.text],
    }


def csv_text(report: Report) -> str:
    """The tables, an empty line between two; an unknown number is an empty field."""
    output = StringIO()
    writer = csv.writer(output, lineterminator="\n")
    for i, table in enumerate(report.tables):
        if i:
            output.write("\n")
        writer.writerows([_inert(value) for value in values] for values in (_names(table), *_values(table)))
    return output.getvalue()


def _inert(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets a quotation mark before it."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if len(text) > 1 and text[0] in _FORMULA and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def notes_of(report: Report) -> list[str]:
    """What a reader of the numbers should know, where the format has no place for it."""
    return [sentence(part) for part in report.parts if isinstance(part, Line) and part.style in ("note", "warning")]


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.data]


def _values(table: Table) -> Iterable[list[Any]]:
    kept = [i for i, column in enumerate(table.columns) if column.data]
    for row in table.every_row:
        if not row.role:
            values = [row.cells[i].value if isinstance(row.cells[i], Cell) else row.cells[i] for i in kept]
            yield [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if value.is_integer() and abs(value) <= _LARGEST_EXACT:
            return int(value)
    return value
