"""A Profile: the integers of one run and what was run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.analysis.profiles import merge, serialization
from saformer.analysis.profiles.records import RunRecord

if TYPE_CHECKING:
    import pandas

    from saformer.analysis.accounting.account import Account
    from saformer.analysis.accounting.hardware import Hardware


@dataclass(frozen=True)
class Profile(RunRecord):
    """What one run recorded: the fields of `RunRecord`, and what can be done with them."""

    def account(self, accounting: str = "paper", hardware: "str | Hardware" = "45nm-fp32", **options: Any) -> "Account":
        """The energy of this profile, per image; see `saformer.analysis.accounting.energy.account_for`."""
        from saformer.analysis.accounting.energy import account_for

        return account_for(self, accounting, hardware, **options)

    def to_pandas(self) -> "pandas.DataFrame":
        """One row per operation: its integers over all images, and its firing rate."""
        import pandas

        return pandas.DataFrame(
            [
                {
                    "name": o.name,
                    "op": o.op,
                    "dense": o.dense,
                    "elements": o.gate.elements,
                    "nonzero": o.gate.nonzero,
                    "ones": o.gate.ones,
                    "firing_rate": o.gate.firing_rate,
                    "binary": o.gate.binary,
                    "class": str(o.gate.kind),
                    "events": o.events,
                }
                for o in self.operations
            ]
        )

    def _repr_html_(self) -> str:
        """The profile in a notebook: its account under the default accounting."""
        return self.account()._repr_html_()

    def __add__(self, other: "Profile") -> "Profile":
        """The profile of both sets of images together.

        Raises:
            InputError: they are not of the same model, data and kind of run.
        """
        return merge.added(self, other)

    def to_json(self) -> dict[str, Any]:
        """The profile as plain data; `from_json` is the inverse."""
        return serialization.to_json(self)

    @staticmethod
    def from_json(plain: Any) -> "Profile":
        """A profile from the data of `to_json`.

        Raises:
            InputError: it is not a profile, of another schema, incomplete, or its integers contradict each other.
        """
        return serialization.from_json(plain, Profile)

    def save(self, path: str | Path) -> None:
        """Write the profile as JSON, whole or not at all.

        Raises:
            InputError: the file cannot be written.
        """
        serialization.write(self, path)

    @staticmethod
    def load(path: str | Path) -> "Profile":
        """Read a profile that `save` wrote.

        Raises:
            InputError: the file is missing, no JSON, or no sound profile.
        """
        return serialization.read(path, Profile)
