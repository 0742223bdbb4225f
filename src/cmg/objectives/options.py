"""Which terms a run has: a group of options that is open to registered objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, SerializeAsAny, create_model, model_validator

from cmg.objectives.base import Objective, TermOptions, objectives
from cmg.options import Options, as_tuples
from cmg.registry import Entry


class ObjectiveOptions(Options):
    """The terms; ``null`` leaves one out, weight 0 computes and logs it.

    Keys are the names of registered objectives. The paper's terms are there unless they are left
    out; others are not unless they are named.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, SerializeAsAny[TermOptions] | None]

    @classmethod
    def known_keys(cls) -> Mapping[str, Any]:
        """The options of every registered objective."""
        return {name: entry.options | None for name, entry in cls.offered().items()}

    @classmethod
    def offered(cls) -> Mapping[str, Entry[type[Objective]]]:
        """The objectives that can be named here."""
        return dict(objectives.items())

    @model_validator(mode="before")
    @classmethod
    def _of_registered(cls, given: Any) -> Any:
        """Check every term by its own options; what is wrong keeps its place."""
        if not isinstance(given, Mapping):
            return given
        fields: dict[str, Any] = {
            name: (entry.options | None, entry.options() if entry.part.by_default else None)
            for name, entry in cls.offered().items()
        }
        terms = create_model("Terms", __base__=Options, **fields)
        checked = terms.model_validate(as_tuples(given), strict=True)
        found = {name: getattr(checked, name) for name in fields}
        return {n: x for n, x in found.items() if x is not None or objectives[n].part.by_default}

    def __getattr__(self, name: str) -> Any:
        """The options of a term; None of one that is left out."""
        try:
            return super().__getattr__(name)  # type: ignore[misc]
        except AttributeError:
            if name in objectives.entries:
                return None
            raise

    @property
    def terms(self) -> dict[str, TermOptions]:
        """The terms in the sum, in the order of the registry."""
        given = self.__pydantic_extra__
        return {name: x for name in objectives if (x := given.get(name)) is not None}

    def weights(self) -> dict[str, float | None]:
        """Weight of each term, None where it is left out."""
        return {
            name: None if options is None else options.weight
            for name, options in self.__pydantic_extra__.items()
        }
