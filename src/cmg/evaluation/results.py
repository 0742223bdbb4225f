"""What an evaluation found, as one record that tables, reports and JSON are made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

from cmg.codebook.measures import CodeUsage
from cmg.errors import DataError
from cmg.evaluation.scores import ScoreMap, merged, plain
from cmg.files import read_json, replace_file


@dataclass(frozen=True)
class CodebookStats:
    """Codebook use on held-out clips, mean over seeds.

    Attributes:
        size: K.
        used: Codes with at least 0.1 % of the tokens.
        perplexity: exp(entropy) over event steps (all steps where there is no background label),
            modalities pooled.
        shared_share: Share of the used codes of which two or more modalities, weighted equally,
            each give at least 5 %, 0..1.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")
    size: int
    used: float
    perplexity: float
    shared_share: float

    @classmethod
    def of(cls, everywhere: CodeUsage, events: CodeUsage) -> CodebookStats:
        """Stats of one model: use over all steps, and over event steps."""
        return cls(
            everywhere.counts.shape[1],
            float(everywhere.used().sum()),
            events.perplexity,
            everywhere.shared_share,
        )

    @classmethod
    def mean(cls, several: list[CodebookStats]) -> CodebookStats:
        """Mean over seeds."""
        n = len(several)
        return cls(
            several[0].size,
            sum(s.used for s in several) / n,
            sum(s.perplexity for s in several) / n,
            sum(s.shared_share for s in several) / n,
        )


@dataclass
class Results:
    """Everything one evaluation says.

    Attributes:
        transfer: Clip classification on held-out clips, same-modality directions included.
        localization: Per-step classification, background included as a class.
        controls: The transfer table of each control, by name.
        extra_splits: The transfer table on further held-out splits (``test_one_scan``).
        codebook: Use of the codebook.
        weights: Weight of each objective; None where it is left out.
        seconds: Wall time of it all.
        remarks: What has to be said beside the numbers.
    """

    transfer: ScoreMap
    localization: ScoreMap
    controls: dict[str, ScoreMap]
    codebook: CodebookStats
    extra_splits: dict[str, ScoreMap] = field(default_factory=dict)
    weights: dict[str, float | None] = field(default_factory=dict)
    seconds: float = 0.0
    remarks: list[str] = field(default_factory=list)

    @classmethod
    def merged(cls, several: Sequence[Results]) -> Results:
        """The seeds of several evaluations of one configuration together."""
        first = several[0]
        return cls(
            merged([one.transfer for one in several]),
            merged([one.localization for one in several]),
            {name: merged([one.controls[name] for one in several]) for name in first.controls},
            CodebookStats.mean([one.codebook for one in several]),
            {s: merged([one.extra_splits[s] for one in several]) for s in first.extra_splits},
            first.weights,
            sum(one.seconds for one in several),
            list(dict.fromkeys(remark for one in several for remark in one.remarks)),
        )

    @property
    def counted_steps(self) -> str:
        """Which steps the codebook's perplexity is over, in words."""
        return "event steps" if self.localization else "all steps"

    def told(self, *more: str) -> dict[str, Any]:
        """Everything as JSON values, of scores also what `more` names."""
        tables = ("transfer", "localization", "controls", "extra_splits")
        return asdict(self) | {name: plain(getattr(self, name), *more) for name in tables}

    def public(self) -> dict[str, Any]:
        """The keys that ``cmg demo --json`` promises."""
        told = self.told()
        keys = ("transfer", "localization", "controls", "codebook", "seconds")
        return {key: told[key] for key in keys}

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all.

        Raises:
            DataError: it cannot be written.
        """
        replace_file(path, json.dumps(self.told("values"), indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: absent or damaged.
        """
        try:
            return TypeAdapter(cls).validate_python(read_json(path))
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read results {path}: {error!r}") from error
