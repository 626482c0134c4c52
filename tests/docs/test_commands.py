"""Every command that a page shows: each is one that the program knows, and those of the pages run as they stand.

The README's and the tour's run in every test run; `--every-command` (`make docs`) runs those of all pages.
"""

import glob
import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from doc_commands import ROOT, Command, commands_of
from PIL import Image
from small_data import write_cifar10, write_dvs128gesture

import saformer
from saformer.cli.app import app

PAGES = {
    str(path.relative_to(ROOT)): commands_of(path)
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
}
SHOWN = [(page, command) for page, commands in PAGES.items() for command in commands]
ALWAYS = ("README.md", "docs/tour.md")
# What sets up or publishes a checkout, and the second count of 61 public repositories.
NOT_OURS = ("make", "pip", "git", "python")
TERMINAL = {"COLUMNS": "88", "TERM": "dumb"}
# A test does not wait for a training, nor for the largest sizes; the command is the same. By command and a flag of it.
SHORTER = {
    ("train", "--dataset"): {"--epochs": "1"},
    ("ablate", "--train"): {"--epochs": "1"},
    ("compare", "comparison.pdf"): {"--limit": "16"},
    ("complexity", "--measure"): {"--over-tokens": "16..64", "--over-dim": "32..128", "--seconds": "0.01"},
}

Run = Callable[..., list]


def words(command: Command) -> tuple[list[str], str | None]:
    """The words of a command line, and the file that its output goes to."""
    found = shlex.split(command.text, comments=True)
    if ">" not in found:
        return found, None
    place = found.index(">")
    return found[:place], found[place + 1]


def arguments(command: Command) -> list[str] | None:
    """What `saformer` is given, also under torchrun; None for programs that are not ours."""
    typed, _ = words(command)
    if typed[0] == "torchrun":
        return typed[typed.index("saformer.cli") + 1 :]
    return typed[1:] if typed[0] == "saformer" else None


def programs(page: str) -> dict[str, str]:
    """The programs that a page shows, each under the name in its first line."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return {name: body for body, name in re.findall(r"^```python\n(# (\w+\.py)\n.*?)^```", text, re.DOTALL | re.M)}


def test_pages_show_commands():
    assert len(SHOWN) > 80 and all(PAGES[page] for page in ALWAYS)


@pytest.mark.parametrize(("page", "command"), SHOWN, ids=[f"{page}:{command.line}" for page, command in SHOWN])
def test_a_command_is_one_that_the_parser_takes(page, command):
    given = arguments(command)
    if given is None:
        program = next(word for word in words(command)[0] if "=" not in word)  # behind variables of the environment
        assert Path(program).name in NOT_OURS
        return
    import typer.main

    group = typer.main.get_command(app)
    for option in ("--plugin", "--config"):  # files of the page's own, which are there where its commands run
        if option in given:
            place = given.index(option)
            given = given[:place] + given[place + 2 :]
    with group.make_context("saformer", given[:1]) as context:
        found = group.get_command(context, given[0])
        assert found is not None, f"no command {given[0]}"
        found.make_context(given[0], given[1:], parent=context)


# --- running them ---


def oracle(name: str, to: Path) -> None:
    shutil.copy(ROOT / "tests/data/oracles" / name, to)


def network(name: str, to: Path, **settings: object) -> None:
    to.parent.mkdir(exist_ok=True)
    saformer.save(saformer.build(name, **settings), to)


def profile_of_digits(to: Path, run: Run) -> None:
    (ended,) = run("-m", "saformer.cli", "energy", "--limit", "8", "--save-profile", to, count=1)
    assert ended.code == 0, ended.err


def images(to: Path) -> None:
    for label in range(20):  # as many classes as the oracle's
        (to / "val" / f"n{label:02}").mkdir(parents=True)
        picture(to / "val" / f"n{label:02}" / "1.png")


def picture(to: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(to)


def data(to: Path) -> None:
    write_cifar10(to, np.random.default_rng(0))
    write_dvs128gesture(to, np.random.default_rng(0))


def hardware() -> str:
    """The hardware file that docs/method.md shows."""
    return re.search(r"^```toml\n(name = .*?)^```", (ROOT / "docs/method.md").read_text(), re.DOTALL | re.M)[1]


FOREIGN = """
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

def Net():
    net = nn.Sequential(layer.Conv2d(3, 4, 3), neuron.LIFNode(), layer.Conv2d(4, 4, 3), neuron.LIFNode())
    functional.set_step_mode(net, "m")
    return net
"""


def tables(page: str) -> dict[str, str]:
    """The blocks of TOML that a page shows, each under the name of its first table."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return {name: body for body, name in re.findall(r"^```toml\n(\[(\w+)\].*?)^```", text, re.DOTALL | re.M)}


def example(to: Path) -> None:
    to.parent.mkdir(parents=True)
    shutil.copy(ROOT / "docs/examples" / to.name, to)


