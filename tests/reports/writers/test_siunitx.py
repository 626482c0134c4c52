import pytest

from saformer.reports.document.tex import formula, tex
from saformer.reports.writers.siunitx import Numbers, numbers_of


def test_numbers_of_a_column_are_aligned_at_the_point_with_their_uncertainties() -> None:
    found = numbers_of(["4.584 ± 0.047", "12.10 ± 0.12", "-", ""])
    assert found == Numbers(signs="", whole=2, decimals=3, uncertain=2, percent=False)
    assert found.column == "S[table-format=2.3(2)]"
    assert [found.cell(text) for text in ("4.584 ± 0.047", "12.10 ± 0.12", "-")] == ["4.584(47)", "12.10(12)", "{-}"]


def test_percent_goes_into_the_header_and_a_sign_stays() -> None:
    found = numbers_of(["+5.8%", "-12.0%"])
    assert found is not None and found.percent
    assert found.column == "S[table-format=+2.1]"
    assert [found.cell(text) for text in ("+5.8%", "−12.0%", "<0.1%")] == ["+5.8", "-12.0", r"{\textless{}0.1\%}"]


@pytest.mark.parametrize("texts", [["1.02G", "3"], ["1.5 †"], ["50%", "3"], ["-", ""], ["1.2 ± 0.34"]])
def test_what_is_more_than_numbers_is_left_as_text(texts: list[str]) -> None:
    assert numbers_of(texts) is None


def test_whole_numbers_lose_their_commas() -> None:
    found = numbers_of(["5,764,234", "12"])
    assert found is not None and found.cell("5,764,234") == "5764234" and found.whole == 7


def test_formulas_are_mathematics_and_names_are_not() -> None:
    assert formula("O(N²D + ND²)") == "$O(N^{2}D + ND^{2})$"
    assert formula("E_AC T R_Q 3ND² ≠") == r"$E_{\mathrm{AC}}\,T\,R_Q\,3ND^{2}$ $\neq$"
    assert formula("-") == "-"
    assert tex("SSA, K^T V first takes O(nD).") == r"SSA, $K^{\mathsf{T}}V$ first takes $O(nD)$."
    assert tex(r"a.$\frac{1}{0$_x") == r"a.\$\textbackslash{}frac\{1\}\{0\$\_x"
