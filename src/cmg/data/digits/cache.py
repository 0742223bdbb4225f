"""The cache of built sets."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from cmg.cache import cache_folder
from cmg.data.digits.build import VERSION, build_digits
from cmg.data.store import BUILT_IN, DIGITS, FeatureStore
from cmg.data.verify import verify_store
from cmg.errors import DataError
from cmg.files import StrPath


def open_digits(
    cache_dir: StrPath | None = None,
    train_clips: int = 1500,
    test_clips: int = 500,
    seed: int = 0,
) -> FeatureStore:
    """Open the embedded set; build it into a cache the first time (a few seconds).

    The cached store is verified each time and built anew if it was damaged. Processes that build
    at the same time do no harm: the first one's store is used by all.

    Args:
        cache_dir: Folder for built sets; None for :func:`~cmg.cache.cache_folder`.
        train_clips: See :func:`build_digits`.
        test_clips: See :func:`build_digits`.
        seed: See :func:`build_digits`.

    Raises:
        DataError: the cache cannot be written (set CMG_CACHE to a folder that can), or bad sizes.
    """
    folder = cache_folder() if cache_dir is None else Path(cache_dir)
    key = json.dumps([VERSION, train_clips, test_clips, seed]).encode()
    path = folder / f"digits-{hashlib.sha256(key).hexdigest()[:12]}"
    damaged = path.exists()
    if damaged and not verify_store(path):
        return FeatureStore.open(path)
    try:
        return build_digits(path, train_clips, test_clips, seed, overwrite=damaged)
    except DataError as error:
        if path.exists() and not verify_store(path):
            return FeatureStore.open(path)  # Another process was faster.
        raise DataError(f"{error} (the cache of built sets; CMG_CACHE names another)") from error


BUILT_IN[DIGITS] = open_digits
