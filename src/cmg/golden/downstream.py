"""Recorded downstream parts: ExpLog, micro precision and recall, labels and accuracy."""

from __future__ import annotations

import torch

from cmg.data.labels import clip_classes, parse_events, step_labels
from cmg.errors import DataError
from cmg.evaluation.metrics import micro_scores, top1_accuracy
from cmg.evaluation.open_set import ClassSplit, evenly_spaced, rejections, scores_of
from cmg.evaluation.stack import clip_loss, step_terms
from cmg.golden.cases import CASES, Case
from cmg.golden.compare import Comparison


def verify_explog(case: Case, comparison: Comparison) -> None:
    """ExpLog and the BCE it is added to, with gradients."""
    logits, targets = case.array("in/logits").clone().requires_grad_(), case.array("in/target")
    alpha = case.array("param/alpha").clone().requires_grad_()
    bce, value = step_terms(logits, targets, alpha)
    comparison.check("out/loss", value)
    comparison.check("out/bce", bce)
    comparison.check("out/alpha_mean", alpha.mean())
    leaves = {"out/grad_logits": logits, "out/grad_alpha": alpha}
    comparison.check_gradients(value, leaves)
    comparison.check_gradients(bce, {"out/bce_grad_logits": logits})


def verify_micro_scores(case: Case, comparison: Comparison) -> None:
    """Precision and recall of every sub-case."""
    for part in sub_cases(case):
        scores = micro_scores(case.array(f"in/{part}/prob"), case.array(f"in/{part}/target"))
        comparison.check(f"out/{part}/precision", scores.precision)
        comparison.check(f"out/{part}/recall", scores.recall)


def verify_clip_labels(case: Case, comparison: Comparison) -> None:
    """Class of a clip from its step labels, and how a classifier is scored on it."""
    for part in sub_cases(case):
        classes = clip_classes(case.array(f"in/{part}/labels"))
        scores = case.array(f"in/{part}/scores")
        comparison.check(f"out/{part}/class_index", classes)
        comparison.check(f"out/{part}/accuracy", 100.0 * top1_accuracy(scores, classes))
        comparison.check(f"out/{part}/cross_entropy", clip_loss(scores[None], classes[None]))


def verify_step_labels(case: Case, comparison: Comparison) -> None:
    """Step labels of the table rows that the entry records."""
    entry = case.record.entry
    missing = [name for name in ("rows", "columns", "categories") if name not in entry]
    if missing:
        raise DataError(f"case {case.record.name!r} in {CASES} has no {missing[0]!r}")
    steps = case.array("out/labels").shape[1]
    rows = [dict(zip(entry["columns"], r.split("\t"), strict=True)) for r in entry["rows"]]
    labels = [step_labels(parse_events(row), entry["categories"], steps) for row in rows]
    comparison.check("out/labels", torch.stack(labels))


def verify_open_set(case: Case, comparison: Comparison) -> None:
    """What is rejected at evenly spaced thresholds, and the best of them."""
    logits, labels = case.array("in/logits"), case.array("in/labels")
    known = int(case.setting("source_class_num"))
    classes = ClassSplit(tuple(range(known)), tuple(range(known, int(labels.max()) + 1)))
    targets, scores = classes.targets(labels), scores_of(logits)["probability"]
    tried = evenly_spaced(scores, int(case.setting("n_thresholds")))
    found = rejections(scores, logits.argmax(-1), targets, tried, known)
    share = (targets < known).double().mean()
    comparison.check("out/target", targets)
    comparison.check("out/thresholds", tried)
    comparison.check("out/acc_known", found.known)
    comparison.check("out/acc_unknown", found.unknown)
    comparison.check("out/accuracy", share * found.known + (1 - share) * found.unknown)
    best = found.best
    comparison.check("out/best_h", found.h_scores[best])
    comparison.check("out/best_threshold", tried[best])
    comparison.check("out/best_acc_known", found.known[best])
    comparison.check("out/best_acc_unknown", found.unknown[best])


def sub_cases(case: Case) -> list[str]:
    """Names of the sub-cases ``in/<name>/...``."""
    return sorted({key.partition("/")[0] for key in case.inputs})
