"""`saformer compare`: several models side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli import options as opt
from saformer.cli.options import ModelOptions
from saformer.cli.outputs import plan
from saformer.cli.sources import load_for, open_data, resolve_checkpoint, run_profile
from saformer.cli.terminal import tell
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset


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
        list[str], typer.Argument(metavar="A B ...", help="Checkpoints, models by name, or saved profiles.")
    ],
    data: opt.DataOptions,
    run: opt.RunOptions,
    ours: Annotated[
        str | None,
        typer.Option("--ours", metavar="NAME", help="Whom Eq. 21 compares with. Default: the first."),
    ] = None,
    accounting: opt.AccountingName = "paper",
    hardware: opt.HardwareName = "45nm-fp32",
    format: opt.Format = None,
    plot: opt.Plot = None,
) -> None:
    """Compare models: parameters, operations, energy, accuracy and relative difference (Eq. 21).

    saformer compare digits/saformer digits/sdt digits/spikformer
    """
    from saformer.analysis.account import relative_difference
    from saformer.analysis.accountings import get_accounting
    from saformer.analysis.hardware import load_hardware
    from saformer.analysis.profiles import Profile
    from saformer.checkpoints.shipped import SHIPPED
    from saformer.reports.plots import check_format, comparison_figure, save_figure
    from saformer.reports.records import Report, note
    from saformer.reports.tables import ComparisonRow, comparison_table

    get_accounting(accounting)
    table = load_hardware(hardware)
    if plot is not None:
        check_format(plot)
    outputs = plan(format, files={"--plot": plot}, inputs=[*models, data.input, hardware])
    sources = [(what, None if _is_profile(Path(what)) else _options(what)) for what in models]
    names = _names(models)
    if ours is not None and ours not in names and ours not in models:
        raise InputError(f"--ours {ours!r} is none of the models compared: {', '.join(names)}")

    opened: Dataset | None = None
    profiles: list[Profile] = []
    for what, source in sources:
        if source is None:
            profiles.append(Profile.load(what))
            continue
        if opened is None:
            default = "digits" if any(s is not None and s.checkpoint in SHIPPED for _, s in sources) else None
            opened = open_data(data, default)
        model, remarks = load_for(source, opened)
        profiles.append(run_profile(model, opened, run, remarks))
    accounts = [profile.account(accounting, table) for profile in profiles]
    reference = 0 if ours is None else names.index(ours) if ours in names else models.index(ours)
    rows = [
        ComparisonRow(
            name=name,
            parameters=account.model.parameters,
            time_steps=account.model.time_steps,
            flops=account.flops,
            sops=account.sops,
            energy_mj=account.energy_mj,
            energy_ci95=account.energy_mj_ci95,
            top1=None if account.accuracy is None else account.accuracy.top1,
            data=account.data.name,
            relative_difference=relative_difference(account.energy_mj, accounts[reference].energy_mj),
        )
        for name, account in zip(names, accounts, strict=True)
    ]
    notes = [
        note(text, about=name)
        for name, account in zip(names, accounts, strict=True)
        for text in [*account.notes, *(f"not counted: {item}" for item in account.uncounted)]
    ]
    if plot is not None:
        save_figure(comparison_figure(rows, names[reference]), plot)
        tell(f"wrote {plot}")
    outputs.emit(Report([comparison_table(rows, names[reference]), *notes]))


def _names(models: list[str]) -> list[str]:
    """Short names that are still told apart: the file's own name, or the whole path where two are alike."""
    short = [Path(what).name if Path(what).exists() else what for what in models]
    return [what if short.count(name) > 1 else name for what, name in zip(models, short, strict=True)]
