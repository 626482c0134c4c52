from itertools import pairwise

import pytest

from saformer.analysis.accounting.account import Account
from saformer.reports.figures.energy import energy_figure
from saformer.reports.figures.style import model_family, model_looks


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("digits/saformer", "saformer"),
        ("saformer-4-384", "saformer"),
        ("SASA", "saformer"),
        ("S-Transformer", "sdt"),
        ("sdt-2-256", "sdt"),
        ("SDSA", "sdt"),
        ("Spikformer", "spikformer"),
        ("SSA", "spikformer"),
        ("spikingformer-8-512", "spikingformer"),
        ("vit-2-512", "vit"),
        ("VSA", "vit"),
        ("MS-ResNet", "other"),
        ("saformers.json", "other"),
    ],
)
def test_a_family_is_known_by_model_method_and_attention(name: str, family: str) -> None:
    assert model_family(name) == family


def lightness(colour: str) -> float:
    """CIE L*, what is left of a colour in a print in grey."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def test_families_are_told_apart_in_grey() -> None:
    looks = model_looks({name: name for name in ("saformer", "sdt", "spikformer", "spikingformer", "vit", "resnet")})
    found = sorted(lightness(look.colour) for look in looks.values())
    assert min(b - a for a, b in pairwise(found)) > 10
    assert len({look.marker for look in looks.values()}) == 6


def test_two_models_of_a_family_share_the_colour_alone() -> None:
    looks = model_looks({"mine": "saformer-2-64", "other": "sdt-2-64", "yours": "saformer-4-384"})
    assert looks["mine"].colour == looks["yours"].colour == model_looks({"x": "SASA"})["x"].colour
    assert looks["mine"].hatch != looks["yours"].hatch and looks["mine"].marker != looks["yours"].marker
    assert looks["other"].colour != looks["mine"].colour


def test_the_users_own_style_is_left_alone(account: Account) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    energy_figure(account)
    assert dict(matplotlib.rcParams) == before
