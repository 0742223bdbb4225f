"""Steps, batches and modality declarations."""

import pytest
import torch
from pydantic import ValidationError

from cmg.errors import DataError, ModalityError, did_you_mean
from cmg.types import Batch, Kind, Modality, Steps

LENGTHS = {"audio": torch.tensor([3, 2, 0]), "video": torch.tensor([1, 3, 2])}
DECLARED = {
    "audio": Modality(name="audio", kind=Kind.VECTORS, shape=(4,)),
    "video": Modality(name="video", kind=Kind.MAPS, shape=(2, 2, 3)),
}


def batch(lengths=None, clips=3, steps=3, **changed):
    features = {"audio": torch.zeros(clips, steps, 4), "video": torch.zeros(clips, steps, 2, 2, 3)}
    return Batch(features | changed, lengths)


# ---- steps --------------------------------------------------------------------------------------


def test_masks_by_hand():
    steps = Steps(3, 3, LENGTHS)
    assert steps.mask("audio").tolist() == [
        [True, True, True],
        [True, True, False],
        [False, False, False],
    ]
    both = [[True, False, False], [True, True, False], [False, False, False]]
    assert steps.mask("audio", "video").tolist() == both
    assert steps.mask("video", "audio").tolist() == both
    assert steps.length_of("audio", "video").tolist() == [1, 2, 0]
    assert steps.clips("audio").tolist() == [0, 1]
    assert steps.clips("video") is None
    assert steps.any("audio", "video")
    assert not steps.complete


def test_nothing_is_padded():
    """Full lengths count as none, so that no mask is built."""
    for steps in (Steps(2, 3), Steps(2, 3, {"audio": torch.tensor([3, 3])})):
        assert steps.complete
        assert steps.mask("audio") is None
        assert steps.clips("audio") is None
        assert steps.any("audio")
        assert steps.length_of("audio").tolist() == [3, 3]


def test_a_modality_nobody_has():
    steps = Steps(2, 3, {"audio": torch.tensor([3, 1]), "text": torch.tensor([0, 0])})
    assert not steps.any("text")
    assert not steps.any("audio", "text")
    assert steps.clips("text").tolist() == []


# ---- batches ------------------------------------------------------------------------------------


def test_batch_describes_itself():
    one = batch(LENGTHS)
    one.check(DECLARED)
    assert (one.size, one.modalities) == (3, ["audio", "video"])
    assert (one.steps.batch_size, one.steps.length) == (3, 3)
    moved = one.to("cpu", torch.float64)
    assert moved.features["video"].dtype == torch.float64
    assert moved.lengths is one.lengths


def test_only_keeps_lengths():
    one = batch(LENGTHS).only("video")
    assert list(one.features) == list(one.lengths) == ["video"]
    assert batch().only("video").lengths is None
    with pytest.raises(ModalityError, match=r"unknown modality 'vidoe' \(did you mean 'video'\?\)"):
        batch().only("vidoe")


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (
            {"vidoe": torch.zeros(3, 3, 4)},
            ModalityError,
            "unknown modality 'vidoe' (did you mean 'video'?); valid: audio, video",
        ),
        (
            {"audio": torch.zeros(3, 3, 5)},
            ModalityError,
            "modality 'audio' has shape (3, 3, 5); expected [B, T, 4]",
        ),
        (
            {"video": torch.zeros(3, 3, 12)},
            ModalityError,
            "modality 'video' has shape (3, 3, 12); expected [B, T, 2, 2, 3]",
        ),
        (
            {"audio": torch.zeros(3, 4)},
            ModalityError,
            "modality 'audio' has shape (3, 4); expected [B, T, 4]",
        ),
        (
            {"audio": torch.zeros(3, 3, 4, dtype=torch.int64)},
            ModalityError,
            "modality 'audio' has dtype torch.int64; convert it to float32",
        ),
        (
            {"video": torch.zeros(3, 2, 2, 2, 3)},
            DataError,
            "modality 'video' has [B, T] = [3, 2] where another has [3, 3]; "
            "pad with zeros and give lengths",
        ),
    ],
)
def test_features_that_do_not_fit(changed, error, message):
    with pytest.raises(error) as raised:
        batch(**changed).check(DECLARED)
    assert str(raised.value) == message


@pytest.mark.parametrize(("clips", "steps"), [(0, 3), (3, 0)])
def test_batch_of_nothing(clips, steps):
    with pytest.raises(DataError) as raised:
        batch(clips=clips, steps=steps).check(DECLARED)
    assert str(raised.value) == (
        f"[B, T] = [{clips}, {steps}]: a batch needs a clip and a step (T >= 1)"
    )
    with pytest.raises(DataError, match="the batch has no modality; give at least one"):
        Batch({}).check(DECLARED)


@pytest.mark.parametrize("lengths", [[3, 3], [3, 2, 4], [3, -1, 0], [[1], [2], [3]]])
def test_lengths_that_do_not_fit(lengths):
    told = {"audio": torch.tensor(lengths), "video": torch.tensor([3, 3, 3])}
    with pytest.raises(
        DataError, match="lengths of modality 'audio' must be 3 numbers from 0 to 3"
    ):
        batch(told).check(DECLARED)
    with pytest.raises(DataError, match="no lengths of modality 'video'; give those of all or of"):
        batch({"audio": torch.tensor([3, 2, 1])}).check(DECLARED)


# ---- modalities ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "two words"}, "modality name 'two words' must be a plain word"),
        ({"name": "a.b"}, "modality name 'a.b' must be a plain word"),
        ({"shape": (2, 2, 3)}, r"of kind 'vectors' needs a step shape \(C,\)"),
        ({"kind": "maps"}, r"of kind 'maps' needs a step shape \(H, W, C\) .*, got \(4,\)"),
        ({"kind": "tokens", "shape": ()}, r"of kind 'tokens' needs a step shape \(C,\)"),
        ({"shape": (0,)}, r"of positive sizes, got \(0,\)"),
        ({"kind": "maps", "shape": (7, 0, 3)}, "of positive sizes"),
        ({"kind": "sound"}, "'vectors', 'maps' or 'tokens'"),
        ({"detail_width": 0}, "modality 'audio': widths must be at least 1"),
        ({"token_hidden": 0}, "modality 'audio': widths must be at least 1"),
        ({"widht": 3}, "widht"),
    ],
)
def test_declarations_that_do_not_fit(fields, message):
    fields = {"name": "audio", "kind": "vectors", "shape": (4,)} | fields
    with pytest.raises(ValidationError, match=message):
        Modality.model_validate(fields)


def test_channels_are_the_last_axis():
    assert DECLARED["audio"].channels == 4
    assert DECLARED["video"].channels == 3


@pytest.mark.parametrize(
    ("given", "tail"),
    [
        ("vidoe", " (did you mean 'video'?); valid: audio, video"),
        ("zzz", "; valid: audio, video"),
    ],
)
def test_nearest_name(given, tail):
    assert did_you_mean(given, ["video", "audio"]) == tail
    assert did_you_mean(given, []) == "; valid: none"
