import subprocess
import sys


def test_tables_and_figures_load_neither_pyplot_nor_pandas() -> None:
    code = (
        "import sys, saformer.reports.tables.energy, saformer.reports.writers.text, saformer.reports.figures.energy, "
        "saformer.reports.figures.saving, saformer.reports.results.literature, saformer.reports.tables.comparison, "
        "saformer.reports.figures.comparison\n"
        "assert not {'matplotlib', 'pandas', 'torch'} & set(sys.modules), 'slow imports'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
