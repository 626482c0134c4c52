"""The folder of a run: its recipe, its table of epochs, its last checkpoints and its best network."""

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch

from saformer.distributed import is_main, total
from saformer.errors import InputError
from saformer.files import make_folder, read_text, unmake_folders, write_text_atomic
from saformer.locks import FileLock, NoLocks, remove_leftovers
from saformer.training.metrics import metrics_text
from saformer.training.recipe import Recipe, load_recipe
from saformer.training.state import RunState

RECIPE, METRICS, BEST = "recipe.toml", "metrics.csv", "best.safetensors"
_DATA = ".data-dir"  # where the data lay: of this machine, and so in no checkpoint
_LAST = re.compile(r"last-(\d{8,})\.safetensors")


def data_folder_of(checkpoint: str | Path) -> Path | None:
    """Where the data of the run lay that the checkpoint stands in the folder of; None where nobody knows."""
    try:
        text = read_text(Path(checkpoint).parent / _DATA, "the note on the data").strip()
        found = Path(text) if text else None
        return found if found is not None and found.is_dir() else None
    except (InputError, OSError, ValueError):
        return None


class RunFolder:
    """Keeps a run on disk so that it can be killed at any moment; with several processes the first one writes.

    Args:
        path: the folder; made if need be.
        keep: how many of the last checkpoints stay.
        minutes: between two checkpoints within an epoch; 0: none.
        steps: between two checkpoints within an epoch; 0: none.
        warn: told where a file cannot be written and the run goes on without it.
        data: where the data lies, to be found again.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        keep: int = 2,
        minutes: float = 5.0,
        steps: int = 0,
        warn: Callable[[str], None] = lambda text: None,
        data: str | Path | None = None,
    ) -> None:
        if keep < 1:
            raise InputError(f"--keep must be at least 1, got {keep}")
        if not 0 <= minutes < float("inf"):
            raise InputError(f"--checkpoint-minutes must be a number from 0, got {minutes:g}")
        if steps < 0:
            raise InputError(f"--checkpoint-steps must be a whole number from 0, got {steps}")
        self.path, self.keep, self.minutes, self.steps, self.warn = Path(path), keep, minutes, steps, warn
        self._lock = FileLock(self.path / ".lock")
        self._made: list[Path] = []
        self._saved = time.monotonic()
        self._data = data

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes."""
        return is_main()

    @property
    def best(self) -> Path:
        """The network with the highest test accuracy, the earliest of equals."""
        return self.path / BEST

    def checkpoints(self) -> list[Path]:
        """The last checkpoints, the oldest first."""
        return sorted((path for path in self.path.glob("last-*") if _LAST.fullmatch(path.name)), key=_step)

    def check(self, recipe: Recipe) -> None:
        """Make the folder, or see that the run in it follows this recipe; nobody else may write in it from now on.

        A recipe by which nothing was trained yet may give way to another.

        Raises:
            InputError: it holds another run or anything else, another process works in it, or it cannot be written.
        """
        if not self.writes:
            return
        try:
            self._check(recipe)
        except BaseException:
            self.release()
            raise

    def _check(self, recipe: Recipe) -> None:
        try:
            self._made += make_folder(self.path)
            with contextlib.suppress(NoLocks):
                if not self._lock.take():
                    raise InputError(f"another process is training in {self.path}: wait for it, or give another --out")
            others = [entry for entry in self.path.iterdir() if not entry.name.startswith(".") and entry.name != RECIPE]
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"cannot keep a run in {self.path}: {reason}; name another folder with --out") from None
        remove_leftovers(self.path)
        if others and (self.path / RECIPE).exists():
            try:
                before = load_recipe(file=self.path / RECIPE)
            except InputError as error:
                raise InputError(f"{error}; mend it to continue this run, or name another folder with --out") from None
            if differing := before.differences(recipe):
                words = ", ".join(f"{key} {_shown(old)} (now {_shown(new)})" for key, old, new in differing)
                raise InputError(
                    f"{self.path} holds another run, with {words}: "
                    "give the same options to continue it, or another --out"
                )
        elif others:
            raise InputError(
                f"{self.path} holds files, but no run ({RECIPE} is missing): name another folder with --out"
            )

    def begin(self, recipe: Recipe) -> None:
        """`check`, and write the recipe where it is not there: the run can be trained.

        Raises:
            InputError: as `check`.
        """
        self.check(recipe)
        if self.writes and not self.checkpoints():
            write_text_atomic(self.path / RECIPE, recipe.to_toml())
            if self._data is not None:
                write_text_atomic(self.path / _DATA, f"{Path(self._data).resolve()}\n")

    def release(self) -> None:
        """Let others write in the folder again; one that was made for this run, and holds nothing, goes."""
        self._lock.release()
        unmake_folders(self._made)

    def restore(self, state: RunState) -> None:
        """Continue from the newest checkpoint, if there is one; every process must see the folder.

        Raises:
            InputError: the checkpoint cannot be read.
        """
        kept = self.checkpoints() if self.writes else []
        step = _step(kept[-1]) if kept else 0
        step = int(total(torch.tensor(step)))  # the first process knows, the others learn it
        if step:
            state.restore(self.path / _name(step))

    def due(self, step: int) -> bool:
        """Whether it is time for a checkpoint within an epoch."""
        if not self.writes:
            return False
        waited = time.monotonic() - self._saved
        return bool(self.steps and step % self.steps == 0) or bool(self.minutes and waited >= 60 * self.minutes)

    def save(self, state: RunState, *, must: bool = False) -> None:
        """Write a checkpoint and remove those that are too many.

        Raises:
            InputError: it cannot be written, and `must` be. Otherwise a warning says so and the run goes on.
        """
        if not self.writes:
            return
        self._saved = time.monotonic()
        try:
            state.save(self.path / _name(state.position.step))
        except InputError as error:
            if must:
                raise InputError(f"{error}; make room and give the same command again: {self._resumes()}") from None
            self.warn(f"{error}; the run goes on, {self._resumes()}")
            return
        for old in self.checkpoints()[: -self.keep]:
            with contextlib.suppress(OSError):
                old.unlink()

    def epoch_done(self, state: RunState) -> None:
        """Write what an epoch changes: table, best network, and a checkpoint, which the last epoch must have."""
        if not self.writes:
            return
        accuracy, before = state.history[-1].test_accuracy, state.best
        try:
            if before is None or accuracy > before:
                state.save_network(self.best)
                state.best = accuracy
            write_text_atomic(self.path / METRICS, metrics_text(state.history))
        except InputError as error:
            self.warn(f"{error}; the run goes on without it")
        # Last: whatever happens before it happens again, in the same way, after a restart from the checkpoint before.
        self.save(state, must=state.position.epoch > state.recipe.epochs)

    def _resumes(self) -> str:
        kept = self.checkpoints()
        return f"it can continue from {kept[-1].name}" if kept else "it has no checkpoint yet"


def _name(step: int) -> str:
    return f"last-{step:08d}.safetensors"


def _step(path: Path) -> int:
    """Inverse of `_name`."""
    found = _LAST.fullmatch(path.name)
    assert found is not None
    return int(found[1])


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
