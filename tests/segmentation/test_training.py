"""Training: it learns, stops and goes on as if nothing had been, and keeps its best epoch."""

import errno
import json
import shutil
from dataclasses import replace

import pytest
import torch

from cmg import saved
from cmg.errors import CheckpointError, DataError, NonFiniteError
from cmg.segmentation.backbones import FeatureCache
from cmg.segmentation.checkpoint import (
    SegmenterRecord,
    TrainingFolder,
    read_record,
    read_segmenter,
)
from cmg.segmentation.clips import MaskedClips
from cmg.segmentation.queries import other_clips, shuffled, zero
from cmg.segmentation.training import SegmentationJob, mask_scores, segmented, train_segmenter


@pytest.fixture(scope="module")
def record(small_options, quick):
    return SegmenterRecord(small_options, quick, 8, 6, 3, "audio", "clean", "run", "0")


@pytest.fixture(scope="module")
def job(new_segmenter, quick, sets, asked):
    def make(folder=None, **changes):
        options = quick.model_copy(update=changes)
        by = asked("audio")
        return SegmentationJob(new_segmenter(), options, sets["train"], by, sets["val"], by, folder)

    return make


@pytest.fixture(scope="module")
def whole(job, record, tmp_path_factory):
    """The folder of a model, trained in one go; nobody changes it."""
    folder = tmp_path_factory.mktemp("whole") / "m"
    train_segmenter(job(TrainingFolder(folder, record)))
    return folder


def test_it_learns(job):
    task = job(epochs=12, lr=3e-3)
    progress = train_segmenter(task)
    assert progress.losses[-1] < 0.6 * progress.losses[0]
    assert progress.best == max(progress.scores)
    assert progress.scores[progress.best_epoch - 1] == progress.best
    scores, _ = mask_scores(task.model, task.val, task.select_by, task.options)
    assert scores.miou == pytest.approx(progress.best, abs=1e-9)


@pytest.mark.parametrize("stops", [(1,), (3,), (4, 5)])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(job, record, whole, tmp_path, stops):
    for stop in stops:
        part = job(TrainingFolder(tmp_path / "part", record))
        train_segmenter(part, stop_after=lambda step, at=stop: step == at)
    last = job(TrainingFolder(tmp_path / "part", record))
    train_segmenter(last)
    kept = [json.loads((m / "segmenter.json").read_text()) for m in (whole, tmp_path / "part")]
    assert kept[0] == kept[1]
    assert TrainingFolder(tmp_path / "part", record).done


def test_what_is_read_back_says_the_same(job, record, tmp_path, sets, asked, quick):
    task = job(TrainingFolder(tmp_path / "m", record))
    train_segmenter(task)
    model, found = read_segmenter(tmp_path / "m")
    assert found == record == read_record(tmp_path / "m")
    by = asked("text")
    own, _ = mask_scores(task.model, sets["test"], by, quick)
    assert mask_scores(model, sets["test"], by, quick)[0] == own


def test_another_training_is_refused_and_nothing_lost(record, whole):
    before = (whole / "segmenter.json").read_bytes()
    other = SegmenterRecord(**{**vars(record), "trained_by": "text"})
    with pytest.raises(CheckpointError, match="trained_by 'audio', now 'text'"):
        TrainingFolder(whole, other)
    assert (whole / "segmenter.json").read_bytes() == before
    TrainingFolder(whole, replace(record, encoder="moved"))  # its SHA-256 is what counts
    with pytest.raises(CheckpointError, match="encoder_sha256"):
        TrainingFolder(whole, replace(record, encoder_sha256="another"))


