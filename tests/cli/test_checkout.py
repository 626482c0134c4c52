"""The program from a checkout, after an install that copied it: the root's `saformer/` hides what is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ELSEWHERE = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site folder with the four floors as one package, as `pip install .` lays them out."""
    site = tmp_path_factory.mktemp("site")
    without = shutil.ignore_patterns("__pycache__", "digits")
    shutil.copytree(ROOT / "saformer", site / "saformer", ignore=without)
    for floor in ("analysis", "reports", "cli"):
        shutil.copytree(ROOT / floor, site / "saformer" / floor, ignore=without)
    return site


def python(site, folder, *arguments):
    """Run Python in the folder with what is installed; -S, as an editable install would help it to find the floors."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *ELSEWHERE])}
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_it_runs_from_the_root(site):
    done = python(site, ROOT, "-m", "saformer.cli", "--version")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("saformer ")


@pytest.mark.parametrize("inside", [True, False])
def test_the_root_imports_its_own_files_and_any_other_folder_the_installed_ones(site, tmp_path, inside):
    code = "import saformer.cli.app as app, saformer.analysis as a; print(app.__file__, a.__file__, sep='\\n')"
    done = python(site, ROOT if inside else tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    where = ROOT if inside else site / "saformer"
    assert done.stdout.splitlines() == [str(where / "cli" / "app.py"), str(where / "analysis" / "__init__.py")]


def test_the_recipe_for_a_command_adds_one_by_a_file(site, tmp_path):
    recipe = (ROOT / "CONTRIBUTING.md").read_text().partition("### ... a table or a command")[2]
    file = site / "saformer" / "cli" / "commands" / "parameters.py"
    file.write_text(recipe.partition("```python\n")[2].partition("```")[0])
    try:
        done = python(site, tmp_path, "-m", "saformer.cli", "parameters", "--model", "saformer-1-16", "--format", "csv")
        listed = python(site, tmp_path, "-m", "saformer.cli", "--help").stdout
    finally:
        file.unlink()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("weight,parameters\n") and "head.weight,160\n" in done.stdout
    assert listed.index("Parameters of a network") > listed.index("hardware")
