"""docs/models.md has one row for each network that goes by a name, with its input and T."""

import re
from pathlib import Path

import pytest

from saformer.models import PRESETS, configure

PAGE = (Path(__file__).parents[1] / "docs/models.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]


def in_order(name: str) -> list[str | int]:
    """What names are sorted by: the numbers in them as numbers."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def test_every_network_by_name_has_one_row_and_rows_are_sorted() -> None:
    assert [row[0].strip("`") for row in ROWS] == sorted(PRESETS, key=in_order)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("`"))
def test_a_row_says_the_input_and_the_steps_of_its_network(row: list[str]) -> None:
    config = configure(row[0].strip("`"))
    assert (len(row), row[2], row[3]) == (7, config.input_size, str(config.time_steps))
