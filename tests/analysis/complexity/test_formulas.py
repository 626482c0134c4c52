"""The formulas are what the recorder counts on the real modules, term by term."""

from dataclasses import replace
from fractions import Fraction

import pytest
import sympy

from saformer.analysis.accounting.hardware import load_hardware
from saformer.analysis.complexity.formulas import (
    ATTENTION,
    E_AC,
    E_M,
    E_MAC,
    LEFT_OUT,
    PARTS,
    SYNAPTIC,
    Attention,
    D,
    H,
    N,
    R,
    Sizes,
    T,
    attentions,
    choose,
    n,
    picojoules,
)
from saformer.analysis.complexity.growth import degree, leading_share, order
from saformer.analysis.complexity.verify import differences, record
from saformer.errors import InputError

EVERY = list(attentions().values())
GRID = [
    Sizes(tokens=16, dim=32, aggregated=4, time_steps=4, rate=0.3, heads=4),
    Sizes(tokens=16, dim=32, aggregated=16, time_steps=2, rate=0.3, heads=1),  # phi is the identity
    Sizes(tokens=12, dim=24, aggregated=3, time_steps=1, rate=0.5, heads=3),  # not a square
    Sizes(tokens=49, dim=8, aggregated=1, time_steps=3, rate=0.2, heads=8),
    Sizes(tokens=7, dim=40, aggregated=7, time_steps=2, rate=0.4, heads=5),  # a row of tokens
    Sizes(tokens=64, dim=64, aggregated=16, time_steps=4, rate=0.1, heads=2),
]


@pytest.mark.parametrize("sizes", GRID, ids=str)
@pytest.mark.parametrize("attention", EVERY, ids=lambda a: a.key)
def test_every_count_equals_the_recorders(attention: Attention, sizes: Sizes) -> None:
    recorded = record(attention, sizes, batch=3, seed=1)
    assert recorded.uncounted == ()
    assert differences(attention, sizes, recorded) == []
    assert attention.count(sizes, *SYNAPTIC) * 3 == sum(o.dense for o in recorded.operations)


@pytest.mark.parametrize("attention", [a for a in EVERY if a.spiking], ids=lambda a: a.key)
def test_energy_at_recorded_rates_is_that_of_equation_20(attention: Attention) -> None:
    sizes = GRID[0]
    recorded = record(attention, sizes, batch=4, seed=2)
    values = sizes.values()
    recorded_by_name = {o.name.removesuffix("_linear").removesuffix("_conv"): o for o in recorded.operations}
    for term in attention.terms:
        if term.part in SYNAPTIC:
            gate = recorded_by_name[term.name].gate
            assert gate.nonzero, f"{term.name} is silent: the test would show nothing"
            rate = sympy.Rational(gate.nonzero, gate.elements)
            if term.unit == E_MAC:  # real values, which are nonzero everywhere
                assert term.rate == rate == 1
                continue
            # A rate that two operations share, such as R_K of SASA, must be the same number in both.
            assert values.get(term.rate) in (rate, sympy.Rational("0.3"))
            values[term.rate] = rate
    energy = attention.energy(*SYNAPTIC).subs(values)
    spent = energy.subs({E_AC: 1, E_MAC: 1})
    sops = sum((Fraction(o.gate.nonzero * o.dense, o.gate.elements) for o in recorded.operations), Fraction(0))
    assert Fraction(int(spent.p), int(spent.q)) == sops / recorded.images
    account = recorded.account("paper")
    assert account.energy_mj == pytest.approx(float(energy.subs({E_AC: 0.9, E_MAC: 4.6})) * 1e-9, rel=1e-12)


def test_softmax_attention_costs_what_the_accounting_charges() -> None:
    vsa, sizes = attentions()["vsa"], replace(GRID[0], time_steps=1)
    account = record(vsa, sizes, batch=2).account("paper")
    assert account.macs == vsa.charged(sizes, E_MAC, *SYNAPTIC)
    assert account.energy_mj == pytest.approx(picojoules(vsa, sizes, load_hardware(), *SYNAPTIC) * 1e-9)


