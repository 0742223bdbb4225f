"""Labels, metrics and ExpLog beyond what was recorded."""

import math

import pytest
import torch

from cmg.data.labels import Event, clip_classes, parse_events, step_labels
from cmg.errors import DataError
from cmg.evaluation.metrics import micro_scores, top1_accuracy


def test_events_cover_onset_to_offset():
    row = {"onset": "1,0", "offset": "3,1", "event_labels": "Dog,Cat"}
    labels = step_labels(parse_events(row), ["Cat", "Dog"], steps=4)
    assert labels.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_events_are_clipped_to_the_clip():
    labels = step_labels([Event(2, 9, "Cat"), Event(3, 3, "Cat"), Event(-2, 1, "Cat")], ["Cat"], 3)
    assert labels[:, 0].tolist() == [1, 0, 1]


def test_unknown_category_names_the_nearest():
    with pytest.raises(DataError, match="did you mean 'Dog'"):
        step_labels([Event(0, 1, "Dogs")], ["Cat", "Dog"])


@pytest.mark.parametrize(
    "row",
    [
        {"onset": "1", "offset": "2"},
        {"onset": "1", "offset": "2", "event_labels": "Dog,Cat"},
        {"onset": "soon", "offset": "2", "event_labels": "Dog"},
    ],
)
def test_malformed_rows(row):
    with pytest.raises(DataError):
        parse_events(row)


def test_clip_class_is_the_largest_index_over_time():
    labels = torch.zeros(2, 3, 4)
    labels[0, 0, 1] = labels[0, 2, 2] = labels[0, 1, 3] = 1
    labels[1, :, 3] = 1
    assert clip_classes(labels).tolist() == [2, 0]


def test_micro_scores():
    probabilities = torch.tensor([[0.9, 0.5], [0.6, 0.7]])
    scores = micro_scores(probabilities, torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    assert (scores.precision, scores.recall) == (2 / 3, 2 / 3)
    assert scores.f1 == pytest.approx(2 / 3)


def test_micro_scores_at_the_edges():
    nothing = micro_scores(torch.zeros(2, 2), torch.ones(2, 2))
    assert (nothing.precision, nothing.recall, nothing.f1) == (0.0, 0.0, 0.0)
    no_target = micro_scores(torch.ones(2, 2), torch.zeros(2, 2))
    assert no_target.precision == 0.0
    assert math.isnan(no_target.recall)
    assert math.isnan(no_target.f1)


def test_top1_accuracy():
    assert top1_accuracy(torch.eye(4), torch.tensor([0, 1, 2, 0])) == 0.75
