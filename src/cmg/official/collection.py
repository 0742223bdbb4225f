"""Several sets below one folder: an official download, or what was imported from one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmg.copying.chunks import OnError
from cmg.data.clips import Clips
from cmg.data.remote import is_remote, read_remote
from cmg.data.store import open_store
from cmg.errors import CmgError, ConfigError, DataError, did_you_mean
from cmg.files import StrPath
from cmg.official.catalogue import AVE_FEATURES, COUNTS, LONGER, S4, S4_PROMPTS, VGGSOUND_PROMPTS
from cmg.official.dataset import OfficialDataset
from cmg.official.datasets.ave import read_ave
from cmg.official.datasets.avsbench import read_avsbench
from cmg.official.datasets.avvp import read_avvp
from cmg.official.datasets.vggsound import (
    read_ucf101,
    read_ucf101all,
    read_vggsound40k,
    read_vggsound_list,
)
from cmg.official.layout import Layout, find_layout
from cmg.places import lies_there

COLLECTION = "collection.json"
TextFilter = Literal["published", "none"]

Reader = Callable[[Layout], OfficialDataset]


class ImportedCollection:
    """What ``cmg data import`` made of an official folder: a feature store per set.

    Args:
        where: Its folder, or its address as ``s3://bucket/collection``.

    Raises:
        DataError: its ``collection.json`` is missing or damaged.
        ConfigError: an address that the installed packages cannot read.
    """

    def __init__(self, where: StrPath) -> None:
        self.where = os.fspath(where).rstrip("/")
        self.path = Path(self.where)
        self.remarks: list[str] = []
        file = f"{self.where}/{COLLECTION}"
        try:
            remote = is_remote(file)
            data = read_remote(self.where, COLLECTION) if remote else Path(file).read_bytes()
            told = json.loads(data)
            if (told["format"], told["version"]) != ("cmg-collection", 1):
                raise DataError(f"{file} is of another format; import again")
            self._folders = {str(name): str(folder) for name, folder in told["stores"].items()}
        except CmgError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{file} is damaged ({error!r}); restore it, or import again"
            ) from error
        for folder in self._folders.values():
            if PurePosixPath(folder).is_absolute() or ".." in PurePosixPath(folder).parts:
                raise DataError(f"{file}: the store {folder!r} lies outside; restore the file")

    @property
    def names(self) -> list[str]:
        """Sets that were imported."""
        return list(self._folders)

    def open(self, name: str) -> Clips:
        """One set.

        Raises:
            DataError: it is not there, or a part of it is missing or damaged.
        """
        if name not in self._folders:
            raise DataError(
                f"{self.where} holds no {name!r}{did_you_mean(name, self._folders)}; import it "
                "from the official folder with `cmg data import ROOT --out STORE`"
            )
        return open_store(f"{self.where}/{self._folders[name]}")


class OfficialCollection:
    """A folder in the official layout.

    Args:
        root: The folder; parts are found wherever they lie below it.
        lists: Further folder of annotation files, which come first.
        text: Encoder of the prompts: ``auto`` takes what is found, ``none`` leaves text out, or a
            folder or name.
        text_filter: ``published`` keeps the words that ``cnt.pkl`` knows, ``none`` keeps all.
        segments: Whether to read VGGSound's labels per second, a file per clip.
        on_error: ``fail``: a clip that cannot be read is an error when it is asked for; ``skip``:
            all clips of a set are read once when it is opened, and such clips left out.

    Attributes:
        layout: Where the parts are.
        remarks: What was found missing or odd in the sets that were opened.
    """

    def __init__(
        self,
        root: Path,
        lists: StrPath | None = None,
        text: str = "auto",
        text_filter: TextFilter = "published",
        segments: bool = False,
        on_error: OnError = "fail",
    ) -> None:
        self.path = root
        self.layout = find_layout(root, lists)
        self.text, self.text_filter = text, text_filter
        self.segments, self.on_error = segments, on_error
        self.remarks: list[str] = []
        longer: dict[str, Reader] = {
            name: partial(read_vggsound_list, name=name) for name in LONGER
        }
        self._readers: dict[str, Reader] = {
            "vggsound40k": self._vggsound40k,
            **longer,
            "ave": read_ave,
            "avvp": read_avvp,
            "ucf101": read_ucf101,
            "ucf101all": read_ucf101all,
            "avsbench": self._avsbench,
        }
        if self._lacks_list("avsbench"):
            self.remarks.append(
                f"avsbench was left out: its features are there, but no {S4}, which is "
                "not in the authors' download; get it from github.com/OpenNLPLab/AVSBench"
            )

    @property
    def names(self) -> list[str]:
        """Sets whose features are there; of AVSBench, which has it elsewhere, the list too."""
        found = filter(self._has_features, self._readers)
        return [name for name in found if not self._lacks_list(name)]

    def open(self, name: str) -> Clips:
        """One set, read where it lies; see :meth:`read`."""
        return self.read(name).opened()

    def read(self, name: str) -> OfficialDataset:
        """What the reader of one set finds.

        Raises:
            DataError: it is not there, or a part of it is missing or damaged.
        """
        if name not in self._readers:
            raise DataError(f"there is no data set {name!r}{did_you_mean(name, self._readers)}")
        dataset = self._readers[name](self.layout)
        if self.on_error == "skip":
            dataset = dataset.without_corrupt()
        self.remarks += [remark for remark in dataset.remarks if remark not in self.remarks]
        return dataset

    def _lacks_list(self, name: str) -> bool:
        """Whether features are there without the list of clips, as in the authors' download."""
        there = self.layout.files.keys() | self.layout.lists.keys()
        return name == "avsbench" and self._has_features(name) and S4 not in there

    def _has_features(self, name: str) -> bool:
        if name == "ave":
            return any(file in self.layout.files for file in AVE_FEATURES.values())
        return any((name, modality) in self.layout.features for modality in ("audio", "video"))

    def _vggsound40k(self, layout: Layout) -> OfficialDataset:
        prompts = self._prompt_vectors(layout, "vggsound40k", VGGSOUND_PROMPTS)
        return read_vggsound40k(layout, prompts, self.segments)

    def _avsbench(self, layout: Layout) -> OfficialDataset:
        return read_avsbench(layout, self._prompt_vectors(layout, "avsbench", S4_PROMPTS))

    def _prompt_vectors(
        self, layout: Layout, name: str, file: str
    ) -> dict[str, NDArray[np.float32]] | None:
        """Token vectors per category; None where text is left out, with a remark why."""
        if self.text == "none":
            return None
        from cmg.text.encoder import load_text_encoder
        from cmg.text.prompts import embed_prompts, read_cnt, read_prompts

        if self.text == "auto" and (lacking := self._text_lacks(layout, file)):
            self.remarks.append(f"{name} without text: {lacking}")
            return None
        prompts = read_prompts(layout.need(file, purpose="text"))
        keep = None
        if self.text_filter == "published":
            keep = read_cnt(layout.need(COUNTS, purpose="the published filter of words"))
        encoder = load_text_encoder(self.path, None if self.text == "auto" else self.text)
        return embed_prompts(prompts, encoder, keep).vectors

    def _text_lacks(self, layout: Layout, file: str) -> str | None:
        """What is not there that text needs; a part that is there and broken is an error later."""
        from cmg.text.places import ENVIRONMENT, IN_ROOT, search_encoder

        if layout.file(file) is None:
            return f"no {file} below {self.path}"
        if self.text_filter == "published" and layout.file(COUNTS) is None:
            return (
                f"no {COUNTS} below {self.path}; it is in the root of the authors' repository: "
                "copy it there, or say --text-filter none, which needs no such file"
            )
        if (self.path / IN_ROOT).exists() or os.environ.get(ENVIRONMENT):
            return None
        try:
            search_encoder(self.path)
        except ConfigError as error:
            return str(error)
        return None


