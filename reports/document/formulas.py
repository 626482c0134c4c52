"""Formulas as a line of text: `E_AC T R 3ND²`, `O(N²D + ND²)`."""

import sympy
from sympy import Expr

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
# Energies, steps and rates stand apart, sizes close together, as the papers write them.
_APART = ("E_MAC", "E_AC", "E_M", "T", "R", "R_Q", "R_K", "R_V", "R_Qa", "R_A", "R_O")
_CLOSE = ("H", "n", "N", "D")


def big_o(expression: Expr) -> str:
    """`O(...)` of what `saformer.analysis.complexity.growth.order` gives."""
    return f"O({formula_text(expression)})"


def formula_text(expression: Expr) -> str:
    """A sum of products of symbols, energies first, then steps, rates, and sizes; highest powers of N first."""
    terms = sorted(sympy.Add.make_args(expression), key=_rank)
    return " + ".join(map(_product, terms))


def _rank(term: Expr) -> tuple[object, ...]:
    powers = term.as_powers_dict()
    sizes = tuple(-powers.get(sympy.Symbol(name, positive=True, integer=True), 0) for name in ("N", "D", "n"))
    return (*sizes, str(term))


def _product(term: Expr) -> str:
    number, rest = term.as_coeff_Mul()
    number, divisor = number.as_numer_denom()
    powers = {str(base): (base, power) for base, power in rest.as_powers_dict().items() if base != 1}
    apart = [_power(name, powers[name][1]) for name in _APART if name in powers]
    sums = [f"({formula_text(base)})" for base, _ in powers.values() if isinstance(base, sympy.Add)]
    above = "".join(_power(name, powers[name][1]) for name in _CLOSE if name in powers and powers[name][1] > 0)
    below = "".join(_power(name, -powers[name][1]) for name in _CLOSE if name in powers and powers[name][1] < 0)
    below = below if divisor == 1 else f"{divisor}{below}"
    # Factors that are sums stand last, set apart only where something stands before them.
    count = "" if number == 1 and (above or apart or sums) else str(number)
    # A number goes before what it multiplies: 4 R_V, but R 3ND².
    parts = (*apart, count + above, *sums) if above or sums else (count, *apart)
    text = " ".join(part for part in parts if part)
    return f"{text}/{below}" if below else text


def _power(name: str, power: Expr) -> str:
    return name if power == 1 else name + str(power).translate(_SUPERSCRIPTS)