def test_a_wrong_formula_is_found() -> None:
    sasa, sizes = attentions()["sasa"], GRID[0]
    recorded = record(sasa, sizes)
    terms = [t for t in sasa.terms if t.name != "dwc"]
    terms[0] = replace(terms[0], count=terms[0].count + 1)
    matrices = (replace(sasa.matrices[0], elements=N * D + 1), *sasa.matrices[1:])
    found = differences(replace(sasa, terms=tuple(terms), matrices=matrices), sizes, recorded)
    assert [(d.what, d.formula, d.recorder) for d in found] == [
        ("input projections: q", 4 * (16 * 32**2 + 1), 4 * 16 * 32**2),
        ("dwc", None, 4 * 9 * 16 * 32),
        ("elements of Q", 4 * (16 * 32 + 1), 4 * 16 * 32),
    ]


def test_numbers_are_the_formulas_with_numbers_put_in() -> None:
    sizes = Sizes(tokens=64, dim=384, aggregated=16, time_steps=4, rate=0.15, heads=12)
    prices = {E_MAC: 4.6, E_AC: 0.9, E_M: 3.7}
    for attention in EVERY:
        whole = attention.energy().subs(sizes.values()).subs(prices)
        assert picojoules(attention, sizes, load_hardware()) == pytest.approx(float(whole), rel=1e-12)
        parts = [picojoules(attention, sizes, load_hardware(), part) for part in PARTS if part != LEFT_OUT]
        assert sum(parts) == pytest.approx(float(whole), rel=1e-12)
    sasa = attentions()["sasa"]
    assert sasa.charged(sizes, E_AC, ATTENTION) == 4 * Fraction(15, 100) * (16 + 10 * 64) * 384


def test_hardware_without_a_price_for_what_is_charged_has_no_energy() -> None:
    loihi = load_hardware("loihi")
    sizes = Sizes()
    assert picojoules(attentions()["vsa"], sizes, loihi) is None
    assert picojoules(attentions()["ssa"], sizes, loihi) is None  # the scale multiplies
    assert picojoules(attentions()["sdsa"], sizes, loihi) > 0


@pytest.mark.parametrize(
    ("key", "time", "space"),
    [
        ("vsa", N**2 * D, H * N**2 + N * D),
        ("ssa", N**2 * D, H * N**2 + N * D),
        ("ssa-keys-first", N * D**2 / H, D**2 / H + N * D),
        ("sdsa", N * D, N * D),
        ("sasa", N * D, N * D),
    ],
)
def test_orders_are_those_of_table_4(key: str, time: sympy.Expr, space: sympy.Expr) -> None:
    attention = attentions()[key]
    assert order(attention.time(ATTENTION)) == time
    assert order(attention.space) == space


def test_orders_leave_out_what_another_term_outgrows() -> None:
    assert order(3 * N * D + 7 * n * D + D) == N * D
    assert order(N**2 * H + N**2 * D + N * D**2) == N**2 * D + N * D**2
    assert degree(N**2 * D + N * D**2, N) == 2
    assert leading_share(3 * N**2 + N, N).subs(N, 5) == sympy.Rational(15, 16)


def test_sasa_holds_two_matrices_and_sdsa_three() -> None:
    for key, matrices in (("sasa", 2), ("sdsa", 3)):
        assert sympy.expand(attentions()[key].space).coeff(N, 1) == matrices * D
    assert attentions()["sasa"].steps == T and attentions()["vsa"].energy().has(R) is False


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tokens": 0}, "tokens"),
        ({"aggregated": 5}, "does not divide N = 64"),
        ({"heads": 7}, "do not divide dim D = 384"),
        ({"rate": 1.5}, "between 0 and 1"),
        ({"rate": float("nan")}, "between 0 and 1"),
        ({"time_steps": True}, "time steps"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(given: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Sizes(**given)


def test_attentions_are_chosen_by_name() -> None:
    assert [a.key for a in choose("SASA, vsa,sasa")] == ["sasa", "vsa"]
    assert len(choose("all")) == len(EVERY)
    for wrong in ("softmax", "", ","):
        with pytest.raises(InputError, match="choose from vsa"):
            choose(wrong)


def test_a_class_of_ones_own_is_chosen_by_its_formulas() -> None:
    assert [a.key for a in choose("saformer.attention.sasa:SASA,vsa")] == ["sasa", "vsa"]
    with pytest.raises(InputError, match=r"attention torch\.nn:Linear has no formulas .* @register_attention"):
        choose("sasa,torch.nn:Linear")


def test_grids_are_as_square_as_they_can_be() -> None:
    assert [Sizes(tokens=tokens, aggregated=1).grid for tokens in (64, 128, 7, 1, 12)] == [
        (8, 8),
        (8, 16),
        (1, 7),
        (1, 1),
        (3, 4),
    ]
