"""Which published energies follow: from counts, from rates, and from shapes."""

import pytest

from saformer.errors import InputError
from saformer.reports.results.architectures import architecture
from saformer.reports.results.literature import partial_rates, printed, published_energies, records
from saformer.reports.results.published_rows import Assessed, Verdict, assess
from saformer.reports.results.sheets import sheet


def assessed(name: str, text: str) -> Assessed:
    rows = published_energies()
    (row,) = (row for row in rows if row.name == name and row.energy.text == text)
    return assess(row, rows)


@pytest.mark.parametrize(
    ("name", "text", "verdict", "here"),
    [
        ("sew-resnet-34", "4.035", Verdict.follows, 4.0349),
        ("spiking-resnet-50", "70.934", Verdict.contradicts, 71.0039),
        ("spikformer-8-512", "11.577", Verdict.follows, 11.5764),
        ("spikformer-8-384", "7.734", Verdict.otherwise, 7.7334),
        ("spikformer-8-768", "21.477", Verdict.otherwise, 21.4764),
        ("spikformer-8-768", "1.701", Verdict.follows, 1.7009),
        ("spikformer-8-512", "18.82", Verdict.no_rates, None),
        ("spikingformer-8-384", "4.69", Verdict.follows, 4.6885),
        ("cml-spikingformer-8-768", "16.306188155064994", Verdict.follows, 16.3062),
        ("qkformer-10-384", "15.13", Verdict.contradicts, 8.4982),
        ("spikingresformer-ti", "2.46", Verdict.follows, 2.457),
        ("spikeyolo-23m", "34.4893704192", Verdict.otherwise, 34.4894),
        ("resnet-18", "8.372", Verdict.follows, 8.372),
        ("fwformer-ssa", "0.523", Verdict.contradicts, 1.0674),
        ("swformer-8-512", "5.08", Verdict.unknown, None),
    ],
)
def test_verdicts(name, text, verdict, here):
    found = assessed(name, text)
    assert found.verdict is verdict
    assert found.recomputed_mj == (None if here is None else pytest.approx(here, abs=5e-5))


def test_mean_rates_that_published_energies_need():
    for name, text, rate in (("sdt-8-384", "3.9", 0.163), ("sdt-6-512", "3.56", 0.079), ("sdt-10-512", "5.53", 0.116)):
        found = assessed(name, text)
        assert found.verdict is Verdict.no_rates and found.mean_rate == pytest.approx(rate, abs=5e-4)
    assert assessed("qkformer-10-384", "15.13").mean_rate == pytest.approx(0.6635, abs=5e-5)


def test_printed_digits_say_how_far_off_an_energy_may_be():
    assert (printed("21.477").value, printed("2.5").half, printed("93").half) == (21.477, 0.05, 0.5)
    assert printed("21.477").half == pytest.approx(0.0005)
    for text in ("", "abc", "-1", "nan", "1e3", "0"):
        with pytest.raises(InputError, match="positive number"):
            printed(text)


def test_the_sheet_agrees_with_its_own_sizes():
    (row,) = (row for row in published_energies() if row.name == "spikeyolo-23m")
    layers = sheet(row)
    assert all(layer.flops == layer.published_flops for layer in layers)
    assert sum(layer.published_mj for layer in layers) == pytest.approx(34.4893704192, abs=1e-12)


def test_published_files_that_rows_name_are_there():
    rows = published_energies()
    assert len(rows) == 69
    for row in rows:
        assert not row.rates or records(row.rates)
        assert row.source and row.charged and row.read_in in ("itself", "translation", "second hand")
    assert max(partial_rates("rates_qkformer_10_768_imagenet.csv")) == 0.3477


def test_presets_are_those_that_were_counted_on_the_public_code():
    for name, pixels, parameters, dense in (
        ("maxformer-10-384", 224, 16_237_240, 21_234_413_568),
        ("qkformer-10-384", 224, 16_473_688, 23_593_540_608),
        ("qkformer-10-768", 288, 64_962_760, 154_252_720_128),
        ("sew-resnet-50-imagenet", 224, 25_557_032, 4 * 4_089_184_256 - 3 * (118_013_952 + 2_048_000)),
    ):
        counted = architecture(name, pixels, 4)
        assert counted is not None and (counted.parameters, counted.dense) == (parameters, dense)
    own = architecture("spikformer-8-384", 224, 4)
    assert own is not None and (own.parameters, own.first) == (16_816_024, 65_028_096)
    assert architecture("nothing-1-2", 224, 4) is None
