"""One setting of networks at several values, as records and as JSON: the paper's Figures 5 (over T) and 6 (over n)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from saformer.analysis.accounting.account import SCHEMA, Account
from saformer.analysis.profiles.origin import Origin

# Setting -> its symbol, and what it is called.
PARAMETERS = {
    "time_steps": ("T", "time steps"),
    "aggregated": ("n", "aggregated tokens"),
}
MEBIBYTE = 2**20


@dataclass(frozen=True)
class SweepPoint:
    """One value of a sweep.

    Args:
        value: of the setting.
        account: what was recorded and charged there.
        seconds: of one forward pass over a batch.
        peak_bytes: live memory that this pass adds at its peak.
        trained_at: the value that the checkpoint was trained with; None if it is not known, or nothing was trained.
        network: what the network is called; points of one network are a curve.
    """

    value: int
    account: Account
    seconds: float
    peak_bytes: int
    trained_at: int | None = None
    network: str = ""

    @property
    def origin(self) -> str:
        """Where its energy and accuracy come from."""
        return self.account.origin

    @property
    def top1(self) -> float | None:
        """Accuracy, 0 to 1."""
        return None if self.account.accuracy is None else self.account.accuracy.top1


@dataclass(frozen=True)
class Sweep:
    """All points of a sweep, and how they were made.

    Args:
        parameter: a key of `PARAMETERS`.
        points: one for each value, in the order asked for, network by network.
        batch: images in a forward pass that was timed.
        device: where it ran, in words.
    """

    parameter: str
    points: Sequence[SweepPoint]
    batch: int
    device: str

    @property
    def symbol(self) -> str:
        """T or n."""
        return PARAMETERS[self.parameter][0]

    @property
    def curves(self) -> dict[str, list[SweepPoint]]:
        """The points of each network, by what tables and figures call it."""
        found: dict[str, list[SweepPoint]] = {}
        for point in self.points:
            found.setdefault(point.network or point.account.model.title, []).append(point)
        return found


def untrained(points: Iterable[SweepPoint]) -> bool:
    """Some point is of random weights."""
    return any(point.origin == Origin.UNTRAINED for point in points)


def sweep_data(sweep: Sweep) -> dict[str, Any]:
    """The JSON object of a sweep; each point holds the object of its account without the layers."""
    points = []
    for network, point in ((name, point) for name, curve in sweep.curves.items() for point in curve):
        account = point.account.to_json()
        points.append(
            {
                "network": network,
                "value": point.value,
                "trained_at": point.trained_at,
                "origin": point.origin,
                **{key: account[key] for key in ("model", "data", "accuracy", "totals", "notes")},
                "seconds_per_batch": point.seconds,
                "peak_bytes": point.peak_bytes,
            }
        )
    first = sweep.points[0].account.to_json()
    return {
        "schema": SCHEMA,
        "parameter": sweep.parameter,
        "accounting": first["accounting"],
        "hardware": first["hardware"],
        "batch_size": sweep.batch,
        "device": sweep.device,
        "networks": list(sweep.curves),
        "points": points,
    }
