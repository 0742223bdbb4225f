"""Named studies: every variant is a valid configuration and changes what it says, no more."""

import pytest

from cmg.baselines.infonce import infonce_config
from cmg.config.compare import changed_keys
from cmg.config.schema import RunConfig
from cmg.errors import ConfigError
from cmg.studies.definition import load_study, named_studies, read_study
from cmg.studies.plan import base_config, value_of, variant_config

STUDIES = named_studies()
NAMES = [
    "ablation-av",
    "ablation-avt",
    "codebook-size",
    "digits-parts",
    "evidence",
    "map-detail",
    "own-data-sizes",
    "pretraining-lists",
    "pretraining-size",
    "pretraining-size-equal-steps",
    "quantizers",
    "recipe-choice",
    "recipe-parts",
    "recipes",
    "zoo",
]
CONTROLS = ["untrained-encoders", "shuffled-pairs", "infonce"]
ABLATION = {
    "full": {},
    "no-club": {"objectives.club": None},
    "no-cpc": {"objectives.cross_cpc": None},
    "no-club-no-cpc": {"objectives.club": None, "objectives.cross_cpc": None},
    "no-mm-ema": {"model.codebook.ema.partner": "none"},
    "no-reset": {"model.codebook.reset.enabled": False},
    "no-cmcm": {"objectives.cmcm": None},
    "no-mm-ema-no-reset": {
        "model.codebook.ema.partner": "none",
        "model.codebook.reset.enabled": False,
    },
    "untrained-encoders": {"training.codebook_only": True},
    "shuffled-pairs": {"data.shuffled_pairs": True},
}


def changes(study, variant, base=None):
    started = base_config(study, "digits", base, [])
    row = next(v for v in study.rows() if v.name == variant)
    found = changed_keys(started, variant_config(started, row))
    return {key: now for key, (_, now) in found.items()}


OF_CONTRAST = ("evidence", "own-data-sizes", "recipe-choice", "recipe-parts", "zoo")
"""Their base is a preset of `method=contrast`, and their controls are their own rows, or none."""


def test_studies_that_come_with_the_package():
    assert sorted(STUDIES) == NAMES


ANY = [name for name in NAMES if name not in OF_CONTRAST[1:]]
BASES = [(name, base) for name in ANY for base in (None, "digits", "published", "own-data")]


@pytest.mark.parametrize(
    ("name", "base"), [*BASES, *((n, b) for n in OF_CONTRAST for b in ("watch", "emoji"))]
)
def test_every_variant_is_valid_and_changes_only_what_it_declares(name, base):
    study = STUDIES[name]
    started = base_config(study, "digits", base, [])
    for row in study.rows():
        config = variant_config(started, row, study.keeps)
        assert RunConfig.model_validate(config.model_dump()) == config
        declared = [*row.changes, *row.scales]
        if row.infonce:
            alone = variant_config(started, row.model_copy(update={"infonce": False}))
            assert config == infonce_config(alone)
            continue
        if row.method is not None:
            kept = {
                key: value_of(config, key)
                for key in (*study.keeps, "data")
                if key not in row.changes and key != "probe"
            }
            assert kept == {key: value_of(started, key) for key in kept}
            continue
        if "model.codebook.kind" in row.changes:
            declared.append("model.codebook")  # another kind has other options
        for key in changed_keys(started, config):
            new = value_of(started, key) is None  # a group that the base leaves out is one key
            assert any(
                key == d or key.startswith(f"{d}.") or (new and d.startswith(f"{key}."))
                for d in declared
            ), (row.name, key)
        for key, value in row.changes.items():
            assert contains(value_of(config, key), value), (row.name, key)
        for key, factor in row.scales.items():
            assert value_of(config, key) == factor * value_of(started, key)


