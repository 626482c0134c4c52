"""The documentation site: every page has its place, every link arrives, nothing is fetched from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from doc_commands import ROOT


def pages(entry: object) -> list[str]:
    """The pages of an entry of `nav`."""
    if isinstance(entry, str):
        return [entry]
    members = entry.values() if isinstance(entry, dict) else entry
    return [page for member in members for page in pages(member)]


def test_every_page_of_docs_has_a_place():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")} <= set(pages(nav))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `make docs` builds it; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(["make", "typed"], cwd=ROOT, check=True)
    built = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", folder]
    variables = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(built, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return folder


def test_the_site_is_made_without_a_warning_and_has_every_command_and_the_python_interface(site):
    commands = (site / "commands.html").read_text(encoding="utf-8")
    assert "saformer energy" in commands and "--first-layer" in commands
    assert "Run <code>model</code> over <code>batches</code>" in (site / "api/profiles.html").read_text(
        encoding="utf-8"
    )
    assert "make demo" in (site / "start.html").read_text(encoding="utf-8")


def test_the_site_fetches_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|img|iframe)[^>]*src=\"?https?://[^\s>]*", text), page
        assert not re.findall(r"<link[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*href=\"?https?:", text), page
