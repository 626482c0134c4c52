"""The card of trained weights: how they came to be, how good they are, what they cost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Facts, Heading, Line, Part, Report, Verbatim, note
from saformer.reports.document.numbers import percent
from saformer.reports.tables.accountings import accountings_table
from saformer.reports.tables.energy import energy_report
from saformer.reports.tables.evaluation import evaluation_report
from saformer.reports.tables.neurons import neuron_table

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset
    from saformer.models import Model
    from saformer.training import Evaluation, Recipe


def card_report(
    name: str,
    model: "Model",
    data: "Dataset",
    found: "Evaluation",
    accounts: Sequence[Account],
    recipe: "Recipe | None",
    command: str | None,
    remarks: Sequence[str] = (),
) -> Report:
    """Everything about one checkpoint that a reader of its numbers should know.

    Args:
        name: of the file.
        model: what `saformer.load` made of it.
        data: what it was tested on.
        found: the test.
        accounts: one for each accounting; the first is shown layer by layer.
        recipe: that it was trained by, if the file says so.
        command: that trains it again.
        remarks: sentences of whoever made it.
    """
    origin = model.origin
    training = origin.training if origin else {}
    facts = [
        ("network", f"{model.config.name}, T = {model.config.time_steps}"),
        ("file", f"{name}, SHA-256 {origin.sha256 if origin else '-'}"),
        (
            "trained on",
            f"{training.get('dataset', 'unknown data')}, {data.unit} SHA-256 {training.get('data_sha256', '-')}",
        ),
        ("epochs", f"{training.get('epochs_done', training.get('epochs', '-'))} of {training.get('epochs', '-')}"),
        ("time", _duration(training.get("seconds"))),
        ("with", f"torch {training.get('torch', '-')}, {training.get('threads', '-')} threads"),
        ("accuracy", f"top-1 {percent(found.top1, 2)} of {found.labelled:,} test {data.labelled}"),
    ]
    parts: list[Part] = [Heading(name, 1), Facts(facts), *map(note, remarks)]
    if command is not None:
        parts += [Heading("Made by"), Verbatim(command)]
    if recipe is not None:
        parts += [Heading("Configuration"), Verbatim(recipe.to_toml().rstrip())]
    parts += [Heading("Accuracy"), *evaluation_report(found, accounts[0].model, data).parts]
    parts += [Heading("Energy"), *energy_report(accounts[0], layers=True).parts]
    parts += [Heading("Energy under every accounting"), accountings_table(accounts)]
    parts += [Heading("Firing rates"), neuron_table(accounts[0])]
    return Report([part for part in parts if not (isinstance(part, Line) and not part.text)])


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
