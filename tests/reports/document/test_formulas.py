import sympy

from saformer.analysis.complexity.formulas import R_K, D, H, N, R_Qa, T, n
from saformer.reports.document.formulas import big_o, formula_text


def test_formulas_are_written_as_in_papers() -> None:
    assert formula_text(12 * N * D + 3 * N * D**2 + n * D) == "3ND² + 12ND + nD"
    assert formula_text(N * D**2 / H) == "ND²/H"
    assert formula_text(T * D * (10 * N * R_K + n * R_Qa)) == "T D (R_K 10N + R_Qa n)"
    assert formula_text(sympy.Integer(3)) == "3"
    assert big_o(H * N**2 + N * D) == "O(HN² + ND)"
