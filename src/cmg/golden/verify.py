"""Verifying a folder of recorded cases: `cmg verify-golden DIR`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cmg.errors import CmgError
from cmg.files import StrPath
from cmg.golden.cases import Case, CaseRecord, read_case, read_records
from cmg.golden.checkpoint import verify_checkpoint
from cmg.golden.codaar import CODAAR
from cmg.golden.compare import END_TO_END, SINGLE, VALUES, ArrayError, Comparison
from cmg.golden.contrast import (
    verify_mask_ratio,
    verify_masked_contrast,
    verify_told_apart,
)
from cmg.golden.dimensions import verify_dimensions
from cmg.golden.downstream import (
    verify_clip_labels,
    verify_explog,
    verify_micro_scores,
    verify_open_set,
    verify_step_labels,
)
from cmg.golden.fcid import FCID_CASES
from cmg.golden.jigsaw import verify_jigsaw
from cmg.golden.masked_steps import verify_masked_steps
from cmg.golden.modules import MODULES
from cmg.golden.objectives import verify_club, verify_cross_cpc
from cmg.golden.quantizer import verify_quantizer
from cmg.golden.references import REFERENCES
from cmg.golden.releases import verify_deaf_quantizer, verify_zeroed_lookup
from cmg.golden.rivals import verify_group_codes, verify_info_nce, verify_margin
from cmg.golden.segmentation import verify_attention, verify_mask_loss, verify_mask_metrics
from cmg.golden.srcid import SRCID_CASES
from cmg.golden.steps import verify_steps

Verifier = Callable[[Case, Comparison], None]


class Status(StrEnum):
    """What became of a case."""

    OK = "ok"
    FAILED = "failed"
    NOT_COVERED = "not covered"
    """Recorded from something this package does not know."""


@dataclass(frozen=True)
class CaseResult:
    """Outcome of a case.

    Attributes:
        name: Of the case.
        status: See :class:`Status`.
        error: Relative error of the array that is farthest off, in units of its tolerance.
        tolerance: That array's tolerance.
        detail: That array's key, or why the case failed.
    """

    name: str
    status: Status
    error: float | None = None
    tolerance: float | None = None
    detail: str = ""


QUANTIZER = r"Cross_VQEmbeddingEMA(_AV|_AT|_AVT)?( \(CMCM term only\))?"

VERIFIERS: dict[str, tuple[Verifier, float]] = {
    **{re.escape(cls): (recipe, VALUES) for cls, recipe in MODULES.items()},
    QUANTIZER: (verify_quantizer, VALUES),
    r"Cross_CPC(_AV|_AT|_AVT)?": (verify_cross_cpc, VALUES),
    r"CLUBSample_group": (verify_club, VALUES),
    r"ExpLogLoss": (verify_explog, VALUES),
    r"micro precision/recall metric": (verify_micro_scores, VALUES),
    r"AVE/UCF label reduction and accuracy": (verify_clip_labels, VALUES),
    r"OSCMG H-score": (verify_open_set, SINGLE),
    r"AVVP label construction": (verify_step_labels, VALUES),
    r"full \w+ pretraining step( x\d+)?": (verify_steps, END_TO_END),
    r"checkpoint conversion": (verify_checkpoint, VALUES),
    **CODAAR,
    **SRCID_CASES,
    **FCID_CASES,
    **{cls: (recipe, VALUES) for cls, recipe in REFERENCES.items()},
    r"TPAVIModule": (verify_attention, VALUES),
    r"IouSemanticAwareLoss / A_MaskedV_SimmLoss": (verify_mask_loss, VALUES),
    r"mask_iou, Eval_Fmeasure": (verify_mask_metrics, SINGLE),
    r"MMS_loss": (verify_margin, VALUES),
    r"InfoNCE": (verify_info_nce, VALUES),
    r"MultiVectorQuantizerEMA": (verify_group_codes, VALUES),
    r"Cross_VQEmbeddingEMA_AVT \(MICU release\)": (verify_deaf_quantizer, VALUES),
    r"MICU lookup \(rq_embedding_indices\)": (verify_zeroed_lookup, VALUES),
    r"InfoNCE \(info-nce-pytorch defaults\)": (verify_told_apart, VALUES),
    r"MICU masked InfoNCE \(FCMI\)": (verify_masked_contrast, VALUES),
    r"MICU pretraining step": (verify_masked_steps, END_TO_END),
    r"MICU jigsaw \(CUJP\)": (verify_jigsaw, VALUES),
    r"MICU adaptive mask ratio": (verify_mask_ratio, VALUES),
    r"TOC criterion \(cal_criterion\)": (verify_dimensions, VALUES),
}
"""Patterns of the recorded `cls`: how it is verified, and the tolerance of its arrays."""


def verify_golden(folder: StrPath) -> list[CaseResult]:
    """Check every recorded case of a folder.

    Args:
        folder: With `cases.json`, and beside it the `.npz` and `.pt` files it names.

    Returns:
        A result per case, in the order of `cases.json`. What is wrong with one case (a file
        missing or truncated included) is in its result; the others still run.

    Raises:
        DataError: `cases.json` cannot be read.
    """
    folder = Path(folder)
    return [verify_case(record) for record in read_records(folder)]


def all_verified(results: Iterable[CaseResult]) -> bool:
    """Whether no case failed and none is unknown."""
    return all(r.status is Status.OK for r in results)


def verify_case(record: CaseRecord) -> CaseResult:
    """Check one case."""
    verifier, tolerance = find_verifier(record.cls)
    if verifier is None:
        return CaseResult(record.name, Status.NOT_COVERED, detail=f"unknown cls {record.cls!r}")
    try:
        case = read_case(record)
        comparison = Comparison(case, tolerance)
        verifier(case, comparison)
    except CmgError as error:
        return CaseResult(record.name, Status.FAILED, detail=str(error))
    except Exception as error:  # whatever a malformed case breaks, the other cases still run
        reason = f"{record.entry['file']} is malformed: {type(error).__name__}: {error}"
        return CaseResult(record.name, Status.FAILED, detail=reason)
    return judge(comparison)


def find_verifier(cls: str) -> tuple[Verifier | None, float]:
    """How a recorded class is verified, and the tolerance of its arrays."""
    matches = (found for pattern, found in VERIFIERS.items() if re.fullmatch(pattern, cls))
    return next(matches, (None, VALUES))


def judge(comparison: Comparison) -> CaseResult:
    """The outcome of a comparison that ran to its end."""
    name, worst, uncovered = comparison.case.record.name, comparison.worst, comparison.uncovered
    if uncovered or worst is None:
        what = f"not covered array {', '.join(uncovered[:3])}" if uncovered else "no array out/..."
        return CaseResult(name, Status.FAILED, detail=what)
    status = Status.OK if worst.excess <= 1.0 else Status.FAILED
    return CaseResult(name, status, worst.error, worst.tolerance, describe(comparison, worst))


def describe(comparison: Comparison, worst: ArrayError) -> str:
    """Key of the worst array, and of how many others disagree."""
    others = sum(e.excess > 1.0 for e in comparison.errors.values()) - 1
    return worst.key if others < 1 else f"{worst.key} and {others} more"
