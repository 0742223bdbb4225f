"""What the text pipeline needs: word filter, encoder, AVSBench's prompts."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cmg.errors import CmgError
from cmg.files import read_json
from cmg.official.catalogue import COUNTS, ENCODER, S4_PROMPTS
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.expected import WORDS, WORDS_MD5
from cmg.official.doctor.vggsound import check_prompts
from cmg.official.lists.avsbench import CATEGORIES
from cmg.text.places import DOWNLOAD, IN_ROOT, search_encoder
from cmg.text.prompts import read_cnt


def check_text(exam: Examination) -> None:
    """Check the files beside the lists that text needs."""
    check_prompts(exam, S4_PROMPTS, len(CATEGORIES), CATEGORIES)
    _check_counts(exam)
    _check_encoder(exam)


def _check_counts(exam: Examination) -> None:
    ids = exam.read(COUNTS, read_cnt)
    path = exam.path(COUNTS)
    if ids is None or path is None:
        return
    simulated = exam.expected.fraction is not None
    exam.complete(COUNTS, count(len(ids), "words"), "" if simulated else f"{WORDS:,}")
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if not simulated and digest != WORDS_MD5:
        exam.warn(
            COUNTS,
            f"not the published file (md5 {digest}, published {WORDS_MD5}); other words survive",
            "take the one in the root of github.com/haihuangcode/CMG for published numbers",
            count(len(ids), "words"),
        )


def _check_encoder(exam: Examination) -> None:
    """An encoder in the folder must be whole; elsewhere it may be."""
    root = exam.layout.root
    try:
        files = search_encoder(root)
    except CmgError as error:
        if (root / IN_ROOT).exists():
            exam.wrong(ENCODER, str(error), f"complete {root / IN_ROOT}, or remove it")
        else:
            exam.warn(
                ENCODER,
                f"only for pre-training with text; {str(error).partition('. ')[0]}",
                f"`{DOWNLOAD} --local-dir {root / IN_ROOT}`",
                "not there",
            )
        return
    wanted = exam.expected.widths["text"]
    width = _width(files.folder)
    exam.complete(ENCODER, f"{width} wide, in {exam.shown(files.folder)}", str(wanted))
    if width != wanted:
        exam.warn(
            ENCODER,
            f"{wanted} expected, as bert-base-uncased has; text features have another width",
            f"`{DOWNLOAD} --local-dir {root / IN_ROOT}` for the published text features",
            f"{width} wide",
        )


def _width(folder: Path) -> int | None:
    try:
        told = read_json(folder / "config.json")
        return int(told["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
