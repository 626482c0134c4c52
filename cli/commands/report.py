"""`saformer report`: one page with every table and figure, as HTML, Markdown and LaTeX."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.energy import AccountingName, ChargeOptions, HardwareName
from saformer.cli.options.model import NetworksOptions
from saformer.cli.options.output import Ours
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.attention import inspected
from saformer.cli.resolve.model import load_for
from saformer.cli.resolve.network import Opened, check_reach, data_of, default_data
from saformer.cli.resolve.profile import check_run_options, profiles_of
from saformer.cli.resolve.source import Source, names_of, ours_of, sources_of
from saformer.cli.resolve.sweep import Curve, Parameter, swept
from saformer.cli.terminal.console import progress, show
from saformer.cli.terminal.outputs import folder_named
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.analysis.accounting.energy import Choices
    from saformer.analysis.accounting.hardware import Hardware
    from saformer.analysis.complexity.benchmark import Measurement
    from saformer.reports.document.blocks import Part, Report
    from saformer.reports.document.numbers import EnergyUnit
    from saformer.reports.page.contents import Subject

_TIME_STEPS = [1, 2, 4, 6]  # of Figure 5
_AGGREGATED = [1, 2, 4, 8, 16, 64]  # of Figure 6
PAGE = "report.html"
_DEFAULT = ["digits/saformer", "digits/sdt", "digits/spikformer"]


@command("report")
def report(
    networks: NetworksOptions,
    data: DataOptions,
    run: RunOptions,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder to write into.")] = "report",
    ours: Ours = None,
    accounting: AccountingName = "paper",
    hardware: HardwareName = "45nm-fp32",
    complexity: Annotated[
        Path | None,
        typer.Option(
            "--complexity",
            metavar="FILE.json",
            help="What `saformer complexity --measure --json` wrote, to go with the formulas.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what needs further runs: attention maps and sweeps.")
    ] = False,
    title: Annotated[
        str, typer.Option("--title", metavar="TEXT", help="Title of the page.")
    ] = "Energy of spiking transformers",
    *,
    charge: ChargeOptions,
) -> None:
    """One page with every table and figure: what each network costs, where and why, beside the paper's numbers.

      saformer report --out report digits/saformer digits/sdt digits/spikformer

    Writes report.html (one file, opens without a network), report.md, report.tex, and the figures as PDF and SVG.
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.accounting.rules import get_accounting
    from saformer.analysis.complexity.serialization import read_measurement
    from saformer.files import check_target, made_folder
    from saformer.reports.page.contents import Subject, page, page_unit
    from saformer.reports.writers.common import PICTURES

    get_accounting(accounting)
    table = load_hardware(hardware)
    measurement = None if complexity is None else read_measurement(complexity)
    sources = sources_of(networks, _DEFAULT)
    texts = [source.text for source in sources]
    if twice := [text for text in texts if texts.count(text) > 1]:
        raise InputError(f"{twice[0]} is named twice: once is enough")
    check_run_options(sources, networks, data, run)
    check_reach(sources, networks)
    names = names_of(sources)
    wanted = ours_of(ours, sources, names)
    folder = folder_named(out, "--out")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file: name a folder")
    if folder.is_symlink() and not folder.exists():
        raise InputError(f"--out {folder} is a link that leads nowhere: name a folder")
    if folder.is_dir():
        check_target(folder / PAGE)
    run, choices = replace(run, graded=charge.unroll), charge.choices
    with made_folder(folder / PICTURES):
        opened: Opened = {}
        profiles = profiles_of(sources, data, run, opened)
        subjects = [Subject(*each) for each in zip(names, profiles, texts, strict=True)]
        command = shlex.join(["saformer", *sys.argv[1:]])
        more: list[Part] = []
        named = dict(zip(names, sources, strict=True))
        if not quick and (again := {name: source for name, source in named.items() if _runs_again(source)}):
            more += _attention(again, sources, data, run, opened)
            unit = page_unit(profiles, table, accounting, choices)
            more += _sweeps(again, sources, data, run, accounting, table, choices, opened, unit)
        more += _complexity(subjects, table, measurement)
        _write(page(subjects, table, accounting, wanted, command, more, choices), title, folder)


