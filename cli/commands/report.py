"""`saformer report`: one page with every table and figure, as HTML, Markdown and LaTeX."""

import gc
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from saformer.cli.resolve.duration import duration, images_of, seconds_per_image
from saformer.cli.resolve.model import load_for
from saformer.cli.resolve.network import Opened, check_reach, data_of, default_data
from saformer.cli.resolve.profile import check_run_options, profiles_of
from saformer.cli.resolve.source import Source, names_of, ours_of, sources_of
from saformer.cli.resolve.sweep import Curve, Parameter, swept
from saformer.cli.terminal.console import progress, show, tell, watched, whole
from saformer.cli.terminal.outputs import folder_named
from saformer.errors import InputError
from saformer.process import somebody_froze

if TYPE_CHECKING:
    from saformer.analysis.accounting.hardware import Hardware
    from saformer.analysis.complexity.benchmark import Measurement
    from saformer.data.dataset import Dataset
    from saformer.reports.document.blocks import Part, Report
    from saformer.reports.page.contents import Subject

_TIME_STEPS = [1, 2, 4, 6]  # of Figure 5
_AGGREGATED = [1, 2, 4, 8, 16, 64]  # of Figure 6
# Of the time that a run takes beyond the bare network, of the figures in runs of a small one, and in seconds.
_OVERHEAD, _DRAWING, _SECONDS_DRAWING = 1.6, 4.0, 15.0
_USUAL_STEPS = 4
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
    from saformer.reports.page.sections import sweep_section
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
    opened: Opened = {}
    named = dict(zip(names, sources, strict=True))
    again = {} if quick else {name: source for name, source in named.items() if _runs_again(source)}
    with made_folder(folder / PICTURES):
        chosen = _sweep_of(again, sources, data, run, opened)
        runs = [source for source in sources if not source.saved]
        sweeps = {} if chosen is None else chosen.weights
        if runs and watched():
            tell(_announcement(runs, bool(again), chosen, data, run, opened))
        with whole("in all", len(runs) + sum(sweeps.values()) + _DRAWING) as part:
            with part(len(runs), len(runs)):
                profiles = profiles_of(sources, data, run, opened)
            subjects = [Subject(*each) for each in zip(names, profiles, texts, strict=True)]
            command = shlex.join(["saformer", *sys.argv[1:]])
            more: list[Part] = _attention(again, sources, data, run, opened) if again else []
            unit = page_unit(profiles, table, accounting, choices)
            for parameter, weight in sweeps.items():
                assert chosen is not None
                curve = chosen.curve(parameter)
                with part(weight, len(chosen.values[parameter]) + 1):
                    found = swept(parameter, [curve], chosen.data, _wide(run), accounting, table, choices)
                more += sweep_section(found, unit)
            more += _complexity(subjects, table, measurement)
            made = page(subjects, table, accounting, wanted, command, more, choices)
            with part(_DRAWING, 1):
                written = _write(made, title, folder)
        show(written)


def _wide(run: RunOptions) -> RunOptions:
    """The same run in batches that a measurement of time needs."""
    return replace(run, batch_size=64)


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


@dataclass(frozen=True)
class _SweepPlan:
    """What is swept for Figures 5 and 6: one network on its data, and the values of each setting."""

    name: str
    source: Source
    data: "Dataset"
    values: dict[Parameter, list[int]]

    def curve(self, parameter: Parameter) -> Curve:
        """Of one of its settings."""
        return Curve(self.name, dict.fromkeys(self.values[parameter], self.source))

    @property
    def weights(self) -> dict[Parameter, float]:
        """What each sweep takes, in runs of the network as it is."""
        return {
            parameter: sum(v / _USUAL_STEPS for v in values) if parameter is Parameter.time_steps else len(values)
            for parameter, values in self.values.items()
        }


