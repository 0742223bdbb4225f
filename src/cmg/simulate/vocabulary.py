"""The concepts of the simulated world, and the names they have in each data set.

Names and numbers of clips are those of the official lists; groups and traits are ours.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cmg.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Concept:
    """Something that can be seen and heard.

    Attributes:
        name: Unique.
        group: What kind of thing; shared by related concepts.
        traits: How it looks and sounds; shared across groups.
        names: Its category per data set (``vggsound``, ``ave``, ``avvp``, ``ucf``,
            ``avsbench``), where it has one.
    """

    name: str
    group: str
    traits: tuple[str, ...]
    names: dict[str, str]


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of a tab-separated file of the official facts."""
    text = files("cmg.simulate").joinpath("facts", f"{name}.tsv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


@cache
def concepts() -> tuple[Concept, ...]:
    """Every concept, in a fixed order."""
    return tuple(
        Concept(
            row["concept"],
            row["group"],
            tuple(row["traits"].split()),
            {d: row[d] for d in ("vggsound", "ave", "avvp", "ucf", "avsbench") if row[d]},
        )
        for row in read_table("concepts")
    )


@cache
def _by_category(dataset: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for concept in concepts():
        if dataset in concept.names:
            category = concept.names[dataset]
            found[category] = (*found.get(category, ()), concept.name)
    return found


def concepts_of(dataset: str, category: str) -> tuple[str, ...]:
    """The concepts a category stands for; more than one where it is broader (``Speech``).

    Raises:
        DataError: a category that the world does not know.
    """
    known = _by_category(dataset)
    if category not in known:
        raise DataError(
            f"the simulated world knows no {dataset} category {category!r}"
            f"{did_you_mean(category, known)}"
        )
    return known[category]


def categories_of(dataset: str) -> list[str]:
    """The categories of a data set, in the order of the concepts."""
    return list(_by_category(dataset))


def has_category(dataset: str, concept: str) -> str | None:
    """The category of a concept in a data set, None where it has none."""
    return next((c.names.get(dataset) for c in concepts() if c.name == concept), None)


def check_categories(dataset: str, categories: Sequence[str], file: str) -> None:
    """Refuse a list whose categories the world does not know.

    Raises:
        DataError: naming the file and the nearest known name.
    """
    for category in categories:
        try:
            concepts_of(dataset, category)
        except DataError as error:
            raise DataError(f"{file}: {error}") from error
