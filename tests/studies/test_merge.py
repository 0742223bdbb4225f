"""Parts of a study become one, or it is said what keeps them apart."""

import pytest

from cmg.config.load import load_config
from cmg.errors import ConfigError, DataError
from cmg.studies.definition import read_study
from cmg.studies.ledger import finished_jobs, read_identity, unfinished_jobs
from cmg.studies.merge import merge_studies
from cmg.studies.summary import summarized
from cmg.studies.write import write_study

from .conftest import CHOICE, TINY

AB = "classification/a->b"
CELLS = [(fold, seed) for fold in range(2) for seed in range(2)]


@pytest.fixture
def choice():
    return read_study(CHOICE, "choice", "test")


@pytest.fixture
def part(planted, choice):
    """Make a part of a study of two folds and two seeds, with the given cells of every row."""

    def make(out, cells, study=choice, **options):
        scores = {(f, s): {AB: 10.0 * f + s} for f, s in cells}
        found = dict.fromkeys(("plain", "wide", "codes", "codes/posterior"), scores)
        return planted(study, found, folds=range(2), seeds=2, out=out, **options)

    return make


def test_parts_make_the_study_that_was_never_divided(part, tmp_path):
    whole = part("whole", CELLS)
    write_study(whole, summarized(whole))
    a, b = part("a", CELLS[:3]), part("b", CELLS[2:])  # one job of each row is in both
    summary = merge_studies(tmp_path / "merged", [a, b])
    assert finished_jobs(tmp_path / "merged") == finished_jobs(whole)
    for name in ("study.json", "table.md", "jobs/codes/fold-1/seed-0.json"):
        assert (tmp_path / "merged" / name).read_bytes() == (whole / name).read_bytes()
    assert summary.rows[0].scores[AB].values == (0.5, 10.5)
    assert unfinished_jobs(whole, summary.identity) == []


def test_a_variant_may_ask_for_fewer_seeds_than_the_others(part, choice):
    fewer = {"wide": {"seeds": 1}}
    variants = tuple(v.model_copy(update=fewer.get(v.name, {})) for v in choice.variants)
    whole = part("whole", CELLS, study=choice.model_copy(update={"variants": variants}))
    identity = read_identity(whole)
    assert [(k.fold, k.seed) for k in identity.jobs if k.variant == "wide"] == [(0, 0), (1, 0)]
    assert sorted((k.fold, k.seed) for k in identity.jobs if k.variant == "plain") == CELLS
    assert unfinished_jobs(whole, identity) == []


def test_a_part_may_be_merged_into_another(part, planted, choice):
    a, b = part("a", CELLS[:2]), part("b", CELLS[2:])
    kept = {key: (a / key.file).read_bytes() for key in finished_jobs(a)}
    merge_studies(a, [b])
    assert len(finished_jobs(a)) == 3 * 4
    assert all((a / key.file).read_bytes() == was for key, was in kept.items())
    more = planted(choice, {"plain": {(4, 0): {AB: 1.0}}}, folds=[0, 4], seeds=1, out="more")
    merge_studies(a, [more])
    assert (read_identity(a).folds, read_identity(a).seeds) == ((0, 1, 4), 2)
    left = unfinished_jobs(a, read_identity(a))
    assert [key.name for key in left[:2]] == ["wide/fold-4/seed-0", "codes/fold-4/seed-0"]


def changed(part, choice):
    """What each refused pair differs in, and what is said of it."""
    other = choice.model_copy(update={"title": "Renamed"})
    base = load_config(None, [*TINY, "training.epochs=2"])
    return {
        "study": (part("b", CELLS[:1], study=other), "b holds jobs of an earlier form of the"),
        "base": (part("c", CELLS[:1], base=base), r"epochs = 2 \(in .*a 1\); only parts of one"),
        "data": (
            part("d", CELLS[1:2], trained_on="b" * 64),
            r"was trained on data with content hash aaaaaaaaaaaa, .*d.* on bbbbbbbbbbbb",
        ),
    }


@pytest.mark.parametrize("which", ["study", "base", "data"])
def test_what_is_no_part_of_the_same_study_is_refused(part, choice, which, tmp_path):
    a = part("a", CELLS[:2])
    other, message = changed(part, choice)[which]
    with pytest.raises(ConfigError, match=message):
        merge_studies(tmp_path / "out", [a, other])
    assert not (tmp_path / "out").exists()


def test_a_job_with_two_outcomes_is_refused(part, tmp_path):
    a, b = part("a", CELLS), part("b", CELLS[:1])
    path = b / "jobs/codes/fold-0/seed-0.json"
    reads = path.read_text().partition('"reads"')
    path.write_text(reads[0] + reads[1] + reads[2].replace("0.0", "0.5", 1))
    with pytest.raises(ConfigError, match=r"posterior: .*a->b is 0\.0 in the one and 0\.5 in the"):
        merge_studies(tmp_path / "out", [a, b])
    assert not (tmp_path / "out").exists()


def test_no_study_to_merge(part, tmp_path):
    with pytest.raises(DataError, match="holds no study"):
        merge_studies(tmp_path / "out", [part("a", CELLS[:1]), tmp_path / "nowhere"])