@pytest.mark.parametrize("base", [None, "own-data", "published"])
@pytest.mark.parametrize("name", ["ablation-av", "ablation-avt"])
def test_ablations_switch_off_what_the_papers_rows_say(name, base):
    study = STUDIES[name]
    rows = [v.name for v in study.rows()]
    expected = dict(ABLATION)
    if name == "ablation-avt":
        del expected["no-club-no-cpc"]  # the paper's Table 3 has no such row
    assert sorted(rows) == sorted([*expected, "infonce"])
    for row, changed in expected.items():
        assert changes(study, row, base) == changed, row


def contains(found, wanted):
    if isinstance(wanted, dict):
        return all(contains(found[key], value) for key, value in wanted.items())
    return (tuple(found) if isinstance(found, list) else found) == wanted


def test_every_row_of_the_embedded_set_differs_from_the_reference():
    chosen = [study for name, study in STUDIES.items() if name not in OF_CONTRAST]
    for study in chosen:
        reference = changes(study, study.reference)
        others = [changes(study, v.name) for v in study.rows() if v.name != study.reference]
        assert all(found != reference for found in others), study.name


def test_an_ablation_has_every_part_on_even_where_the_base_leaves_it_out():
    """`light`, which the paper's parts are taken from, has neither reconstruction nor CLUB."""
    study = STUDIES["ablation-av"]
    weights = {"reconstruction", "commitment", "cross_cpc", "club", "cmcm"}
    for data in ("digits", "somewhere"):
        config = base_config(study, data, None, [])
        assert config.objectives.weights() == dict.fromkeys(weights, 1.0)
        assert config.data.modalities == ("audio", "video")
    asked = base_config(study, "digits", None, ["method=full"])
    assert asked.objectives.weights() == dict.fromkeys(weights, 1.0) | {"club": 0.1}
    assert base_config(study, "digits", "own-data", []).objectives.clip_info_nce is not None


def test_published_base_is_the_published_run_of_the_studys_modalities():
    av = base_config(STUDIES["ablation-av"], "somewhere", "published", [])
    assert av.model.detail_width == {"audio": 256, "video": 2048}
    avt = base_config(STUDIES["ablation-avt"], "somewhere", "published", [])
    assert avt.model.detail_width == {"audio": 256, "video": 2048, "text": 256}
    at = base_config(STUDIES["ablation-av"], "somewhere", "published", ["modalities=at"])
    assert at.data.modalities == ("audio", "text")
    assert (av.training.seed, av.training.threads, av.data.store) == (0, 1, "somewhere")


def test_sizes_and_shares():
    sizes = STUDIES["codebook-size"]
    assert [v.x for v in sizes.variants] == [50, 100, 200, 400, 800, 1600]
    for v in sizes.variants:
        assert changes(sizes, v.name) == {"model.codebook.size": v.x}
    shares = STUDIES["pretraining-size"]
    assert [changes(shares, v.name) for v in shares.variants] == [
        {"data.fraction": 0.125},
        {"data.fraction": 0.25},
        {"data.fraction": 0.5},
        {},
    ]
    equal = STUDIES["pretraining-size-equal-steps"]
    assert changes(equal, "eighth") == {"data.fraction": 0.125, "training.epochs": 14 * 8}
    lists = STUDIES["pretraining-lists"]
    assert [v.changes for v in lists.variants] == [{"data.list": x} for x in ("24k", "40k", "81k")]


def test_controls_stand_on_the_reference():
    """Of the size sweep: the untrained encoders have 400 codes too."""
    found = changes(STUDIES["codebook-size"], "untrained-encoders")
    assert found == {"model.codebook.size": 400, "training.codebook_only": True}
    for study in (study for name, study in STUDIES.items() if name not in OF_CONTRAST):
        assert [v.name for v in study.rows()[-3:]] == CONTROLS
        assert all(v.control for v in study.rows()[-3:])


def test_controls_of_the_evidence_stand_on_the_codes():
    study = STUDIES["evidence"]
    codes = study.variant("codes").changes
    own = {"shuffled": {"data.shuffled_pairs": True}, "untrained": {"training.codebook_only": True}}
    assert {v.name: v.changes for v in study.variants if v.control} == {
        name: codes | changes for name, changes in own.items()
    }


