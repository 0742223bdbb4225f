"""What a study chose on its validation split: the best row of every group of tries.

A study whose variants have choices is two: :func:`tries_of` on the validation split, and, with the
best of each, :func:`settled` on the test split.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmg.config.load import override_config, to_yaml
from cmg.config.schema import RunConfig
from cmg.errors import ConfigError
from cmg.evaluation.scores import Score, plain
from cmg.files import StrPath, replace_file
from cmg.studies.definition import Study
from cmg.studies.ledger import unfinished_jobs
from cmg.studies.plan import SCORED, at_fold, value_of
from cmg.studies.summary import MEAN, StudySummary, summarized


@dataclass(frozen=True)
class Winner:
    """The best row of a group.

    Attributes:
        group: Its name; that of the study, where no variant has a group.
        row: Name of the best row.
        title: Likewise.
        tries: How many rows it is the best of.
        score: Of the metric that was chosen by.
        overrides: What makes it of the base, by dotted key.
        config: The whole configuration, to be read on the test split.
    """

    group: str
    row: str
    title: str
    tries: int
    score: Score
    overrides: dict[str, Any]
    config: RunConfig

    @property
    def assignments(self) -> list[str]:
        """The overrides as ``key=value``."""
        values = self.overrides.items()
        return [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in values]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        own = {"row": self.row, "title": self.title, "tries": self.tries}
        score = plain(self.score, "values", "interval")
        return own | {"score": score, "overrides": self.overrides}


def tries_of(study: Study) -> Study | None:
    """The study that comes first: each variant with each of its choices, a group of tries each.

    Returns:
        None where there is nothing to choose.
    """
    variants = []
    for one in study.variants:
        for i, changes in enumerate(() if one.control else one.choices or study.choices):
            told = ", ".join(f"{key} = {value}" for key, value in changes.items())
            own: dict[str, Any] = {
                "changes": one.changes | changes,
                "choices": (),
                "reads": {},
                "seeds": None,
            }
            named = {"name": f"{one.name}-{i}", "title": f"{one.title}, {told}", "group": one.name}
            variants.append(one.model_copy(update=own | named))
    if not variants:
        return None
    reference = next((v.name for v in variants if v.group == study.reference), variants[0].name)
    update: dict[str, Any] = {
        "title": f"{study.title}: the choice",
        "split": "val",
        "variants": tuple(variants),
        "reference": reference,
        "controls": (),
        "choices": (),
        "computed": False,
    }
    return study.model_copy(update=update)


def settled(study: Study, found: Sequence[Winner], unfit: Mapping[str, str]) -> Study:
    """A study whose variants have what was chosen for them.

    Args:
        study: With choices.
        found: The best try of each variant.
        unfit: Variants that do not fit the data, and why.

    Raises:
        ConfigError: the reference is one of them.
    """
    if study.reference in unfit:
        raise ConfigError(f"{study.reference} does not fit the data: {unfit[study.reference]}")
    best = {one.group: one.overrides for one in found}
    of_reference = best.get(study.reference, {})
    variants = []
    for v in (v for v in study.variants if v.name not in unfit):
        own: dict[str, Any]
        if v.control:  # on top of the reference, as all controls are
            own = {"changes": of_reference | v.changes, "choices": ()}
        elif v.name in best:
            own = {"changes": best[v.name], "choices": ()}
        else:  # of which nothing was asked for
            own = {"choices": v.choices or study.choices}
        variants.append(v.model_copy(update=own))
    update: dict[str, Any] = {"variants": tuple(variants), "choices": (), "unfit": dict(unfit)}
    return study.model_copy(update=update)


def best_of(
    out: StrPath, metric: str | None = None, only: Collection[str] | None = None
) -> list[Winner]:
    """The best row of every group, by the mean over the directions between modalities.

    Args:
        out: Folder of a finished study that was scored on a validation split.
        metric: To choose by; None takes the first.
        only: Groups; None takes all.

    Raises:
        ConfigError: it was scored on the test split, is not finished, or has no such metric.
        DataError: no study there, or damaged files.
    """
    out = Path(out)
    summary = summarized(out)
    tries = summary.study.tries()
    wanted = {name for group in only or () for name in tries[group]}
    left = unfinished_jobs(out, summary.identity)
    left = [key for key in left if only is None or key.variant in wanted]
    if summary.identity.base.data.test_split == "test":
        raise ConfigError(
            f"{out} was scored on the test split; a choice is made on the validation split: "
            "`cmg study run --choose`"
        )
    if left:
        raise ConfigError(
            f"{out} is not finished: {len(left)} jobs are left, {left[0].name} is the first; "
            "a choice compares all of them"
        )
    known = summary.metrics()
    chosen = known[0] if metric is None else metric
    if f"{chosen}/{MEAN}" not in summary.rows[0].scores:
        raise ConfigError(f"{out} has no mean across of {chosen!r}; it has {', '.join(known)}")
    rows = [r.name for v in summary.study.variants for r in v.rows() if not r.control]
    groups = tries or {summary.study.name: rows}
    return [
        choice(summary, group, names, chosen)
        for group, names in groups.items()
        if only is None or group in only
    ]


def choice(summary: StudySummary, group: str, names: list[str], metric: str) -> Winner:
    """The best row of one group; of equal ones the first."""
    rows = {row.variant.name: row for row in summary.rows}
    best = max(names, key=lambda name: rows[name].scores[f"{metric}/{MEAN}"].mean)
    variant, config = summary.study.row(best), summary.identity.config_of(best)
    overrides = {key: value_of(config, key) for key in variant.scales} | variant.changes
    score = rows[best].scores[f"{metric}/{MEAN}"]
    own = override_config(config, changes={SCORED: "test"})
    own = at_fold(own, next(iter(summary.identity.folds), None))
    return Winner(group, best, variant.title, len(names), score, overrides, own)


def write_choice(out: StrPath, found: Winner) -> Path:
    """Write the configuration of a choice into the study's folder.

    Raises:
        DataError: it cannot be written.
    """
    path = Path(out) / f"best-{found.group}.yaml"
    replace_file(path, to_yaml(found.config).encode())
    return path
