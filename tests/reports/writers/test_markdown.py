import re

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Report
from saformer.reports.document.table import Column, Table
from saformer.reports.writers.markdown import markdown_text


def test_markdown_shows_what_a_name_says(account: Account) -> None:
    table = Table("a|b", [Column("x|y")], [["c|d"], ["*e* `f` [g](h) _i_ j_k \\ <b>&amp;"], ["two\nlines"]])
    text = markdown_text(Report([table]))
    assert r"| c\|d |" in text and r"| x\|y |" in text and r"**a\|b**" in text
    assert r"\*e\* \`f\` \[g\](h) \_i\_ j_k \\ \<b>&amp;amp;" in text
    unescaped = [re.sub(r"\\.", "", line).count("|") for line in text.splitlines() if line.startswith("|")]
    assert unescaped == [2] * 5