def test_damaged_models_are_refused(whole, tmp_path):
    folder = tmp_path / "m"
    with pytest.raises(CheckpointError, match="is no segmentation model"):
        read_segmenter(folder)
    shutil.copytree(whole, folder)
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="missing or was changed"):
        read_segmenter(folder)
    (folder / "segmenter.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        read_segmenter(folder)


def test_scoring_changes_nothing_and_does_not_depend_on_batches(job, sets, quick, asked):
    model, by = job().model.train(), asked("audio")
    before = {n: x.clone() for n, x in model.state_dict().items()}
    one, each = mask_scores(model, sets["test"], by, quick)
    two, _ = mask_scores(model, sets["test"], by, quick.model_copy(update={"test_batch_size": 3}))
    assert model.training
    assert one.miou == pytest.approx(two.miou)
    assert one.f_measure == pytest.approx(two.f_measure)
    assert float(each.mean()) * 100 == pytest.approx(one.miou)
    assert all(torch.equal(x, before[n]) for n, x in model.state_dict().items())


def test_a_frozen_backbone_keeps_its_weights_and_statistics(job):
    task = job(freeze_backbone=True, epochs=1)
    before = {n: x.clone() for n, x in task.model.backbone.state_dict().items()}
    train_segmenter(task)
    assert all(torch.equal(x, before[n]) for n, x in task.model.backbone.state_dict().items())


def test_cached_maps_train_the_same_model(job, tmp_path):
    plain, cached = (job(freeze_backbone=True, cache_features=c) for c in (False, True))
    cached.cache = FeatureCache(tmp_path, cached.model.backbone.eval(), 32)
    one, two = train_segmenter(plain), train_segmenter(cached)
    # Some biases stand before a normalization: their gradient is rounding, which Adam enlarges.
    assert one.losses == pytest.approx(two.losses, rel=1e-3)
    assert one.scores == pytest.approx(two.scores, abs=1.0)
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 7
    next(tmp_path.glob("*/*.safetensors")).write_bytes(b"x")
    with pytest.raises(CheckpointError, match="delete the file, it is made again"):
        train_segmenter(cached)


def test_bfloat16_gives_float32_logits_near_the_exact_ones(job, sets, asked):
    model, batch = job().model.eval(), sets["test"].batch([0, 1])
    query = asked("audio").vectors(batch.ids)
    exact = segmented(model, batch, query).logits
    rough = segmented(model, batch, query, "bfloat16").logits
    assert rough.dtype == torch.float32
    assert float((exact - rough).detach().abs().max()) < 0.15 * float(exact.detach().abs().max())


def test_matching_looks_at_all_frames(job):
    matched = train_segmenter(job(epochs=1, matching=0.5, matching_stages=(1,)))
    assert matched.losses[0] > train_segmenter(job(epochs=1)).losses[0]


def test_a_loss_that_is_not_finite_stops(job):
    task = job()
    torch.nn.init.constant_(task.model.mask.last.bias, float("nan"))
    with pytest.raises(NonFiniteError, match=r"loss is nan for clips c"):
        train_segmenter(task)


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_epoch_that_cannot_be_kept_says_what_is(job, record, tmp_path, monkeypatch, epoch):
    folder = TrainingFolder(tmp_path / "m", record)
    kept, keep = ["no epoch is kept yet", "the epoch before is intact"][epoch - 1], folder.keep
    real, written = saved.write_tensors, []

    def full(path, tensors):
        written.append(path)
        if len(written) == 2 * epoch:  # two files an epoch
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, tensors)

    monkeypatch.setattr(saved, "write_tensors", full)
    with pytest.raises(CheckpointError, match=rf"No space left.*free space and resume \({kept}\)"):
        train_segmenter(job(folder))
    assert TrainingFolder(tmp_path / "m", record).progress.step > 0 or epoch == 1
    monkeypatch.undo()

    def broken(model, *rest):
        torch.nn.init.constant_(model.mask.last.bias, float("inf"))
        keep(model, *rest)

    monkeypatch.setattr(folder, "keep", broken)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NonFiniteError, match=r"values of 'mask\.last\.bias' are NaN or infinite"):
        train_segmenter(job(folder))
    assert sorted(tmp_path.rglob("*")) == before


def test_controls_ask_by_other_categories_and_by_nothing(framed, asked):
    test = [c for c in framed if c.split == "test"]
    others, by_id = other_clips(test, 0), {c.id: c for c in test}
    assert all(by_id[a].category != by_id[b].category for a, b in others.items())
    by, ids = asked("audio"), [c.id for c in test]
    changed = shuffled(test, by, 0)(ids, by.vectors(ids))
    torch.testing.assert_close(changed, by.vectors([others[i] for i in ids]))
    assert not zero(ids, changed).any()
    with pytest.raises(DataError, match="two categories"):
        other_clips([c for c in test if c.category == "red"], 0)


def test_clips_that_do_not_fit_are_refused(framed, sets):
    clip = framed[0]
    with pytest.raises(DataError, match=r"has 2 frames where the others have 3"):
        MaskedClips([framed[1], replace(clip, frames=clip.frames[:2])], 32)
    with pytest.raises(DataError, match=r"has 1 masks and 3 are"):
        MaskedClips([clip], 32, masks=3)
    with pytest.raises(DataError, match="no clip"):
        MaskedClips([], 32)


def test_empty_masks_are_refused_in_training_and_a_set_of_nothing_else_always(
    framed, tmp_path, job
):
    from PIL import Image

    Image.new("1", (32, 32)).save(tmp_path / "empty.png")
    clip = replace(framed[0], masks=(tmp_path / "empty.png",))
    with pytest.raises(DataError, match=r"empty.png: nothing is marked at 32 x 32 .* white on bl"):
        MaskedClips([framed[1], clip], 32, allow_empty=False).check_masks()
    told = []
    some = MaskedClips([framed[1], clip], 32)
    assert some.check_masks(lambda *done: told.append(done)) == [0, 1]
    assert told == [(1, 2), (2, 2)]
    nothing = MaskedClips([clip, replace(framed[1], masks=clip.masks)], 32)
    with pytest.raises(DataError, match=r"empty.png: .* nor in any mask of the 2 clips of 'train'"):
        nothing.check_masks()
    task = job()
    with pytest.raises(DataError, match="a model that finds nothing would be perfect"):
        mask_scores(task.model, nothing, task.by, task.options)


def test_pictures_beyond_the_limit_are_read_again(framed, monkeypatch):
    from cmg.segmentation import clips

    monkeypatch.setattr(clips, "HELD_BYTES", 1)
    given = MaskedClips(framed[:3], 32)
    first = given.batch([0, 1, 2])
    assert len(given._held) == 1
    torch.testing.assert_close(given.batch([0, 1, 2]).frames, first.frames)
