"""Where a report goes: standard output in the chosen format, and files.

A command takes `format: Format = None`, makes a `Report` (or a single `Table`) and ends with one line:

    emit(report, format)

A command that also writes files asks `plan` before its run, which refuses what cannot work, and ends with
`outputs.emit(report)`.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from saformer.cli.terminal.console import show, tell
from saformer.errors import InputError
from saformer.reports.document.blocks import Format, Report
from saformer.reports.document.table import Table

_STANDARD_OUTPUT = "-"


def emit(report: Report | Table, format: Format | None = None) -> None:
    """Write a report to standard output; what CSV has no place for, notes and warnings, goes to standard error."""
    from saformer.reports.writers.csv_json import notes_of
    from saformer.reports.writers.text import report_text

    if isinstance(report, Table):
        report = Report([report])
    if format in (None, Format.rich):
        show(report)
        return
    sys.stdout.write(report_text(report, format))
    if format is Format.csv:
        for text in notes_of(report):
            tell(f"note: {text}")


@dataclass(frozen=True)
class Outputs:
    """What goes where, checked.

    Args:
        format: of standard output.
        json: a file for the JSON object.
        csv: a file for CSV.
        csv_shown: standard output was asked for by --csv, and takes what that file would.
    """

    format: Format
    json: Path | None = None
    csv: Path | None = None
    csv_shown: bool = False

    def emit(self, report: Report, csv: Report | None = None) -> None:
        """Write the report to standard output and to its files; `csv` is what --csv holds, if not the report."""
        from saformer.files import write_text_atomic
        from saformer.reports.writers.text import report_text

        rows = csv or report
        emit(rows if self.csv_shown else report, self.format)
        for path, content, format in ((self.json, report, Format.json), (self.csv, rows, Format.csv)):
            if path is not None:
                write_text_atomic(path, report_text(content, format))
                tell(f"wrote {path}")


def plan(
    format: Format | None = None,
    json: str | None = None,
    csv: str | None = None,
    files: Mapping[str, Path | None] | None = None,
    inputs: Sequence[str | Path | None] = (),
) -> Outputs:
    """Check all outputs before the run whose results they are for.

    Args:
        format: of standard output; None where the user did not say.
        json: a file, or - for standard output and nothing else there.
        csv: the same.
        files: further outputs by their options; these need files.
        inputs: what the command reads.

    Raises:
        InputError: two outputs are one, standard output is wanted twice, an output is an input, or a file cannot
            be written.
    """
    from saformer.files import check_distinct, check_target

    files = files or {}
    named: dict[str, str | Path] = {}
    shown: dict[str, Format] = {} if format is None else {f"--format {format}": format}
    for option, path, its_format in (("--json", json, Format.json), ("--csv", csv, Format.csv)):
        if path is None:
            continue
        if _is_standard_output(path):
            shown[f"{option} {path}"] = its_format
        else:
            named[option] = path
    for option, file in files.items():
        if file is None:
            continue
        if _is_standard_output(file):
            raise InputError(f"{option} {file}: standard output takes tables, --json - and --csv -; name a file")
        named[option] = file
    if len(set(shown.values())) > 1:
        raise InputError(f"{' and '.join(shown)} both want standard output: give one of them, or name a file")
    for option, target in named.items():
        if not str(target).strip():
            raise InputError(f"{option} needs the name of a file, got {str(target)!r}")
    check_distinct(list(named.values()), [source for source in inputs if source])
    for target in named.values():
        check_target(target)
    return Outputs(
        next(iter(shown.values()), Format.rich),
        Path(named["--json"]) if "--json" in named else None,
        Path(named["--csv"]) if "--csv" in named else None,
        any(option.startswith("--csv ") for option in shown),
    )


def folder_named(path: str, option: str) -> Path:
    """The folder that an option names.

    Raises:
        InputError: it names nothing.
    """
    if not path.strip():
        raise InputError(f"{option} needs the name of a folder, got {path!r}")
    return Path(path)


def _is_standard_output(path: str | Path) -> bool:
    """The path is -, or leads to the very file or terminal that standard output is connected with."""
    if str(path) == _STANDARD_OUTPUT:
        return True
    try:
        # What is written to /dev/null does not get into each other's way.
        return os.path.samestat(os.stat(path), os.fstat(1)) and not os.path.samefile(path, os.devnull)
    except (OSError, ValueError):
        return False
