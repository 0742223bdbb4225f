"""What the readers of zip-per-clip sets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cmg.data.manifest import ClipRow, FeatureSpec
from cmg.errors import DataError
from cmg.official.dataset import Loader, ZipFolder, probed_spec
from cmg.official.layout import Layout
from cmg.official.lengths import STEPS
from cmg.types import Kind

KINDS = {"audio": Kind.VECTORS, "video": Kind.MAPS}


def zip_folders(
    layout: Layout, data_set: str, modalities: Sequence[str], rules: str | None = None
) -> dict[str, ZipFolder]:
    """The folders of zips of a set.

    Args:
        layout: Where the parts are.
        data_set: Whose.
        modalities: Which may be there.
        rules: Set whose length rules apply; the same if not said.

    Raises:
        DataError: none of them is there.
    """
    found = {}
    for modality in modalities:
        folder = layout.folder(data_set, modality)
        if folder is not None:
            found[modality] = ZipFolder.of(folder, rules or data_set, modality)
    if not found:
        raise DataError(
            f"{data_set}: no folder of features below {layout.root}; expected "
            f"{' or '.join(f'{data_set}/feature/{m}/zip' for m in modalities)}"
        )
    return found


def lengths_of(video_id: str, folders: Mapping[str, ZipFolder]) -> dict[str, int]:
    """Steps per modality of a clip, 0 where it has no file."""
    return {m: STEPS if video_id in folder.names else 0 for m, folder in folders.items()}


def present(
    rows: Sequence[ClipRow], folders: Mapping[str, ZipFolder]
) -> tuple[list[ClipRow], list[str], dict[str, FeatureSpec], dict[str, Loader]]:
    """Rows with features, ids of those without, specs and loaders.

    Raises:
        DataError: no clip of the lists has features that can be read.
    """
    kept = [row for row in rows if any(row.lengths.get(m, 0) for m in folders)]
    absent = [row.id for row in rows if not any(row.lengths.get(m, 0) for m in folders)]
    specs: dict[str, FeatureSpec] = {}
    loaders: dict[str, Loader] = {}
    for modality, folder in folders.items():
        having = [row for row in kept if row.lengths[modality]]
        spec = probed_spec(folder, having, KINDS[modality])
        if spec is None:
            raise DataError(
                f"{folder.folder}: none of the {len(having)} files that the lists name can be "
                "read; `cmg data check` says what is wrong with them"
            )
        specs[modality], loaders[modality] = spec, folder
    return kept, absent, specs, loaders
