"""The speech embedding itself, where its packages are installed."""

from __future__ import annotations

import importlib.util

import pytest

from cmg.decoders.heads import ProbeOptions
from cmg.evaluation.probe import accuracy, train_head
from projects.voices.embedded import POOLING, EmbeddedWords, single_words, speech_embedding
from projects.voices.sources import synthetic_words

needed = ("av", "onnxruntime", "openwakeword")
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in needed),
    reason=f"needs {', '.join(needed)}",
)


@pytest.mark.slow
def test_heads_on_training_voices_read_the_held_out_ones():
    words = EmbeddedWords(speech_embedding())
    assert words.width == 96
    assert str(list(POOLING)) in words.notes
    learned, held_out = (
        single_words(words.of(said.waves), said.digits) for said in map(synthetic_words, (0, 1))
    )
    assert accuracy(train_head(learned, ProbeOptions(lr=0.005), 0), held_out) > 88
