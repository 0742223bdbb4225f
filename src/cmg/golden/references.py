"""Recorded metrics of what the paper builds on: AVE's accuracy, and the parsing scores of AVVP."""

from __future__ import annotations

import torch
from torch import Tensor

from cmg.evaluation.metrics import top1_accuracy
from cmg.evaluation.video_parsing import (
    KINDS,
    MATCH,
    ParsingScores,
    event_counts,
    events_of,
    one_class,
    parsed,
    parsing_scores,
)
from cmg.golden.cases import Case
from cmg.golden.compare import Comparison

MODALITIES = {"audio": "a", "visual": "v"}
COLUMNS = ("audio", "visual", "event", "audio_visual")
"""Kinds in the order of the recorded scores per video."""
PARTS = ("pred", "gt")


def verify_runs(case: Case, comparison: Comparison) -> None:
    """Events as maximal runs."""
    comparison.check("out/events", events_of(case.array("in/sequence").bool()))


def verify_matches(case: Case, comparison: Comparison) -> None:
    """Counts of events that overlap by a half, and of those that do not."""
    pred, true = (case.array(f"in/{name}").bool() for name in ("pred", "gt"))
    match = float(case.setting("iou", MATCH))
    comparison.check("out/counts", event_counts(pred, true, match))


def verify_parsing_scores(case: Case, comparison: Comparison) -> None:
    """Both levels, of given cells."""
    pred, true = ({m: case.array(f"in/{x}_{s}") for m, s in MODALITIES.items()} for x in PARTS)
    check_scores(comparison, parsing_scores(pred, true, float(case.setting("iou", MATCH))))


def verify_parsing(case: Case, comparison: Comparison) -> None:
    """From probabilities and rows of annotations to scores; a filter for both, or for each."""
    steps, threshold = case.array("in/frame_prob"), float(case.setting("threshold"))
    pred, true = {}, {}
    for place, (name, short) in enumerate(MODALITIES.items()):
        clips = case.arrays.get(f"in/{name}_prob", case.array("in/global_prob"))
        pred[name] = parsed(steps[:, :, place], clips, threshold)
        true[name] = annotated(case.array("in/rows"), place, pred[name])
        comparison.check(f"out/pred_{short}", pred[name].to(torch.uint8))
        comparison.check(f"out/gt_{short}", true[name].to(torch.uint8))
    check_scores(comparison, parsing_scores(pred, true))


def annotated(rows: Tensor, place: int, like: Tensor) -> Tensor:
    """Cells of recorded rows: video, modality, first second, end, class."""
    cells = torch.zeros_like(like)
    for video, _, onset, end, name in rows[rows[:, 1] == place].tolist():
        cells[video, name, onset:end] = True
    return cells


def check_scores(comparison: Comparison, found: ParsingScores) -> None:
    """Per video and in all."""
    for level in ("segment", "event"):
        scores = getattr(found, level)
        comparison.check(f"out/{level}", torch.stack([scores[kind] for kind in COLUMNS], 1))
    told = found.percent()
    assert list(told) == [f"{level}_{kind}" for level in ("segment", "event") for kind in KINDS]
    comparison.check("out/summary", torch.tensor(list(told.values()), dtype=torch.float64))


def verify_segment_accuracy(case: Case, comparison: Comparison) -> None:
    """Seconds of the right class, background included."""
    scores, labels = (case.array(f"in/{name}").flatten(0, 1) for name in ("scores", "labels"))
    comparison.check("out/accuracy", top1_accuracy(scores, labels.argmax(-1)))


def verify_one_class_accuracy(case: Case, comparison: Comparison) -> None:
    """The same of one class for a clip, which is there or not."""
    background = int(case.setting("bg_flag"))
    events, categories = case.array("in/event_logits"), case.array("in/category_logits")
    found, true = one_class(events, categories, background), case.array("in/labels").argmax(-1)
    comparison.check("out/accuracy", 100.0 * (found == true).double().mean())


REFERENCES = {
    r"extract_event": verify_runs,
    r"event_wise_metric": verify_matches,
    r"segment_level, event_level": verify_parsing_scores,
    r"main_avvp(_psp)?\.eval": verify_parsing,
    r"compute_acc": verify_segment_accuracy,
    r"compute_accuracy_supervised": verify_one_class_accuracy,
}
"""By patterns of the recorded `cls`."""
