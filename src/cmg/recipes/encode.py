"""Encode a store to codes and keep them in a file."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save

from cmg.data.source import ClipSource
from cmg.errors import ConfigError
from cmg.evaluation.encoding import EncodedModality, encode_split, pad_steps
from cmg.files import StrPath, replace_file
from cmg.models.unified import UnifiedModel


def write_codes(
    model: UnifiedModel, store: ClipSource, out: StrPath, split: str | None = None
) -> int:
    """Write the codes of a store's clips.

    ``.jsonl`` has a row per clip: id, split, and the codes of each modality it has, a list per step
    where a step has several. ``.safetensors`` has int64 [N, T] or [N, T, L] per modality (-1 where
    a step does not exist) and the ids and splits as JSON in its metadata.

    Args:
        model: Left untouched.
        store: What to encode.
        out: File; the suffix decides the format.
        split: Only this split; None encodes all.

    Returns:
        Number of clips.

    Raises:
        ConfigError: another suffix, or a model without codes.
        DataError: no clip, an unknown split, or the file cannot be written.
    """
    model.codebook.need_codes("encode", "its features are what model.semantics() returns")
    out = Path(out)
    if out.suffix not in {".jsonl", ".safetensors"}:
        raise ConfigError(f"--out {out} must end in .jsonl or .safetensors")
    names = [split] if split is not None else list(store.splits)
    encoded = {name: encode_split(model, store.split(name)) for name in names}
    ids = {name: store.split(name).ids for name in names}
    data = (as_rows if out.suffix == ".jsonl" else as_tensors)(encoded, ids)
    replace_file(out, data)
    return sum(len(i) for i in ids.values())


def as_rows(encoded: dict[str, dict[str, EncodedModality]], ids: dict[str, list[str]]) -> bytes:
    """JSON lines."""
    lines = []
    for split, modalities in encoded.items():
        for clip, name in enumerate(ids[split]):
            present = {
                m: e.indices[clip][e.mask[clip]].tolist()
                for m, e in modalities.items()
                if e.present[clip]
            }
            lines.append(json.dumps({"id": name, "split": split, "codes": present}))
    return ("\n".join(lines) + "\n").encode()


def as_tensors(encoded: dict[str, dict[str, EncodedModality]], ids: dict[str, list[str]]) -> bytes:
    """A safetensors file; splits one after the other."""
    modalities = next(iter(encoded.values()))
    tensors = {}
    for m in modalities:
        parts = [e[m].indices for e in encoded.values()]
        longest = max(p.shape[1] for p in parts)
        tensors[m] = torch.cat([pad_steps(p, longest, -1) for p in parts])
    names = [name for split in ids.values() for name in split]
    splits = [split for split, members in ids.items() for _ in members]
    return save(tensors, {"ids": json.dumps(names), "splits": json.dumps(splits)})
