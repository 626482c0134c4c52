"""A page of the three networks that come with the program, profiled on a few images, and its figures."""

import pytest
import torch
from matplotlib.figure import Figure

import saformer
from saformer.analysis import profile
from saformer.analysis.accounting.hardware import load_hardware
from saformer.data import open_dataset
from saformer.reports.document.blocks import Report
from saformer.reports.document.drawing import Drawing
from saformer.reports.figures.drawing import drawing_of
from saformer.reports.page.contents import Subject, page


@pytest.fixture(scope="session")
def subjects() -> list[Subject]:
    data = open_dataset("digits", None, "test")
    made = []
    for name in ("digits/saformer", "digits/sdt", "digits/spikformer"):
        model = saformer.load(name)
        with torch.random.fork_rng():
            recorded = profile(model, data.batches(8, 16, 0), data="digits", split="test", name=model.config.name)
        made.append(Subject(name, recorded, name))
    return made


@pytest.fixture(scope="session")
def made_page(subjects) -> Report:
    return page(subjects, load_hardware("45nm-fp32"), "paper", [], "saformer report digits/saformer digits/spikformer")


@pytest.fixture(scope="session")
def figures(made_page) -> dict[str, Figure]:
    return {picture.name: picture.draw() for picture in made_page.pictures}


@pytest.fixture(scope="session")
def drawings(figures) -> dict[str, Drawing]:
    """The same figures from then on are laid out."""
    return {name: drawing_of(figure) for name, figure in figures.items()}
