"""The embedded set **digits** as an open store; see :mod:`cmg.data.digits`."""

from __future__ import annotations

from cmg.data.digits.build import write_digits
from cmg.data.digits.cache import digits_folder
from cmg.data.digits.words import WordFeatures
from cmg.data.store import FeatureStore
from cmg.files import StrPath


def open_digits(
    cache_dir: StrPath | None = None,
    train_clips: int = 1500,
    test_clips: int = 500,
    seed: int = 0,
) -> FeatureStore:
    """Open the embedded set; :func:`~cmg.data.digits.cache.digits_folder` has the arguments.

    Raises:
        DataError: the cache cannot be written, or bad sizes.
    """
    return FeatureStore.open(digits_folder(cache_dir, train_clips, test_clips, seed))


def build_digits(
    path: StrPath,
    train_clips: int = 1500,
    test_clips: int = 500,
    seed: int = 0,
    overwrite: bool = False,
    words: WordFeatures | None = None,
) -> FeatureStore:
    """Build the embedded set; :func:`~cmg.data.digits.build.write_digits` has the arguments.

    Raises:
        DataError: too few clips, a negative seed, or `path` is occupied or cannot be written.
    """
    write_digits(path, train_clips, test_clips, seed, overwrite, words)
    return FeatureStore.open(path)
