"""Imports point one way: to the floors below, to the folders before, and never round in a circle.

Imports inside functions and under TYPE_CHECKING count too.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("saformer", "analysis", "reports", "cli")  # from the ground up
# What a folder, or a module set apart, may import of its own floor besides itself; what has no entry may import all.
MAY_IMPORT: dict[str, dict[str, set[str]]] = {
    "analysis": {
        "profiles": set(),
        "recording": {"profiles"},
        "accounting": {"profiles"},
        "statistics": {"profiles", "accounting"},
        "diagnostics": {"profiles", "recording", "accounting"},
        "complexity": {"profiles", "recording", "accounting"},
    },
    "reports": {
        "document": set(),
        "results": {"document"},
        "tables": {"document", "results"},
        "figures": {"document", "results"},
        "writers": {"document"},
        "page": {"document", "results", "tables", "figures"},
    },
    "cli": {
        "terminal": set(),
        "options": {"terminal"},
        "resolve": {"terminal", "options"},
        "commands": {"terminal", "options", "resolve"},
    },
}
# The one module that may import what stands after it, inside a function or for a type: for `Profile.account`.
LATE = ("saformer.analysis.profiles.profile", "saformer.analysis.accounting.")


def modules() -> dict[str, Path]:
    """The source of every module by its name in the package: `analysis/profiles/` is `saformer.analysis.profiles`."""
    found = {}
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts if floor == "saformer" else ("saformer", *parts))
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(name: str) -> Iterator[str]:
    """The modules of this package that a module imports, wherever in its text."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}, line {node.lineno}: imports are absolute here"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [target if target in MODULES else str(node.module) for target in inner]
        for target in targets:
            late = node not in tree.body and name == LATE[0] and target.startswith(LATE[1])
            if target in MODULES and target != name and not late:
                yield target


@cache
def imports() -> dict[str, list[str]]:
    """What each module imports of this package."""
    return {name: sorted(set(imported(name))) for name in sorted(MODULES)}


def floor_of(name: str) -> str:
    """The folder at the root in which a module lies."""
    return next((floor for floor in FLOORS[1:] if f"{name}.".startswith(f"saformer.{floor}.")), FLOORS[0])


def folder_of(name: str) -> str:
    """The entry of `MAY_IMPORT` that a module belongs to; nothing where there is none."""
    floor = floor_of(name)
    inside = f"{name}.".removeprefix(f"saformer.{floor}.")
    return max((entry for entry in MAY_IMPORT.get(floor, {}) if inside.startswith(f"{entry}.")), key=len, default="")


def test_a_floor_imports_only_from_those_below_it() -> None:
    height = FLOORS.index
    wrong = [
        f"{name} -> {target}"
        for name, targets in imports().items()
        for target in targets
        if height(floor_of(target)) > height(floor_of(name))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("floor", MAY_IMPORT)
def test_a_folder_imports_only_from_those_before_it(floor: str) -> None:
    folders = {path.parent.name for path in (ROOT / floor).glob("*/__init__.py")}
    assert folders <= MAY_IMPORT[floor].keys(), "every folder of a floor has an entry"
    wrong = [
        f"{name} -> {target}"
        for name, targets in imports().items()
        for target in targets
        if floor_of(name) == floor_of(target) == floor
        and (folder := folder_of(name))
        and folder_of(target) not in {folder, *MAY_IMPORT[floor][folder]}
    ]
    assert not wrong, "\n".join(wrong)


def test_families_of_models_stand_on_shared_ground_and_not_on_each_other() -> None:
    kinds = ("saformer.models.transformers.", "saformer.models.convolutional.")
    wrong = [
        f"{name} -> {target}"
        for name, targets in imports().items()
        for target in targets
        if f"{name}.".startswith("saformer.models.") and target.startswith(kinds)
        if not any(f"{name}.".startswith(kind) and target.startswith(kind) for kind in kinds)
    ]
    assert not wrong, "\n".join(wrong)


def reached(start: str) -> set[str]:
    """The modules that a module imports, and those that they import, and so on."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = set(imports()[waiting.pop()]) - found
        found |= new
        waiting += new
    return found


def test_no_imports_go_round_in_a_circle() -> None:
    after = {name: reached(name) for name in imports()}
    circles = {tuple(sorted(other for other in after[name] if name in after[other])) for name in imports()} - {()}
    assert not circles, "\n".join(map(" <-> ".join, sorted(circles)))
