"""`saformer compare`: several models side by side."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saformer.cli.options import groups as opt
from saformer.cli.options.groups import DataOptions, ModelOptions, RunOptions
from saformer.cli.resolve.model import data_for, default_dataset, load_for, read_for, run_profile
from saformer.cli.terminal.console import tell
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

    from saformer.analysis.profiles import Profile
    from saformer.data.dataset import Dataset
    from saformer.reports.results.comparison import ComparisonRow


class Figure(StrEnum):
    """What `--plot` draws."""

    values = "values"
    relative = "relative"
    energy = "energy"
    accuracy = "accuracy"


def is_profile(path: Path) -> bool:
    """A JSON object, whatever it is called; checkpoints are binary."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError:
        return False


def check_run_options(models: list[str], data: DataOptions, run: RunOptions, also: tuple[str, ...] = ()) -> None:
    """Raise InputError for options of a run where there are profiles alone; `also` are flags that say something."""
    flags = [flag for flag in (*data.flags, *run.flags) if flag not in also]
    if flags and all(is_profile(Path(what)) for what in models):
        raise InputError(f"nothing is run, the numbers are there already: leave out {', '.join(flags)}")


def options_of(what: str) -> ModelOptions:
    """A checkpoint (file or shipped), or a model by its name."""
    from saformer.checkpoints.shipped import resolve_checkpoint
    from saformer.models.presets import parse_name

    path = resolve_checkpoint(what)
    if path.exists():
        return ModelOptions(checkpoint=what)
    try:
        parse_name(what)
    except InputError:
        raise InputError(
            f"{what!r} is no file, no shipped checkpoint and no model name: see `saformer models`"
        ) from None
    return ModelOptions(model=what)


def compare(
    data: opt.DataOptions,
    run: opt.RunOptions,
    models: Annotated[
        list[str] | None, typer.Argument(metavar="A B ...", help="Checkpoints, models by name, or saved profiles.")
    ] = None,
    ours: Annotated[
        list[str] | None,
        typer.Option("--ours", metavar="NAME", help="Whom Eq. 21 compares with, one per data set. Default: the first."),
    ] = None,
    published: Annotated[
        bool,
        typer.Option("--published", help="Lay the paper's own numbers beside; without models, show these alone."),
    ] = False,
    accounting: opt.AccountingOrAll = "paper",
    hardware: opt.HardwareName = "45nm-fp32",
    format: opt.Format = None,
    plot: opt.Plot = None,
    figure: Annotated[
        Figure,
        typer.Option(
            "--figure",
            help="What --plot draws: values; Eq. 21 of energy and accuracy (relative), or of one of them.",
        ),
    ] = Figure.values,
) -> None:
    """Compare models: parameters, operations, energy, accuracy and relative difference (Eq. 21).

    saformer compare digits/saformer digits/sdt digits/spikformer
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.accounting.rules import ACCOUNTINGS, get_accounting
    from saformer.reports.document.blocks import Report, note
    from saformer.reports.figures.saving import check_format, save_figure
    from saformer.reports.results.comparison import comparison_rows, published_rows
    from saformer.reports.tables.comparison import accountings_comparison_table, comparison_table

    accountings = list(ACCOUNTINGS) if accounting == "all" else [accounting]
    for name in accountings:
        get_accounting(name)
    table = load_hardware(hardware)
    models = models or []
    if not models and not published:
        raise InputError("say what to compare: checkpoints, models by name or saved profiles, or --published alone")
    check_run_options(models, data, run, () if models else ("--dataset",))
    if ours and not models:
        raise InputError("--ours names one of the models compared, and there are none: leave it out")
    if figure is not Figure.values and accounting == "all":
        raise InputError(f"--figure {figure} draws one accounting: leave out --accounting all")
    if figure is not Figure.values and plot is None:
        raise InputError(f"--figure {figure} is about the figure: add --plot FILE")
    if plot is not None:
        check_format(plot)
    outputs = plan(format, files={"--plot": plot}, inputs=[*models, data.input, opt.file_of(hardware)])
    names = names_of(models)
    wanted = ours_of(ours, models, names)
    profiles = profiles_of(models, data, run, {})
    data_sets = list(dict.fromkeys(profile.data.name for profile in profiles))
    if not data_sets and data.dataset:
        data_sets = [data.dataset]
    beside = published_rows(data_sets or None) if published else []
    if not profiles and not beside:
        raise InputError(
            f"the paper published nothing for {data.dataset}: leave out --dataset, or give models to compare"
        )
    by_accounting = {
        name: comparison_rows(
            [(what, profile.account(name, table)) for what, profile in zip(names, profiles, strict=True)], wanted
        )
        + beside
        for name in accountings
    }
    rows = by_accounting[accountings[0]]
    notes = [
        # What was said at another time, of another command, should not be taken for a remark on this one.
        note(text, about=f"{name}, when it was saved" if is_profile(Path(what)) and text in profile.notes else name)
        for name, what, profile in zip(names, models, profiles, strict=True)
        for account in [profile.account(accountings[0], table)]
        for text in [*account.notes, *(f"not counted: {item}" for item in account.uncounted)]
    ]
    if published:
        missing = [name for name in data_sets or [] if name not in {row.data for row in beside}]
        notes += [note(f"the SAFormer paper published nothing for {name}") for name in missing]
    if plot is not None:
        save_figure(_figure(figure, by_accounting), plot)
        tell(f"wrote {plot}")
    shown = comparison_table(rows) if len(accountings) == 1 else accountings_comparison_table(by_accounting)
    outputs.emit(Report([shown, *notes]))


def _figure(figure: Figure, by_accounting: "dict[str, list[ComparisonRow]]") -> "MatplotlibFigure":
    from saformer.reports.figures.accountings import accountings_figure
    from saformer.reports.figures.comparison import comparison_figure
    from saformer.reports.figures.relative_difference import QUANTITIES, relative_figure

    rows = next(iter(by_accounting.values()))
    if len(by_accounting) > 1:
        return accountings_figure(by_accounting)
    if figure is Figure.values:
        return comparison_figure(rows)
    return relative_figure(rows, tuple(QUANTITIES) if figure is Figure.relative else (figure.value,))


def profiles_of(
    models: list[str], data: DataOptions, run: RunOptions, opened: "dict[tuple[Any, ...], Dataset]"
) -> "list[Profile]":
    """A profile of each: read where it is one, else recorded; `opened` keeps the data for who needs them again."""
    from saformer.analysis.profiles import Profile

    sources = [(what, None if is_profile(Path(what)) else options_of(what)) for what in models]
    default = default_dataset(models)
    profiles: list[Profile] = []
    for what, source in sources:
        if source is None:
            profiles.append(Profile.load(what))
            continue
        raw = read_for(source)
        found = data_for(source, data, default, raw, opened)
        model, remarks = load_for(source, found, raw)
        profiles.append(run_profile(model, found, run, remarks))
    return profiles


def ours_of(ours: list[str] | None, models: list[str], names: list[str]) -> list[str]:
    """The short names of the models that --ours names, by that name or as they were given."""
    wanted = [names[models.index(name)] if name in models else name for name in ours or []]
    if missing := [name for name in wanted if name not in names]:
        raise InputError(f"--ours {missing[0]!r} is none of the models compared: {', '.join(names)}")
    return wanted


def names_of(models: list[str]) -> list[str]:
    """Short names that are still told apart: the file's own name, or the whole path where two are alike."""
    short = [Path(what).name if Path(what).is_file() else what for what in models]
    return [what if short.count(name) > 1 else name for what, name in zip(models, short, strict=True)]
