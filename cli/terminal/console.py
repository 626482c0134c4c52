"""What a person sees: consoles, and progress with the time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from saformer.distributed import is_main
from saformer.text import one_line

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from saformer.reports.document.blocks import Facts, Line, Report
    from saformer.reports.document.table import Table
    from saformer.training import Epoch, Progress


def show(*records: "Report | Table | Line | Facts | str") -> None:
    """Print records, or plain lines of text, on standard output."""
    from saformer.reports.document.blocks import Line
    from saformer.reports.writers.terminal import Renderable

    console = Console()
    for record in records:
        console.print(Renderable(Line(record) if isinstance(record, str) else record))


_HEARD: ContextVar[list[str] | None] = ContextVar("heard", default=None)


def tell(message: str) -> None:
    """A remark in one line on standard error, where it does not mix with results."""
    heard = _HEARD.get()
    if heard is None:
        print(one_line(message), file=sys.stderr)
    else:
        heard.append(message)


@contextmanager
def hearing() -> Iterator[list[str]]:
    """In the block remarks are kept in a list instead of printed; bars are shown all the same."""
    heard: list[str] = []
    before = _HEARD.set(heard)
    try:
        yield heard
    finally:
        _HEARD.reset(before)


def watched() -> bool:
    """Somebody looks at standard error: there are bars, and worth saying what is about to be done."""
    return Console(stderr=True).is_terminal and is_main()


@dataclass
class _Whole:
    """The bar of a command that is made of several runs: each of their bars moves it by its share."""

    bar: "Bar"
    task: "TaskID"
    share: float = 0.0


_WHOLE: ContextVar[_Whole | None] = ContextVar("whole", default=None)


@contextmanager
def whole(what: str, weight: float) -> "Iterator[Callable[[float, int], AbstractContextManager[None]]]":
    """A bar for a command of several parts, with the time left of all; what `progress` shows inside stands below it.

    Args:
        what: is done.
        weight: of all parts together.

    Yields:
        A function from the weight of a part, and how many bars it shows, to a context in which it is done.
    """
    done = 0.0

    @contextmanager
    def part(share: float, bars: int) -> Iterator[None]:
        nonlocal done
        around.share = 100 * share / weight / max(bars, 1)
        yield
        done += 100 * share / weight
        around.bar.update(around.task, completed=done)

    with _bar() as bar:
        around = _Whole(bar, bar.add_task(what, total=100))
        before = _WHOLE.set(around)
        try:
            yield part
        finally:
            _WHOLE.reset(before)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with images done and time left on standard error, gone when done; silent where nobody looks."""
    around = _WHOLE.get()
    if around is None:
        with _bar() as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.advance(task, done)
        return
    task = around.bar.add_task(what, total=total)

    def advance(done: int) -> None:
        around.bar.advance(task, done)
        around.bar.advance(around.task, around.share * done / max(total, 1))

    try:
        yield advance
    finally:
        around.bar.remove_task(task)


def _bar() -> "Bar":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("time left"),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        transient=True,
        disable=not console.is_terminal or not is_main(),
    )


@contextmanager
def training_progress(shown: bool = True) -> "Iterator[tuple[Callable[[Progress], None], Callable[[Epoch], None]]]":
    """A bar with the time left on standard error, and a line per epoch on standard output; nothing unless `shown`."""
    from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("time left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )
    with bar:
        task: TaskID | None = None

        def on_step(p: "Progress") -> None:
            nonlocal task
            if task is None:
                # Steps of an earlier session were not taken in the time since this one began.
                task = bar.add_task("training", total=p.steps, completed=p.step - 1)
            text = (
                f"epoch {p.epoch}/{p.epochs}  step {p.step:,}/{p.steps:,}  loss {p.loss:.3f}  accuracy {p.accuracy:.1%}"
            )
            bar.update(task, completed=p.step, description=text)

        def on_epoch(e: "Epoch") -> None:
            if shown:
                print(
                    f"epoch {e.epoch:3d}/{e.epochs}  loss {e.loss:.3f}  training {e.accuracy:.1%}  "
                    f"test {e.test_accuracy:.1%}  learning rate {e.learning_rate:.1e}  {e.seconds:.0f} s",
                    flush=True,
                )

        yield on_step, on_epoch
