"""Checksums of a store's files, MiB by MiB, so that a part of a file can be verified alone.

`blocks.safetensors` has an array per file, by its path in the store: uint8 [blocks, 32], the
SHA-256 of each :data:`~cmg.files.DIGESTED` bytes. The manifest has the SHA-256 of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cmg.data.manifest import BLOCKS, COLUMNS, Manifest
from cmg.data.mapped import MappedArrays, write_arrays
from cmg.files import DIGESTED

FORMAT = {"format": "cmg-blocks", "version": 1, "bytes": DIGESTED}
DIGEST = 32


def write_blocks(folder: Path, blocks: Mapping[str, bytes]) -> None:
    """Write the checksums of all files of a store on its way.

    Args:
        folder: The store to be.
        blocks: By path in it, the digests one after the other.
    """
    arrays = {file: np.frombuffer(x, np.uint8).reshape(-1, DIGEST) for file, x in blocks.items()}
    write_arrays(folder / BLOCKS, arrays, FORMAT)


def read_blocks(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """The checksums of all files of a store, by their path in it.

    Raises:
        DataError: they are missing, damaged, or not those of the manifest's files.
    """
    files = [shard.file for shard in manifest.shards]
    arrays = MappedArrays(
        folder / BLOCKS, dict.fromkeys((*files, COLUMNS), ("uint8", None, DIGEST))
    )
    if arrays.facts != FORMAT:
        raise arrays.refused(f"is of format {arrays.facts}, not {FORMAT}")
    return {file: array.tobytes() for file, array in arrays.items()}
