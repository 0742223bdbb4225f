"""The real annotation files, found by their official names anywhere below a folder."""

from __future__ import annotations

from pathlib import Path

from cmg.data.labels import parse_events
from cmg.errors import DataError
from cmg.official.layout import Layout, find_layout
from cmg.official.lists.ave import read_annotations, read_order
from cmg.official.lists.avsbench import read_s4
from cmg.official.lists.clips import read_avel, read_checked, read_shared_names, read_ucf
from cmg.simulate.lists import Action, Clip, Combined, Lists, Shown, Weak, exploded
from cmg.simulate.own_lists import avsbench_clips, avsbench_prompts, beyond_40k
from cmg.simulate.vocabulary import SPLITS, check_categories
from cmg.tables import read_lines, read_table

MODALITIES = ("audio", "visual")
NEEDED = (
    "vggsound-avel40k.csv",
    "VggsoundAVEL40kCategories.txt",
    "vggsoundCategories2Prompts.csv",
    "Annotations.txt",
    *(f"{split}_order.h5" for split in SPLITS),
    "AVVP_Categories.txt",
    "AVVP_train.csv",
    "AVVP_val_pd.csv",
    "AVVP_test_pd.csv",
    *(f"AVVP_eval_{modality}_checked_combined.csv" for modality in MODALITIES),
    "AVE_AVVP_Categories.txt",
    *(f"AVE_AVVP_eval_{modality}_checked_combined.csv" for modality in MODALITIES),
    "UCF101sameVGGSound.txt",
    "VGGSoundsameUCF101.txt",
    "ucf2vggsound.csv",
    "vggsound2ucf.csv",
    "UCF51Categories.txt",
    "ucf51checked.csv",
)
"""Files without which there is nothing to simulate; all others are derived where absent."""


def find_lists(folder: Path) -> Layout:
    """The annotation files below a folder.

    Raises:
        DataError: no such folder, or needed files that are absent.
    """
    layout = find_layout(folder)
    missing = [name for name in NEEDED if name not in layout.files]
    if missing:
        raise DataError(
            f"lists {folder} lacks {', '.join(missing)}; add the files, or leave out --lists to "
            "use made-up lists"
        )
    return layout


def read_lists(layout: Layout) -> Lists:
    """The lists in the real files.

    Args:
        layout: As :func:`find_lists` gives it.

    Raises:
        DataError: a file in another dialect or there twice with different content, or a category
            that the world does not know.
    """

    def path(name: str) -> Path:
        return layout.need(name, purpose="a simulation on real lists")

    vggsound = _clips(path("vggsound-avel40k.csv"))
    annotations = read_annotations(path("Annotations.txt"))
    by_clip = {m: _combined(path(f"AVVP_eval_{m}_checked_combined.csv")) for m in MODALITIES}
    shared = {m: _combined(path(f"AVE_AVVP_eval_{m}_checked_combined.csv")) for m in MODALITIES}
    dense = {m: layout.file(f"AVVP_eval_{m}.csv") for m in MODALITIES}
    more = layout.file("video_name_vggsound81k_checked.csv")
    s4, sentences = layout.file("s4_meta_data.csv"), layout.file("AVSBenchCategories2Prompts.csv")
    names = read_shared_names(path("VGGSoundsameUCF101.txt"), path("UCF101sameVGGSound.txt"))
    lists = Lists(
        vggsound=vggsound,
        vggsound_categories=read_lines(path("VggsoundAVEL40kCategories.txt")),
        prompts=_prompts(path("vggsoundCategories2Prompts.csv")),
        more=beyond_40k(vggsound) if more is None else read_checked(more),
        ave=annotations,
        ave_order={
            split: read_order(path(f"{split}_order.h5"), len(annotations)).tolist()
            for split in SPLITS
        },
        avvp_categories=read_lines(path("AVVP_Categories.txt")),
        avvp={
            "val": _weak(path("AVVP_val_pd.csv")),
            "test": _weak(path("AVVP_test_pd.csv")),
            "train": _weak(path("AVVP_train.csv")),
        },
        avvp_dense={
            m: exploded(by_clip[m]) if file is None else _combined(file)
            for m, file in dense.items()
        },
        avvp_combined=by_clip,
        shared_categories=read_lines(path("AVE_AVVP_Categories.txt")),
        shared_combined=shared,
        ucf_names=names.ucf,
        vggsound_names=names.vggsound,
        ucf=_actions(path("ucf2vggsound.csv")),
        vggsound2ucf=_clips(path("vggsound2ucf.csv")),
        ucf51_categories=read_lines(path("UCF51Categories.txt")),
        ucf51=_actions(path("ucf51checked.csv")),
        avsbench=avsbench_clips() if s4 is None else _shown(s4),
        avsbench_prompts=avsbench_prompts() if sentences is None else _prompts(sentences),
    )
    _check(lists)
    return lists


def _check(lists: Lists) -> None:
    """Refuse categories that the world does not know."""
    for file, dataset, categories in (
        ("vggsound-avel40k.csv", "vggsound", [row[0] for row in lists.vggsound]),
        ("Annotations.txt", "ave", [row.category for row in lists.ave]),
        ("ucf2vggsound.csv", "ucf", [row[0] for row in lists.ucf]),
        ("ucf51checked.csv", "ucf", [row[0] for row in lists.ucf51]),
        ("AVVP_Categories.txt", "avvp", lists.avvp_categories),
        ("AVE_AVVP_Categories.txt", "avvp", lists.shared_categories),
    ):
        check_categories(dataset, list(dict.fromkeys(categories)), file)
    for split, rows in lists.avvp.items():
        named = [name for _, several in rows for name in several.split(",")]
        file = f"AVVP_{split}.csv" if split == "train" else f"AVVP_{split}_pd.csv"
        check_categories("avvp", list(dict.fromkeys(named)), file)
    for modality, table in lists.avvp_combined.items():
        named = [event[3] for event in exploded(table)]
        file = f"AVVP_eval_{modality}_checked_combined.csv"
        check_categories("avvp", list(dict.fromkeys(named)), file)


def _clips(path: Path) -> list[Clip]:
    return [(clip.category, clip.video_id, clip.split) for clip in read_avel(path)]


def _actions(path: Path) -> list[Action]:
    return [(clip.category, clip.video_id) for clip in read_ucf(path)]


def _shown(path: Path) -> list[Shown]:
    return [(clip.name, f"{clip.start:g}", clip.category, clip.split) for clip in read_s4(path)]


def _prompts(path: Path) -> list[tuple[str, str]]:
    """Label and sentence; the sentence is the second column, whatever its name."""
    rows = [list(row.cells.values()) for row in read_table(path, ",", ("label",))]
    if len(rows[0]) < 2:
        raise DataError(f"{path} has no second column, which holds the prompts")
    return [(row[0], row[1]) for row in rows]


def _weak(path: Path) -> list[Weak]:
    rows = read_table(path, "\t", ("filename", "event_labels"))
    return [(row.cells["filename"], row.cells["event_labels"]) for row in rows]


def _combined(path: Path) -> list[Combined]:
    """Rows as they stand there, checked."""
    found = []
    for row in read_table(path, "\t", ("filename", "onset", "offset", "event_labels")):
        try:
            parse_events(row.cells)
        except DataError as error:
            raise DataError(f"{path}, line {row.line}: {error}") from error
        cells = row.cells
        found.append((cells["filename"], cells["onset"], cells["offset"], cells["event_labels"]))
    return found