def _sweep_of(
    again: dict[str, Source], sources: list[Source], data: DataOptions, run: RunOptions, opened: Opened
) -> _SweepPlan | None:
    """Figures 5 and 6 are of the first SAFormer."""
    ours = {name: source for name, source in again.items() if not source.foreign}
    name = next((n for n, s in ours.items() if hasattr(load_for(s.options, None)[0].config, "aggregated")), None)
    if name is None:
        return None
    source = ours[name]
    found = data_of(source, data, default_data(sources, data), opened=opened, seed=run.seed)
    model, _ = load_for(source.options, found)
    tokens = model.config.tokens or 0
    values = {Parameter.aggregated: [n for n in _AGGREGATED if n <= tokens and tokens % n == 0]}
    if found.kind == "static":
        values = {Parameter.time_steps: _TIME_STEPS, **values}
    return _SweepPlan(name, source, found, values)


def _announcement(
    runs: list[Source], maps: bool, chosen: _SweepPlan | None, data: DataOptions, run: RunOptions, opened: Opened
) -> str:
    """What will be run, before anything is, and about how long that takes: each network runs on one batch to tell.

    Raises:
        InputError: a network does not run on the data.
    """
    what = [f"{len(runs)} network{'s' * (len(runs) != 1)}"]
    what += ["attention maps of one image"] if maps else []
    default = default_data(runs, data)
    seconds = 0.0
    for source in runs:
        found = data_of(source, data, default, opened=opened, seed=run.seed)
        alone = images_of(run, found) * seconds_per_image(source, found, run)
        seconds += alone * (1 + (sum(chosen.weights.values()) if chosen and chosen.source is source else 0))
    if chosen is not None:
        settings = (
            f"{'T' if parameter is Parameter.time_steps else 'n'} = {', '.join(map(str, values))}"
            for parameter, values in chosen.values.items()
        )
        what.append(f"{chosen.name} at {' and '.join(settings)}, {images_of(run, chosen.data):,} images each")
    about = duration(_OVERHEAD * seconds + _SECONDS_DRAWING)
    return f"to run: {', '.join(what)}; about {about}, less with {'--quick or ' if maps else ''}--limit"


def _complexity(subjects: "list[Subject]", hardware: "Hardware", measurement: "Measurement | None") -> "list[Part]":
    """Tables 4 and 5, at the paper's size and the mean firing rate of the first network, or 0.1 of a silent one."""
    from saformer.analysis.complexity.formulas import Sizes, choose
    from saformer.reports.page.sections import complexity_section

    neurons = subjects[0].profile.neurons
    elements = sum(neuron.elements for neuron in neurons)
    rate = round(sum(neuron.spikes for neuron in neurons) / elements, 3) if elements else 0.0
    return complexity_section(choose("default"), Sizes(64, 384, 16, 4, rate or 0.1, 1), hardware, measurement)


@contextmanager
def _figures_freed() -> Iterator[Callable[[], object]]:
    """Yields what frees the figures that are no longer in use: they hold each other, and fill the memory together.

    Python looks for such circles among all objects of the process; what was there before is left out meanwhile, and
    from then on where some of it was left out already.
    """
    theirs = somebody_froze()
    gc.collect()
    gc.freeze()
    try:
        yield gc.collect
    finally:
        if not theirs:
            gc.unfreeze()


def _write(made: "Report", title: str, out: Path) -> str:
    """The page in three formats, and its figures in two: all of it is there before the first file is written.

    Returns what was written, in words.
    """
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
    with progress("drawing", 2 * len(made.pictures)) as advance, _figures_freed() as free:
        for picture in made.pictures:
            # One layout and one SVG, for the page and for Markdown; LaTeX takes the PDF.
            figure = picture.draw()
            drawings[picture.name] = drawing_of(figure)
            files[f"{picture.name}.svg"] = drawings[picture.name].svg
            advance(1)
            files[f"{picture.name}.pdf"] = figure_bytes(figure, "pdf")
            del figure
            free()
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
    return f"wrote {out / PAGE}, report.md, report.tex, and {len(made.pictures)} figures in {pictures}"