Collection = ImportedCollection | OfficialCollection
"""Named sets of clips: they have a `path`, `names` that can be opened, and `remarks`."""


def open_collection(
    where: StrPath,
    lists: StrPath | None = None,
    text: str = "auto",
    text_filter: TextFilter = "published",
    segments: bool = False,
    on_error: OnError = "fail",
) -> Collection:
    """Open a folder in the official layout, or a collection imported from one.

    Args:
        where: The folder; of an imported collection also an address as ``s3://bucket/collection``.
        lists: See :class:`OfficialCollection`; this and the others are for the official layout.
        text: Likewise.
        text_filter: Likewise.
        segments: Likewise.
        on_error: Likewise.

    Raises:
        DataError: there is no such folder, or nothing of the official data in it.
        ConfigError: an address that the installed packages cannot read.
    """
    where = os.fspath(where)
    if is_remote(where) or (Path(where) / COLLECTION).is_file():
        return ImportedCollection(where)
    collection = OfficialCollection(Path(where), lists, text, text_filter, segments, on_error)
    if not collection.names:
        there = lies_there(where) or f"`cmg data check {where}` lists what is missing"
        raise DataError(
            f"{where} holds no features of the official data (such as "
            f"vggsound40k/feature/audio/zip or audio_feature.h5) and no collection; {there}"
        )
    return collection
