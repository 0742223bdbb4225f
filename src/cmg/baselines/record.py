"""What the baselines of a run found and cost: ``baselines.json`` in its folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

from cmg.baselines.rows import COMPUTED, Baseline
from cmg.errors import ConfigError, DataError, did_you_mean
from cmg.evaluation.scores import ScoreMap, plain
from cmg.files import read_json, replace_file

FILE, FOLDER = "baselines.json", "baselines"
"""In a run: what was found, and the models that were trained for it, which are runs themselves."""
INFONCE = "infonce"
NAMES = (INFONCE, *COMPUTED)
"""Every baseline, in the order of tables."""


@dataclass
class Baselines:
    """The baselines of one run.

    Attributes:
        data_hash: Content hash of the store that they were computed on.
        label: Of the store; empty while nothing that reads it is finished.
        chosen_on: Clips that penalties were chosen by, in words.
        rows: By name.
        remarks: What has to be said beside them.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")
    data_hash: str
    label: str = ""
    chosen_on: str = ""
    rows: dict[str, Baseline] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def scores(self) -> dict[str, ScoreMap]:
        """The tables of what is finished, in the order of :data:`NAMES`."""
        return {n: self.rows[n].scores for n in NAMES if n in self.rows and self.rows[n].scores}

    @property
    def missing(self) -> list[str]:
        """Names of what is not finished."""
        return absent(self.scores)

    def told(self) -> dict[str, Any]:
        """Everything as JSON values."""
        rows = {
            n: asdict(row) | {"scores": plain(row.scores, "values")} for n, row in self.rows.items()
        }
        return asdict(self) | {"rows": rows}

    def save(self, run: Path) -> None:
        """Write to a run's folder, whole or not at all.

        Raises:
            DataError: it cannot be written.
        """
        replace_file(run / FILE, json.dumps(self.told(), indent=1).encode())


def absent(tables: Iterable[str]) -> list[str]:
    """The baselines that are not among some tables, by their names."""
    known = set(tables)
    return [name for name in NAMES if name not in known]


def read_baselines(run: Path) -> Baselines | None:
    """The baselines of a run; None where none were computed.

    Raises:
        DataError: the file is damaged.
    """
    if not (run / FILE).is_file():
        return None
    try:
        return TypeAdapter(Baselines).validate_python(read_json(run / FILE))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{run / FILE} is damaged ({error!r}); delete it and run `cmg baselines {run}` again"
        ) from error


def wanted(only: str | None) -> list[str]:
    """Baselines by their names with commas between, in the order of :data:`NAMES`.

    Raises:
        ConfigError: an unknown one, or none.
    """
    if only is None:
        return list(NAMES)
    asked = [name.strip() for name in only.split(",") if name.strip()]
    for name in asked:
        if name not in NAMES:
            raise ConfigError(
                f"--only: no baseline {name!r}{did_you_mean(name, NAMES)}; valid: "
                f"{', '.join(NAMES)}"
            )
    if not asked:
        raise ConfigError(f"--only names no baseline; valid: {', '.join(NAMES)}")
    return [name for name in NAMES if name in asked]
