"""docs/design.md tells the house as it is: its answers, its folders and its picture are held to the code."""

import ast
import re
import sys
import tomllib
from pathlib import Path
from subprocess import run

import pytest

ROOT = Path(__file__).parents[1]
# What recipes call files that a reader adds.
TO_BE_ADDED = {"saformer/training/recipes/stripes.toml", "saformer/training/recipes/NAME.toml"}
PAGE = (ROOT / "docs/design.md").read_text(encoding="utf-8")
DRAW = ROOT / "docs/images/way_of_the_data.py"
PICTURE = DRAW.with_suffix(".svg")
FLOORS = ("saformer", "analysis", "reports", "cli")


def section(title: str) -> str:
    """The text under a heading, up to the next of its level."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def answers() -> list[tuple[str, str, list[str]]]:
    """Each question with the file and the names that answer it."""
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in section("Twenty questions").splitlines()]
    return [
        (row[0], row[1].strip("`"), re.findall(r"`([^`]+)`", row[2]))
        for row in rows
        if len(row) == 3 and row[0].endswith("?")
    ]


def defined(path: Path) -> set[str]:
    """Functions, classes, methods (`Class.method`) and variables that a module defines."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def folders() -> list[Path]:
    """Every folder of the package, in the order of the floors."""
    return [path.parent for floor in FLOORS for path in sorted((ROOT / floor).rglob("__init__.py"))]


def test_there_are_twenty_questions() -> None:
    assert len({question for question, _, _ in answers()}) == 20


@pytest.mark.parametrize(("question", "file", "names"), answers())
def test_the_answer_to_a_question_exists(question: str, file: str, names: list[str]) -> None:
    assert names and set(names) <= defined(ROOT / file), question


def test_every_folder_of_a_floor_has_its_row() -> None:
    told = set(re.findall(r"^\| `(\w+/\w+)/` \|", section("The house"), re.MULTILINE))
    assert told == {str(path.relative_to(ROOT)) for path in folders() if path.parent.parent == ROOT}


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_files_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(rf"`((?:{'|'.join((*FLOORS, 'tests', 'docs'))})/[\w/.*-]+)`", text)
    linked = [link for link in re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)", text) if not link.startswith("http")]
    missing = [name for name in {*named} - TO_BE_ADDED if not list(ROOT.glob(name.rstrip("/")))]
    missing += [link for link in linked if not ((ROOT / page).parent / link).exists()]
    assert not missing


def headings(path: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))])
def test_links_to_a_heading_arrive(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#:\s]*)#([\w-]+)\)", path.read_text(encoding="utf-8"))
    assert not [link for link in links if link[1] not in headings(path.parent / link[0] if link[0] else path)]


def test_the_picture_is_what_its_command_draws(tmp_path: Path) -> None:
    run([sys.executable, str(DRAW), str(tmp_path / "drawn.svg")], check=True)
    assert (tmp_path / "drawn.svg").read_bytes() == PICTURE.read_bytes(), "make picture draws it anew"


def test_the_picture_shows_folders_that_exist() -> None:
    shown = re.findall(r'class="folder"[^>]*>([\w/]+)<', PICTURE.read_text(encoding="utf-8"))
    assert shown and all((ROOT / folder).is_dir() for folder in shown)


def test_the_installed_package_has_every_folder() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    there = [".".join(path.relative_to(ROOT).parts) for path in folders()]
    assert sorted(listed) == sorted(name if name.startswith("saformer") else f"saformer.{name}" for name in there)