def nir_graph(to: Path) -> None:
    import nir

    ends = np.ones((3, 4), np.float32), np.zeros(3, np.float32)
    neurons = nir.LIF(tau=np.full(3, 1e-3), r=np.full(3, 10.0), v_leak=np.zeros(3), v_threshold=np.ones(3))
    nir.write(to, nir.NIRGraph.from_list(nir.Affine(*ends), neurons))


def spikes(to: Path) -> None:
    np.savez(to, x=(np.random.default_rng(0).random((8, 10, 4)) < 0.3).astype(np.float32))


#: What a reader has and a page names, by that name.
STAND_INS: dict[str, Callable[[Path, Run], object]] = {
    "spikformer.pth.tar": lambda to, _: oracle("spikformer_2_64_cifar.pth.tar", to),
    "model_best.pth.tar": lambda to, _: oracle("spikformer_2_64_cifar.pth.tar", to),
    "spikingformer.pth.tar": lambda to, _: oracle("spikformer_2_32_imagenet.pth.tar", to),
    "images.npz": lambda to, _: oracle("spikformer_2_64_cifar.input.npz", to),
    "data": lambda to, _: data(to),
    "DIR": lambda to, _: data(to),
    "imagenet": lambda to, _: images(to),
    "enwik8": lambda to, _: to.write_text("to be or not to be, that is the question. " * 9),
    "photo.jpg": lambda to, _: picture(to),
    "weights": lambda to, _: to.symlink_to(ROOT / "weights"),
    "net.py": lambda to, _: to.write_text(programs("docs/own_model.md")["net.py"]),
    "mine.py": lambda to, _: to.write_text(FOREIGN),
    "rates.csv": lambda to, _: to.write_text("layer,input_firing_rate\n*,0.2\n"),
    "means.csv": lambda to, _: to.write_text("layer,mean_spikes\n2,0.5\n"),
    "mine.toml": lambda to, _: to.write_text(hardware()),
    "profile.json": lambda to, run: profile_of_digits(to, run),
    "options.toml": lambda to, _: to.write_text(tables("docs/paper.md")["compare"]),
    "docs/examples/paper.toml": lambda to, _: example(to),
    "graph.nir": lambda to, _: nir_graph(to),
    "spikes.npz": lambda to, _: spikes(to),
    "a.json": lambda to, run: profile_of_digits(to, run),
    "b.json": lambda to, run: profile_of_digits(to, run),
    "c.safetensors": lambda to, _: network("saformer-1-16", to),
    "t1.safetensors": lambda to, _: network("saformer-1-16", to, time_steps=1),
    "t4.safetensors": lambda to, _: network("saformer-1-16", to, time_steps=4),
}
NAMED = {"net.py": "net:", "mine.py": "mine:"}


def prepare(page: str, folder: Path, run: Run) -> None:
    """Put what the page names, and does not make itself, into the folder."""
    text = "\n".join(command.text for command in PAGES[page])
    for name, make in STAND_INS.items():
        if NAMED.get(name, name) in text:
            make(folder / name, run)
    for name, program in programs(page).items():
        (folder / name).write_text(program)


def shorter(given: list[str]) -> list[str]:
    """The same command with less to do."""
    for (name, flag), settings in SHORTER.items():
        if given[0] != name or flag not in given:
            continue
        for option, value in settings.items():
            if option in given:
                given = [*given[: given.index(option)], *given[given.index(option) + 2 :]]
            given = [*given, option, value]
    return given


# The recipes of CONTRIBUTING.md are followed by tests/cli/test_contributing.py.
RUN = [page for page, commands in PAGES.items() if any(map(arguments, commands)) and page != "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_run_and_print_what_it_shows(page, request, tmp_path, forked):
    if page not in ALWAYS and not request.config.getoption("--every-command", default=False):
        pytest.skip("with --every-command (`make docs`)")
    prepare(page, tmp_path, forked)
    for command in PAGES[page]:
        typed, file = words(command)
        if typed[0] == "python" and (tmp_path / typed[1]).exists():
            (ended,) = forked("-c", (tmp_path / typed[1]).read_text(), folder=tmp_path, count=1)
            assert ended.code == 0, f"{page}:{command.line}: {command.text}\n{ended.err}"
        if (given := arguments(command)) is None:
            continue
        given = [found for word in given for found in sorted(glob.glob(word, root_dir=tmp_path)) or [word]]
        count = int(next(word for word in typed if "nproc" in word)[-1]) if typed[0] == "torchrun" else 1
        ended = forked("-m", "saformer.cli", *shorter(given), folder=tmp_path, count=count, seconds=900, **TERMINAL)
        assert not any(one.code for one in ended), f"{page}:{command.line}: {command.text}\n{ended[0].err}"
        if file is not None:
            (tmp_path / file).write_text(ended[0].out)
        if os.environ.get("SAFORMER_UPDATE_GOLDEN"):
            command.renew(ROOT / page, ended[0].out)
            continue
        assert command.shows(ended[0].out), f"{page}:{command.line}: {command.text}\n{ended[0].out}"
