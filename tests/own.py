"""Clips of one's own, extracted and trained on by the commands that a user types."""

import numpy as np
from tests.extract.media import write_video
from tests.tiny import TINY

WORDS = ("low", "high")


def make_own_clips(folder, cmg, networks, reader):
    """24 videos in folders of two classes, `media`; their `store`; a `run` on it.

    Color, tone and caption say the same; the first test clip has markup in its caption.
    """
    media = folder / "media"
    for clip in range(24):
        kind = clip % 2
        place = media / ("test" if clip >= 16 else "train") / WORDS[kind] / f"{clip:02d}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        picture = np.full((48, 64, 3), (50, 200)[kind], np.uint8)
        picture[10 + clip : 20 + clip, 10:50] = (200, 90, 20)
        tone = (200.0, 3000.0)[kind]
        write_video(place, 2.0, 4, (48, 64), tone, frames=lambda _, shown=picture: shown)
        said = f"a {WORDS[kind]} <b>tone</b>" if clip == 16 else f"a {WORDS[kind]} tone"
        place.with_suffix(".txt").write_text(said)
    command = ("extract", media, "--out", folder / "store", *networks, *reader)
    said = cmg(*command, "--folder-label", "kind", "--workers", 1)
    assert said.code == 0, said.err
    small = [*TINY, "training.epochs=2", "probe.epochs=2"]
    said = cmg("pretrain", f"data={folder / 'store'}", *small, "--out", folder / "run")
    assert said.code == 0, said.err
