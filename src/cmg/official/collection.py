"""Several sets below one folder: an official download, or what was imported from one."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cmg.data.source import ClipSource
from cmg.data.store import FeatureStore
from cmg.errors import ConfigError, DataError, did_you_mean
from cmg.official.dataset import OfficialDataset
from cmg.official.datasets.ave import read_ave
from cmg.official.datasets.avvp import read_avvp
from cmg.official.datasets.ucf import read_ucf101, read_ucf101all
from cmg.official.datasets.vggsound import read_vggsound40k, read_vggsound_list
from cmg.official.layout import Layout, find_layout
from cmg.official.source import OfficialSource

COLLECTION = "collection.json"
PROMPTS = "vggsoundCategories2Prompts.csv"
TextFilter = Literal["published", "none"]


class Collection(Protocol):
    """Named sources of clips."""

    @property
    def path(self) -> Path:
        """The folder."""

    @property
    def names(self) -> list[str]:
        """Sets that are there."""

    def open(self, name: str) -> ClipSource:
        """One set.

        Raises:
            DataError: it is not there, or a part of it is missing or damaged.
        """


class ImportedCollection:
    """What ``cmg data import`` made of an official folder: a feature store per set.

    Args:
        path: Its folder.

    Raises:
        DataError: its ``collection.json`` is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            told = json.loads((path / COLLECTION).read_text(encoding="utf-8"))
            if told["format"] != "cmg-collection" or told["version"] != 1:
                raise DataError(f"{path / COLLECTION} is of another format; import again")
            self._folders = {str(name): str(folder) for name, folder in told["stores"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path / COLLECTION} is damaged ({error!r}); restore it, or import again"
            ) from error

    @property
    def names(self) -> list[str]:
        """Sets that were imported."""
        return list(self._folders)

    def open(self, name: str) -> ClipSource:
        """One set; see :class:`Collection`."""
        if name not in self._folders:
            raise DataError(
                f"{self.path} holds no {name!r}{did_you_mean(name, self._folders)}; import it from "
                "the official folder with `cmg data import ROOT --out STORE`"
            )
        return FeatureStore.open(self.path / self._folders[name])


class OfficialCollection:
    """A folder in the official layout.

    Args:
        root: The folder; parts are found wherever they lie below it.
        lists: Further folder of annotation files, which come first.
        text: Encoder of the prompts: ``auto`` takes what is found, ``none`` leaves text out, or a
            folder or name.
        text_filter: ``published`` keeps the words that ``cnt.pkl`` knows, ``none`` keeps all.
        segments: Whether to read VGGSound's labels per second, a file per clip.

    Attributes:
        remarks: What was left out of the set opened last, and why.
    """

    def __init__(
        self,
        root: Path,
        lists: str | Path | None = None,
        text: str = "auto",
        text_filter: TextFilter = "published",
        segments: bool = False,
    ) -> None:
        self.path = root
        self.layout = find_layout(root, lists)
        self.text, self.text_filter, self.segments = text, text_filter, segments
        self.remarks: list[str] = []

    @cached_property
    def _readers(self) -> dict[str, tuple[bool, Callable[[Layout], OfficialDataset]]]:
        """Per set whether its features are there, and its reader."""
        has = self.layout.features
        readers: dict[str, tuple[bool, Callable[[Layout], OfficialDataset]]] = {
            "vggsound40k": (
                ("vggsound40k", "audio") in has or ("vggsound40k", "video") in has,
                self._vggsound40k,
            ),
            "ave": ("audio_feature.h5" in self.layout.files, read_ave),
            "avvp": (("avvp", "audio") in has or ("avvp", "video") in has, read_avvp),
            "ucf101": (("ucf101", "video") in has, read_ucf101),
            "ucf101all": (("ucf101all", "video") in has, read_ucf101all),
        }
        for name in ("vggsound81k", "vggsound90k", "vggsound179k"):
            there = (name, "audio") in has or (name, "video") in has
            readers[name] = (there, partial(read_vggsound_list, name=name))
        return readers

    @property
    def names(self) -> list[str]:
        """Sets whose features are there."""
        return [name for name, (there, _) in self._readers.items() if there]

    def open(self, name: str) -> OfficialSource:
        """One set, read where it lies; see :class:`Collection`."""
        if name not in self._readers:
            raise DataError(f"there is no data set {name!r}{did_you_mean(name, self._readers)}")
        return OfficialSource(self._readers[name][1](self.layout))

    def _vggsound40k(self, layout: Layout) -> OfficialDataset:
        dataset = read_vggsound40k(layout, self._prompt_vectors(layout), self.segments)
        dataset.notes = " ".join([dataset.notes, *self.remarks])
        return dataset

    def _prompt_vectors(self, layout: Layout) -> dict[str, NDArray[np.float32]] | None:
        """Token vectors per category; None where text is left out, with a remark why."""
        if self.text == "none":
            return None
        from cmg.text import embed_prompts, load_text_encoder, read_cnt, read_prompts

        name = None if self.text == "auto" else self.text
        try:
            prompts = layout.need(PROMPTS, purpose="text")
            encoder = load_text_encoder(self.path, name)
            keep = None
            if self.text_filter == "published":
                keep = read_cnt(layout.need("cnt.pkl", purpose="the published filter of words"))
            found = embed_prompts(read_prompts(prompts), encoder, keep)
        except (ConfigError, DataError) as error:
            if self.text != "auto":
                raise
            self.remarks = [f"Without text: {error}"]
            return None
        self.remarks = [f"Text: {warning}" for warning in found.warnings]
        vectors: dict[str, NDArray[np.float32]] = found.vectors
        return vectors


def open_collection(
    where: str | Path,
    lists: str | Path | None = None,
    text: str = "auto",
    text_filter: TextFilter = "published",
) -> Collection:
    """Open a folder in the official layout, or a collection imported from one.

    Args:
        where: The folder.
        lists: Further folder of annotation files; official layout only.
        text: See :class:`OfficialCollection`.
        text_filter: Likewise.

    Raises:
        DataError: there is no such folder, or nothing of the official data in it.
    """
    path = Path(where)
    if (path / COLLECTION).is_file():
        return ImportedCollection(path)
    collection = OfficialCollection(path, lists, text, text_filter)
    if not collection.names:
        raise DataError(
            f"{path} holds no features of the official data (such as "
            "vggsound40k/feature/audio/zip or audio_feature.h5) and no collection; "
            "`cmg data check` lists what is missing"
        )
    return collection
