"""Short forms on the command line: ``recipe=published data=ROOT list=40k modalities=avt``."""

from __future__ import annotations

from collections.abc import Sequence

from cmg.errors import ConfigError, did_you_mean

INITIALS = {"a": "audio", "v": "video", "t": "text"}
PUBLISHED_RUNS = {
    initials: "-".join(INITIALS[letter] for letter in initials)
    for initials in ("avt", "av", "at", "vt")
}
"""Preset of the published method per set of modalities."""

OWN_DATA = "own-data"
"""Preset for a store without a recipe."""

RECIPES = ("published", "default")


def written_out(assignments: Sequence[str]) -> tuple[str, list[str]]:
    """The preset (or YAML file) that arguments ask for, and the rest in full.

    Without a name, `recipe=published` takes the preset of its modalities (audio-video-text unless
    said otherwise), and data without a recipe are trained on with the preset `own-data`.

    Args:
        assignments: At most one name, and ``key=value``.

    Raises:
        ConfigError: two names, a name or method beside a recipe, or an unknown recipe.
    """
    names = [a for a in assignments if "=" not in a]
    given = dict(a.split("=", 1) for a in assignments if "=" in a)
    if len(names) > 1:
        raise ConfigError(f"one preset at most, got {', '.join(names)}")
    recipe = given.pop("recipe", None)
    if recipe is not None and recipe not in RECIPES:
        raise ConfigError(f"unknown recipe {recipe!r}{did_you_mean(recipe, RECIPES)}")
    if recipe is not None and names:
        raise ConfigError(f"give recipe={recipe} or the preset {names[0]}, not both")
    if recipe is not None and "method" in given:
        raise ConfigError(f"give recipe={recipe} or method={given['method']}, not both")
    modalities = given.pop("modalities", None)
    if modalities is not None:
        given["data.modalities"] = f"[{', '.join(spelled_out(modalities))}]"
    if "list" in given:
        given["data.list"] = given.pop("list")
    name = names[0] if names else _preset_of(recipe, modalities, given)
    return name, [f"{key}={value}" for key, value in given.items()]


def _preset_of(recipe: str | None, modalities: str | None, given: dict[str, str]) -> str:
    if recipe == "published":
        initials = "avt" if modalities is None else modalities
        if initials not in PUBLISHED_RUNS:
            raise ConfigError(
                f"recipe=published has no preset for modalities={initials}; "
                f"valid: {', '.join(PUBLISHED_RUNS)}"
            )
        return PUBLISHED_RUNS[initials]
    stored = not given.keys().isdisjoint({"data", "data.store"})
    return OWN_DATA if stored else "digits"


def spelled_out(modalities: str) -> list[str]:
    """``avt`` as audio, video, text; names as they are, separated by commas."""
    if modalities in PUBLISHED_RUNS:
        return PUBLISHED_RUNS[modalities].split("-")
    names = [name.strip() for name in modalities.strip("[]").split(",")]
    if not all(name.isidentifier() for name in names):
        raise ConfigError(
            f"modalities={modalities} is none of {', '.join(PUBLISHED_RUNS)}, nor names separated "
            "by commas"
        )
    return names
