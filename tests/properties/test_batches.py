"""Batches are partitions: every clip once an epoch, over any ranks, and from anywhere on."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import cmg
from cmg import Batches
from cmg.errors import CmgError


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Splits of 2 to 24 clips of one or two modalities, each of which some clips lack."""
    made = {}

    def split(clips):
        if clips not in made:
            folder = tmp_path_factory.mktemp("batches") / "store"
            audio = [
                np.full((1 + i % 3, 2), i, np.float32) if i % 5 else None for i in range(clips)
            ]
            video = [
                np.full((2, 3), i, np.float16) if i % 3 or not i % 5 else None for i in range(clips)
            ]
            made[clips] = cmg.write_store(folder, {"audio": audio, "video": video}).split("train")
        return made[clips]

    return split


@given(
    clips=st.integers(2, 24),
    size=st.integers(1, 26),
    world=st.integers(1, 4),
    names=st.sampled_from([None, ["audio"], ["video"], ["video", "audio"]]),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 10**6),
    options=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("shuffle", "drop_last", "shuffled_pairs"), st.booleans())
    ),
    data=st.data(),
)
def test_an_epoch_has_every_clip_once(
    stores, clips, size, world, names, seed, epoch, options, data
):
    split = stores(clips)
    there = [i for i in range(clips) if any(split.lengths(m)[i] for m in names or split.modalities)]

    def batches(rank=0, world=1):
        return Batches(split, size, names, seed, rank=rank, world=world, **options)

    try:
        alone = batches()
        ranks = [batches(rank, world) for rank in range(world)]
    except CmgError:
        kept = size * (len(there) // size) if options.get("drop_last") else len(there)
        assert size < 2 or len(there) < 2 or kept == 0 or min(size, kept % size or size) < world
        return
    whole = [alone.indices(epoch, i).tolist() for i in range(len(alone))]
    taken = [clip for batch in whole for clip in batch]
    assert len(set(taken)) == len(taken)
    if options.get("drop_last"):
        assert set(taken) <= set(there)
        assert [len(batch) for batch in whole] == [size] * (len(there) // size)
    else:
        assert sorted(taken) == there
        assert all(2 <= len(batch) <= size + 1 for batch in whole)
    for i, batch in enumerate(whole):
        of_ranks = [rank.indices(epoch, i).tolist() for rank in ranks]
        assert sorted(chain(*of_ranks)) == sorted(batch)
        assert max(map(len, of_ranks)) - min(map(len, of_ranks)) <= 1
        assert alone.size_of(i) == len(batch)
    start = data.draw(st.integers(0, len(whole)))
    rest = list(batches().epoch(epoch, start))  # made anew: nothing is remembered
    assert [batch.ids for batch in rest] == [
        [split.rows[clip].id for clip in batch] for batch in whole[start:]
    ]
    for batch, again in zip(rest, alone.epoch(epoch, start), strict=True):
        assert all(torch.equal(x, again.features[m]) for m, x in batch.features.items())
