"""Models beside each other as records: measured ones, and those that the paper published, with Eq. 21 among them."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from saformer.analysis.accounting.account import Account, relative_difference
from saformer.analysis.profiles.origin import Origin
from saformer.errors import InputError

PUBLISHED, IMPLIED = "paper", "implied"

# What the column "from" of a table says, and the legend of a figure.
ORIGINS = {
    Origin.MEASURED: "run here",
    Origin.UNTRAINED: "run here with random weights, which says nothing about a trained network",
    Origin.RATES: "from firing rates that were given; nothing was run",
    PUBLISHED: "published in the SAFormer paper, not measured here",
    IMPLIED: "published there too, the energy solved by Eq. 21 from a reduction that the paper states",
}


@dataclass(frozen=True)
class ComparisonRow:
    """One model of a comparison. Per image; energies in millijoules, `top1` a share from 0 to 1.

    What is not known, as most of a published row, is None; an unknown energy is NaN, and so is that of an accounting
    which sees none of the operations.

    Args:
        name: what the row is called.
        parameters: of the model.
        time_steps: T.
        flops: dense multiply-accumulates over all T steps.
        sops: Eq. 18.
        energy_mj: energy per image.
        energy_ci95: half-width of its 95 % interval.
        top1: accuracy.
        data: the data set; rows of one data set form a group.
        relative_difference: Eq. 21 for the energy, against the reference of the group; NaN if unknown.
        relative_accuracy: Eq. 21 for the accuracy.
        origin: where the numbers come from, a key of `ORIGINS`.
        model: a name that shows the family, such as `saformer-4-384`; default `name`.
        reference: this row is M_ours of Eq. 21 in its group.
        images: of the accuracy; None where nobody says.
    """

    name: str
    parameters: int | None
    time_steps: int | None
    flops: float | None
    sops: float | None
    energy_mj: float
    energy_ci95: float | None
    top1: float | None
    data: str
    relative_difference: float = math.nan
    relative_accuracy: float = math.nan
    origin: str = Origin.MEASURED
    model: str = ""
    reference: bool = False
    images: int | None = None

    @property
    def published(self) -> bool:
        """It was published, not measured."""
        return self.origin in (PUBLISHED, IMPLIED)

    @property
    def family_name(self) -> str:
        """A name that shows the family of the model."""
        return self.model or self.name


def comparison_rows(accounts: Sequence[tuple[str, Account]], ours: Collection[str] = ()) -> list[ComparisonRow]:
    """A row for each account, grouped by data set, with Eq. 21 against one model of each group.

    Args:
        accounts: names, all different, and accounts.
        ours: names of the models to compare with; in a data set without any of them it is the first.

    Raises:
        InputError: a name in `ours` is none of the accounts', or two are of one data set.
    """
    names = [name for name, _ in accounts]
    if missing := [name for name in ours if name not in names]:
        raise InputError(f"--ours {missing[0]!r} is none of the models compared: {', '.join(names)}")
    rows = [
        ComparisonRow(
            name=name,
            parameters=account.model.parameters,
            time_steps=account.model.time_steps,
            flops=account.flops,
            sops=account.sops,
            energy_mj=math.nan if account.sees_nothing else account.energy_mj,
            energy_ci95=None if account.sees_nothing else account.energy_mj_ci95,
            # That of random weights says nothing.
            top1=None if account.accuracy is None else account.accuracy.top1,
            data=account.data.name,
            origin=account.origin,
            model=account.model.name,
            images=account.data.images,
        )
        for name, account in accounts
    ]
    return [row for group in by_data(rows).values() for row in _against_one(group, ours)]


def published_rows(data_sets: Iterable[str] | None = None) -> list[ComparisonRow]:
    """What the paper published, accuracies (Tables 1 and 2) with energies where it has one; Eq. 21 against SAFormer.

    Args:
        data_sets: names, such as `cifar10`; those of which nothing was published are passed over. None for all.
    """
    import pandas

    from saformer.reports.results.literature import published_accuracy, published_energy

    energies = {
        (row["dataset"], row["method"]): (row["energy_mj"], row["source"])
        for row in published_energy().to_dict("records")
    }
    accuracy = published_accuracy()
    groups = []
    for data in dict.fromkeys(accuracy.dataset) if data_sets is None else dict.fromkeys(data_sets):
        rows = []
        for found in accuracy[accuracy.dataset == data].to_dict("records"):
            energy, source = energies.get((data, found["method"]), (math.nan, "stated"))
            steps = found["time_steps"]
            rows.append(
                ComparisonRow(
                    name=found["method"],
                    parameters=None,
                    time_steps=None if pandas.isna(steps) else int(steps),
                    flops=None,
                    sops=None,
                    energy_mj=energy,
                    energy_ci95=None,
                    top1=found["top1_percent"] / 100,
                    data=data,
                    origin=IMPLIED if source == "implied" else PUBLISHED,
                )
            )
        groups.append(_against_one(rows, ["SAFormer"]))
    return [row for group in groups for row in group]


def by_data(rows: Iterable[ComparisonRow]) -> dict[str, list[ComparisonRow]]:
    """The rows of each data set, in the order in which the data sets first appear."""
    groups: dict[str, list[ComparisonRow]] = {}
    for row in rows:
        groups.setdefault(row.data, []).append(row)
    return groups


def _against_one(rows: Sequence[ComparisonRow], ours: Collection[str]) -> list[ComparisonRow]:
    named = [row for row in rows if row.name in ours]
    if len(named) > 1:
        raise InputError(
            f"--ours names two models on {rows[0].data}, {named[0].name} and {named[1].name}: one is enough"
        )
    if not rows:
        return []
    reference = named[0] if named else rows[0]
    compared = []
    for row in rows:
        energy, accuracy = math.nan, math.nan
        if Origin.UNTRAINED not in (row.origin, reference.origin):  # random weights say nothing of either
            energy = relative_difference(row.energy_mj, reference.energy_mj)
            accuracy = _difference(row.top1, reference.top1)
        is_ours = row is reference
        compared.append(replace(row, reference=is_ours, relative_difference=energy, relative_accuracy=accuracy))
    return compared


def _difference(current: float | None, ours: float | None) -> float:
    return math.nan if current is None or ours is None else relative_difference(current, ours)
