"""A folder of media as a feature store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cmg.copying.chunks import OnError, Skipped
from cmg.copying.clips import Copied, CopyOptions, copy_clips
from cmg.copying.share import Rank, copy_share, rank_of
from cmg.data.clips import Clips
from cmg.data.manifest import MANIFEST
from cmg.data.store import open_store
from cmg.errors import ConfigError, DataError
from cmg.extract.extractor import LoadOptions
from cmg.extract.reading import FrameRule
from cmg.extract.registry import card_for
from cmg.extract.scan import find_clips
from cmg.extract.scan_options import ScanOptions
from cmg.extract.source import GROUP, ExtractedClips, WantedExtractor
from cmg.files import StrPath, read_json
from cmg.process import thread_count
from cmg.recipes.import_official import store_bytes
from cmg.workers import usable_cores

RECORD = "extract.json"
"""Beside a store's manifest: what it was made of, and what was left out."""
CHUNK = GROUP
"""Clips per chunk: what a kill costs at most, per process."""
Engine = Literal["local", "torchrun", "ray"]
Told = Callable[[int, int, int], None]
"""Told (clips done, of these done before, clips in all), often."""


@dataclass(frozen=True)
class ExtractOptions:
    """How a folder is extracted.

    Attributes:
        extractors: By modality, in the order of the store.
        scan: How clips are found.
        weights: Files or folders of weights by modality.
        step_seconds: Duration of a step by modality; others have their extractor's own.
        rule: Which frames stand for a step.
        device: Of the networks.
        dtype: Of the stored features.
        on_error: Whether a clip that cannot be read is left out and named, or ends everything.
        workers: Processes that decode and extract; None is one per core.
        chunk: Clips per chunk.
        engine: What runs the workers; None is ``torchrun`` in one of its processes or of
            ``srun``, and ``local`` otherwise.
        overwrite: Whether a store of something else may be replaced.
    """

    extractors: Mapping[str, str]
    scan: ScanOptions = field(default_factory=ScanOptions)
    weights: Mapping[str, Path] = field(default_factory=dict)
    step_seconds: Mapping[str, float] = field(default_factory=dict)
    rule: FrameRule = field(default_factory=FrameRule)
    device: str = "cpu"
    dtype: str = "float32"
    on_error: OnError = "skip"
    workers: int | None = None
    chunk: int = CHUNK
    engine: Engine | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Extraction:
    """What became of a folder.

    Attributes:
        store: The store.
        skipped: Clips that were left out, and why.
        others: How many files were no media, by suffix or by what they are.
        seconds: It took.
        resumed: Clips taken over from an interrupted run.
        already: Whether all was there before, so that nothing was done.
    """

    store: Clips
    skipped: Sequence[Skipped]
    others: Mapping[str, int]
    seconds: float
    resumed: int
    already: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        sizes = store_bytes(self.store.manifest)
        modalities = {}
        for m, spec in self.store.manifest.modalities.items():
            lengths = [row.lengths.get(m, 0) for row in self.store.rows]
            modalities[m] = {
                "extractor": spec.extractor,
                "shape": list(spec.shape),
                "step_seconds": spec.step_seconds,
                "clips": sum(length > 0 for length in lengths),
                "steps": sum(lengths),
                "bytes": sizes[m],
            }
        return {
            "store": str(self.store.path),
            "clips": len(self.store.rows),
            "splits": self.store.splits,
            "modalities": modalities,
            "skipped": [clip.model_dump() for clip in self.skipped],
            "others": dict(self.others),
            "seconds": round(self.seconds, 3),
            "resumed": self.resumed,
            "already": self.already,
            "content_hash": self.store.content_hash,
        }


