"""The commands that a page shows, and what it shows of their output."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: Above a block whose output holds times, or depends on the machine otherwise.
VARIES = "<!-- output varies -->"


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Args:
        text: as typed, without the prompt.
        line: of the page.
        output: what the page shows below it; a line of `...` stands for any lines. None where nothing is shown, or
            where it varies.
    """

    text: str
    line: int
    output: str | None = None

    def shows(self, printed: str) -> bool:
        """Whether this is what the page shows."""
        if self.output is None:
            return True
        parts = re.split(r"^\.\.\.$\n?", self.output, flags=re.MULTILINE)
        return re.fullmatch(".*".join(map(re.escape, parts)), printed, re.DOTALL) is not None

    def renew(self, page: Path, printed: str) -> None:
        """Write into the page what is printed now; outputs with left out lines are for a person."""
        if self.output is not None and "...\n" not in self.output and self.output != printed:
            text = page.read_text(encoding="utf-8")
            shown = f"$ {self.text}\n{self.output}"
            assert text.count(shown) == 1, f"{page}: {self.text}"
            page.write_text(text.replace(shown, f"$ {self.text}\n{printed}"), encoding="utf-8")


def commands_of(page: Path) -> list[Command]:
    """All of a page's blocks of `console`, in order.

    In a block with prompts (`$ `) the lines between are output; in one without, each line is a command.
    """
    text = page.read_text(encoding="utf-8")
    found = []
    for block in re.finditer(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        first = text.count("\n", 0, block.start()) + 2
        lines = block[1].splitlines()
        varies = text[: block.start()].rstrip().endswith(VARIES)
        if not any(line.startswith("$ ") for line in lines):
            found += [Command(line, first + i) for i, line in enumerate(lines) if line.strip()]
            continue
        starts = [i for i, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            output = "\n".join(lines[start + 1 : end]) + "\n"
            found.append(Command(lines[start][2:], first + start, None if varies or end == start + 1 else output))
    return found
