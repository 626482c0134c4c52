"""Names of models: those of the papers' networks, FAMILY-DEPTH-DIM, and either with settings: NAME+KEY=VALUE."""

import re
from collections.abc import Mapping
from typing import Any

from saformer.errors import InputError
from saformer.models.registry import MODELS, Family
from saformer.models.settings import parse_settings
from saformer.registry import View
from saformer.text import nearest

#: Titles by family.
FAMILIES: Mapping[str, str] = View(lambda: {name: family.title for name, family in MODELS.items()})

#: Settings of published networks that differ from the families' defaults, by name.
PRESETS: Mapping[str, Mapping[str, Any]] = View(
    lambda: {name: settings for family in MODELS.values() for name, settings in family.presets.items()}
)


def parse_name(name: str) -> tuple[Family, dict[str, Any]]:
    """The family of a model, and the settings that its name says: of the preset, depth and D, and those behind "+".

    Raises:
        InputError: the name has another form, or names no family and no preset.
    """
    plain, *pairs = name.split("+")
    added = parse_settings(pairs, name)
    sized = re.fullmatch(r"([a-z][a-z0-9]*)-([0-9]{1,4})-([0-9]{1,6})", plain)
    size: dict[str, Any] = {"depth": int(sized[2]), "dim": int(sized[3])} if sized else {}
    for family in MODELS.values():
        if plain in family.presets:
            return family, {**family.presets[plain], **(size if family.sized else {}), **added}
    if sized is not None and sized[1] in MODELS and MODELS[sized[1]].sized:
        return MODELS[sized[1]], {**size, **added}
    families = [family.name for family in MODELS.values() if family.sized]
    raise InputError(
        f"unknown model {name!r}{nearest_name(plain)}: see `saformer models` for those of the papers, "
        f"or give FAMILY-DEPTH-DIM with a family of {', '.join(families)}"
    )


def nearest_name(name: str) -> str:
    """A question about an unknown name, as `saformer.text.nearest`: a size of the family that is spelled most alike, or
    the nearest of the papers' networks.
    """
    sized = re.fullmatch(r"([a-z][a-z0-9]*)(-[0-9]{1,4}-[0-9]{1,6})", name)
    if sized is not None and (close := nearest(sized[1], [family.name for family in MODELS.values() if family.sized])):
        return close.replace("?", f"{sized[2]}?")
    return nearest(name, PRESETS)
