"""Columns of numbers as siunitx aligns them in a LaTeX table."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from saformer.reports.document.tex import tex

#: What a table with such columns begins with: a plus is shown, and a number in a bold row is bold.
SETUP = r"\sisetup{retain-explicit-plus, mode=match, reset-text-series=false}"
_NUMBER = re.compile(r"([+−-]?)([\d,]+)(?:\.(\d+))?(?: ± ([\d,]+)(?:\.(\d+))?)?( ?%)?")


@dataclass(frozen=True)
class Numbers:
    """A column whose texts are numbers, or words such as "-".

    Args:
        signs: the signs that occur.
        whole: digits before the point, at most.
        decimals: digits behind it, at most.
        uncertain: digits of the uncertainty, at most; 0 where there is none.
        percent: the numbers are in percent, which their header says.
    """

    signs: str
    whole: int
    decimals: int
    uncertain: int
    percent: bool

    @property
    def column(self) -> str:
        """The column of the tabular."""
        sign = "+" if "+" in self.signs else "-" if self.signs else ""
        places = f".{self.decimals}" if self.decimals else ""
        uncertain = f"({self.uncertain})" if self.uncertain else ""
        return f"S[table-format={sign}{self.whole}{places}{uncertain}]"

    def cell(self, text: str) -> str:
        """A number, with its uncertainty in units of the last digit; anything else in braces."""
        found = _NUMBER.fullmatch(text.strip())
        if found is None:
            return f"{{{tex(text.strip())}}}"
        sign, whole, decimals, error, of_error, _ = found.groups()
        value = sign.replace("−", "-") + whole.replace(",", "") + (f".{decimals}" if decimals else "")
        return value + (f"({_last_digits(error, of_error)})" if error else "")

    def shown(self, text: str) -> str:
        """What a reader sees of a cell: as wide as any number of the column, or the words that are none."""
        if _NUMBER.fullmatch(text.strip()) is None:
            return text.strip()
        sign, places = "+" if self.signs else "", f".{_grouped(self.decimals)}" if self.decimals else ""
        uncertain = f"({'0' * self.uncertain})" if self.uncertain else ""
        return f"{sign}{_grouped(self.whole)}{places}{uncertain}"


def numbers_of(texts: Sequence[str]) -> Numbers | None:
    """What the texts of a column have in common as numbers; None where some of them are more than numbers."""
    written = [text.strip() for text in texts if re.search(r"\d", text) and not text.strip().startswith("<")]
    found = [match for text in written if (match := _NUMBER.fullmatch(text)) is not None]
    percent = {bool(match[6]) for match in found}
    if not found or len(found) < len(written) or len(percent) > 1:
        return None
    if any(match[4] and len(match[3] or "") != len(match[5] or "") for match in found):
        return None
    return Numbers(
        signs="".join(sorted({match[1] for match in found})),
        whole=max(len(match[2].replace(",", "")) for match in found),
        decimals=max(len(match[3] or "") for match in found),
        uncertain=max((len(_last_digits(match[4], match[5])) for match in found if match[4]), default=0),
        percent=percent == {True},
    )


def _grouped(digits: int) -> str:
    """So many digits; of five or more, siunitx sets three and three with a small gap, which is half a comma wide."""
    return "0" * digits + (" " * ((digits - 1) // 6) if digits > 4 else "")


def _last_digits(error: str, decimals: str | None) -> str:
    """An uncertainty of as many decimals as its value, in units of the last of them."""
    return str(int(error.replace(",", "") + (decimals or "")))
