"""What a study is: a base configuration, variants of it, and what the paper found for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from cmg.config.load import annotation_of, full_key
from cmg.config.named import STUDY, named, text_of
from cmg.config.values import parse_yaml, typed
from cmg.errors import ConfigError
from cmg.options import Options, problems

NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
"""A name that is also a folder's."""
COMPUTED = "computed"
"""In the place of a variant: the controls of a fold that need no training."""
CONTINUOUS = "continuous"
"""The read that shows what codes cost: features before the quantizer."""


def typed_changes(changes: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted configuration key, as a run's configuration takes them.

    Raises:
        ConfigError: an unknown key.
    """
    named = {full_key(key, value): value for key, value in changes.items()}
    return {key: typed(value, annotation_of(key)) for key, value in named.items()}


def named_reads(value: Any) -> Any:
    """Reads by name; those of a list are named by the ``probe.features`` that they take."""
    if not isinstance(value, list | tuple):
        return value
    return {str(name): {"probe.features": name} for name in value}


def listed_folds(value: Any) -> Any:
    """Folds; a number of them counts from 0."""
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return tuple(range(value)) if whole else value


Changes = Annotated[dict[str, Any], AfterValidator(typed_changes)]
Reads = Annotated[dict[str, Changes], BeforeValidator(named_reads)]
Folds = Annotated[tuple[int, ...], BeforeValidator(listed_folds)]


class Variant(Options):
    """One configuration of a study.

    Attributes:
        name: Also the folder of its jobs.
        title: In tables and plots.
        method: In the place of the base's own; data, training and what the study `keeps` stay.
        changes: Dotted configuration keys and their values, on top of the study's base.
        choices: Further changes, of which one is chosen on the validation split before anything is
            read on the test split; empty takes the study's.
        scales: Dotted keys whose value in the base is multiplied, e.g. epochs.
        infonce: Whether it is symmetric InfoNCE at the budget of all this.
        x: Place on the study's axis.
        control: Whether it is a control rather than a part of the comparison.
        reads: What heads read of one pre-training, a row each: changes of ``probe`` by name, or a
            list of ``probe.features``. The first has the variant's own row.
        group: Of a choice, those that it is one of the tries for.
        seeds: Pre-trainings at most, as a control needs fewer; None: as many as the others.
    """

    name: str = Field(pattern=NAME)
    title: str
    method: str | None = None
    changes: Changes = Field(default_factory=dict)
    choices: tuple[Changes, ...] = ()
    scales: dict[str, float] = Field(default_factory=dict)
    infonce: bool = False
    x: float | None = None
    control: bool = False
    reads: Reads = Field(default_factory=dict)
    group: str = Field("", pattern=f"^$|{NAME}")
    seeds: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _reads_only(self) -> Self:
        for name, changes in self.reads.items():
            other = [key for key in changes if not key.startswith("probe.")]
            if other:
                raise ValueError(f"the read {name!r} sets {other[0]}; a read sets probe.* only")
        if self.name == COMPUTED:
            raise ValueError(f"{COMPUTED!r} names the controls that need no training")
        return self

    def rows(self) -> tuple[Variant, ...]:
        """A variant per read; beside others, ``continuous`` is a control."""
        return tuple(
            self.model_copy(
                update={
                    "name": f"{self.name}/{name}" if i else self.name,
                    "title": f"{self.title}, {name}",
                    "changes": self.changes | changes,
                    "control": self.control or (name == CONTINUOUS and len(self.reads) > 1),
                }
            )
            for i, (name, changes) in enumerate(self.reads.items())
        ) or (self,)


class StudyAxis(Options):
    """What a sweep varies.

    Attributes:
        title: Below the axis.
        log: Whether the axis is logarithmic.
    """

    title: str
    log: bool = True


class PaperTable(Options):
    """What the paper reports for the same rows, in percent.

    Attributes:
        source: Where in the paper.
        columns: ``benchmark/direction``, e.g. ``ave/video->audio``.
        lists: Per pre-training list (``40k``) and variant, a figure per column.
        note: What a reader must know of the figures.
    """

    source: str
    columns: tuple[str, ...]
    lists: dict[str, dict[str, tuple[float, ...]]]
    note: str = ""


class Study(Options):
    """A comparison that is run as a whole.

    Attributes:
        name: Of the file.
        title: What it is.
        about: What a reader must know to read its table.
        reference: Variant that the others are compared with, seed by seed or fold by fold.
        needs: ``collection`` where it trains on lists of one; ``any`` takes a store as well.
        method: What is varied where neither a base nor a method is asked for, in place of the
            default's: a study of the paper's parts needs a method that has them.
        base: Dotted keys set before any variant, unless the command line sets them.
        where_off: Dotted keys and the value they take where the base leaves them out (null), so
            that there is something to switch off.
        variants: Configurations.
        controls: Further variants, each on top of the reference.
        axis: Of a sweep; None for a comparison of names.
        paper: Its figures.
        folds: Of the data, or how many there are, where the command does not say; with folds, they
            are what is resampled, and seeds are averaged within them.
        split: What is scored; ``val`` to choose, which never opens the test split.
        computed: Whether there are controls that need no training, such as ridge regression.
        keeps: Dotted keys of the base that variants with a method of their own take from it, so
            that all have the same budget.
        choices: See :attr:`Variant.choices`, of the variants that are compared.
        lenient: Whether variants that do not fit the data are left out, with the reason.
        unfit: Those that were, and why.
    """

    name: str = Field(pattern=NAME)
    title: str
    about: str
    reference: str
    needs: Literal["any", "collection"] = "any"
    method: str | None = None
    base: Changes = Field(default_factory=dict)
    where_off: Changes = Field(default_factory=dict)
    variants: tuple[Variant, ...] = Field(min_length=1)
    controls: tuple[Variant, ...] = ()
    axis: StudyAxis | None = None
    paper: PaperTable | None = None
    folds: Folds = ()
    split: Literal["test", "val"] = "test"
    computed: bool = False
    keeps: tuple[str, ...] = ()
    choices: tuple[Changes, ...] = ()
    lenient: bool = False
    unfit: dict[str, str] = Field(default_factory=dict)

    def untuned(self) -> Study:
        """This without choices: every variant as its method says."""
        variants = tuple(v.model_copy(update={"choices": ()}) for v in self.variants)
        return self.model_copy(update={"variants": variants, "choices": ()})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [v.name for v in (*self.variants, *self.controls)]
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated:
            raise ValueError(f"two variants are named {', '.join(repeated)}")
        if self.reference not in [v.name for v in self.variants]:
            raise ValueError(f"the reference {self.reference!r} is no variant")
        if len(set(self.folds)) < len(self.folds) or min(self.folds, default=0) < 0:
            raise ValueError(f"folds {list(self.folds)}: each is named once, counted from 0")
        if self.axis is not None and any(v.x is None for v in self.variants):
            raise ValueError("a study with an axis needs an x for every variant")
        for rows in self.paper.lists.values() if self.paper else ():
            for name, figures in rows.items():
                if name not in names:
                    raise ValueError(f"the paper's row {name!r} is no variant")
                if len(figures) != len(self.paper.columns if self.paper else ()):
                    raise ValueError(f"the paper's row {name!r} needs a figure per column")
        return self

    def rows(self) -> tuple[Variant, ...]:
        """Variants, then controls; a control also has the changes of the reference's own row."""
        base = self.variant(self.reference).rows()[0]
        controls = (
            control.model_copy(
                update={
                    "changes": base.changes | control.changes,
                    "scales": base.scales | control.scales,
                    "control": True,
                }
            )
            for control in self.controls
        )
        return (*self.variants, *controls)

    def beside(self, other: Study) -> Study:
        """The study as :meth:`joined`, without what is no difference between two folders of it.

        That is the control that the default ones had not at first, and variants that do not fit the
        data, here or there.
        """
        found = self.joined(other)
        kept = tuple(control for control in found.controls if not control.infonce)
        return found.model_copy(update={"controls": kept, "unfit": {}})

    def joined(self, other: Study) -> Study:
        """The study with what is chosen, and what does not fit, in another folder or run of it."""
        chosen = {v.name: v for v in other.variants if not v.choices}
        unfit = {**other.unfit, **self.unfit}
        variants = [chosen.get(v.name, v) if v.choices else v for v in self.variants]
        update = {
            "variants": tuple(v for v in variants if not {v.name, v.group} & unfit.keys()),
            "controls": tuple(c for c in self.controls if c.name not in unfit),
            "computed": self.computed and COMPUTED not in unfit,
            "unfit": unfit,
        }
        return self.model_copy(update=update)

    def row(self, name: str) -> Variant:
        """The row of a table, by its name: a variant, or one of its further reads."""
        return next(r for v in self.rows() for r in v.rows() if r.name == name)

    def tries(self) -> dict[str, list[str]]:
        """The rows that are tries for each group; what codes cost to read is none."""
        found: dict[str, list[str]] = {}
        for row in (r for v in self.rows() if v.group for r in v.rows() if not r.control):
            found.setdefault(row.group, []).append(row.name)
        return found

    def variant(self, name: str) -> Variant:
        """The variant of a name."""
        return next(v for v in self.variants if v.name == name)


CONTROLS = (
    Variant(
        name="untrained-encoders",
        title="control: untrained encoders",
        changes={"training.codebook_only": True},
    ),
    Variant(
        name="shuffled-pairs",
        title="control: shuffled pairs",
        changes={"data.shuffled_pairs": True},
    ),
    Variant(name="infonce", title="baseline: InfoNCE, equal budget", infonce=True),
)
"""The controls of every study that does not bring its own."""


def named_studies() -> dict[str, Study]:
    """Every study that comes with the package, by name."""
    return {name: read_study(text, name, f"study {name!r}") for name, text in named(STUDY).items()}


def load_study(name_or_path: str) -> Study:
    """A named study, or one of a YAML file.

    Raises:
        ConfigError: neither, or a file that describes no valid study.
    """
    source, text = text_of(STUDY, name_or_path)
    return read_study(text, Path(name_or_path).stem, source)


def read_study(text: str, name: str, source: str) -> Study:
    """A study from YAML.

    Args:
        text: Keys of :class:`Study`; `name` may be left out. Without `controls` it gets
            :data:`CONTROLS`.
        name: Where the text gives none.
        source: For messages.

    Raises:
        ConfigError: not YAML, or no valid study; every problem on a line of its own.
    """
    try:
        tree = {"name": name, "controls": CONTROLS} | parse_yaml(text, source)
        return Study.model_validate(typed(tree, Study), strict=True)
    except ValidationError as error:
        raise ConfigError(f"{source} is no valid study: " + "\n".join(problems(error))) from error
