"""Orders of growth of the formulas: the terms that no other term outgrows, and the power of one size."""

import sympy
from sympy import Expr, Symbol

from saformer.analysis.complexity.formulas import D, H, N, T, n


def order(expression: Expr) -> Expr:
    """The O(...) of a formula: its terms without factors, less those that another outgrows, given n <= N and H <= D."""
    sizes = (N, D, n, H, T)
    kept = []
    for term in sympy.Add.make_args(sympy.expand(expression)):
        powers = term.as_powers_dict()
        monomial = sympy.Mul(*(size ** powers.get(size, 0) for size in sizes))
        if monomial not in kept:
            kept.append(monomial)
    return sympy.Add(*(a for a in kept if not any(b != a and _outgrows(b, a) for b in kept)))


def _outgrows(b: Expr, a: Expr) -> bool:
    """b / a >= 1 for all sizes: with N = n x and D = H y, no power in it is negative."""
    x, y = sympy.symbols("x y", positive=True)
    ratio = sympy.expand((b / a).subs({N: n * x, D: H * y}, simultaneous=True))
    return all(power >= 0 for power in ratio.as_powers_dict().values())


def degree(expression: Expr, size: Symbol) -> int:
    """The highest power of one size, such as 2 for N^2 D + N D^2 in N."""
    return int(sympy.degree(sympy.expand(expression), size))


def leading_share(expression: Expr, size: Symbol) -> Expr:
    """Share of the terms with the highest power of `size` in the whole, as a formula."""
    expanded = sympy.expand(expression)
    leading = expanded.coeff(size, degree(expanded, size)) * size ** degree(expanded, size)
    return leading / expanded