def extract(
    folder: StrPath, out: StrPath, options: ExtractOptions, told: Told | None = None
) -> Extraction | None:
    """Write a store with the features of every clip of a folder.

    It goes on where an interrupted run ended; where the same store is already there, nothing is
    done. The bytes depend neither on interruptions nor on workers, ranks or engine.

    Args:
        folder: Of media, or a manifest of clips.
        out: Folder of the store to be.
        options: How.
        told: Told how far it is.

    Returns:
        None in a rank that is not the last one; see :mod:`cmg.copying.share`.

    Raises:
        ConfigError: an unknown extractor, one whose package or weights are missing, ...
        DataError: there are no clips, one cannot be read, `out` holds something else, ...
    """
    folder = Path(folder)
    out = Path(out)
    rank = _rank(options.engine)
    if options.chunk < GROUP or options.chunk % GROUP:
        raise ConfigError(f"--chunk {options.chunk}: say a multiple of {GROUP}")
    asked = _asked(options)
    found = find_clips(folder, options.scan)
    root = folder if folder.is_dir() else folder.parent
    source = ExtractedClips(root, found.clips, asked, options.rule)
    known = {"content": source.content_hash, "dtype": options.dtype}
    before = _before(out, known, options)
    if before is not None:
        return Extraction(open_store(out), before, found.others, 0.0, 0, already=True)

    def beside(skipped: Sequence[Skipped]) -> dict[str, bytes]:
        record = {"format": "cmg-extraction", "version": 1, **known}
        record |= {"skipped": [clip.model_dump() for clip in skipped]}
        return {RECORD: (json.dumps(record, indent=1) + "\n").encode()}

    # A rank's share is a number of chunks, so this is a bound for the last one.
    total = len(source) if rank is None else -(-len(source) // rank.world)
    how = CopyOptions(
        dtype=options.dtype,
        on_error=options.on_error,
        workers=options.workers or max(1, usable_cores() // (1 if rank is None else rank.here)),
        overwrite=options.overwrite,
        told=None if told is None else lambda clips, resumed: told(clips, resumed, total),
        chunk=options.chunk,
        beside=beside,
    )
    if options.engine == "ray":
        from cmg.copying.ray_engine import ray_chunks

        how |= {"write": ray_chunks, "workers": options.workers}
    with thread_count(1):  # in every process, so that the bytes do not depend on their number
        if rank is None:
            copied: Copied | None = copy_clips(source, out, **how)
        else:
            copied = copy_share(source, out, rank, **how)
    if copied is None:
        return None
    store = open_store(out)
    return Extraction(
        store, copied.skipped, found.others, copied.seconds, copied.resumed, already=False
    )


def _rank(engine: Engine | None) -> Rank | None:
    if engine in ("local", "ray"):
        return None
    rank = rank_of()
    if engine == "torchrun" and rank is None:
        raise ConfigError(
            "--engine torchrun: this process is none of several; start it with "
            "`torchrun --nproc-per-node N -m cmg extract ...` or `srun`"
        )
    return rank


def _asked(options: ExtractOptions) -> dict[str, WantedExtractor]:
    for what, given in (("weights", options.weights), ("step", options.step_seconds)):
        for m in given:
            if m not in options.extractors:
                raise ConfigError(
                    f"--{what} {m}=...: no extractor reads {m!r}; there are "
                    f"{', '.join(options.extractors) or 'none'}"
                )
    for m, name in options.extractors.items():
        card_for(m, name)
    return {
        m: WantedExtractor(
            name,
            LoadOptions(
                weights=options.weights.get(m),
                step_seconds=options.step_seconds.get(m),
                device=options.device,
            ),
        )
        for m, name in options.extractors.items()
    }


def _before(
    out: Path, known: Mapping[str, str], options: ExtractOptions
) -> tuple[Skipped, ...] | None:
    """What an extraction of the same clips has left out; None where there is none.

    Raises:
        DataError: there is one of other clips, or this one is not to leave clips out.
    """
    if not (out / MANIFEST).is_file() or not (out / RECORD).is_file():
        return None
    try:
        told = read_json(out / RECORD)
        before = {key: told[key] for key in known}
        skipped = tuple(Skipped.model_validate(clip) for clip in told["skipped"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{out / RECORD} is damaged ({error!r}); remove {out}") from error
    if before != known:
        if options.overwrite:
            return None
        raise DataError(
            f"{out} holds features of other clips, files, extractors or dtype; choose another "
            "--out, or replace it with --overwrite"
        )
    if skipped and options.on_error == "fail":
        raise DataError(skipped[0].reason)
    return skipped
