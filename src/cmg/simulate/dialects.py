"""The annotation files in the dialects of the official ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from cmg.official.lists.ave import Annotation
from cmg.simulate import layout
from cmg.simulate.lists import Lists

AVE_CUTS = (14, 21)
UCF_CUTS = (17, 34)
UCF_VGG_CUTS = (8, 12)
"""Known classes of the open-set cuts."""


def annotation_files(lists: Lists) -> dict[str, bytes]:
    """Content of every text file by its path below the folder."""
    return {
        **_vggsound(lists),
        **_ave(lists),
        **_avvp(lists),
        **_ucf(lists),
        **_open_set(lists),
        **_avsbench(lists),
    }


def comma(header: Sequence[str], rows: Iterable[Sequence[str]], newline: str = "\n") -> bytes:
    """A comma-separated file; cells with commas are quoted."""
    text = io.StringIO()
    csv.writer(text, lineterminator=newline).writerows([header, *rows])
    return text.getvalue().encode()


def tab(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A tab-separated file."""
    return "".join("\t".join(row) + "\n" for row in [header, *rows]).encode()


def lines(names: Iterable[str]) -> bytes:
    """One name per line."""
    return "".join(f"{name}\n" for name in names).encode()


def annotation_lines(rows: Iterable[Annotation]) -> bytes:
    """AVE's annotations, without a header as in the authors' git."""
    return lines(f"{r.category}&{r.video_id}&good&{r.start}&{r.end}" for r in rows)


def _vggsound(lists: Lists) -> dict[str, bytes]:
    clips = comma(("category", "video_id", "split"), lists.vggsound)
    prompts = comma(("label", "prompt"), lists.prompts)
    names = [(f"{row[1]}.mp4",) for row in lists.vggsound]
    return {
        f"{layout.VGGSOUND}/data/vggsound-avel40k.csv": clips,
        f"{layout.VGGSOUND}/data/video_name_vggsound40k_checked.csv": comma(("id",), names),
        f"{layout.VGGSOUND}/data/vggsoundCategories2Prompts.csv": prompts,
        f"{layout.BEYOND}/data/video_name_vggsound81k_checked.csv": comma(
            ("id",), [(f"{clip}.mp4",) for clip in lists.more]
        ),
        f"{layout.EXTRACTOR}/vggsound-avel40k.csv": clips,
        f"{layout.EXTRACTOR}/vggsoundCategories2Prompts.csv": prompts,
        f"{layout.EXTRACTOR}/VggsoundAVEL40kCategories.txt": lines(lists.vggsound_categories),
    }


def _ave(lists: Lists) -> dict[str, bytes]:
    return {f"{layout.AVE}/Annotations.txt": annotation_lines(lists.ave)}


def _avvp(lists: Lists) -> dict[str, bytes]:
    weak, dense = ("filename", "event_labels"), ("filename", "onset", "offset", "event_labels")
    every = [row for split in ("train", "val", "test") for row in lists.avvp[split]]
    found = {
        "AVVP_Categories.txt": lines(lists.avvp_categories),
        "AVVP_dataset_full.csv": tab(weak, every),
        "AVVP_train.csv": tab(weak, lists.avvp["train"]),
        "AVVP_val_pd.csv": tab(weak, lists.avvp["val"]),
        "AVVP_test_pd.csv": tab(weak, lists.avvp["test"]),
    }
    shared = {"AVE_AVVP_Categories.txt": lines(lists.shared_categories)}
    for modality in ("audio", "visual"):
        by_clip = f"eval_{modality}_checked_combined.csv"
        found[f"AVVP_eval_{modality}.csv"] = tab(dense, lists.avvp_dense[modality])
        found[f"AVVP_{by_clip}"] = tab(dense, lists.avvp_combined[modality])
        shared[f"AVE_AVVP_{by_clip}"] = tab(dense, lists.shared_combined[modality])
    return {f"{layout.AVVP}/data/{name}": content for name, content in found.items()} | {
        f"{layout.AVE_AVVP}/{name}": content for name, content in shared.items()
    }


def _ucf(lists: Lists) -> dict[str, bytes]:
    found = {
        "ucf2vggsound.csv": comma(("category", "video_id"), lists.ucf),
        "vggsound2ucf.csv": comma(("category", "video_id", "split"), lists.vggsound2ucf),
        # The official 16-line lists end without a newline.
        "UCF101sameVGGSound.txt": "\n".join(lists.ucf_names).encode(),
        "VGGSoundsameUCF101.txt": "\n".join(lists.vggsound_names).encode(),
    }
    everywhere = (layout.EXTRACTOR, f"{layout.UCF}/data")
    return {f"{folder}/{name}": found[name] for folder in everywhere for name in found} | {
        f"{layout.UCF_ALL}/data/ucf51checked.csv": _ucf51(lists, len(lists.ucf51_categories))
    }


def _ucf51(lists: Lists, known: int) -> bytes:
    """Clips of the first classes; the whole list has Windows line ends, the cuts have not."""
    names = lists.ucf51_categories[:known]
    rows = [row for row in lists.ucf51 if row[0] in names]
    whole = known == len(lists.ucf51_categories)
    return comma(("category", "video_id"), rows, "\r\n" if whole else "\n")


def _open_set(lists: Lists) -> dict[str, bytes]:
    ave, ucf, pairs = (f"{layout.OPEN_SET}/{n}_OSCMG" for n in ("AVE", "UCF", "UCF_VGG"))
    found = {
        f"{ucf}/UCF51Categories.txt": lines(lists.ucf51_categories),
        f"{ucf}/ucf51checked.csv": _ucf51(lists, len(lists.ucf51_categories)),
    }
    for known in AVE_CUTS:
        rows = [lists.ave[row] for row in known_rows(lists, known)]
        found[f"{ave}/trainSet_{known}.txt"] = annotation_lines(rows)
    for known in UCF_CUTS:
        found[f"{ucf}/UCF51Categories_{known}.txt"] = lines(lists.ucf51_categories[:known])
        found[f"{ucf}/ucf51checked_{known}.csv"] = _ucf51(lists, known)
    for known in UCF_VGG_CUTS:
        clips = [row for row in lists.vggsound2ucf if row[0] in lists.vggsound_names[:known]]
        actions = [row for row in lists.ucf if row[0] in lists.ucf_names[:known]]
        header = ("category", "video_id", "split")
        found[f"{pairs}/vggsound2ucf_{known}.csv"] = comma(header, clips, "\r\n")
        found[f"{pairs}/ucf2vggsound_{known}.csv"] = comma(header[:2], actions, "\r\n")
    return found


def _avsbench(lists: Lists) -> dict[str, bytes]:
    if not lists.avsbench:
        return {}
    prompts = comma(("label", "prompt"), lists.avsbench_prompts)
    return {
        f"{layout.AVSBENCH}/data/AVSBenchCategories2Prompts.csv": prompts,
        # Officially the first two columns have other names, which nobody could say.
        f"{layout.S4}/s4_meta_data.csv": comma(
            ("name", "start", "category", "split"), lists.avsbench
        ),
    }


def known_rows(lists: Lists, known: int) -> list[int]:
    """AVE's training rows of the first classes, in the order of the training split."""
    names = ave_categories(lists)[:known]
    return [row for row in lists.ave_order["train"] if lists.ave[row].category in names]


def ave_categories(lists: Lists) -> list[str]:
    """AVE's classes in the official order, that of their first rows."""
    return list(dict.fromkeys(row.category for row in lists.ave))
