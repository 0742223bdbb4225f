"""Prompts to vectors: one sentence a label, embedded once and kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from cmg.cache import cache_folder
from cmg.errors import ConfigError, DataError
from cmg.files import StrPath
from cmg.tables import Faults, TableRow, read_table
from cmg.text.encoder import TextEncoder
from cmg.text.vectors import PromptReport, PromptVectors, read_vectors, write_vectors
from cmg.text.words import (
    CONTINUES,
    MAX_PIECES,
    SLOTS,
    UNKNOWN_ID,
    fill_slots,
    glue,
    survives,
    word_vectors,
)

VERSION = 1
NO_FILTER = "take the filter 'none' (--text-filter none; of `cmg data embed-prompts` --filter none)"
"""Of what this file computes; part of the cache's key."""


def read_prompts(path: StrPath, faults: Faults | None = None) -> dict[str, str]:
    """The prompts of a comma csv with a header: column ``label``, and the second column.

    A label that occurs twice keeps its first prompt (*as coded*). Labels are taken as they stand.

    Raises:
        DataError: not there, no comma csv with such columns, a row of another length, or an empty
            cell.
    """
    path = Path(path)
    columns: list[str] = []
    prompts: dict[str, str] = {}

    def check(names: list[str]) -> None:
        columns.extend(names[1:2])
        if columns in ([], ["label"]):
            raise DataError(
                f"{path}, line 1: the second column must hold the prompts, not {columns}"
            )

    def take(row: TableRow) -> None:
        label, prompt = row.cells["label"], row.cells[columns[0]]
        if not label.strip() or not prompt.strip():
            raise DataError("a label and its prompt must not be empty")
        prompts.setdefault(label, prompt)

    read_table(path, take, required=("label",), header=check, faults=faults)
    return prompts


def read_cnt(path: StrPath) -> frozenset[int]:
    """The word ids of a ``cnt.pkl``, which is a pickled dict of int to int; only its keys matter.

    Raises:
        DataError: not there, anything but such a dict, or a pickle that would build more than
            plain values.
    """
    path = Path(path)
    from cmg.pickles.plain import load_plain_pickle

    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror}; cnt.pkl is in the root of the authors' "
            f"repository (or {NO_FILTER}, which needs no such file)"
        ) from error
    found = load_plain_pickle(data, str(path))
    if not isinstance(found, dict) or not found:
        raise DataError(f"{path} holds no dict of word ids but a {type(found).__name__}")
    wrong = [item for item in found.items() if not all(type(v) is int and v >= 0 for v in item)]
    if wrong:
        raise DataError(f"{path}: the entry {wrong[0]!r} is not a word id and its place, two ints")
    return frozenset(found)


def embed_prompts(
    prompts: Mapping[str, str],
    encoder: TextEncoder,
    keep: Collection[int] | None,
    slots: int = SLOTS,
    cache_dir: StrPath | None = None,
) -> PromptVectors:
    """Embed each label's prompt by the published pipeline (*as coded*).

    Word vectors are means over the last hidden layer of the word's pieces; the first `slots` words
    that the filter keeps are taken, and slots without a word are zero. A prompt of which no word
    survives has zero vectors and a warning; there the original code crashes.

    Args:
        prompts: Label to sentence.
        encoder: Used only where the cache does not have these prompts.
        keep: Ids of the words to keep, from :func:`read_cnt`; None keeps every word.
        slots: Words per prompt.
        cache_dir: Where results are kept; None for `CMG_CACHE`, or `cmg` in the user's cache
            folder. The key is over the encoder's files, the prompts, the filter and `slots`.

    Raises:
        ConfigError: no prompt, `slots` below 1, an unreadable encoder, or ids that are not of its
            vocabulary.
        DataError: the encoder gives numbers that are not finite, or the cache cannot be written.
    """
    cache_dir = None if cache_dir is None else Path(cache_dir)
    if not prompts or slots < 1:
        raise ConfigError(f"{len(prompts)} prompts in {slots} slots: both must be at least 1")
    key = _key(prompts, encoder, keep, slots)
    path = (cache_folder() if cache_dir is None else cache_dir) / f"prompts-{key[:16]}.safetensors"
    with suppress(DataError):  # Absent or damaged: embedded anew.
        cached = read_vectors(path)
        if cached.origin.get("key") == key:
            return cached
    found = _embed(prompts, encoder, keep, slots)
    kept_in = {
        "encoder": encoder.identity,
        "filter": "none" if keep is None else "published",
        "key": key,
    }
    found = PromptVectors(found.vectors, found.reports, kept_in)
    try:
        write_vectors(path, found)
    except DataError as error:
        raise DataError(f"{error} (the cache of prompts; CMG_CACHE names another)") from error
    return found


def _key(
    prompts: Mapping[str, str], encoder: TextEncoder, keep: Collection[int] | None, slots: int
) -> str:
    ids = None if keep is None else sorted(keep)
    said = [VERSION, MAX_PIECES, slots, encoder.identity, list(prompts.items()), ids]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _embed(
    prompts: Mapping[str, str], encoder: TextEncoder, keep: Collection[int] | None, slots: int
) -> PromptVectors:
    if keep is not None:
        _check_filter(encoder, keep)
    sentences = encoder.read(list(prompts.values()))
    vectors, reports = {}, []
    hidden = encoder.hidden(sentences)
    for (label, prompt), sentence, layer in zip(prompts.items(), sentences, hidden, strict=True):
        if not np.isfinite(layer).all():
            raise DataError(
                f"the text encoder in {encoder.folder} gives numbers that are not finite for "
                f"{prompt!r}; download it again"
            )
        words = glue(sentence.pieces)
        passed = [word for word in words if survives(word.text, encoder.word_ids, keep)]
        vectors[label] = fill_slots(word_vectors(passed, layer), slots)
        reports.append(
            PromptReport(
                label,
                prompt,
                words=tuple(word.text for word in words),
                kept=tuple(word.text for word in passed[:slots]),
                dropped=tuple(word.text for word in words if word not in passed),
                truncated=sentence.truncated,
            )
        )
    return PromptVectors(vectors, reports)


def _check_filter(encoder: TextEncoder, keep: Collection[int]) -> None:
    """Refuse ids of another vocabulary: a filter that passes words at random.

    Ids of special pieces are no misfit (0 is the unknown word in the original's numbering and the
    padding in others); they never pass.
    """
    if not encoder.reads_word_pieces:
        raise ConfigError(
            f"the published filter holds ids of BERT's word pieces, and the encoder in "
            f"{encoder.folder} has another vocabulary; {NO_FILTER}"
        )
    whole = {i for word, i in encoder.word_ids.items() if not word.startswith(CONTINUES)}
    special = {UNKNOWN_ID, *encoder.tokenizer.all_special_ids}
    misfits = sorted(set(keep) - whole - special)
    if misfits:
        raise ConfigError(
            f"{len(misfits)} of the filter's {len(keep)} word ids, the first {misfits[0]}, name no "
            f"whole word in the vocabulary of {encoder.folder}; take the encoder the filter was "
            f"made for, or {NO_FILTER}"
        )
