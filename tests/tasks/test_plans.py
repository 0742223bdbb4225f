"""What each benchmark trains on, selects by and tests on; and what it refuses."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from cmg.config.load import load_config
from cmg.data import LabelSpec
from cmg.data.clips import Clips
from cmg.data.manifest import ClipRow
from cmg.errors import DataError, ModalityError
from cmg.evaluation.frozen import FrozenData, Opened
from cmg.models.unified import UnifiedModel
from cmg.official.doctor.expected import Expected
from cmg.tasks import paper
from cmg.tasks.ave import AVE
from cmg.tasks.ave_avvp import AVEtoAVVP
from cmg.tasks.avvp import AVVP
from cmg.tasks.benchmark import benchmarks, find_benchmark
from cmg.tasks.paper import Scored, unlike_training
from cmg.tasks.run import leak_report, youtube_id
from cmg.tasks.sides import held_out
from cmg.tasks.ucf_vgg import UCFVGG, ucf_group
from cmg.types import Kind, Modality

from .conftest import VIDEO

SCORED = {name: entry.part.scored for name, entry in benchmarks.items()}
"""Before the fixtures of this folder leave it out."""


@pytest.fixture
def world(folder, model):
    def make(protocol, data=folder):
        return FrozenData(Opened(data), model, protocol)

    return make


def ids(side):
    return [row.id for row in side.rows]


def videos(side):
    return set(side.video_ids)


# --- what is trained and tested on ---------------------------------------------------------------


def test_ave_published_evaluates_on_the_training_split(world):
    plan = AVE().plan(world("published"))
    assert plan.train is plan.test
    assert not plan.select
    assert plan.last_epoch
    assert {row.split for row in plan.test["audio"].rows} == {"train"}
    labels = plan.train["video"].clip_labels()
    category = plan.train["video"].source.split("train").label("category")
    assert torch.equal(labels, category)  # here no clip begins with another class
    assert len(plan.train["video"].clip_classes) == len(plan.classes) == 5


def test_ave_clean_uses_the_three_splits(world):
    plan = AVE().plan(world("clean"))
    for sides, split in ((plan.train, "train"), (plan.select, "val"), (plan.test, "test")):
        assert {row.split for row in sides["video"].rows} == {split}


def test_avvp_published_takes_every_labeled_clip_for_both(world):
    plan = AVVP().plan(world("published"))
    assert plan.train is plan.test
    assert len(plan.train["audio"].clips) == 68  # every clip is heard
    assert len(plan.train["video"].clips) == 68 - 5  # one in eleven is not seen
    assert {r.split for r in plan.train["audio"].rows} == {"val", "test", "unlisted"}


def test_avvp_clean_never_tests_a_video_it_saw(world):
    plan = AVVP().plan(world("clean"))
    trained = videos(plan.train["audio"]) | videos(plan.train["video"])
    chosen = videos(plan.select["audio"]) | videos(plan.select["video"])
    tested = videos(plan.test["audio"]) | videos(plan.test["video"])
    assert not trained & chosen
    assert not tested & (trained | chosen)
    assert len(chosen) == 6  # a fifth of 30
    assert videos(plan.select["video"]) <= videos(plan.select["audio"])


def test_ave_avvp_clean_leaves_out_videos_of_ave(world):
    plan = AVEtoAVVP().plan(world("clean"))
    assert "1 and 1 clips" in plan.notes[0]
    assert "video000003" not in videos(plan.test["audio"])
    published = AVEtoAVVP().plan(world("published"))
    assert "video000003" in videos(published.test["audio"])
    assert {r.split for r in published.train["audio"].rows} == {"train", "val", "test"}
    assert {r.split for r in plan.train["audio"].rows} == {"train"}
    assert all(r.labels["category"] < 3 for r in plan.train["audio"].rows)
    assert plan.classes == ("Cat", "Dog, barking", "Banjo", "background")


def test_ucf_groups_are_disjoint_and_vggsound_keeps_its_marks(world):
    plan = UCFVGG().plan(world("clean"))
    groups = {
        part: {ucf_group(r) for r in sides["video"].rows}
        for part, sides in (("train", plan.train), ("val", plan.select), ("test", plan.test))
    }
    assert groups["test"] == {f"{g:02d}" for g in range(1, 8)}
    assert not groups["train"] & groups["val"]
    assert len(groups["train"] | groups["val"]) == 18
    marks = {r.meta["ucf_split"] for r in plan.test["audio"].rows}
    assert marks == {"test"}
    assert all("ucf_split" in r.meta for r in plan.train["audio"].rows)
    published = UCFVGG().plan(world("published"))
    assert len(published.test["video"].clips) == 125
    splits = [r.split for r in published.test["audio"].rows]
    assert splits == sorted(splits, key=["train", "test", "val"].index)


def test_held_out_groups_do_not_depend_on_order():
    names = [f"video{i}" for i in range(50)]
    chosen = held_out(names, 0.2)
    assert len(chosen) == 10
    assert held_out(reversed(names * 2), 0.2) == chosen
    assert len(held_out(["a", "b"], 0.01)) == 1


def test_sources_are_opened_once(folder, model):
    folder.opened.clear()
    opened = Opened(folder)
    for protocol in ("published", "clean"):
        data = FrozenData(opened, model, protocol)
        AVE().plan(data)
        AVEtoAVVP().plan(data)
    assert sorted(folder.opened) == ["ave", "avvp"]


# --- leaks ---------------------------------------------------------------------------------------


def test_leaks_are_counted_by_video(world):
    lists = {"24k": frozenset({"video000060", "vggs0000000"}), "40k": frozenset({"video000060"})}
    rows = {r["direction"]: r for r in leak_report(AVE().plan(world("clean")), lists)}
    # Clip 50 (val) is of the video of clip 0; clip 60 (test) is in both lists.
    assert rows["video->audio"]["clips"] == 15
    assert rows["video->audio"]["in_training"] == 0
    assert rows["video->audio"]["in_pretraining"] == {"24k": 1, "40k": 1}
    plan = AVE().plan(world("clean"))
    val = leak_report(replace(plan, test=plan.select), {})
    assert {r["in_training"] for r in val} == {1}
    published = leak_report(AVE().plan(world("published")), {})
    assert {r["in_training"] for r in published} == {40}


def test_marks_say_what_pre_training_saw(world):
    plan = UCFVGG().plan(world("clean"))
    tested = frozenset(plan.test["audio"].video_ids)
    trained = frozenset(plan.train["audio"].video_ids)
    lists = {"24k": trained, "40k": trained | tested}
    involving = {"video->audio", "audio->video", "audio->audio"}
    assert plan.benchmark.marks(plan, lists, "24k") == {}
    assert set(plan.benchmark.marks(plan, lists, "40k")) == involving
    assert plan.benchmark.marks(plan, lists, "40k")["video->audio"] == "seen in pre-training on 40k"
    assert "unknown" in plan.benchmark.marks(plan, lists, None)["audio->audio"]
    assert AVE().marks(AVE().plan(world("clean")), lists, None) == {}


def test_start_seconds_are_no_part_of_a_youtube_id():
    def row(name):
        return ClipRow(id=name, split="train", lengths={}, labels={}, meta={"video_id": name})

    assert youtube_id(row("glLQrEijrKg_000300")) == "glLQrEijrKg"
    assert youtube_id(row("abcd_000300")) == "abcd_000300"
    assert youtube_id(row("glLQrEijrKg")) == "glLQrEijrKg"


# --- the paper -----------------------------------------------------------------------------------


def test_the_papers_figures_are_those_of_a_model_like_ours():
    avt = ["audio", "video", "text"]
    assert find_benchmark("ave").paper_table(avt, "40k")["video->audio"] == {"accuracy": 54.1}
    assert find_benchmark("avvp").paper_table(avt, None)["audio->audio"] == {"precision": 72.9}
    assert find_benchmark("ucf-vgg").paper_table(avt, "40k")["audio->video"] == {"accuracy": 60.6}
    assert find_benchmark("ave").paper_table(avt, "24k") == {}
    assert find_benchmark("ave").paper_table(["audio", "video"], "81k")["audio->video"] == {
        "accuracy": 45.6
    }
    assert find_benchmark("ave").paper_table(["audio", "video"], None) == {}
    assert find_benchmark("ave-avvp").paper_table(["audio", "video"], "40k") == {}
    assert find_benchmark("ave").paper_table(["audio", "text"], "40k") == {}


# --- bad input -----------------------------------------------------------------------------------


class Changed:
    """A collection in which one data set is another source."""

    def __init__(self, folder, **sources):
        self.path, self.sources = folder.path, dict(folder.stores) | sources
        self.names = [name for name, source in self.sources.items() if source is not None]

    def open(self, name):
        return self.sources[name]


def with_rows(source, change=lambda row: row, labels=None):
    """Clips with other rows or labels."""
    rows = [r for row in source.rows if (r := change(row)) is not None]
    about = replace(source.about, labels=dict(source.labels) | (labels or {}))
    return Clips.of_rows(about, rows, source.read)


def with_labels(row, **labels):
    return row.model_copy(update={"labels": dict(row.labels) | labels})


def test_avvp_without_its_lists_names_them(world, folder):
    unlisted = with_rows(
        folder.stores["avvp"], lambda row: row.model_copy(update={"split": "unlisted"})
    )
    data = Changed(folder, avvp=unlisted)
    with pytest.raises(DataError, match=r"AVVP_val_pd\.csv is missing"):
        AVVP().plan(world("clean", data))
    with pytest.raises(DataError, match=r"AVVP_test_pd\.csv is missing"):
        AVEtoAVVP().plan(world("clean", data))
    AVVP().plan(world("published", data)).check()


def test_labels_of_another_length_name_clip_and_lengths(world, folder):
    def shortened(row):
        return with_labels(row, audio=row.labels["audio"][:7]) if "0000004" in row.id else row

    data = Changed(folder, avvp=with_rows(folder.stores["avvp"], shortened))
    with pytest.raises(DataError, match="'avvp0000004_0_10' has 7 steps of label 'audio'"):
        AVVP().plan(world("published", data))


def test_clips_without_a_step_are_left_out_and_none_left_is_an_error(world, folder):
    def silent(row):
        return row.model_copy(update={"lengths": row.lengths | {"audio": 0}})

    some = with_rows(folder.stores["ave"], lambda r: silent(r) if r.meta["row"] < 10 else r)
    plan = AVE().plan(world("published", Changed(folder, ave=some)))
    assert len(plan.train["audio"].clips) == 30
    assert len(plan.train["video"].clips) == 40
    every = Changed(folder, ave=with_rows(folder.stores["ave"], silent))
    with pytest.raises(DataError, match="no clip of split 'train' has both 'audio' and the label"):
        AVE().plan(world("published", every))


def test_one_class_is_no_task(world, folder):
    same = with_rows(folder.stores["ave"], lambda r: with_labels(r, category=2))
    plan = AVE().plan(world("clean", Changed(folder, ave=same)))
    with pytest.raises(DataError, match="all 40 training clips of 'video' are of one class"):
        plan.check()


def test_other_classes_on_the_other_side_are_named(world, folder):
    renamed = LabelSpec(classes=("Cat", "Hound", "Banjo", "background"), per="step", multiple=True)
    data = Changed(folder, avvp=with_rows(folder.stores["avvp"], labels={"shared_audio": renamed}))
    plan = AVEtoAVVP().plan(world("clean", data))
    with pytest.raises(DataError, match=r"'Dog, barking' where label 'shared_audio' .* 'Hound'"):
        plan.check()
    fewer = LabelSpec(classes=("Cat", "Dog, barking"), per="step", multiple=True)
    data = Changed(folder, avvp=with_rows(folder.stores["avvp"], labels={"shared_audio": fewer}))
    with pytest.raises(DataError, match=r"has 4 classes, 'Banjo' where label 'sh.* has 'none'"):
        AVEtoAVVP().plan(world("clean", data)).check()


def test_nothing_left_is_an_error(world):
    some = AVE().plan(world("clean")).train["audio"]
    with pytest.raises(DataError, match="of 40 clips with 'audio' and the label 'category' none"):
        some.subset(False for _ in some.clips)


def test_a_missing_data_set_says_what_there_is(world, folder):
    data = Changed(folder, avvp=None)
    with pytest.raises(DataError, match="no data set 'avvp'; it has vggsound40k, ave, ucf101"):
        AVVP().plan(world("clean", data))


def test_a_missing_label_names_the_nearest(world, folder):
    bare = folder.stores["ave"]
    labels = {name: spec for name, spec in bare.labels.items() if name != "category"}
    bare = replace(bare, about=replace(bare.about, labels=labels))
    with pytest.raises(DataError, match="unknown label 'category'"):
        AVE().plan(world("clean", Changed(folder, ave=bare)))


def test_clips_without_a_group_are_no_ucf_clips(world, folder):
    def nameless(row):
        return row.model_copy(update={"id": row.id.replace("_g", "_x")})

    data = Changed(folder, ucf101=with_rows(folder.stores["ucf101"], nameless))
    with pytest.raises(DataError, match="has no group in its name"):
        UCFVGG().plan(world("clean", data))


AUDIO_TEXT = [
    Modality(name="audio", kind=Kind.VECTORS, shape=(6,), detail_width=4),
    Modality(name="text", kind=Kind.TOKENS, shape=(5,), detail_width=4, token_hidden=3),
]


def test_a_benchmark_goes_between_the_modalities_that_it_and_the_model_have(folder, make_options):
    """Of audio and text without video the rows within audio are left, its upper bound."""
    model = UnifiedModel(AUDIO_TEXT, make_options)
    plan = AVE().plan(FrozenData(Opened(folder), model))
    assert plan.directions == [("audio", "audio")]
    assert AVE().between(FrozenData(Opened(folder), model, modalities=["text", "audio"])) == [
        "text",
        "audio",
    ]


@pytest.mark.parametrize(
    ("kind", "modalities", "message"),
    [
        (AVE, ["vidoe"], r"the model has no modality 'vidoe' \(did you mean 'video'\?\)"),
        (AVVP, ["text"], "the model has no modality 'text'"),
        (UCFVGG, ["video", "eeg"], "ucf-vgg has no labels for 'eeg'; it has video, audio"),
    ],
)
def test_other_modalities_are_refused(folder, make_options, kind, modalities, message):
    eeg = Modality(name="eeg", kind=Kind.VECTORS, shape=(3,), detail_width=4)
    model = UnifiedModel([AUDIO_TEXT[0], VIDEO, eeg], make_options)
    with pytest.raises(ModalityError, match=message):
        kind().plan(FrozenData(Opened(folder), model, modalities=modalities))


def test_words_are_no_seconds_and_a_model_of_nothing_that_is_labeled_is_refused(
    folder, make_options
):
    data = FrozenData(Opened(folder), UnifiedModel(AUDIO_TEXT, make_options), modalities=["text"])
    with pytest.raises(ModalityError, match="avvp has no labels for 'text'"):
        AVVP().plan(data)
    others = [m.model_copy(update={"name": f"other_{m.name}"}) for m in AUDIO_TEXT]
    with pytest.raises(ModalityError, match="ave goes between video and audio; the model has"):
        AVE().plan(FrozenData(Opened(folder), UnifiedModel(others, make_options)))


def test_published_reads_a_float64_copy(folder, model):
    data = FrozenData(Opened(folder), model, "published")
    assert data.model.dtype == torch.float64
    assert model.dtype == torch.float32
    assert FrozenData(Opened(folder), model, "clean").model is model


@pytest.mark.parametrize(
    ("more", "lacking"), [((0, 0), None), ((1, 0), None), ((9, 0), 0), ((0, 9), 1), ((-1, 0), 0)]
)
def test_only_all_clips_of_the_papers_data_are_the_papers_data(folder, monkeypatch, more, lacking):
    """But for one here and there; a list that is longer than the paper's is another one."""
    rows = folder.stores["ave"].rows
    there = [sum(1 for r in rows if r.lengths.get(m, 0)) for m in ("audio", "video")]
    sides = [
        Scored("ave", m, "event", n + k)
        for m, n, k in zip(("audio", "video"), there, more, strict=True)
    ]
    monkeypatch.setattr(AVE, "scored", tuple(sides))
    monkeypatch.setattr(paper, "SHARE", 0.98)  # of 70 clips
    monkeypatch.setattr(paper, "OFFICIAL", Expected({}, {"audio": 6, "video": 5}, 2))
    why = ""
    if lacking is not None:
        side, found = sides[lacking], there[lacking]
        why = f"ave has {found} clips with {side.modality} here, the paper's has {side.clips}"
    assert AVE().unlike(Opened(folder)) == why
    monkeypatch.setattr(paper, "OFFICIAL", Expected({}, {"audio": 128, "video": 5}, 2))
    if not why:
        assert AVE().unlike(Opened(folder)) == (
            "ave has audio features of shape [6] here, the paper's have [128]"
        )


def test_the_papers_data_in_numbers():
    """As counted in the official lists; 4,143 is 3,339 + 402 + 402."""
    assert {name: [c.clips for c in scored] for name, scored in SCORED.items()} == {
        "ave": [4_143, 4_143],
        "avvp": [1_844, 1_661],
        "ave-avvp": [1_831, 1_085, 1_032],
        "ucf-vgg": [2_003, 4_813],
    }


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("data.batch_size=20", ""),
        ("data.fraction=0.5", "the model was trained on data.fraction=0.5 of its list"),
        ("data.shuffled_pairs=true", "the model is a control (data.shuffled_pairs)"),
        ("training.codebook_only=true", "the model is a control (training.codebook_only)"),
    ],
)
def test_a_model_that_was_trained_otherwise_is_none_of_the_papers(override, why):
    assert unlike_training(load_config("audio-video", [override])) == why


def test_a_simulated_folder_says_so(tmp_path):
    (tmp_path / "simulation.json").write_text("{}")
    assert AVE().unlike(SimpleNamespace(path=tmp_path)) == "the data are simulated"
    config = load_config("audio-video", [f"data.store={tmp_path}"])
    assert unlike_training(config) == "the model was trained on simulated data"