def _runs_again(source: Source) -> bool:
    """Its maps and sweeps are worth a run: a profile cannot be run again, and random weights need not."""
    return not source.saved and (source.foreign or source.options.checkpoint is not None)


def _attention(
    again: dict[str, Source], sources: list[Source], data: DataOptions, run: RunOptions, opened: Opened
) -> "list[Part]":
    """Figure 4 on the first sample of the data, of the networks that take it."""
    from saformer.reports.page.sections import attention_section

    found = data_of(next(iter(again.values())), data, default_data(sources, data), opened=opened, seed=run.seed)
    inspections, image, title, _ = inspected(again, found, 0, data, run.device, run.seed)
    return attention_section(inspections, image, title) if any(i.maps for i in inspections.values()) else []


def _sweeps(
    again: dict[str, Source],
    sources: list[Source],
    data: DataOptions,
    run: RunOptions,
    accounting: str,
    hardware: "Hardware",
    choices: "Choices",
    opened: Opened,
    unit: "EnergyUnit",
) -> "list[Part]":
    """Figures 5 and 6 of the first SAFormer."""
    from saformer.reports.page.sections import sweep_section

    ours = {name: source for name, source in again.items() if not source.foreign}
    name = next((n for n, s in ours.items() if hasattr(load_for(s.options, None)[0].config, "aggregated")), None)
    if name is None:
        return []
    source = ours[name]
    found = data_of(source, data, default_data(sources, data), opened=opened, seed=run.seed)
    model, _ = load_for(source.options, found)
    tokens = model.config.tokens or 0
    values = {Parameter.aggregated: [n for n in _AGGREGATED if n <= tokens and tokens % n == 0]}
    if found.kind == "static":
        values = {Parameter.time_steps: _TIME_STEPS, **values}
    wide = replace(run, batch_size=64)
    return [
        part
        for parameter, chosen in values.items()
        for part in sweep_section(
            swept(parameter, [Curve(name, dict.fromkeys(chosen, source))], found, wide, accounting, hardware, choices),
            unit,
        )
    ]


def _complexity(subjects: "list[Subject]", hardware: "Hardware", measurement: "Measurement | None") -> "list[Part]":
    """Tables 4 and 5, at the paper's size and the mean firing rate of the first network."""
    from saformer.analysis.complexity.formulas import Sizes, choose
    from saformer.reports.page.sections import complexity_section

    neurons = subjects[0].profile.neurons
    elements = sum(neuron.elements for neuron in neurons)
    rate = round(sum(neuron.spikes for neuron in neurons) / elements, 3) if elements else 0.1
    return complexity_section(choose("default"), Sizes(64, 384, 16, 4, rate, 1), hardware, measurement)


def _write(made: "Report", title: str, out: Path) -> None:
    """The page in three formats, and its figures in two: all of it is there before the first file is written."""
    from saformer.files import write_bytes_atomic, write_text_atomic
    from saformer.reports.document.blocks import Heading, Report
    from saformer.reports.figures.drawing import drawing_of
    from saformer.reports.figures.saving import figure_bytes
    from saformer.reports.writers.common import PICTURES
    from saformer.reports.writers.html.page import html_text
    from saformer.reports.writers.latex import latex_document
    from saformer.reports.writers.markdown import markdown_text

    pictures = out / PICTURES
    drawings, files = {}, {}
    with progress("drawing", 2 * len(made.pictures)) as advance:
        for picture in made.pictures:
            # One layout and one SVG, for the page and for Markdown; LaTeX takes the PDF.
            drawings[picture.name] = drawing_of(picture.figure)
            files[f"{picture.name}.svg"] = drawings[picture.name].svg
            advance(1)
            files[f"{picture.name}.pdf"] = figure_bytes(picture.figure, "pdf")
            picture.figure.clear()  # what is laid out takes tens of megabytes, and nobody draws it again
            advance(1)
    texts = {
        "report.tex": latex_document(made, title),
        "report.md": markdown_text(Report([Heading(title, 1), *made.parts])),
        PAGE: html_text(made, title, drawings),
    }
    for name, content in files.items():
        write_bytes_atomic(pictures / name, content)
    for name, text in texts.items():
        write_text_atomic(out / name, text)
    show(f"wrote {out / PAGE}, report.md, report.tex, and {len(made.pictures)} figures in {pictures}")
