"""Who imports whom in `cli/`: commands, resolve, options, terminal, each only those after it, and none in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

CLI = Path(__file__).parents[2] / "cli"
FOLDERS = ["commands", "resolve", "options", "terminal"]


def imports():
    """Each module of the folders, and the modules of `saformer.cli` that it imports, late imports included."""
    found = {}
    for path in sorted(CLI.glob("*/*.py")):
        names = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        module = ".".join(path.relative_to(CLI).with_suffix("").parts).removesuffix(".__init__")
        found[module] = {name.removeprefix("saformer.cli.") for name in names if name.startswith("saformer.cli.")}
    return found


def test_a_folder_imports_only_from_itself_and_those_after_it():
    for module, names in imports().items():
        allowed = FOLDERS[FOLDERS.index(module.partition(".")[0]) :]
        assert {name.partition(".")[0] for name in names} <= set(allowed), module


def test_no_command_imports_from_another():
    for module, names in imports().items():
        if module.startswith("commands"):
            assert not [name for name in names if name.startswith("commands.")], module


def test_there_is_no_circle():
    list(TopologicalSorter(imports()).static_order())