@pytest.mark.parametrize(
    ("study", "name", "rows", "full"),
    [
        ("ablation-av", "24k", 8, (44.0, 49.7, 61.9, 65.7)),
        ("ablation-av", "40k", 8, (47.7, 52.3, 64.0, 65.6)),
        ("ablation-avt", "40k", 7, (54.1, 55.0, 63.4, 71.0, 53.0, 52.4, 67.1, 60.6)),
    ],
)
def test_papers_figures(study, name, rows, full):
    """Some figures of Tables 2 and 3, typed again from the paper."""
    paper = STUDIES[study].paper
    assert len(paper.lists[name]) == rows
    assert paper.lists[name]["full"] == full
    without_cpc = {"24k": (4.6, 5.8), "40k": (5.2, 7.1)}
    if study == "ablation-av":
        assert paper.lists[name]["no-cpc"][:2] == without_cpc[name]
        no_both = {"24k": (28.2, 30.9, 41.4, 49.2), "40k": (31.5, 33.8, 46.0, 48.3)}
        assert paper.lists[name]["no-mm-ema-no-reset"] == no_both[name]


GOOD = "title: T\nabout: A\nreference: a\nvariants:\n  - {name: a, title: A}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "colour: red\n", "colour: Extra inputs"),
        (GOOD.replace("reference: a", "reference: b"), "reference 'b' is no variant"),
        (GOOD + "  - {name: a, title: B}\n", "two variants are named a"),
        (GOOD + "  - {name: ../b, title: B}\n", "variants.1.name"),
        (GOOD + "axis: {title: codes}\n", "needs an x for every variant"),
        (GOOD + "folds: 0\n", "folds: Input should be a valid tuple, got 0"),
        (GOOD + "folds: [1, 1]\n", "each is named once"),
        (GOOD.replace("A}", "A, reads: {r: {model.width: 8}}}"), "'r' sets model.width; a read"),
        (GOOD.replace("name: a", "name: computed"), "names the controls that need no training"),
        (GOOD.replace("A}", "A, group: ../b}"), "variants.0.group"),
        ("- 1\n", "mapping"),
        (
            GOOD + "paper: {source: S, columns: [x/y], lists: {l: {a: [1.0, 2.0]}}}\n",
            "needs a figure per column",
        ),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(text, message, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_study(str(file))


def test_a_study_of_ones_own(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD)
    study = load_study(str(file))
    assert study.name == "mine"
    assert [v.name for v in study.rows()] == ["a", *CONTROLS]
    assert read_study(GOOD + "controls: []\n", "mine", "here").rows() == study.variants


READS = """
title: T
about: A
reference: a
folds: 3
variants:
  - {name: a, title: A, group: r, changes: {model.width: 8}, reads: [codes, continuous]}
  - {name: b, title: B, group: r, reads: {soft: {probe.features: posterior, probe.temperature: 1}}}
  - {name: c, title: C, group: other}
"""


def test_reads_are_rows_and_what_codes_cost_is_no_try():
    study = read_study(READS, "s", "here")
    assert study.folds == (0, 1, 2)
    rows = [row for v in study.rows() for row in v.rows()]
    assert [(r.name, r.title, r.control) for r in rows] == [
        ("a", "A, codes", False),
        ("a/continuous", "A, continuous", True),
        ("b", "B, soft", False),
        ("c", "C", False),
        ("untrained-encoders", "control: untrained encoders", True),
        ("shuffled-pairs", "control: shuffled pairs", True),
        ("infonce", "baseline: InfoNCE, equal budget", True),
    ]
    assert study.row("a/continuous").changes == {
        "model.width": 8,
        "probe.features": "continuous",
    }
    assert study.row("shuffled-pairs").changes["probe.features"] == "codes"
    assert study.tries() == {"r": ["a", "b"], "other": ["c"]}
    assert type(study).model_validate(study.model_dump(mode="json")) == study
