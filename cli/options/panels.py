"""The headings of --help, in the order of their first options."""

from enum import StrEnum


class Panel(StrEnum):
    """Headings under which --help lists the options."""

    model = "Model"
    own = "A model of your own"
    data = "Data"
    run = "Run"
    energy = "Energy"
    output = "Output"
    general = "General"
