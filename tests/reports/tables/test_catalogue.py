from collections.abc import Callable

from saformer.reports.document.blocks import Part, Report
from saformer.reports.tables.catalogue import catalogue_table

Golden = Callable[[Report | Part, str], None]


def test_catalogue(matches_golden: Golden) -> None:
    rows = [("saformer-4-384", 5764234, "32x32 images"), ("[small]", None, "event frames, " * 6)]
    matches_golden(catalogue_table("Models", ("name", "parameters", "for"), rows), "catalogue")
