"""What MkDocs does not know of this project: pages that lie outside docs/, GitHub's anchors, a page of commands."""

import os
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))
from commands import commands_page  # noqa: E402  (beside this file, which MkDocs loads without its folder)

# Pages outside docs/, by their place in the repository, and where they stand on the site.
_OUTSIDE = {
    name: name.lower() if name != "README.md" else "start.md"
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
    if (ROOT / name).exists()
} | {str(path.relative_to(ROOT)): str(path.relative_to(ROOT)) for path in (ROOT / "weights").glob("*.md")}
_PLACES = {site: repository for repository, site in _OUTSIDE.items()}
_LINK = re.compile(r"(?<=\]\()(?!\w+:)(?P<path>[^)#\s]*)(?P<anchor>#[^)\s]+)?(?=\))")


def github_anchor(title: str, separator: str) -> str:
    """The anchor of a heading as GitHub makes it, so that a link arrives on both."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", separator)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Anchors as GitHub's."""
    config.mdx_configs["toc"] = {**config.mdx_configs.get("toc", {}), "slugify": github_anchor}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/, and the page of commands."""
    for repository, site in _OUTSIDE.items():
        text = (ROOT / repository).read_text(encoding="utf-8")
        files.append(File.generated(config, site, content=text))
    files.append(File.generated(config, "commands.md", content=commands_page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between places in the repository into links between pages of the site."""
    here = page.file.src_uri
    folder = posixpath.dirname(_PLACES.get(here, f"docs/{here}"))

    def rewritten(found: re.Match[str]) -> str:
        path, anchor = found["path"], found["anchor"] or ""
        if not path:
            return anchor
        target = posixpath.normpath(posixpath.join(folder, path))
        site = _OUTSIDE.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(site, posixpath.dirname(here) or ".") + anchor

    return _LINK.sub(rewritten, markdown)


def on_post_build(config: MkDocsConfig, **_: Any) -> None:
    """Say where the site is."""
    print(f"the site: {os.path.relpath(config.site_dir, ROOT)}/index.html")
