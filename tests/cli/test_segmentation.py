"""``cmg evaluate avs`` and ``cmg segment``, as a user types them."""

import base64
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from cmg.data.inmemory import write_store
from cmg.extract import registry
from cmg.types import Kind

from .conftest import SMALL
from .test_encode_media import CARDS, record_extractors, write_clip

FRAMES, SIDE = 3, 32
QUICK = [
    "--backbone", "pvt_v2_b0", "--channels", "4", "--stages", "2,3", "--image-size", "32",
    "--epochs", "1", "--batch-size", "2", "--test-batch-size", "2", "--pictures", "2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "CARDS", CARDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Frames and masks of ten clips: a red and a blue square, of which one is meant."""
    root = tmp_path_factory.mktemp("own") / "clips"
    rows = ["id,split,category"]
    for i in range(10):
        split = "train" if i < 5 else "val" if i < 7 else "test"
        kind = ("red", "blue")[i % 2]
        rows.append(f"c{i},{split},{kind}")
        for name in ("frames", "masks"):
            (root / name / f"c{i}").mkdir(parents=True)
        for t in range(FRAMES):
            picture = np.zeros((SIDE, SIDE, 3), np.uint8)
            picture[8:24, 2 + t : 14 + t, 0] = 220
            picture[8:24, 18 - t : 30 - t, 2] = 220
            Image.fromarray(picture).save(root / "frames" / f"c{i}" / f"{t}.png")
            if split != "train" or t == 0:
                mask = picture[..., 0 if kind == "red" else 2] > 0
                Image.fromarray(mask).save(root / "masks" / f"c{i}" / f"{t}.png")
    (root / "clips.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def queries(tmp_path_factory):
    """Sounds and words of the ten clips, shaped as the test extractors make them."""
    rng = np.random.default_rng(0)
    kinds = [1.0 - 2.0 * (i % 2) for i in range(10)]
    return write_store(
        tmp_path_factory.mktemp("queries") / "store",
        {
            "audio": [(k + rng.normal(0, 0.1, (4, 2))).astype(np.float32) for k in kinds],
            "text": [(k + rng.normal(0, 0.1, (3, 2))).astype(np.float32) for k in kinds],
        },
        ids=[f"c{i}" for i in range(10)],
        split=["train"] * 6 + ["test"] * 4,
        kinds={"text": Kind.TOKENS},
    )


@pytest.fixture(scope="module")
def run(queries, tmp_path_factory):
    from cmg.config.load import load_config, override_config
    from cmg.recipes.pretrain import pretrain

    out = tmp_path_factory.mktemp("run") / "run"
    pretrain(override_config(load_config("own-data"), [f"data.store={queries.path}", *SMALL]), out)
    return out


@pytest.fixture(scope="module")
def avs(cmg, folder, queries, run):
    def call(out, *more, data=folder):
        base = ["--data", data, "--queries", queries.path, "--model", run, "--out", out]
        return cmg("evaluate", "avs", *base, *QUICK, *more)

    return call


@pytest.fixture(scope="module")
def trained(avs, tmp_path_factory):
    """A folder of models of both modalities and the control."""
    out = tmp_path_factory.mktemp("avs") / "out"
    said = avs(out, "--train-only")
    assert said.code == 0, said.err
    return out


@pytest.fixture(scope="module")
def tested(avs, tmp_path_factory):
    """The same and their results, and what was said."""
    out = tmp_path_factory.mktemp("tested") / "out"
    said = avs(out, "--json")
    assert said.code == 0, said.err
    return out, said


def test_train_and_test_with_controls_and_pictures(avs, tested):
    out, said = tested
    assert set(said.json["directions"]) == {
        "audio->audio",
        "audio->text",
        "text->audio",
        "text->text",
    }
    for variants in said.json["directions"].values():
        assert set(variants) == {"query", "shuffled", "zero"}
        assert 0 <= variants["query"]["miou"]["mean"] <= 100
    assert set(said.json["salient"]) == {"miou", "f_measure", "published_miou", "published_f"}
    assert json.loads((out / "results.json").read_text()) == said.json
    models = {"audio-0", "text-0", "salient-0"}
    assert {p.name for p in (out / "models").iterdir()} == models
    assert {p.name for p in (out / "tensorboard").iterdir()} == models
    assert all(list((out / "tensorboard" / name).glob("events*")) for name in models)
    sheets = sorted((out / "overlays").glob("*.png"))
    assert len(sheets) == 2
    # Three frames with borders; a bar and a row for frames, truth, four queries and the control.
    assert Image.open(sheets[0]).size == (3 * SIDE + 2 * 4, 7 * (SIDE + 16))
    report = (out / "report.md").read_text()
    assert "How much the query does" in report
    for name in ("A2T", "T2A", "A2A", "T2T", "shuffled", "salient"):
        assert name in report
    html = (out / "report.html").read_text()
    assert html.count("data:image/png") == 2 * 7
    rows = (out / "clips.csv").read_text().splitlines()
    assert len(rows) == 4
    refused = avs(out)
    assert refused.code == 2
    assert "--resume" in refused.err
    before = (out / "models" / "audio-0" / "segmenter.json").read_bytes()
    resumed = avs(out, "--resume", "--json")
    assert resumed.json == said.json
    assert (out / "models" / "audio-0" / "segmenter.json").read_bytes() == before
    other = avs(out, "--resume", "--lr", "0.5")
    assert other.code == 2
    assert "other settings (training.lr" in other.err


def test_training_and_testing_apart_say_what_both_together_say(avs, trained, tested, tmp_path):
    apart = avs(tmp_path / "a", "--test-only", "--checkpoint", trained, "--json")
    assert apart.code == 0, apart.err
    assert apart.json == tested[1].json
    told = avs(tmp_path / "d", "--test-only", "--checkpoint", trained, "--lr", "0.5", "--json")
    assert told.json == apart.json
    about = json.loads((tmp_path / "d" / "segmentation.json").read_text())["about"]
    assert about["training"]["lr"] == 1e-4
    one = avs(
        tmp_path / "c", "--test-only", "--checkpoint", trained / "models" / "text-0", "--json"
    )
    assert set(one.json["directions"]) == {"text->audio", "text->text"}
    assert one.json["salient"] == {}


def _differently_drawn(root):
    """Test masks of 0 and 1, of a dark palette color, and red on black."""
    for path in root.glob("masks/c[789]/*.png"):
        mask = np.array(Image.open(path))
        if path.stem == "0":
            Image.fromarray(mask.astype(np.uint8)).save(path)
        elif path.stem == "1":
            dark = Image.fromarray(mask.astype(np.uint8))
            dark.putpalette([0, 0, 0, 128, 0, 0])
            dark.save(path)
        else:
            Image.fromarray(mask[..., None] * np.array([255, 0, 0], np.uint8)).save(path)


def _one_empty(root):
    Image.new("1", (SIDE, SIDE)).save(root / "masks" / "c8" / "1.png")


def test_scores_do_not_depend_on_how_masks_are_drawn_and_empty_ones_are_counted(
    avs, folder, trained, tmp_path
):
    again = ["--test-only", "--checkpoint", trained / "models" / "audio-0", "--json"]
    plain = avs(tmp_path / "a", *again)
    drawn = avs(tmp_path / "b", *again, data=damaged(folder, tmp_path / "d", _differently_drawn))
    assert drawn.json == plain.json
    assert "Nothing is marked" not in (tmp_path / "b" / "report.md").read_text()
    some = avs(tmp_path / "c", *again, data=damaged(folder, tmp_path / "e", _one_empty))
    assert some.code == 0, some.err
    told = "Nothing is marked in 1 masks of 1 of the 3 clips: these count in mIoU by the share"
    assert told in (tmp_path / "c" / "report.md").read_text()
    empty = damaged(folder, tmp_path / "f", _no_test_object)
    refused = avs(tmp_path / "g", *again, data=empty)
    assert refused.code == 2
    assert "a model that finds nothing would be perfect" in refused.err
    assert not (tmp_path / "g").exists()


def test_the_published_protocol_differs(avs, trained, tmp_path):
    said = avs(tmp_path / "p", "--protocol", "published", "--no-salient", "--json")
    assert said.code == 0, said.err
    told = json.loads((tmp_path / "p" / "models" / "audio-0" / "segmenter.json").read_text())
    assert told["query_steps"] is None
    assert not any("mixer" in name for name in told)
    # Said to be clean, the published models are taken as what they are.
    apart = avs(tmp_path / "q", "--test-only", "--checkpoint", tmp_path / "p", "--json")
    assert apart.json == said.json


BAD = {
    "both halves": (["--train-only", "--test-only"], "exclude each other"),
    "test what": (["--test-only"], "belong together"),
    "no checkpoint": (["--test-only", "--checkpoint", "nowhere"], "neither a segmentation model"),
    "protocol": (["--protocol", "x"], "published or clean"),
    "backbone": (["--backbone", "resnet8"], "did you mean 'resnet18'"),
    "stages": (["--stages", "1,a"], "whole numbers"),
    "size": (["--image-size", "40"], "multiple of 16"),
    "cache": (["--cache-features"], "needs freeze_backbone"),
    "modality": (["--modalities", "audio,smell"], "has no modality 'smell'"),
    "attention": (["--attention", "dott"], "attention"),
    "seeds": (["--seeds", "0"], "at least one"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_options_are_told_and_nothing_is_written(avs, tmp_path, name):
    given, told = BAD[name]
    said = avs(tmp_path / "out", *given)
    assert said.code == 2
    assert told in said.err
    assert not (tmp_path / "out").exists()


def damaged(folder, to, change):
    shutil.copytree(folder, to)
    change(to)
    return to


def _empty_mask(root):
    Image.new("1", (SIDE, SIDE)).save(root / "masks" / "c2" / "0.png")


def _no_test_object(root):
    for path in root.glob("masks/c[789]/*.png"):
        Image.new("1", (SIDE, SIDE)).save(path)


def _no_mask(root):
    shutil.rmtree(root / "masks" / "c7")


def _unknown_clip(root):
    (root / "frames" / "c4").rename(root / "frames" / "x4")
    (root / "masks" / "c4").rename(root / "masks" / "x4")
    text = (root / "clips.csv").read_text().replace("c4,", "x4,")
    (root / "clips.csv").write_text(text)


DAMAGE = {
    "empty mask": (_empty_mask, "nothing is marked at 32 x 32 pixels"),
    "test masks all empty": (_no_test_object, "of the 3 clips of 'test', where a model that"),
    "mask missing": (_no_mask, "c7"),
    "query missing": (_unknown_clip, "'x4' has frames but no audio"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_bad_clips_are_told_before_any_training(avs, folder, tmp_path, name):
    change, told = DAMAGE[name]
    said = avs(tmp_path / "out", data=damaged(folder, tmp_path / "data", change))
    assert said.code == 2
    assert told in said.err
    assert (tmp_path / "out").exists() == (name == "query missing")


def test_a_model_without_query_is_trained_beside_those_that_match_theirs(avs, tmp_path):
    said = avs(tmp_path / "m", "--matching", "0.5", "--modalities", "text", "--train-only")
    assert said.code == 0, said.err
    kept = [tmp_path / "m" / "models" / n / "segmenter.json" for n in ("text-0", "salient-0")]
    assert [json.loads(p.read_text())["training"]["matching"] for p in kept] == [0.5, 0.0]


def test_empty_masks_may_be_allowed(avs, folder, tmp_path):
    data = damaged(folder, tmp_path / "data", _empty_mask)
    assert avs(tmp_path / "out", "--allow-empty-masks", "--train-only", data=data).code == 0


def test_a_video_is_segmented_by_its_sound_and_by_words(cmg, trained, tmp_path):
    video = write_clip(tmp_path, 0, seconds=4.0, caption=False)
    base = ["--model", trained / "models" / "audio-0"]
    by_sound = cmg(
        "segment", video, *base, "--query", "audio", "--extractor", "audio=ears",
        "--out", tmp_path / "s", "--json",
    )  # fmt: skip
    assert by_sound.code == 0, by_sound.err
    assert by_sound.json["seconds"] == 4
    masks = sorted((tmp_path / "s" / "masks").glob("*.png"))
    assert len(masks) == 4
    white = np.asarray(Image.open(masks[1]).convert("L")) > 128
    assert 100 * white.mean() == pytest.approx(by_sound.json["percent_of_pixels"][1], abs=0.06)
    assert Image.open(tmp_path / "s" / "overlay.png").size[0] == 4 * SIDE + 3 * 4
    words = ["--query", "text", "--text", "a red one", "--extractor", "text=letters"]
    by_words = cmg("segment", video, *base, *words, "--out", tmp_path / "w", "--json")
    assert by_words.code == 0, by_words.err
    again = cmg("segment", video, *base, *words, "--out", tmp_path / "w")
    assert again.code == 2
    assert "not empty" in again.err
    assert cmg("segment", video, *base, *words, "--out", tmp_path / "w", "--overwrite").code == 0


def test_a_folder_of_pictures_is_a_video(cmg, trained, run, folder, tmp_path):
    words = ["--query", "text", "--text", "a red one", "--extractor", "text=letters"]
    base = ["--model", trained / "models" / "audio-0", "--out", tmp_path / "o", "--json"]
    said = cmg("segment", folder / "frames" / "c0", *base, *words)
    assert said.code == 0, said.err
    assert said.json["seconds"] == FRAMES
    exported = tmp_path / "exported"
    assert cmg("export", run, exported).code == 0
    encoder = ["--encoder", exported, "--overwrite"]
    again = cmg("segment", folder / "frames" / "c0", *base, *words, *encoder)
    assert again.json == said.json
    (tmp_path / "two.csv").write_text("id,text\na,one\nb,two\n")
    said = cmg(
        "segment", tmp_path / "two.csv", *base[:2], "--query", "text", "--out", tmp_path / "p"
    )
    assert (said.code, "two.csv names 2 clips" in said.err) == (2, True), said.err


def astray(model, folder):
    """A copy of a model whose frozen run is not where it was."""
    shutil.copytree(model, folder / "astray")
    told = json.loads((folder / "astray" / "segmenter.json").read_text())
    (folder / "astray" / "segmenter.json").write_text(json.dumps(told | {"encoder": "nowhere"}))
    return folder / "astray"


def test_what_cannot_be_segmented_is_told(cmg, trained, tmp_path):
    video = write_clip(tmp_path, 1, caption=False)
    model, out = trained / "models" / "audio-0", tmp_path / "o"
    ears = ["--query", "audio", "--extractor", "audio=ears"]
    for given, told in (
        ([tmp_path / "no.mp4", "--model", model, *ears], "does not exist"),
        ([video, "--model", tmp_path, *ears], "is no segmentation model"),
        ([video, "--model", trained / "models" / "salient-0", *ears], "takes no query"),
        ([video, "--model", model, "--query", "smell"], "no modality 'smell'"),
        ([video, "--model", model, "--query", "audio"], "does not say which extractors"),
        ([video, "--model", model, "--query", "text", "--extractor", "text=letters"], "text"),
        ([video, "--model", model, *ears, "--encoder", tmp_path / "x"], "does not exist"),
        ([video, "--model", astray(model, tmp_path), *ears], "at nowhere; say where it is now"),
    ):
        said = cmg("segment", *given, "--out", out)
        assert said.code == 2, given
        assert told in said.err
        assert not out.exists()


@pytest.fixture(scope="module")
def explored(run, trained, tmp_path_factory):
    """An explorer with a segmentation model, and the folder of its media."""
    from starlette.testclient import TestClient

    from cmg.explore.app import make_app
    from cmg.explore.session import Session

    root = tmp_path_factory.mktemp("explored")
    record_extractors(shutil.copytree(run, root / "run"))
    (root / "media").mkdir()
    for i in (6, 7, 8):
        write_clip(root / "media", i, seconds=3.0, caption=False).rename(root / f"media/c{i}.mp4")
    (root / "media" / "c8.mp4").rename(root / "c8.mp4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "CARDS", CARDS)
        (root / "media" / "c8.mp4").write_bytes(b"")
        model = trained / "models" / "audio-0"
        session = Session.open(root / "run", media=root / "media", segmentation=model)
        (root / "media" / "c8.mp4").unlink()
    return root, session, TestClient(make_app(session), base_url="http://127.0.0.1:8765")


def test_an_explorer_segments_what_the_command_segments(cmg, explored, trained):
    root, _, client = explored
    model = ["--model", trained / "models" / "audio-0", "--encoder", root / "run"]
    for name, form, more in (
        ("s", {"query": "audio"}, ["--query", "audio"]),
        ("w", {"query": "text", "words": "a  red one"}, ["--query", "text", "--text", "a red one"]),
    ):
        said = cmg("segment", root / "media/c6.mp4", *model, *more, "--out", root / name)
        assert said.code == 0, said.err
        answer = client.post("/segment", data={"clip": "c6", **form}).json()
        masks = [path.read_bytes() for path in sorted((root / name / "masks").glob("*.png"))]
        assert [base64.b64decode(mask) for mask in answer["masks"]] == masks
        told = json.loads((root / name / "segmentation.json").read_text())
        assert answer["share_of_pixels"] == pytest.approx(told["share_of_pixels"])
        page = client.get("/clips/0", params=form).text
        assert page.count('<img class="masked"') == 3
        assert f"{100 * told['share_of_pixels'][0]:.1f}" in page
    with (root / "media" / "c6.mp4").open("rb") as file:
        sent = client.post("/segment", data={"query": "audio"}, files={"file": ("x.mp4", file)})
    assert len(sent.json()["masks"]) == 3


def test_another_clip_and_a_file_ask_by_their_beginning(explored):
    from cmg.explore.segmenting import Query, segmented
    from cmg.extract.clip import MediaClip
    from cmg.recipes.segment_clip import segment_clip

    root, session, client = explored
    found = segmented(session, Query("audio", clip="c7"), "c6")
    files = {"video": root / "media/c6.mp4", "audio": root / "media/c7.mp4"}
    model = session.segmenter.path
    direct = segment_clip(MediaClip("x", "x", files), model, "audio", root / "run")
    assert torch.equal(found.probabilities, direct.probabilities)
    with (root / "media" / "c7.mp4").open("rb") as file:
        page = client.post("/clips/0", data={"query": "audio"}, files={"file": ("y.mp4", file)})
    assert "By the audio of a file" in page.text
    assert page.text.count('<img class="masked"') == 3


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"query": "audio"}, "say which clip is segmented"),
        ({"query": "audio", "clip": "c9"}, "c9: its files are not known"),
        ({"query": "audio", "clip": "c8"}, "c8: c8.mp4 has moved away since extraction"),
        ({"query": "audio", "clip": "<b>"}, "no clip '<b>'"),
        ({"query": "smell", "clip": "c6"}, "smell"),
        ({"query": "text", "clip": "c6"}, "c6: it has no text to ask by"),
        ({"query": "text", "clip": "c6", "words": "a", "query_clip": "c7"}, "one of them"),
        ({"query": "text", "clip": "c6", "words": "a " * 11}, "takes at most 10"),
    ],
)
def test_what_an_explorer_cannot_segment_is_told(explored, form, says):
    root, _, client = explored
    answer = client.post("/segment", data=form)
    assert answer.status_code == 400
    assert says in answer.json()["message"]
    assert str(root) not in answer.text


def test_an_upload_that_cannot_be_read_is_told_by_its_name(explored):
    _, _, client = explored
    sent = client.post("/segment", data={"query": "audio"}, files={"file": ("x.mp4", b"none")})
    assert sent.status_code == 400
    assert sent.json()["message"].startswith("x.mp4 cannot be read")
    page = client.post("/clips/0", data={"query": "audio"}, files={"file": ("y.wav", b"none")})
    assert page.status_code == 400
    assert "y.wav cannot be read" in page.json()["message"]


def test_an_explorer_offers_no_segmentation_without_a_model_or_pictures(explored, trained, run):
    from starlette.testclient import TestClient

    from cmg.errors import CheckpointError
    from cmg.explore.app import make_app
    from cmg.explore.session import Session

    root, _, client = explored
    assert "Segment by a query" in client.get("/clips/0").text
    assert "Segment by a query" not in client.get("/clips/3").text
    session = Session.open(root / "run", media=root / "media")
    plain = TestClient(make_app(session), base_url="http://127.0.0.1:8765")
    assert "Segment by a query" not in plain.get("/clips/0").text
    answer = plain.post("/segment", data={"query": "audio", "clip": "c6"})
    assert "--segmentation MODEL" in answer.json()["message"]
    with pytest.raises(CheckpointError, match="is no segmentation model"):
        Session.open(run, segmentation=root)
