"""`saformer compare`: several models side by side."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli import options as opt
from saformer.cli.sources import DataOptions, ModelOptions, RunOptions, load_for, resolve_checkpoint, run_profile
from saformer.cli.terminal import show, tell
from saformer.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

    from saformer.analysis.profiles import Profile
    from saformer.data.dataset import Dataset
    from saformer.reports.comparison import ComparisonRow


class Figure(StrEnum):
    """What `--plot` draws."""

    values = "values"
    relative = "relative"
    energy = "energy"
    accuracy = "accuracy"


def _is_profile(path: Path) -> bool:
    """A JSON object, whatever it is called; checkpoints are binary."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError:
        return False


def _options(what: str) -> ModelOptions:
    """A checkpoint (file or shipped), or a model by its name."""
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
    models: Annotated[
        list[str] | None, typer.Argument(metavar="A B ...", help="Checkpoints, models by name, or saved profiles.")
    ] = None,
    dataset: opt.DatasetName = None,
    data_dir: opt.DataDir = None,
    split: opt.Split = "test",
    input: opt.Input = None,
    limit: opt.Limit = None,
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
    plot: opt.Plot = None,
    figure: Annotated[
        Figure,
        typer.Option(
            "--figure",
            help="What --plot draws: values; Eq. 21 of energy and accuracy (relative), or of one of them.",
        ),
    ] = Figure.values,
    batch_size: opt.BatchSize = 16,
    dtype: opt.Precision = opt.DType.float32,
    device: opt.Device = "auto",
    seed: opt.Seed = 0,
) -> None:
    """Compare models: parameters, operations, energy, accuracy and relative difference (Eq. 21).

    saformer compare digits/saformer digits/sdt digits/spikformer
    """
    from saformer.analysis.accountings import ACCOUNTINGS, get_accounting
    from saformer.analysis.hardware import load_hardware
    from saformer.files import check_target
    from saformer.reports.comparison import comparison_rows, published_rows
    from saformer.reports.comparison_table import accountings_comparison_table, comparison_table
    from saformer.reports.plots import check_format, save_figure

    accountings = list(ACCOUNTINGS) if accounting == "all" else [accounting]
    for name in accountings:
        get_accounting(name)
    table = load_hardware(hardware)
    models = models or []
    if not models and not published:
        raise InputError("say what to compare: checkpoints, models by name or saved profiles, or --published alone")
    if figure is not Figure.values and accounting == "all":
        raise InputError(f"--figure {figure} draws one accounting: leave out --accounting all")
    if plot is not None:
        check_format(plot)
        check_target(plot)
    names = _names(models)
    wanted = [names[models.index(name)] if name in models else name for name in ours or []]
    if missing := [name for name in wanted if name not in names]:
        raise InputError(f"--ours {missing[0]!r} is none of the models compared: {', '.join(names)}")
    run = RunOptions(batch_size, limit, seed, dtype.value, device)
    profiles = _profiles(models, DataOptions(dataset, data_dir, split, input), run)
    data_sets = list(dict.fromkeys(profile.data.name for profile in profiles)) or ([dataset] if dataset else None)
    beside = published_rows(data_sets) if published else []
    if not profiles and not beside:
        raise InputError(f"the paper published nothing for {dataset}: leave out --dataset, or give models to compare")
    by_accounting = {
        name: comparison_rows(
            [(what, profile.account(name, table)) for what, profile in zip(names, profiles, strict=True)], wanted
        )
        + beside
        for name in accountings
    }
    rows = by_accounting[accountings[0]]
    show(comparison_table(rows) if len(accountings) == 1 else accountings_comparison_table(by_accounting))
    for what, profile in zip(names, profiles, strict=True):
        account = profile.account(accountings[0], table)
        for note in [*account.notes, *(f"not counted: {item}" for item in account.uncounted)]:
            show(f"{what}: {note}")
    if published:
        for name in set(data_sets or []) - {row.data for row in beside}:
            show(f"the SAFormer paper published nothing for {name}")
    if plot is not None:
        save_figure(_figure(figure, by_accounting), plot)
        tell(f"wrote {plot}")


def _figure(figure: Figure, by_accounting: "dict[str, list[ComparisonRow]]") -> "MatplotlibFigure":
    from saformer.reports.figures.comparison import QUANTITIES, accountings_figure, comparison_figure, relative_figure

    rows = next(iter(by_accounting.values()))
    if len(by_accounting) > 1:
        return accountings_figure(by_accounting)
    if figure is Figure.values:
        return comparison_figure(rows)
    return relative_figure(rows, tuple(QUANTITIES) if figure is Figure.relative else (figure.value,))


def _profiles(models: list[str], data_options: DataOptions, run: RunOptions) -> "list[Profile]":
    """A profile of each: read where it is one, else recorded; the data set is opened once."""
    from saformer.analysis.profiles import Profile
    from saformer.checkpoints.shipped import SHIPPED

    sources = [(what, None if _is_profile(Path(what)) else _options(what)) for what in models]
    data: Dataset | None = None
    profiles: list[Profile] = []
    for what, source in sources:
        if source is None:
            profiles.append(Profile.load(what))
            continue
        if data is None:
            default = "digits" if any(s is not None and s.checkpoint in SHIPPED for _, s in sources) else None
            data = data_options.open(default)
        model, remarks = load_for(source, data)
        profiles.append(run_profile(model, data, run, remarks))
    return profiles


def _names(models: list[str]) -> list[str]:
    """Short names that are still told apart: the file's own name, or the whole path where two are alike."""
    short = [Path(what).name if Path(what).exists() else what for what in models]
    return [what if short.count(name) > 1 else name for what, name in zip(models, short, strict=True)]
