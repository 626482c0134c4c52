import colorsys
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


def hue(colour: str) -> float:
    """0 to 1, round the circle."""
    return colorsys.rgb_to_hsv(*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)))[0]


def test_families_are_told_apart_in_grey() -> None:
    families = ("saformer", "sdt", "spikformer", "spikingformer", "vit")
    for names in ((*families, "resnet", "net:factory", "mine"), "abcdefgh", ("a", *families, "b", "c")):
        looks = model_looks({name: name for name in names})
        found = sorted(lightness(look.colour) for look in looks.values())
        assert len(found) == 8 and min(b - a for a, b in pairwise(found)) > 8.5
        assert max(found) < 85, "no colour is so pale that a line of it is lost on paper"
        assert len({look.marker for look in looks.values()}) == 8


def test_networks_of_no_family_have_colours_by_their_order() -> None:
    looks = model_looks({"mine": "net:factory", "saformer": "saformer-2-64", "yours": "net:other"})
    again = model_looks({"other": "x", "sdt": "sdt-2-64", "last": "y"})
    assert (looks["mine"], looks["yours"]) == (again["other"], again["last"])


def test_published_networks_of_no_family_are_grey() -> None:
    looks = model_looks({"SALT": "SALT", "Spikformer": "Spikformer", "mine": "net:factory"}, {"SALT", "Spikformer"})
    assert len({looks["SALT"].colour[i : i + 2] for i in (1, 3, 5)}) == 1
    assert looks["Spikformer"].colour == model_looks({"x": "SSA"})["x"].colour
    assert looks["mine"].colour == model_looks({"mine": "net:factory"})["mine"].colour


def test_two_models_of_a_family_share_the_hue_alone() -> None:
    looks = model_looks({"mine": "saformer-2-64", "other": "sdt-2-64", "yours": "saformer-4-384"})
    mine, yours = looks["mine"], looks["yours"]
    assert mine.colour == model_looks({"x": "SASA"})["x"].colour
    assert hue(mine.colour) == pytest.approx(hue(yours.colour), abs=0.01)
    assert abs(lightness(mine.colour) - lightness(yours.colour)) > 10
    assert mine.hatch != yours.hatch and mine.marker != yours.marker and mine.line != yours.line
    assert abs(hue(looks["other"].colour) - hue(mine.colour)) > 0.1


def test_the_users_own_style_is_left_alone(account: Account) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    energy_figure(account)
    assert dict(matplotlib.rcParams) == before
