"""What `saformer literature` prints, kept whole."""

from saformer.reports.results.architectures import architecture
from saformer.reports.results.explanation import explain_rows
from saformer.reports.results.implied_rates import Implied
from saformer.reports.results.literature import printed, published_energies
from saformer.reports.results.published_rows import assess, row_readings
from saformer.reports.tables.explanation import explanation_report
from saformer.reports.tables.implied_rates import implied_table
from saformer.reports.tables.literature import literature_report, network_report

SHOWN = ("sew-resnet-34", "spikformer-8-768", "cml-spikingformer-8-768", "qkformer-10-384", "msd-7m", "fwformer-fft")


def test_the_table_of_energies(matches_golden):
    rows = published_energies()
    chosen = [assess(row, rows) for row in rows if row.name in SHOWN]
    matches_golden(literature_report(chosen, []), "literature")


def test_one_network(matches_golden):
    rows = published_energies()
    chosen = [row for row in rows if row.name in ("spikformer-8-384", "sdt-8-384")]
    matches_golden(
        network_report([(assess(row, rows), row_readings(row, rows), None, []) for row in chosen]), "literature_network"
    )


def test_mean_rates_that_energies_imply(matches_golden):
    shape = architecture("spikformer-4-384", 32, 4)
    assert shape is not None
    rows = [
        Implied("cifar10", "Spikformer", "4-384", 5.15, shape, 3.3625, 1.53, 1.52, 1.53, 0.11, 0.7, 1_056_968_448),
        Implied("cifar10-dvs", "S-Transformer", "2-256", 2.02, shape, 5.39, 0.375, None, None, None, None, 0),
    ]
    matches_golden(implied_table(rows), "literature_implied")


def test_what_a_search_found(matches_golden):
    rows = published_energies()
    chosen = [row for row in rows if row.name == "spikformer-8-768"]
    matches_golden(explanation_report(explain_rows(printed("21.477"), chosen, rows)), "literature_explain")
    matches_golden(explanation_report(explain_rows(printed("5"), chosen, rows)), "literature_explain_none")
