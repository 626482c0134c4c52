"""The option that runs the commands of all pages."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-command", action="store_true", help="run the commands of every page (`make docs`)")
