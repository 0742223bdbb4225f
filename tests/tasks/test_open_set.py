"""Open sets of the authors' data: who is trained on what, figures by slow loops, as typed."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest
import torch
from tests.tasks.conftest import OPTIONS, Folder, make_model, write_run

from cmg.errors import ConfigError, DataError, ModalityError
from cmg.evaluation.frozen import FrozenData, Opened
from cmg.evaluation.training import HeadOptions
from cmg.models.unified import UnifiedModel
from cmg.official.collection import open_collection
from cmg.official.open_set import ave_cut, ucf51_cut, ucf_vggsound_cut
from cmg.tasks.open_set import PLANS, OpenSetHeads, OpenSetPlan, find_open_set
from cmg.types import Kind, Modality

AUDIO = Modality(name="audio", kind=Kind.VECTORS, shape=(8,), detail_width=4)
VIDEO = Modality(name="video", kind=Kind.MAPS, shape=(5, 5, 8), detail_width=4)


def plan_of(collection, name, protocol, model=None) -> OpenSetPlan:
    """A plan through an untrained model."""
    data = FrozenData(Opened(collection), model or make_model(), protocol)
    return find_open_set(name).plan(data)


def ids(side):
    return [row.id for row in side.rows]


@pytest.fixture(scope="module")
def official(simulated):
    return open_collection(simulated, text="none")


@pytest.fixture(scope="module")
def untrained():
    return UnifiedModel((AUDIO, VIDEO), OPTIONS, 0).eval()


@pytest.fixture(scope="module")
def run(tmp_path_factory, untrained):
    """After one epoch of 40k, so that the published protocol trains 24 and 15."""
    return write_run(tmp_path_factory.mktemp("run") / "run", untrained, store="COLLECTION")


def test_the_plans_are_the_authors():
    assert PLANS == ("ave-14", "ave-21", "ucf-17", "ucf-34", "ucf-vgg-8", "ucf-vgg-12")
    epochs = [find_open_set(name).head_options("published", 5, "m").epochs for name in PLANS]
    assert epochs == [25, 25, 16, 16, 25, 25]
    options = find_open_set("ucf-17").head_options("published", 5, "m")
    assert (options.first_epoch, options.batch_size, options.lr) == (5, 80, 4e-4)
    for wrong in ("ave", "ave-", "ave-x", "avee-14", "14"):
        with pytest.raises(ConfigError, match=f"there is no plan '{wrong}'.*valid: ave-14, "):
            find_open_set(wrong)


@pytest.mark.parametrize(
    ("name", "trained", "tested", "known"),
    [
        ("ave-14", (28, 28), (56, 56), 28),
        ("ave-21", (42, 42), (56, 56), 42),
        ("ucf-17", (34, 34), (102, 102), 34),
        ("ucf-34", (68, 68), (102, 102), 68),
        ("ucf-vgg-8", (16, 42), (30, 90), (42, 16)),
        ("ucf-vgg-12", (22, 66), (30, 90), (66, 22)),
    ],
)
def test_as_published_heads_learn_the_cuts_and_are_read_on_the_full_lists(
    official, untrained, name, trained, tested, known
):
    """The simulated lists have two clips of every class (and split): counted by hand."""
    plan = plan_of(official, name, "published", untrained)
    count = int(name.rpartition("-")[2])
    assert (len(plan.classes), plan.select, plan.choose) == (count, {}, {})
    assert tuple(len(plan.train[m].clips) for m in ("video", "audio")) == trained
    assert tuple(len(plan.test[m].clips) for m in ("video", "audio")) == tested
    assert [row["direction"] for row in plan.counts()] == ["video->audio", "audio->video"]
    of_known = known if isinstance(known, tuple) else (known, known)
    assert tuple(row["known"] for row in plan.counts()) == of_known
    of_unknown = tuple(a - b for a, b in zip(tested[::-1], of_known, strict=True))
    assert tuple(row["unknown"] for row in plan.counts()) == of_unknown
    cuts = {
        "ave": lambda m: ave_cut(official.layout, count),
        "ucf": lambda m: ucf51_cut(official.layout, count),
        "ucf-vgg": lambda m: ucf_vggsound_cut(
            official.layout, count, "ucf101" if m == "video" else "vggsound40k"
        ),
    }
    for m in ("video", "audio"):
        assert sorted(ids(plan.train[m])) == sorted(cuts[plan.benchmark.name](m).clips)


@pytest.mark.parametrize("name", PLANS)
def test_clean_trains_on_nothing_that_it_is_read_or_chosen_by(official, untrained, name):
    plan = plan_of(official, name, "clean", untrained)
    count = int(name.rpartition("-")[2])

    def clips(sides):
        return {clip for one in sides.values() for clip in ids(one)}

    assert not clips(plan.train) & clips(plan.test)
    assert not clips(plan.train) & clips(plan.choose)
    assert not clips(plan.choose) & clips(plan.test)
    assert clips(plan.select) < clips(plan.choose)
    for m in ("video", "audio"):
        assert max(plan.train[m].clip_labels()) < count
        assert max(plan.select[m].clip_labels()) < count
        assert max(plan.choose[m].clip_labels()) >= count


def test_clips_of_a_video_that_is_read_or_chosen_by_are_not_learned(folder):
    """Validation clip 50 is of the video of training clip 0, whose class is known."""
    published, clean = (plan_of(folder, "ave-2", p) for p in ("published", "clean"))
    first_two = [f"ave-{i:05d}" for i in range(40) if i % 5 < 2]
    assert ids(published.train["audio"]) == first_two
    assert ids(clean.train["audio"]) == first_two[1:]
    assert ids(clean.select["video"]) == [f"ave-{40 + i:05d}" for i in range(15) if i % 5 < 2]
    assert ids(clean.choose["video"]) == [f"ave-{40 + i:05d}" for i in range(15)]
    assert ids(published.test["video"]) == ids(clean.test["video"])
    assert (published.classes, published.unknown[-1]) == (("Cat", "Dog, barking"), "Flute")
    labels = {published.train["audio"].label, published.test["audio"].label}
    assert (labels, clean.test["audio"].label) == ({"event"}, "category")


def test_known_classes_without_a_training_clip_count_as_published_alone(official, untrained):
    """Of the first 8 shared classes VGGSound has no playing frisbee: two clips of UCF101."""
    published = plan_of(official, "ucf-vgg-8", "published", untrained)
    frisbee = published.classes.index("playing frisbee")
    assert published.unlearned == {"video": [], "audio": [frisbee]}
    labels = torch.tensor([0, frisbee, 8, 15])
    assert published.targets(labels, "audio").tolist() == [0, frisbee, 8, 8]
    (said,) = published.remarks()
    assert "1 of 8 known classes have no training clip with audio ('playing frisbee')" in said
    clean = plan_of(official, "ucf-vgg-8", "clean", untrained)
    assert clean.targets(labels, "audio").tolist() == [0, -1, 8, 8]
    assert "do not count" in clean.remarks()[-1]


def slow_oracle(probabilities, labels, known):
    """The largest H of the ten thresholds, clip by clip; 0 / 0 is 0."""
    sure, said = probabilities.max(1), probabilities.argmax(1)
    found = []
    for k in range(10):
        tau = sure.min() + (sure.max() - sure.min()) * k / 9
        named = [known if s < tau else p for s, p in zip(sure, said, strict=True)]
        right = [a == min(b, known) for a, b in zip(named, labels, strict=True)]
        shares = [
            np.mean([r for r, b in zip(right, labels, strict=True) if (b < known) == of_known])
            for of_known in (True, False)
        ]
        found.append(2 * shares[0] * shares[1] / sum(shares) if sum(shares) else 0.0)
    return max(found)


def test_the_published_h_is_the_largest_of_thresholds_and_epochs(folder, model):
    plan = plan_of(folder, "ave-3", "published", model)
    heads = OpenSetHeads(plan, HeadOptions(epochs=6, lr=0.02), [0])
    trained = heads.trained(["audio"])["audio"][0]["video"]
    assert trained.scores[trained.epoch] == max(trained.scores.values()) > 0
    assert min(trained.scores.values()) < max(trained.scores.values())
    side = plan.test["video"]
    features, _ = heads.labeled(side)
    with torch.no_grad():
        told = features.read(trained.head).softmax(-1).numpy()
    assert told.shape == (15, 3)
    by_hand = slow_oracle(told, side.clip_labels().tolist(), 3)
    rows = {(metric, d): value for metric, d, value in heads.measured()}
    assert rows["H, oracle", "audio->video"] == pytest.approx(by_hand)
    assert by_hand == pytest.approx(max(trained.scores.values()))
    assert {d for _, d in rows} == {"audio->video", "video->audio"}
    assert not [m for m, _ in rows if m.startswith("H, ") and m != "H, oracle"]


def test_clean_chooses_the_threshold_on_validation_clips(folder, model):
    plan = plan_of(folder, "ave-3", "clean", model)
    heads = OpenSetHeads(plan, HeadOptions(epochs=20, lr=0.05), [0])
    rows = {(metric, d): value for metric, d, value in heads.measured()}
    assert rows["accuracy", "audio->audio"] > 0.8
    head = heads.trained(["audio"])["audio"][0]["selection"].head
    chosen, tested = (
        heads.read_clips(head, sides["video"], "audio") for sides in (plan.choose, plan.test)
    )
    best, limit = 0.0, None
    for tau in sorted(set(chosen.scores["energy"].tolist())):
        h = float(chosen.at("energy", torch.tensor([tau])).h_scores)
        best, limit = (h, tau) if h > best else (best, limit)
    assert rows["H, energy", "audio->video"] == float(
        tested.at("energy", torch.tensor([limit])).h_scores
    )


def test_what_is_no_plan_of_the_data_is_refused(folder, official, untrained, model):
    with pytest.raises(ConfigError, match="28 known classes of 28: give 1 to 27"):
        plan_of(official, "ave-28", "clean", untrained)
    with pytest.raises(ConfigError, match="9 known classes of 5: give 1 to 4"):
        plan_of(folder, "ave-9", "clean", model)
    with pytest.raises(DataError, match="no data set 'ucf101all'; it has vggsound40k, ave"):
        plan_of(folder, "ucf-17", "published", model)
    with pytest.raises(ModalityError, match="ave goes between video and audio; the model has aud"):
        plan_of(official, "ave-14", "clean", UnifiedModel((AUDIO,), OPTIONS, 0))
    with pytest.raises(ConfigError, match="ave-1: heads need two known classes or more"):
        find_open_set("ave-1")
    stores = {"ave": folder.stores["ave"].only(range(40, 70))}
    with pytest.raises(DataError, match="split 'train'"):
        plan_of(Folder(folder.path, stores), "ave-2", "published", model)


@pytest.fixture(scope="module")
def ave_alone(simulated, tmp_path_factory):
    """AVE of the simulated folder, with a cut that lists a clip of another class."""
    root = tmp_path_factory.mktemp("ave")
    shutil.copytree(simulated / "AVE-ECCV18-master", root / "AVE")
    with h5py.File(root / "train_order_21class.h5", "w") as file:
        file["order"] = np.arange(43)
    return root


def test_as_typed(run, ave_alone, tmp_path, cmg):
    def typed(out, *more):
        return cmg("evaluate", "open-set", "--model", run, "--out", tmp_path / out, *more)

    here = ("--data", ave_alone, "--plan", "ave-14")
    said = typed("clean", *here, "--seeds", 2)
    assert said.code == 0, said.err
    told = json.loads((tmp_path / "clean/open-set.json").read_text())
    about = told["about"]
    assert (about["plan"], about["protocol"], len(about["unknown"])) == ("ave-14", "clean", 14)
    assert about["clips"][0] == {
        "direction": "video->audio",
        "training": 27,  # of 28, one is of a video that is tested
        "validation": 56,
        "known": 28,
        "unknown": 28,
    }
    assert about["leaks"][0]["in_training"] == 0
    scores = told["scores"]
    assert scores["H, energy"]["video->audio"]["n"] == 2
    assert list(scores["AUROC, distance"]) == [
        *("video->audio", "audio->video", "video->video", "audio->audio")
    ]
    lines = (tmp_path / "clean/report/fpr95.csv").read_text().splitlines()
    assert lines[0] == "head trained on → read on,probability,entropy,energy,distance"
    assert len(lines) == 5
    assert "choose the threshold" in said.out
    published = typed("published", *here, "--protocol", "published", "--seeds", 1, "--json")
    (of_training,) = {row["in_training"] for row in published.json["about"]["leaks"]}
    assert of_training == 1
    assert "H, energy" not in published.json["scores"]
    assert list(published.json["scores"]["H, oracle"]) == ["video->audio", "audio->video"]
    assert any("an oracle" in note for note in published.json["about"]["notes"])

    def refused(*more):
        told = typed("no", *more)
        assert (told.code, (tmp_path / "no").exists()) == (2, False)
        return told.err

    assert "say --known N or NAMES" in refused()
    assert "--plan ave-14 --data ROOT" in refused("--plan", "ave-14")
    assert "--known goes with a store" in refused(*here, "--known", 3)
    assert "--protocol goes with --plan" in refused("--known", 3, "--protocol", "clean")
    assert "there is no plan 'ave14'" in refused("--data", ave_alone, "--plan", "ave14")
    assert "seeds = 0" in refused(*here, "--seeds", 0)
    assert "open-set UCF101 needs UCF51Categories.txt, which is nowhere below" in refused(
        *("--data", ave_alone, "--plan", "ucf-17")
    )
    wrong = refused("--data", ave_alone, "--plan", "ave-21")
    assert "train_order_21class.h5: not the training clips of the first 21 classes" in wrong


def test_a_checkpoint_too_late_trains_no_head(tmp_path, untrained, simulated, cmg):
    late = write_run(tmp_path / "late", untrained, (16,), store="COLLECTION")
    said = cmg(
        *("evaluate", "open-set", "--model", late, "--data", simulated, "--plan", "ucf-17"),
        *("--protocol", "published", "--out", tmp_path / "no"),
    )
    assert (said.code, "no head would be trained; take an earlier" in said.err) == (2, True)


def test_an_imported_collection_gives_the_same_figures(run, ave_alone, tmp_path, cmg):
    stored = tmp_path / "stored"
    assert cmg("data", "import", ave_alone, "--out", stored).code == 0
    both = []
    for data in (ave_alone, stored):
        out = tmp_path / f"of-{data.name}"
        said = cmg(
            *("evaluate", "open-set", "--model", run, "--data", data, "--plan", "ave-14"),
            *("--protocol", "published", "--seeds", 1, "--json", "--out", out),
        )
        assert said.code == 0, said.err
        both.append(said.json["scores"])
    assert both[0] == both[1]
