"""Transfer on simulated clips is learnable, and fails for a codebook of another world."""

from dataclasses import replace

import pytest

from cmg import load_config, pretrain
from cmg.data import Clip, StoreWriter, open_store
from cmg.data.manifest import FeatureSpec, LabelSpec
from cmg.evaluation.probe import Evaluation
from cmg.recipes.pretrain import prepare
from cmg.simulate import Latents
from cmg.simulate.own_lists import own_lists
from cmg.simulate.scripts import ave_script, generator, vggsound_script
from cmg.simulate.text_encoder import words

CROSS, SAME = ("audio->video", "video->audio"), ("audio->audio", "video->video")
TOKEN_WIDTH = 96


def write(path, world, pretraining, ave, prompts=None):
    """A store of pre-training clips (split ``train``) and of AVE clips (``ave_train``, ...).

    Args:
        path: Folder to be.
        world: Renders the clips.
        pretraining: (VGGSound category, id) of every clip.
        ave: (split, AVE category, id, onset, offset) of every clip.
        prompts: Sentence per VGGSound category; its words become random token vectors.
    """
    names = tuple(dict.fromkeys(row[1] for row in ave))
    size = world.map_size
    shapes = {"audio": (world.audio_width,), "video": (size, size, world.video_width)}
    specs = {
        m: FeatureSpec(kind="maps" if len(shape) == 3 else "vectors", shape=shape, step_seconds=1.0)
        for m, shape in shapes.items()
    }
    if prompts is not None:
        specs["text"] = FeatureSpec(kind="tokens", shape=(TOKEN_WIDTH,))
    with StoreWriter(path, specs, {"category": LabelSpec(classes=names, per="clip")}) as writer:
        for category, video_id in pretraining:
            script = replace(vggsound_script(category, video_id, world.seed), audio_steps=10)
            features = {"audio": world.audio(script), "video": world.video(script)}
            if prompts is not None:
                features["text"] = tokens(prompts[category])
            writer.add(Clip(f"v-{video_id}", "train", features))
        for row, (split, category, video_id, onset, offset) in enumerate(ave):
            script = ave_script(row, category, video_id, onset, offset, world.seed)
            features = {"audio": world.audio(script), "video": world.video(script)}
            label = {"category": names.index(category)}
            writer.add(Clip(f"ave-{row:05d}", split, features, label))
    return open_store(path)


def tokens(sentence):
    """Vectors of the first ten words, drawn once for every word [T, C]."""
    drawn = [generator("word", word).standard_normal(TOKEN_WIDTH) for word in words(sentence)[:10]]
    return [vector.astype("float32") for vector in drawn]


def scores(model, store, config, splits):
    """Mean accuracy in percent over `splits`, per direction."""
    evaluation = Evaluation(model, store, "ave_train", splits[0])
    both = ["audio", "video"]
    tables = evaluation.transfer("category", config.probe, 0, both, both, splits)
    return {
        direction: sum(tables[split][direction].mean for split in splits) / len(splits)
        for direction in (*CROSS, *SAME)
    }


FEW = {
    "playing violin": "Violin, fiddle",
    "dog barking": "Bark",
    "race car": "Race car, auto racing",
    "chainsawing trees": "Chainsaw",
    "playing flute": "Flute",
    "toilet flushing": "Toilet flush",
}


@pytest.fixture(scope="module")
def six_concepts(tmp_path_factory):
    """Two worlds at tiny widths, with six concepts each."""

    def build(seed):
        pretraining = [(name, f"{name}{i}") for i in range(40) for name in FEW]
        ave = [
            (split, name, f"{split}{name}{i}", 0, 10)
            for split, count in (("ave_train", 12), ("ave_test", 12))
            for i in range(count)
            for name in FEW.values()
        ]
        world = Latents(seed, audio_width=48, video_width=48, map_size=3)
        return write(tmp_path_factory.mktemp("few") / str(seed), world, pretraining, ave)

    return build(0), build(1)


@pytest.mark.slow
def test_a_codebook_of_another_world_does_not_transfer(six_concepts):
    this, other = six_concepts

    def trained(store, *overrides):
        config = load_config(
            "digits",
            [
                f"data.store={store.path}",
                "data.batch_size=40",
                "model.width=32",
                "model.codebook.size=32",
                "model.detail_width={audio: 16, video: 16}",
                "model.token_hidden={}",
                "training.epochs=25",
                "probe.epochs=40",
                *overrides,
            ],
        )
        return scores(pretrain(config).state.model, this, config, ["ave_test"])

    own, foreign = trained(this), trained(other)
    shuffled = trained(this, "data.shuffled_pairs=true")
    for direction in CROSS:
        assert own[direction] > 60, "chance is 16.7"
        assert foreign[direction] < 35
        assert shuffled[direction] < 35


@pytest.mark.slow
def test_transfer_to_ave_is_learnable_but_not_trivial(tmp_path):
    whole = own_lists()
    pretraining = whole.cut(0.04)
    ave = whole.cut(0.15)
    rows = [
        (f"ave_{split}", a.category, a.video_id, a.start, a.end)
        for split, order in ave.ave_order.items()
        for a in (ave.ave[row] for row in order)
    ]
    clips = [(category, video_id) for category, video_id, _ in pretraining.vggsound]
    assert len(clips) <= 2000
    stores = [
        write(tmp_path / str(seed), Latents(seed, 128, 64), clips, rows, dict(whole.prompts))
        for seed in (0, 1)
    ]

    def config(store, *overrides):
        return load_config(
            "digits",
            [
                f"data.store={store.path}",
                "model.codebook.size=256",
                "training.epochs=50",
                "probe.epochs=60",
                *overrides,
            ],
        )

    def measured(name, model):
        found = scores(model, stores[0], config(stores[0]), ["ave_val", "ave_test"])
        print(name, {direction: round(value, 1) for direction, value in found.items()})
        return found

    normal = pretrain(config(stores[0]))
    own = measured("trained", normal.state.model)
    controls = [
        measured("untrained", prepare(config(stores[0])).state.model),
        measured(
            "shuffled pairs",
            pretrain(config(stores[0], "data.shuffled_pairs=true")).state.model,
        ),
        measured(
            "codebook only", pretrain(config(stores[0], "training.codebook_only=true")).state.model
        ),
        measured("another world", pretrain(config(stores[1])).state.model),
    ]
    for direction in CROSS:
        assert 45 <= own[direction] <= 75
        assert all(control[direction] < 15 for control in controls)
    for direction in SAME:
        assert 60 <= own[direction] <= 88
